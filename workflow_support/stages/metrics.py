"""Metrics against reference masks, and checks that need none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workflow_support.recipes import ALL, Job, Named, Ref, Stage, Unkeyed
from workflow_support.stages.ground import found_label_errors
from workflow_support.stages.self_training import TILE_MASKS
from workflow_support.stages.sources import GROUND, SELF_TRAINING, SOURCES, TRAINED

if TYPE_CHECKING:
    from workflow_support.run import Run

# Jobs that experiments and Table 1 have too.


def measured_masks(run: Run, names: Sequence[str], sources: Sequence[str], only: bool = False) -> Job:
    """Pseudo-masks of scenes against their reference masks."""
    stages = [TILE_MASKS if source == SELF_TRAINING else f"masks/{source}" for source in sources]
    stacks = [run.stack(stage, name) for stage in stages for name in names]
    return _measured(run, names, "masks", sources, stacks, {"only": list(names) if only else None})


def measured_maps(run: Run, names: Sequence[str], sources: Sequence[str], **options: Any) -> Job:
    """Maps of scenes against their reference masks."""
    masks = [run.map_refs(source, name)[-1] for source in sources for name in names]
    return _measured(run, names, "maps", sources, masks, {**options, "only": list(names)})


def _measured(
    run: Run, names: Sequence[str], kind: str, sources: Sequence[str], files: list[Ref], options: Mapping[str, Any]
) -> Job:
    return Job(
        {
            **run.sheet(),
            "tiles": Unkeyed("@files/tiles"),
            "synthetic": Unkeyed("@files/scenes"),
            kind: [Named(source, Unkeyed(f"@files/{kind}/{source}")) for source in sources],
            **options,
            "protocol": run.protocol,
            "files": [*run.stacks("tiles", names), *files, *run.synthetic_files(names)],
        },
        run.reference(names) | {"sources": list(sources)},
    )


# Those of a run.


def pseudo_masks(run: Run, unit: str) -> Job:
    """Figures of all pseudo-masks."""
    second = [SELF_TRAINING] if run.tiles_second_round else []
    return measured_masks(run, run.measured, [*SOURCES, *second])


def map_metrics(run: Run, unit: str) -> Job:
    """Figures of the ResUNets' maps."""
    training = {"training-scenes": True} if run.mapped == run.names else {}
    return measured_maps(run, run.measured_maps, run.trained, **training)


def objects(run: Run, unit: str) -> Job:
    """Landslides of the ResUNets' maps that were found, missed or are false."""
    return measured_maps(run, _measured_rasters(run), run.trained, **{"min-area-m2": run.config.products.min_area_m2})


def checks(run: Run, unit: str) -> Job:
    """What image-level labels, training and maps say of each other: warnings, without any reference mask."""
    source, names = best_source(run), run.mapped_rasters
    refs = [run.map_refs(source, name) for name in names]
    scene_masks = f"{SELF_TRAINING}/masks" if run.second_round else f"masks/{GROUND}"
    of_tiles = [] if run.scene_wide else [name for name in run.training if run.scenes[name].kind != "folder"]
    return Job(
        {
            "_": [*run.stacks("tiles", names), *(probability for probability, _ in refs)],
            "mask": [mask for _, mask in refs],
            "training": run.stacks("tiles", run.training),
            "localizer": Ref("metrics/localizer") if run.held_out else None,
            "masked": run.stacks("tiles", of_tiles),
            "pseudo-masks": run.stacks(TILE_MASKS if run.second_round else f"masks/{TRAINED[0]}", of_tiles),
            "label-errors": found_label_errors(run),
            "heat-maps": [Ref("heatmaps", name) for name in run.training] if run.scene_wide else [],
            "calibration": Ref("heatmaps/threshold") if run.scene_wide else None,
            "scene-masks": [Ref(scene_masks, name) for name in run.training] if run.scene_wide else [],
        }
    )


def best_source(run: Run) -> str:
    """The pseudo-masks whose maps people take away first."""
    if run.second_round:
        return SELF_TRAINING
    return GROUND if run.scene_wide else TRAINED[0]


def summary(run: Run, unit: str) -> Job:
    """The figures that versions are compared by, in one flat table."""
    return Job({"masks": Ref("metrics/pseudo_masks"), "maps": Ref("metrics/maps")})


def _measured_rasters(run: Run) -> list[str]:
    return [name for name in run.measured_maps if name in run.bands]


def _metrics(
    name: str,
    job: Callable[[Run, str], Job],
    command: str,
    file: str = "",
    units: Callable[[Run], Sequence[str]] = Stage.units,
) -> Stage:
    return Stage(
        f"metrics/{name}", {"output": f"{file or name}.json"}, f"metrics:metrics_{command}", job, "metrics", units=units
    )


STAGES = [
    _metrics("pseudo_masks", pseudo_masks, "masks"),
    _metrics("maps", map_metrics, "maps", "resunet"),
    _metrics("summary", summary, "summary"),
    _metrics("checks", checks, "checks"),
    _metrics("objects", objects, "objects", units=lambda run: [ALL] if _measured_rasters(run) else []),
]
