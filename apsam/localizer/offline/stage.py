"""The offline stage of the method named in the settings."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from apsam.device import pick_device, seed_everything
from apsam.errors import ConfigError
from apsam.localizer.data import TRAIN, TileSet
from apsam.localizer.method_settings import OFFLINE_FILES
from apsam.localizer.offline.inputs import OfflineInputs
from apsam.localizer.settings import LocalizerSettings
from apsam.sam.settings import SamSettings
from apsam.training.processes import find_processes

# Methods whose offline stage trains a network, with all processes of the training.
TRAINED_OFFLINE = {"cda", "oc_cse"}


def make_offline(
    tile_stacks: Sequence[Path],
    settings: LocalizerSettings,
    output: Path,
    sam: SamSettings | None = None,
    seed: int = 0,
    device: str = "auto",
) -> None:
    """Make the file that the method's training needs.

    Args:
        tile_stacks: Tile stacks of all scenes, in the order of the training.
        settings: The section `localizer`.
        output: File to make, named as in `OFFLINE_FILES`.
        sam: The section `sam`.
        seed: Of all random numbers.
        device: `auto`, `cpu`, `cuda`, ...

    Raises:
        ConfigError: The method has no offline stage.
        InputError: There are not enough tiles.
    """
    if settings.method not in OFFLINE_FILES:
        needy = ", ".join(OFFLINE_FILES)
        raise ConfigError(f"localizer.method {settings.method} has no offline stage; those that have one: {needy}")
    processes = find_processes()
    if processes is not None and processes.rank and settings.method not in TRAINED_OFFLINE:
        return  # one process makes it; if a network is trained first, all processes train
    tiles = TileSet(tile_stacks, TRAIN, settings.memory_mb)
    tiles.require_both_labels()
    seed_everything(seed)
    inputs = OfflineInputs(tiles, settings, sam or SamSettings(), seed, pick_device(device))
    # One module per method, imported on request, as in apsam.localizer.methods.
    import_module(f"apsam.localizer.offline.{settings.method}").make(inputs, Path(output))
