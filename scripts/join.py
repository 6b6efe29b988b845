"""Combine the files of a scene's blocks into one: `join-stacks`, `join-prompts`."""

from apsam.commands.join import join_prompts, join_stacks
from apsam.commands.run import run

if __name__ == "__main__":
    run(join_stacks, join_prompts)
