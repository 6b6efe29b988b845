"""The stages on the ground of a scene (docs/ground.md): label map, heat maps from labels, scene-wide pseudo-masks.

`ground.exclude` asks for the label maps alone, which empty CAMs and masks of tiles. `ground.masks: scene` asks for all
of it: the run then has one more ResUNet and one map, `ground`, besides those of the tiles' masks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workflow_support.recipes import ALL, PROMPTS, STACK, InputFile, Job, Ref, Section, Stage
from workflow_support.stages import trainings
from workflow_support.stages.sources import GROUND

if TYPE_CHECKING:
    from workflow_support.run import Run

RASTER = {"output": "{unit}.tif"}


def label_map(run: Run, name: str) -> Ref | None:
    """What the labels of overlapping tiles say of a scene's ground, where tiles' masks are to heed it."""
    return labels_of(run, name) if _excludes(run) else None


def labels_of(run: Run, name: str) -> Ref:
    """The label map of a scene."""
    return Ref("ground/tiles" if run.scenes[name].kind == "folder" else "ground", name)


# Label map


def label_errors(run: Run, unit: str) -> Job:
    """The training tiles that are labelled negative by mistake."""
    return Job({"_": run.stacks("tiles", _checked(run)), "folds": run.config.ground.folds, "device": run.device})


def found_label_errors(run: Run) -> Ref | None:
    """The file of label errors, where labels are checked."""
    return Ref("ground/label_errors") if any(_checks(run, name) for name in run.training) else None


def ground(run: Run, unit: str) -> Job:
    """The label map of a raster scene."""
    scene = run.scenes[unit]
    errors = Ref("ground/label_errors") if _checks(run, unit) else None
    layer = None
    if scene.labels is not None and scene.label_settings(run.config.labels).size_column is not None:
        layer = InputFile(scene.labels, scene.labels_layer)
    return Job({"_": [Ref("tiles", block) for block in run.units(unit)], "label-errors": errors, "layer": layer})


def ground_of_tiles(run: Run, unit: str) -> Job:
    """The label maps of ready-made tiles, one for each tile."""
    return Job({"_": [run.stack("tiles", unit)], "folder": run.image(unit)})


# Heat maps


def network(run: Run, unit: str) -> Job:
    """One of the networks of the heat maps."""
    names = run.training
    return Job(
        {
            "_": [
                *map(run.image, names),
                *run.stacks("tiles", names),
                *(labels_of(run, name) for name in names),
            ],
            "number": int(unit) - 1,
            "settings": Section("heatmaps", ("epochs",)),
            "seed": run.config.seed,
            "device": run.device,
        }
    )


def heat_map(run: Run, unit: str) -> Job:
    """The heat map of a training scene."""
    return Job(
        {
            "_": [Ref("heatmaps/networks", one) for one in _networks(run)],
            "tiles": run.stack("tiles", unit),
            "image": run.image(unit),
            "settings": Section("heatmaps", ("overlap", "flips")),
            "device": run.device,
        }
    )


def threshold(run: Run, unit: str) -> Job:
    """Where the heat maps agree best with the labels of the training tiles."""
    return Job(
        {
            "_": _heat_maps(run),
            "label-errors": found_label_errors(run),
            "settings": Section("heatmaps", ("present_share",)),
        }
    )


def factor(run: Run, unit: str) -> Job:
    """How much ground SAM is shown."""
    return Job(
        {
            "_": _heat_maps(run),
            "threshold": Ref("heatmaps/threshold"),
            "settings": Section("views", ("factor", "factors", "covered", "size", "step")),
        }
    )


def _heat_maps(run: Run) -> list[Ref]:
    """Tiles, heat maps and label maps of the training scenes."""
    names = run.training
    labels = [labels_of(run, name) for name in names]
    return [*run.stacks("tiles", names), *(Ref("heatmaps", name) for name in names), *labels]


# Views, and what SAM says of them


def views(run: Run, unit: str) -> Job:
    """The windows of a training scene that SAM is shown."""
    return Job(
        {
            "_": [Ref("tiles", block) for block in run.units(unit)],
            "image": run.image(unit),
            "labels": labels_of(run, unit),
            "factor": Ref("heatmaps/factor"),
            "settings": Section("views", ("multiples", "size", "step")),
        }
    )


def view_heat_maps(run: Run, unit: str) -> Job:
    """The heat map in each view, in the place of CAMs."""
    return Job(
        {
            "tiles": Ref("views", unit),
            "logits": Ref("heatmaps", unit),
            "labels": labels_of(run, unit),
            "threshold": Ref("heatmaps/threshold"),
            "settings": Section("heatmaps", ("grey_per_logit",)),
        }
    )


def view_prompts(run: Run, unit: str) -> Job:
    """Box and point prompts in each view."""
    return Job({"tiles": Ref("views", unit), "cams": Ref("views/heatmaps", unit), "settings": Section("prompts")})


def view_embeddings(run: Run, unit: str) -> Job:
    """The output of SAM's image encoder for each view."""
    return Job(
        {"tiles": Ref("views", unit), "settings": Section("sam"), "device": run.device}, {"weights": run.sam_weights}
    )


def view_masks(run: Run, unit: str) -> Job:
    """SAM's mask of each view."""
    return Job(
        {
            "tiles": Ref("views", unit),
            "cams": Ref("views/heatmaps", unit),
            "prompts": Ref("views/prompts", unit),
            "embeddings": Ref("views/embeddings", unit),
            "settings": Section("masks"),
            "sam": Section("sam"),
            "device": run.device,
        },
        {"weights": run.sam_weights},
    )


def ground_masks(run: Run, unit: str) -> Job:
    """The pseudo-mask of a training scene."""
    pairs = [Ref("views", unit), Ref("views/masks", unit)]
    return Job({"_": pairs, "labels": labels_of(run, unit), "settings": Section("views", ("votes",))})


# ResUNet


def resunet(run: Run, unit: str) -> Job:
    """The ResUNet of the scene-wide pseudo-masks."""
    return trainings.on_scenes(run, f"masks/{GROUND}")


# Which units there are of a stage.


def _excludes(run: Run) -> bool:
    return run.config.ground.exclude and run.config.label_gate


def _wanted(run: Run) -> bool:
    return run.scene_wide or _excludes(run)


def _rasters(run: Run) -> list[str]:
    return [name for name in run.names if run.scenes[name].kind != "folder"] if _wanted(run) else []


def _folders(run: Run) -> list[str]:
    return [name for name in run.names if run.scenes[name].kind == "folder"] if _wanted(run) else []


def _training(run: Run) -> list[str]:
    return run.training if run.scene_wide else []


def _networks(run: Run) -> list[str]:
    return [str(number) for number in range(1, run.config.heatmaps.networks + 1)] if run.scene_wide else []


def _checked(run: Run) -> list[str]:
    return [name for name in run.training if _checks(run, name)]


def _checks(run: Run, name: str) -> bool:
    """Whether labels of a scene are checked for errors."""
    scene = run.scenes[name]
    return bool(run.config.ground.folds) and _wanted(run) and scene.kind != "folder" and scene.split != "test"


def one_ground(run: Run) -> list[str]:
    """One job a run, where there are scene-wide pseudo-masks."""
    return [ALL] if run.scene_wide else []


# Stages with SAM and prompts run the commands that tiles have too.
LABEL_STAGES = [
    Stage(
        "ground/label_errors", {"output": "label_errors.json"}, "ground:label_errors", label_errors, "ground",
        units=lambda run: [ALL] if _checked(run) else [],
    ),
    Stage("ground", RASTER, "ground:ground_labels", ground, units=_rasters),
    Stage("ground/tiles", {"output": STACK}, "ground:ground_labels", ground_of_tiles, "ground", units=_folders),
]  # fmt: skip
MASK_STAGES = [
    Stage(
        "heatmaps/networks", {"output": "{unit}.safetensors", "history": "{unit}.json"}, "heatmaps:heatmap_network",
        network, units=_networks,
    ),
    Stage("heatmaps", RASTER, "heatmaps:heatmap_scene", heat_map, units=_training),
    Stage(
        "heatmaps/threshold", {"output": "threshold.json"}, "heatmaps:heatmap_threshold", threshold, "heatmaps",
        units=one_ground,
    ),
    Stage(
        "heatmaps/factor", {"output": "factor.json"}, "heatmaps:heatmap_factor", factor, "heatmaps", units=one_ground,
    ),
    Stage("views", {"output": STACK}, "ground:views", views, units=_training),
    Stage("views/heatmaps", {"output": STACK}, "heatmaps:heatmap_stack", view_heat_maps, units=_training),
    Stage("views/prompts", PROMPTS, "prompts", view_prompts, units=_training),
    Stage("views/embeddings", {"output": STACK}, "encode", view_embeddings, units=_training),
    Stage("views/masks", {"output": STACK}, "masks:masks_apsam", view_masks, units=_training),
    Stage(f"masks/{GROUND}", RASTER, "ground:ground_masks", ground_masks, units=_training),
]  # fmt: skip
