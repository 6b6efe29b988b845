"""Make one synthetic scene: an RGB GeoTIFF and the mask of its landslides."""

from apsam.commands.run import run
from apsam.commands.synthesize import synthesize

if __name__ == "__main__":
    run(synthesize)
