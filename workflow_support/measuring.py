"""What is measured against reference masks: jobs that stages, experiments and Table 1 share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from workflow_support.recipes import Job, Named, Unkeyed

if TYPE_CHECKING:
    from workflow_support.run import Run

# Pseudo-masks that are always made, and those that a ResUNet is trained on.
SOURCES = ("apsam", "cam", "grabcut")
TRAINED = ("apsam", "cam")
# Scene-wide pseudo-masks (`ground.masks: scene`), with the ResUNet and the maps that follow from them.
GROUND = "ground"


def scene_wide(run: Run) -> bool:
    """Whether the run has scene-wide pseudo-masks."""
    return run.config.ground.masks == "scene"


def trained(run: Run) -> tuple[str, ...]:
    """The pseudo-masks of a run that a ResUNet is trained on."""
    return (*TRAINED, GROUND) if scene_wide(run) else TRAINED


def measured_masks(run: Run, names: Sequence[str], sources: Sequence[str], only: bool = False) -> Job:
    """Pseudo-masks of scenes against their reference masks."""
    stacks = [run.stack(f"masks/{source}", name) for source in sources for name in names]
    return Job(
        {
            **run.sheet(),
            "tiles": Unkeyed("@files/tiles"),
            "synthetic": Unkeyed("@files/scenes"),
            "masks": [Named(source, Unkeyed(f"@files/masks/{source}")) for source in sources],
            "only": list(names) if only else None,
            "protocol": run.protocol,
            "files": [*run.stacks("tiles", names), *stacks, *run.synthetic_files(names)],
        },
        run.reference(names) | {"sources": list(sources)},
    )


def measured_maps(run: Run, names: Sequence[str], sources: Sequence[str], training: bool = False) -> Job:
    """Maps of scenes against their reference masks."""
    masks = [run.map_refs(source, name)[-1] for source in sources for name in names]
    return Job(
        {
            **run.sheet(),
            "tiles": Unkeyed("@files/tiles"),
            "synthetic": Unkeyed("@files/scenes"),
            "maps": [Named(source, Unkeyed(f"@files/maps/{source}")) for source in sources],
            "training-scenes": True if training else None,
            "only": list(names),
            "protocol": run.protocol,
            "files": [*run.stacks("tiles", names), *masks, *run.synthetic_files(names)],
        },
        run.reference(names) | {"sources": list(sources)},
    )


def measured_objects(run: Run, names: Sequence[str], sources: Sequence[str]) -> Job:
    """Maps of raster scenes against their reference masks, landslide by landslide."""
    masks = [run.map_refs(source, name)[-1] for source in sources for name in names]
    return Job(
        {
            **run.sheet(),
            "tiles": Unkeyed("@files/tiles"),
            "synthetic": Unkeyed("@files/scenes"),
            "maps": [Named(source, Unkeyed(f"@files/maps/{source}")) for source in sources],
            "min-area-m2": run.config.products.min_area_m2,
            "only": list(names),
            "protocol": run.protocol,
            "files": [*run.stacks("tiles", names), *masks, *run.synthetic_files(names)],
        },
        run.reference(names) | {"sources": list(sources)},
    )
