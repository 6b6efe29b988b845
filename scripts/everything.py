"""Segment every object of one image with SAM, prompted by a grid of points (paper, Fig. 4)."""

from apsam.commands.everything import everything
from apsam.commands.run import run

if __name__ == "__main__":
    run(everything)
