"""The ResUNets, their maps, and what people take away from a map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from apsam.tiles.blocks import block_of
from workflow_support.recipes import InputFile, Job, Ref, Section, Stage
from workflow_support.stages import trainings
from workflow_support.stages.ground import RASTER, one_ground
from workflow_support.stages.ground import resunet as ground_resunet
from workflow_support.stages.self_training import PROMPTS_STAGE, TILE_MASKS
from workflow_support.stages.sources import GROUND, MAPPED, NETWORKS, REFERENCES, SELF_TRAINING, TRAINED

if TYPE_CHECKING:
    from workflow_support.run import Run

Units = Callable[["Run"], Sequence[str]]


def resunet(source: str) -> Callable[[Run, str], Job]:
    """The ResUNet, trained on one kind of pseudo-masks."""

    return lambda run, unit: trainings.on_tiles(run, f"masks/{source}")


def _mapping(run: Run, name: str, source: str) -> dict[str, Any]:
    return {
        "name": name,
        "image": run.image(name),
        "weights": run.resunet(source),
        "settings": Section("maps"),
        "tile-settings": Section("tiles"),
        "device": run.device,
    }


def maps(source: str) -> Callable[[Run, str], Job]:
    """The map of a raster scene."""
    return lambda run, unit: Job(_mapping(run, unit, source))


def bands(source: str) -> Callable[[Run, str], Job]:
    """A band of rows of the map of a large scene."""

    def job(run: Run, unit: str) -> Job:
        name, number = block_of(unit)
        return Job({**_mapping(run, name, source), "block": f"{number}/{run.bands[name]}"})

    return job


def mosaics(source: str) -> Callable[[Run, str], Job]:
    """The map of a large scene, put together from its bands."""

    def job(run: Run, unit: str) -> Job:
        parts = [Ref(f"maps/{source}/bands", f"{unit}.b{number:03d}") for number in range(1, run.bands[unit] + 1)]
        return Job(
            {
                "_": parts,
                "name": unit,
                "image": run.image(unit),
                "settings": Section("maps"),
                "tile-settings": Section("tiles"),
            }
        )

    return job


def tile_maps(source: str) -> Callable[[Run, str], Job]:
    """The masks of a folder of ready-made tiles."""

    def job(run: Run, unit: str) -> Job:
        options = _mapping(run, unit, source)
        return Job({"folder": options.pop("image"), **{k: v for k, v in options.items() if k != "name"}})

    return job


def products(source: str) -> Callable[[Run, str], Job]:
    """What people take away from a map: polygons with prompts and tiles, styles, a QGIS project, a STAC item."""

    def job(run: Run, unit: str) -> Job:
        scene, (probability, mask) = run.scenes[unit], run.map_refs(source, unit)
        second = source == SELF_TRAINING and run.tiles_second_round
        # Prompts of tiles explain a map only if its network learned masks of tiles.
        of_tiles = not run.learns_scenes(source)
        return Job(
            {
                "name": unit,
                "image": run.image(unit),
                "probability": probability,
                "mask": mask,
                "tiles": run.stack("tiles", unit),
                "prompts": run.stack(PROMPTS_STAGE if second else "prompts", unit) if of_tiles else None,
                "masks": run.stack(TILE_MASKS if second else "masks/apsam", unit) if of_tiles else None,
                "settings": Section("products"),
                "dem": InputFile(run.config.dem) if run.config.dem else None,
                "date": scene.taken.isoformat() if scene.taken else None,
                "reference": run.mask(unit),
                "mask-values": scene.mask_values if scene.mask else None,
            }
        )

    return job


def decided(source: str) -> Callable[[Run, str], Job]:
    """The mask of a map at the threshold with the highest F1 that the map expects of itself."""
    return lambda run, unit: Job({"probability": run.map_refs(source, unit)[0]})


# Which maps there are.


def _whole(run: Run) -> list[str]:
    return [name for name in run.mapped_rasters if run.bands[name] == 1]


def _in_bands(run: Run) -> list[str]:
    return [name for name in run.mapped_rasters if run.bands[name] > 1]


def _bands(run: Run) -> list[str]:
    return [f"{name}.b{number:03d}" for name in _in_bands(run) for number in range(1, run.bands[name] + 1)]


def _folders(run: Run) -> list[str]:
    return [name for name in run.mapped if name not in run.bands]


def _rasters(run: Run) -> list[str]:
    return run.mapped_rasters


def _of(source: str, units: Units) -> Units:
    """The units of a source that a run may not have."""
    if source == GROUND:
        return lambda run: units(run) if run.scene_wide else []
    if source == SELF_TRAINING:
        return lambda run: units(run) if run.second_round else []
    return units


def _decided(source: str) -> Units:
    return lambda run: run.mapped if source in run.trained and run.decides(source) else []


MAP = {"probability": "{unit}_probability.tif", "mask": "{unit}_mask.tif"}
PRODUCTS = {
    "geopackage": "{unit}.gpkg",
    "+project": "{unit}.qgs",
    "+item": "{unit}.stac.json",
    "+probability_style": "{unit}_probability.qml",
    "+mask_style": "{unit}_mask.qml",
    "+picture": "{unit}_image.tif",
}


def _maps(source: str) -> list[Stage]:
    view = f"maps/{source}"
    return [
        Stage(view, MAP, "predict:predict_scene", maps(source), units=_of(source, _whole)),
        Stage(
            f"{view}/bands", RASTER, "predict:predict_block", bands(source), units=_of(source, _bands)
        ),
        Stage(f"{view}/joined", MAP, "predict:predict_join", mosaics(source), view, units=_of(source, _in_bands)),
        Stage(
            f"{view}/tiles", {"masks": "{unit}.zip"}, "predict:predict_tiles", tile_maps(source), view,
            units=_of(source, _folders),
        ),
    ]  # fmt: skip


NETWORK_STAGES = [
    *(Stage(f"resunet/{source}", trainings.WEIGHTS, "resunet", resunet(source)) for source in (*TRAINED, *REFERENCES)),
    Stage(f"resunet/{GROUND}", trainings.WEIGHTS, "ground:resunet_scenes", ground_resunet, units=one_ground),
]
MAP_STAGES = [
    *(stage for source in NETWORKS for stage in _maps(source)),
    # Their masks have the plain names of those at `maps.threshold`, which they take the place of in the view.
    *(
        Stage(
            f"maps/{source}/decided", {"mask": "{unit}_mask.tif"}, "predict:predict_mask", decided(source),
            f"maps/{source}", units=_decided(source),
        )
        for source in (GROUND, SELF_TRAINING)
    ),
]  # fmt: skip
PRODUCT_STAGES = [
    Stage(
        f"maps/{source}/products", PRODUCTS, "products", products(source), f"maps/{source}",
        units=_of(source, _rasters),
    )
    for source in MAPPED
]  # fmt: skip
