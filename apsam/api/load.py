"""Load a trained model: a run's folder, a file of weights, or a SAM by name."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Literal

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open

from apsam.api.model import Model
from apsam.conditions import read_conditions
from apsam.config import Config, read_config
from apsam.errors import ConfigError, InputError
from apsam.maps.model import MapModel, find_model, record_of_run, weights_of_run
from apsam.sam.names import KNOWN, is_folder
from apsam.sam.settings import SamSettings

log = logging.getLogger(__name__)

# SAMs by name (docs/sam.md); no trained localizer or ResUNet comes with the package.
NAMES = tuple(KNOWN)


def load(
    source: str | Path | None = None,
    *,
    localizer: str | Path | None = None,
    resunet: str | Path | None = None,
    sam: str | None = None,
    masks: Literal["self_training", "ground", "apsam", "cam"] | None = None,
    device: str = "auto",
) -> Model:
    """Load a trained model. Its networks are read on first use.

    Args:
        source: The folder of a run (`results/demo`), with its settings; or a weights file of a localizer or a ResUNet;
            or the name of a SAM (`light`, which comes with the package, `vit_b`, ...). No trained localizer or ResUNet
            comes with the package: run the demo (`make demo`), or train on your own scenes.
        localizer: Weights of a localizer, instead of the run's.
        resunet: Weights of a ResUNet, instead of the run's, for maps with the settings of the run (if one is named).
        sam: Name of a SAM, instead of the run's or `light`.
        masks: For a run: the pseudo-masks that the ResUNet was trained on: those of the second round, scene-wide ones,
            APSAM's or those of CAMs; None: the first of these that the run has.
        device: `auto` (a GPU if there is one), `cpu`, `cuda`, `cuda:1`.

    Returns:
        The model. `cam`, `segment` and `predict` work if their network was found.

    Raises:
        InputError: There is no such folder, file or name, a file has other content, or the run has no ResUNet of
            `masks`.
        ConfigError: The run's configuration cannot be used, no model is named, or `masks` is given without a run.

    Examples:
        >>> import apsam
        >>> apsam.load("light").config.sam.name
        'light'
        >>> apsam.load("results/nowhere")
        Traceback (most recent call last):
        apsam.errors.InputError: results/nowhere: no folder of a run, weights file or name of a SAM: light, ...
    """
    if source is None and localizer is None and resunet is None and sam is None:
        raise ConfigError("apsam.load: name a run's folder, a weights file or a SAM")
    if source is not None and str(source) in NAMES and not Path(source).exists():
        source, sam = None, sam or str(source)
    if masks is not None and (source is None or Path(source).is_file()):
        raise ConfigError(f"apsam.load: masks='{masks}' selects a ResUNet of a run, and no run's folder is named")
    config: Config | None = None
    mapping: MapModel | None = None
    if source is not None:
        path = Path(source)
        if path.is_dir():
            config, found_localizer, mapping = _open_run(path, masks)
            localizer = localizer or found_localizer
        elif path.is_file():
            if _kind(path) == "localizer":
                localizer = localizer or path
            else:
                resunet = resunet or path
        else:
            raise InputError(f"{source}: no folder of a run, weights file or name of a SAM: {', '.join(NAMES)}")
    if resunet is not None:
        mapping = find_model(
            None, masks, Path(resunet), None, record_of_run(Path(source)) if config and source else None
        )
    if localizer is not None and not Path(localizer).is_file():
        raise InputError(f"{localizer}: no such weights of a localizer")
    config = config or _config_of(Path(localizer) if localizer else None, mapping)
    if sam is not None:
        config = config.model_copy(update={"sam": _sam_settings(sam, config)})
    return Model(config, Path(localizer) if localizer else None, mapping, device)


def _open_run(run: Path, masks: str | None) -> tuple[Config | None, Path | None, MapModel | None]:
    """Find configuration, localizer and ResUNet of a run; None for each that is missing."""
    record = record_of_run(run)
    localizer = run / "localizer" / "weights.safetensors"
    resunet = weights_of_run(run, masks)
    if not localizer.is_file() and not resunet.is_file():
        raise InputError(
            f"{run}: not the folder of a trained run, it contains neither {localizer.relative_to(run)} nor "
            f"{resunet.relative_to(run)}"
        )
    if record is None:
        log.warning(
            "%s: has no report/config.yaml, so CAMs and masks are made with default settings; finish the run", run
        )
    return (
        _with_sam(read_config(record), run) if record else None,
        localizer if localizer.is_file() else None,
        find_model(run, masks, None, None) if resunet.is_file() or masks is not None else None,
    )


def _with_sam(config: Config, run: Path) -> Config:
    """Return the configuration of a run with the path of its SAM, which starts in the folder of its project."""
    sam = config.sam
    path = sam.checkpoint or (Path(sam.name) if is_folder(sam.name) else None)
    # A run that is mounted at the root of a container has no such folder.
    found = [folder / path for folder in run.absolute().parents[1:2] if path is not None and (folder / path).exists()]
    return config.model_copy(update={"sam": sam.model_copy(update={"checkpoint": found[0]})}) if found else config


def _config_of(localizer: Path | None, mapping: MapModel | None) -> Config:
    """Return default settings, with the tile settings that the weights were trained with."""
    conditions = read_conditions(localizer) if localizer else mapping.conditions if mapping else None
    return Config(tiles=conditions.tiles) if conditions else Config()


def _kind(path: Path) -> Literal["localizer", "resunet"]:
    """Return the kind of network that a weights file contains."""
    try:
        with safe_open(path, "np") as file:
            description = json.loads((file.metadata() or {}).get("apsam", "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: not a safetensors file ({error}); use weights written by apsam") from error
    if description.get("kind") == "apsam localizer":
        return "localizer"
    if description.get("model") == "resunet":
        return "resunet"
    raise InputError(f"{path}: contains neither a localizer nor a ResUNet of apsam")


def _sam_settings(name: str, config: Config) -> SamSettings:
    if name == config.sam.name:
        return config.sam
    try:
        return SamSettings(**{**config.sam.model_dump(exclude={"checkpoint"}), "name": name})
    except ValidationError as error:
        raise ConfigError(f"sam: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from error
