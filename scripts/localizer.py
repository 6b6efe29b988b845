"""Train the localizer: its weights, and a history of losses and of how well it tells held-out tiles apart."""

from apsam.commands.localizer import localizer
from apsam.commands.run import run

if __name__ == "__main__":
    run(localizer)
