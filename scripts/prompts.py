"""Make the box and point prompts of a scene's CAMs (paper, equations 2 to 8), as JSON and as GeoJSON."""

from apsam.commands.prompts import prompts
from apsam.commands.run import run

if __name__ == "__main__":
    run(prompts)
