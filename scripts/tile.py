"""Cut a scene, or a folder of ready-made tiles, into one tile stack with image-level labels."""

from apsam.commands.run import run
from apsam.commands.tile import tile

if __name__ == "__main__":
    run(tile)
