"""Train the ResUNet on the pseudo-masks of the training scenes: its weights, and a history of losses."""

from apsam.commands.resunet import resunet
from apsam.commands.run import run

if __name__ == "__main__":
    run(resunet)
