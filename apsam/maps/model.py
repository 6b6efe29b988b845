"""The trained network of `apsam predict`, and its settings."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel

from apsam.conditions import TOLERANCE, TrainingConditions, check_tiles, in_words, read_conditions
from apsam.config import Config, read_config
from apsam.config_values import read_values
from apsam.errors import ConfigError, InputError
from apsam.files import scratch_folder
from apsam.maps.resample import write_interpolated
from apsam.maps.settings import MapSettings
from apsam.products.settings import ProductSettings
from apsam.tiles.reader import SceneReader
from apsam.tiles.resolution import NEARLY, ground_resolution_m
from apsam.tiles.settings import TileSettings

Section = TypeVar("Section", bound=BaseModel)

# The pseudo-masks on which a run's ResUNets are trained, best maps first.
MASKS = ("self_training", "ground", "apsam", "cam")

# Settings of tiles that may differ from scene to scene.
OF_A_SCENE = {"bands", "nodata"}


@dataclass(frozen=True)
class MapModel:
    """A trained network with its settings for mapping scenes.

    Attributes:
        weights: File of a ResUNet.
        tiles: Settings of reading scenes, as in training.
        maps, products: Settings of the maps.
        conditions: Conditions of its training; None if the weights have none.
        source: Source of the settings of maps and products, in words.
        decision: Threshold of the masks: that of `maps`, or that of each map with the highest expected F1.
        elevations_from: The configuration that names the elevations; None: none does.
    """

    weights: Path
    tiles: TileSettings
    maps: MapSettings
    products: ProductSettings
    conditions: TrainingConditions | None
    source: str
    decision: Literal["threshold", "expected_f1"] = "threshold"
    elevations_from: Path | None = None

    def in_words(self) -> str:
        """Return one line for the user: the network, the resolution of its training, the source of its settings."""
        known = self.conditions.ground_resolution_m if self.conditions else None
        trained = f"trained at {in_words(known)}" if known else "the ground resolution of its training is not known"
        by_f1 = self.decision == "expected_f1"
        threshold = "the threshold with the highest expected F1" if by_f1 else f"threshold {self.maps.threshold:g}"
        return f"{self.weights}: {trained}; {threshold}, maps and products by {self.source}"


def weights_of_run(run: Path, masks: str | None) -> Path:
    """Return the path of a run's ResUNet.

    Args:
        run: Folder of a run.
        masks: The pseudo-masks of its training, one of `MASKS`; None: the first of these that the run has.
    """
    names = MASKS if masks is None else (masks,)
    paths = [run / "resunet" / name / "weights.safetensors" for name in names]
    return next((path for path in paths if path.is_file()), paths[names.index("apsam") if masks is None else 0])


def record_of_run(run: Path) -> Path | None:
    """Return the configuration in the report of a run; None if there is none."""
    record = run / "report" / "config.yaml"
    return record if record.is_file() else None


def find_model(
    run: Path | None, masks: str | None, weights: Path | None, config: Path | None, record: Path | None = None
) -> MapModel:
    """Find the network of a run, or of a weights file.

    Settings for reading scenes come from the weights. But each scene has its own bands and no-data values: those that
    `config` sets count (`tiles.bands`, if those of the training or of `config` are `auto`; `tiles.nodata`).

    A setting of maps and products comes from `config`, if that file sets its key; else from the configuration in the
    run's report, if there is one; else from the weights. So does `ground.decision`, if the network was trained on
    scene-wide masks and predicts calibrated probabilities. A file that sets `maps.threshold` without `ground.decision`
    asks for that threshold.

    Args:
        run: Folder of a run.
        masks: For a run: the pseudo-masks of its training, one of `MASKS`; None: the first of these that it has.
        weights: Weights of a ResUNet, instead of a run.
        config: A configuration.
        record: For weights: the configuration in the report of the run whose settings count for their maps.

    Raises:
        InputError: There are no weights, no record of how their scenes were read, or `config`
            sets bands, stretch or a tile size other than those of the training.
        ConfigError: Neither or both of `run` and `weights` are given, `masks` is given with `weights`, or the
            configuration cannot be used.
    """
    if (run is None) == (weights is None):
        given = "both are" if run else "neither is"
        raise ConfigError(
            f"apsam predict: give --run (folder of a trained run) or --weights (file of a ResUNet), {given} given"
        )
    if weights is not None and masks is not None:
        raise ConfigError(f"apsam predict: --model {masks} selects a network of a run; leave it out with --weights")
    if weights is None:
        assert run is not None
        weights = weights_of_run(run, masks)
        if not weights.is_file():
            raise InputError(
                f"{weights}: missing, so {run} has no trained ResUNet; train one: snakemake --cores all, or name a "
                f"file by --weights"
            )
        record = record_of_run(run)
    elif not weights.is_file():
        raise InputError(f"{weights}: no such weights of a ResUNet")
    conditions = read_conditions(weights)
    recorded = read_config(record) if record is not None else None
    written = read_config(config, base=_base(record, conditions)) if config is not None else None
    asked = read_values(config) if config is not None else {}
    if conditions and written:
        own = written.tiles.decisive()
        check_tiles(
            conditions,
            {**conditions.tiles.decisive(), **{key: own[key] for key in _keys(asked, "tiles") & own.keys()}},
            weights,
        )
    settings = written or recorded
    if settings is not None and (recorded is not None or conditions is None):
        maps, products = settings.maps, settings.product_settings()
    elif conditions is not None:
        maps, products = conditions.maps, conditions.products
        if written is not None:
            maps = _over(maps, written.maps, _keys(asked, "maps"))
            products = _over(products, written.product_settings(), _keys(asked, "products"))
    else:
        raise InputError(
            f"{weights}: does not say how its training scenes were read (an early version of apsam wrote it); give the "
            f"configuration of its run with --config, or train it again"
        )
    sources = [str(file) for file in (config, record) if file is not None]
    tiles = (conditions or settings or Config()).tiles
    return MapModel(
        weights,
        tiles if written is None else _over(tiles, written.tiles, _keys(asked, "tiles") & OF_A_SCENE),
        maps,
        products,
        conditions,
        " and ".join(sources) or "the settings in the weights (use --config for others)",
        _decision(conditions, recorded, written, asked),
        record,
    )


def _base(record: Path | None, conditions: TrainingConditions | None) -> dict[str, Any]:
    """Return the values that a configuration given by the user is laid over."""
    if record is not None:
        return read_values(record)
    if conditions is not None and conditions.decision == "expected_f1":
        # Only a network of scene-wide masks has this decision, and a file may name no more than another one.
        return {"ground": {"masks": "scene", "heat_maps": "labels"}}
    return {}


def _keys(values: Mapping[str, Any], section: str) -> set[str]:
    """Return the keys that a configuration sets in a section."""
    return set(values.get(section) or {})


def _over(settings: Section, written: Section, keys: Collection[str]) -> Section:
    """Return settings with some keys of others."""
    return settings.model_copy(update={key: getattr(written, key) for key in keys})


def _decision(
    conditions: TrainingConditions | None, recorded: Config | None, written: Config | None, asked: Mapping[str, Any]
) -> Literal["threshold", "expected_f1"]:
    if conditions is None or conditions.decision == "threshold":
        return "threshold"
    if written is not None and "decision" in _keys(asked, "ground"):
        return written.ground.decision
    if "threshold" in _keys(asked, "maps"):
        return "threshold"
    # A run with masks of tiles says nothing of a network of scene-wide masks.
    return recorded.ground.decision if recorded and recorded.ground.masks == "scene" else conditions.decision


@contextmanager
def scene_to_map(
    scene: Path, model: MapModel, resample: bool | None, output: Path
) -> Iterator[tuple[Path, TileSettings, str | None]]:
    """Yield the raster to map, the settings for reading it, and the resampling in words.

    A scene that is finer than in training is read at the training's ground resolution, a coarser one as it is.

    Args:
        scene: The raster.
        model: The network.
        resample: True: a coarser scene is interpolated to the training's resolution, by a virtual raster that is
            removed afterwards; False: a finer one is read as it is.
        output: A file; the virtual raster is made in its folder.

    Raises:
        ConfigError: `resample` is true, but the resolution of the training is not known.
        InputError: The scene cannot be read.
    """
    with SceneReader(scene, model.tiles.model_copy(update={"resolution_m": None})) as reader:
        own = ground_resolution_m(reader.crs.to_wkt(), reader.transform, reader.height, reader.width)
    known = model.conditions.ground_resolution_m if model.conditions else None
    if resample and known is None:
        raise ConfigError(f"--resample: {model.weights} does not say at which ground resolution it was trained")
    wanted = model.tiles.resolution_m
    if resample is False:
        wanted = None
    elif known is not None and own is not None:
        target = (known[0] * known[1]) ** 0.5
        if resample and own > NEARLY * target:
            with scratch_folder(output, "resampled") as folder:
                image = folder / f"{scene.name}.vrt"
                tiles = write_interpolated(scene, own / target, image, model.tiles) or model.tiles
                text = f"{scene}: its pixels of {own:.3g} m are interpolated to {target:.3g} m, as in training"
                yield image, tiles.model_copy(update={"resolution_m": None}), text
            return
        if wanted is None and (resample or own * TOLERANCE < known[0]):
            wanted = target
    tiles = model.tiles.model_copy(update={"resolution_m": wanted})
    with SceneReader(scene, tiles) as reader:
        note = reader.resolution_note()
    yield scene, tiles, note and f"{note}, as in training; --no-resample maps it as it is"
