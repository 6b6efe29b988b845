"""Jobs that train a ResUNet, on masks of tiles or of scenes, for every kind of pseudo-masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workflow_support.recipes import Job, Ref, Section, Unkeyed

if TYPE_CHECKING:
    from workflow_support.run import Run

# Outputs of a training.
WEIGHTS = {"output": "weights.safetensors", "history": "history.json"}


def on_tiles(run: Run, masks: str) -> Job:
    """Train on the tiles of the training scenes and their masks of the stage `masks`."""
    pairs = [*run.stacks("tiles", run.training), *run.stacks(masks, run.training)]
    options = {"_": pairs, "settings": Section("resunet"), "seed": run.config.seed, "device": run.device}
    if run.config.resunet.keep == "last":
        return Job(options)
    reads = run.sheet() | {
        "synthetic": Unkeyed("@files/scenes"),
        "files": run.synthetic_files(run.measured_training),
    }
    return Job(options | reads, run.reference(run.measured_training))


def on_scenes(run: Run, masks: str, number: int | None = None) -> Job:
    """Train on crops of the training scenes and scene-wide masks; `number`: which of several networks."""
    names = run.training
    return Job(
        {
            "_": [*map(run.image, names), *run.stacks("tiles", names), *(Ref(masks, name) for name in names)],
            "number": number,
            "settings": Section("resunet"),
            "seed": run.config.seed,
            "device": run.device,
        }
    )
