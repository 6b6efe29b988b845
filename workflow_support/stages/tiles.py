"""Scenes, their tiles, and the stacks of large scenes that are worked on in blocks."""

from __future__ import annotations

import json
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from apsam.tiles.blocks import block_of
from workflow_support.recipes import PROMPTS, STACK, InputFile, Job, Ref, Section, Stage
from workflow_support.stages.self_training import PROMPTS_STAGE, TILE_MASKS
from workflow_support.stages.sources import SELF_TRAINING, SOURCES

if TYPE_CHECKING:
    from workflow_support.run import Run

# Stages whose stacks a scene in blocks has joined, and the folders of these in a view.
STACKS_IN_BLOCKS = {
    **{stage: stage for stage in ("tiles", "cams", "embeddings", *(f"masks/{source}" for source in SOURCES))},
    TILE_MASKS: f"masks/{SELF_TRAINING}",
}
PROMPTS_IN_BLOCKS = ("prompts", PROMPTS_STAGE)


def scenes(run: Run, unit: str) -> Job:
    """A synthetic scene."""
    return Job({"scene": unit, "settings": Section("synthetic")})


def tiles(run: Run, unit: str) -> Job:
    """The tiles of a scene or block, with image-level labels."""
    name, number = block_of(unit)
    scene, count = run.scenes[name], run.blocks[name]
    if scene.labels is not None:
        labels: dict[str, Any] = {"labels": InputFile(scene.labels, scene.labels_layer)}
    else:
        labels = {"mask": run.mask(name), "mask-values": scene.mask_values}
    return Job(
        {
            "scene": name,
            "image": run.image(name),
            **labels,
            "split": scene.split,
            "block": f"{number}/{count}" if count > 1 else None,
            "held-out": [InputFile(path) for path in run.shares_ground_with(name)],
            "settings": Section("tiles"),
            "label-settings": Section("labels"),
            "label-row": json.dumps(dict(scene.label_values), sort_keys=True) if scene.label_values else None,
            "split-settings": Section("split") if scene.split == "blocks" else None,
        }
    )


def joined(stage: str) -> Callable[[Run, str], Job]:
    """The stacks of a scene's blocks as one."""
    return lambda run, unit: Job({"_": [Ref(stage, block) for block in run.units(unit)]})


def joined_prompts(stage: str) -> Callable[[Run, str], Job]:
    """The prompts of a scene's blocks as one file."""
    return lambda run, unit: Job(
        {"_": [Ref(stage, block) for block in run.units(unit)], "tiles": run.stack("tiles", unit)}
    )


def _in_blocks(stage: str) -> Callable[[Run], list[str]]:
    """Scenes in blocks, where the run has the stage."""
    of_second_round = stage.startswith(SELF_TRAINING)
    return lambda run: run.in_blocks if not of_second_round or run.tiles_second_round else []


STAGES = [
    Stage(
        "scenes",
        {"image": "{unit}.tif", "mask": "{unit}_mask.tif"},
        "synthesize",
        scenes,
        units=attrgetter("synthetic"),
    ),
    Stage("tiles", {"output": STACK}, "tile", tiles, units=attrgetter("all_units")),
]
JOINED = [
    *(
        Stage(f"{name}/joined", {"output": STACK}, "join:join_stacks", joined(name), folder, units=_in_blocks(name))
        for name, folder in STACKS_IN_BLOCKS.items()
    ),
    *(
        Stage(f"{name}/joined", PROMPTS, "join:join_prompts", joined_prompts(name), name, units=_in_blocks(name))
        for name in PROMPTS_IN_BLOCKS
    ),
]
