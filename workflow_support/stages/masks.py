"""SAM's embeddings, and the pseudo-masks of tiles."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from apsam.tiles.blocks import block_of
from workflow_support.recipes import STACK, Job, Ref, Section, Stage, Unkeyed
from workflow_support.stages.ground import label_map

if TYPE_CHECKING:
    from workflow_support.run import Run


def embeddings(run: Run, unit: str) -> Job:
    """The output of SAM's image encoder: the costly part, which no threshold changes."""
    return Job(
        {
            "tiles": Ref("tiles", unit),
            "settings": Section("sam"),
            "label-gate": run.config.label_gate,
            "image": run.image(block_of(unit)[0]) if run.config.sam.window else None,
            "device": run.device,
        },
        {"weights": run.sam_weights},
    )


def masks_apsam(run: Run, unit: str) -> Job:
    """Pseudo-masks by SAM with prompts."""
    return Job(
        {
            "tiles": Ref("tiles", unit),
            "cams": Ref("cams", unit),
            "prompts": Ref("prompts", unit),
            "embeddings": Ref("embeddings", unit),
            "settings": Section("masks"),
            "sam": Section("sam"),
            "ground": label_map(run, block_of(unit)[0]),
            "device": run.device,
        },
        {"weights": run.sam_weights},
    )


def masks_cam(run: Run, unit: str) -> Job:
    """The CAM at a threshold: the baseline."""
    return Job(
        {
            "tiles": Ref("tiles", unit),
            "cams": Ref("cams", unit),
            "settings": Section("cam_masks"),
            "ground": label_map(run, block_of(unit)[0]),
        }
    )


def masks_grabcut(run: Run, unit: str) -> Job:
    """GrabCut with the same prompts."""
    return Job(
        {
            "tiles": Ref("tiles", unit),
            "prompts": Ref("prompts", unit),
            "settings": Section("grabcut"),
            "ground": label_map(run, block_of(unit)[0]),
        }
    )


def masks_cam_agreed(run: Run, unit: str) -> Job:
    """Each tile's CAM at the threshold where SAM's masks agree best with it."""
    return Job(
        {
            "tiles": run.stack("tiles", unit),
            "cams": run.stack("cams", unit),
            "masks": run.stack("masks/apsam", unit),
        }
    )


def masks_box(run: Run, unit: str) -> Job:
    """A fixed box in positive tiles: the lower bound."""
    return Job({"tiles": run.stack("tiles", unit)})


def masks_truth(run: Run, unit: str) -> Job:
    """The reference masks: the upper bound."""
    return Job(
        {
            "scene": unit,
            **run.sheet(),
            "tiles": Unkeyed("@files/tiles"),
            "synthetic": Unkeyed("@files/scenes"),
            "files": [run.stack("tiles", unit), *run.synthetic_files([unit])],
        },
        run.reference([unit]),
    )


STAGES = [
    Stage("embeddings", {"output": STACK}, "encode", embeddings, units=attrgetter("all_units")),
    *(
        Stage(f"masks/{source}", {"output": STACK}, f"masks:masks_{source}", job, units=attrgetter("all_units"))
        for source, job in {"apsam": masks_apsam, "cam": masks_cam, "grabcut": masks_grabcut}.items()
    ),
    Stage("masks/cam_agreed", {"output": STACK}, "table1:masks_agreed", masks_cam_agreed, units=attrgetter("names")),
    Stage("masks/box", {"output": STACK}, "table1:masks_box", masks_box, units=attrgetter("names")),
    Stage("masks/truth", {"output": STACK}, "table1:masks_truth", masks_truth, units=attrgetter("measured")),
]
