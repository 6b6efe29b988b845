"""The offline stage of the method that the settings name."""

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

# Methods whose offline stage trains a network, with all processes that were started together.
TRAINED_OFFLINE = {"cda", "oc_cse"}


def make_offline(
    tile_stacks: Sequence[Path],
    settings: LocalizerSettings,
    output: Path,
    sam: SamSettings | None = None,
    seed: int = 0,
    device: str = "auto",
) -> None:
    """Make what the method's training needs.

    Args:
        tile_stacks: Tile stacks of all scenes, in the order in which the training gets them.
        settings: The section `localizer`.
        output: File to make, called as `OFFLINE_FILES` says.
        sam: The section `sam`.
        seed: Of all that is random.
        device: `auto`, `cpu`, `cuda`, ...

    Raises:
        ConfigError: The method has no offline stage.
        InputError: The tiles are not enough for it.
    """
    if settings.method not in OFFLINE_FILES:
        needy = ", ".join(OFFLINE_FILES)
        raise ConfigError(f"localizer.method {settings.method} has no offline stage; those that have one: {needy}")
    processes = find_processes()
    if processes is not None and processes.rank and settings.method not in TRAINED_OFFLINE:
        return  # one process makes it; where a network is trained first, all do
    tiles = TileSet(tile_stacks, TRAIN, settings.memory_mb)
    tiles.require_both_labels()
    seed_everything(seed)
    inputs = OfflineInputs(tiles, settings, sam or SamSettings(), seed, pick_device(device))
    # A module a method, imported when it is asked for, as in apsam.localizer.methods.
    import_module(f"apsam.localizer.offline.{settings.method}").make(inputs, Path(output))
