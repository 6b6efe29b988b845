"""Train the localizer on the image-level labels of all scenes.

Makes its weights and a history: losses by epoch, and how well it tells the tiles of part 1 apart. Only
tiles of part 0 are trained on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from apsam.device import set_threads
from apsam.errors import ApsamError
from apsam.localizer.settings import LocalizerSettings
from apsam.localizer.train import train_localizer


def main() -> None:
    """Read the arguments and train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiles", type=Path, nargs="+", required=True, help="tile stacks of all scenes")
    parser.add_argument("--output", type=Path, required=True, help="weights to make, .safetensors")
    parser.add_argument("--history", type=Path, required=True, help="history to make, .json")
    parser.add_argument(
        "--settings",
        type=LocalizerSettings.model_validate_json,
        default=LocalizerSettings(),
        help="section localizer, as JSON",
    )
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and augmentation")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:1")
    parser.add_argument("--threads", type=int, help="CPU threads; all by default")
    arguments = parser.parse_args()
    set_threads(arguments.threads)
    try:
        train_localizer(
            arguments.tiles,
            arguments.settings,
            arguments.output,
            arguments.history,
            arguments.seed,
            arguments.device,
        )
    except ApsamError as error:
        sys.exit(f"localizer: {error}")


if __name__ == "__main__":
    main()
