"""Settings that do not go with the scenes, or with each other across sections."""

from __future__ import annotations

from collections.abc import Sequence

from apsam.config import Config
from apsam.errors import ConfigError
from apsam.scenes import Scene


def check_combinations(config: Config, scenes: Sequence[Scene]) -> None:
    """Check that the settings can be used with the scenes.

    Raises:
        ConfigError: The first combination that cannot, and what to do.
    """
    folder = next((scene.name for scene in scenes if scene.kind == "folder"), None)
    if config.sam.window and folder:
        raise ConfigError(
            f"sam.window: '{folder}' is a folder of ready-made tiles, which have no surroundings; set sam.window: null"
        )
    if config.ground.masks != "scene":
        return
    if folder:
        raise ConfigError(
            f"ground.masks: '{folder}' is a folder of ready-made tiles, which have no common pixel grid; give the "
            f"scene as one raster, or set ground.masks: tiles and ground.heat_maps: cam"
        )
    if config.sam.window:
        raise ConfigError(
            "sam.window: is for pseudo-masks of tiles; with ground.masks: scene the section views says what SAM is "
            "shown; set sam.window: null"
        )
    if config.resunet.keep != "last":
        raise ConfigError(
            f"resunet.keep: '{config.resunet.keep}' reads reference masks, which no training has with ground.masks: "
            f"scene; set resunet.keep: last"
        )
    if config.ground.decision == "expected_f1" and config.resunet.loss != "bce":
        raise ConfigError(
            f"ground.decision: expected_f1 needs calibrated probabilities, which resunet.loss: {config.resunet.loss} "
            f"does not give; set resunet.loss: bce, or ground.decision: threshold"
        )
