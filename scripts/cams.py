"""Make the class activation maps of a scene's positive tiles.

Makes one CAM stack. Tiles labelled negative get an empty map and are not computed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from apsam.device import set_threads
from apsam.errors import ApsamError
from apsam.localizer.cam import make_cams
from apsam.localizer.settings import CamSettings


def main() -> None:
    """Read the arguments and make the maps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiles", type=Path, required=True, help="tile stack of the scene")
    parser.add_argument("--weights", type=Path, required=True, help="weights of the localizer")
    parser.add_argument("--output", type=Path, required=True, help="CAM stack to make")
    parser.add_argument(
        "--settings",
        type=CamSettings.model_validate_json,
        default=CamSettings(),
        help="section cams, as JSON",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:1")
    parser.add_argument("--threads", type=int, help="CPU threads; all by default")
    arguments = parser.parse_args()
    set_threads(arguments.threads)
    try:
        make_cams(arguments.tiles, arguments.weights, arguments.output, arguments.settings, arguments.device)
    except ApsamError as error:
        sys.exit(f"cams: {error}")


if __name__ == "__main__":
    main()
