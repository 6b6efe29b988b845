"""Make the class activation maps of one scene's positive tiles: one CAM stack."""

from apsam.commands.cams import cams
from apsam.commands.run import run

if __name__ == "__main__":
    run(cams)
