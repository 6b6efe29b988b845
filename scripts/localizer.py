"""Train the localizer: write its weights, and a history of losses and of its accuracy on held-out tiles."""

from apsam.commands.localizer import localizer
from apsam.commands.run import run

if __name__ == "__main__":
    run(localizer)
