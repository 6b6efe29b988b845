"""Encode the positive tiles of a scene with SAM's image encoder.

Makes one embedding stack. It depends on the tiles and the SAM alone: thresholds, prompts and mask choices
ask it again.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from apsam.device import set_threads
from apsam.errors import ApsamError
from apsam.sam.encode import encode_scene
from apsam.sam.settings import SamSettings


def main() -> None:
    """Read the arguments and encode."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiles", type=Path, required=True, help="tile stack of the scene")
    parser.add_argument("--output", type=Path, required=True, help="embedding stack to make")
    parser.add_argument(
        "--settings", type=SamSettings.model_validate_json, required=True, help="section sam, as JSON"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:1")
    parser.add_argument("--threads", type=int, help="CPU threads; all by default")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    set_threads(arguments.threads)
    try:
        encode_scene(arguments.tiles, arguments.output, arguments.settings, arguments.device)
    except ApsamError as error:
        sys.exit(f"encode: {error}")


if __name__ == "__main__":
    main()
