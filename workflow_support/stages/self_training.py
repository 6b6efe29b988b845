"""The second round (`self_training.rounds: 2`): what the first round's ResUNet maps gives the next pseudo-masks.

Of tiles, its map is a heat map like a CAM: prompts, SAM's masks, a further ResUNet. Of whole scenes, the mean log-odds
of several ResUNets are thresholded, without SAM, which makes these masks worse (docs/ground.md).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from apsam.tiles.blocks import block_of
from workflow_support.recipes import ALL, PROMPTS, STACK, Job, Ref, Section, Stage
from workflow_support.stages import trainings
from workflow_support.stages.ground import RASTER, label_map, labels_of
from workflow_support.stages.sources import GROUND, SELF_TRAINING

if TYPE_CHECKING:
    from workflow_support.run import Run

PROMPTS_STAGE = f"{SELF_TRAINING}/prompts"
TILE_MASKS = f"{SELF_TRAINING}/masks/tiles"
SCENE_RESUNET = f"{SELF_TRAINING}/resunet/scenes"


# Of tiles


def heat_maps(run: Run, unit: str) -> Job:
    """The mean of CAM and the first ResUNet's map of a scene's or block's tiles, in the place of CAMs."""
    return Job(
        {
            "tiles": Ref("tiles", unit),
            "cams": Ref("cams", unit),
            "weights": Ref(f"resunet/{run.config.self_training.source}"),
            "settings": Section("maps", ("batch_size", "flips")),
            "cam-share": run.config.self_training.cam_share,
            "grey-per-logit": run.config.heatmaps.grey_per_logit,
            "label-gate": run.config.label_gate,
            "ground": label_map(run, block_of(unit)[0]),
            "device": run.device,
        }
    )


def prompts(run: Run, unit: str) -> Job:
    """Box and point prompts of these heat maps."""
    cams = Ref(f"{SELF_TRAINING}/heatmaps", unit)
    return Job({"tiles": Ref("tiles", unit), "cams": cams, "settings": Section("prompts")})


def tile_masks(run: Run, unit: str) -> Job:
    """SAM's masks of the tiles, from the embeddings of the first round."""
    masks = run.config.masks
    asked = {"cam_mask": masks.cam_mask or run.config.self_training.mask_prompt}
    return Job(
        {
            "tiles": Ref("tiles", unit),
            "cams": Ref(f"{SELF_TRAINING}/heatmaps", unit),
            "prompts": Ref(PROMPTS_STAGE, unit),
            "embeddings": Ref("embeddings", unit),
            "settings": json.dumps({**masks.model_dump(mode="json"), **asked}, sort_keys=True),
            "sam": Section("sam"),
            "ground": label_map(run, block_of(unit)[0]),
            "device": run.device,
        },
        {"weights": run.sam_weights},
    )


def resunet(run: Run, unit: str) -> Job:
    """The ResUNet of the second round."""
    return trainings.on_tiles(run, TILE_MASKS)


# Of whole scenes


def network(run: Run, unit: str) -> Job:
    """A further ResUNet of the first round, which differs from `resunet/ground` by its seed."""
    return trainings.on_scenes(run, f"masks/{GROUND}", int(unit))


def scene_map(run: Run, unit: str) -> Job:
    """The first round's map of a training scene, as log-odds."""
    return Job(
        {
            "_": [Ref(f"resunet/{GROUND}"), *(Ref(f"{SELF_TRAINING}/networks", one) for one in _networks(run))],
            "tiles": run.stack("tiles", unit),
            "image": run.image(unit),
            "settings": Section("heatmaps", ("overlap", "flips")),
            "device": run.device,
        }
    )


def scene_masks(run: Run, unit: str) -> Job:
    """The pseudo-mask that the second round learns: the first round's map where the labels allow a landslide."""
    logits, labels = Ref(f"{SELF_TRAINING}/maps", unit), labels_of(run, unit)
    return Job({"tiles": run.stack("tiles", unit), "logits": logits, "labels": labels})


def scene_resunet(run: Run, unit: str) -> Job:
    """The ResUNet of the second round."""
    return trainings.on_scenes(run, f"{SELF_TRAINING}/masks")


# Which units there are of a stage.


def _of_tiles(run: Run) -> list[str]:
    return run.all_units if run.tiles_second_round else []


def _tiles_all(run: Run) -> list[str]:
    return [ALL] if run.tiles_second_round else []


def _networks(run: Run) -> list[str]:
    count = run.config.heatmaps.networks if run.scenes_second_round else 1
    return [str(number) for number in range(2, count + 1)]


def _of_scenes(run: Run) -> list[str]:
    return run.training if run.scenes_second_round else []


def _scenes_all(run: Run) -> list[str]:
    return [ALL] if run.scenes_second_round else []


STAGES = [
    Stage(
        f"{SELF_TRAINING}/networks", {"output": "{unit}.safetensors", "history": "{unit}.json"},
        "ground:resunet_scenes", network, units=_networks,
    ),
    Stage(f"{SELF_TRAINING}/maps", RASTER, "heatmaps:heatmap_scene", scene_map, units=_of_scenes),
    Stage(
        f"{SELF_TRAINING}/masks", RASTER, "heatmaps:heatmap_masks", scene_masks,
        f"masks/{SELF_TRAINING}", units=_of_scenes,
    ),
    Stage(SCENE_RESUNET, trainings.WEIGHTS, "ground:resunet_scenes", scene_resunet, f"resunet/{SELF_TRAINING}",
          units=_scenes_all),
    Stage(f"{SELF_TRAINING}/heatmaps", {"output": STACK}, "heatmaps:heatmap_tiles", heat_maps, units=_of_tiles),
    Stage(PROMPTS_STAGE, PROMPTS, "prompts", prompts, units=_of_tiles),
    Stage(
        TILE_MASKS, {"output": STACK}, "masks:masks_apsam", tile_masks, f"masks/{SELF_TRAINING}", units=_of_tiles,
    ),
    Stage(
        f"{SELF_TRAINING}/resunet", trainings.WEIGHTS, "resunet", resunet, f"resunet/{SELF_TRAINING}", units=_tiles_all,
    ),
]  # fmt: skip
