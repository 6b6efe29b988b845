"""Targets: names for the parts of a run and for its experiments, and the files that each means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from workflow_support.recipes import Ref
from workflow_support.stages import STAGES
from workflow_support.stages.sources import GROUND, MAPPED, SELF_TRAINING, SOURCES, TRAINED
from workflow_support.stages.table1 import table1_refs

if TYPE_CHECKING:
    from workflow_support.run import Run

Files = Callable[["Run"], list[Ref]]


def everything(*stages: str) -> Files:
    """The first outputs of all units of some stages."""
    return lambda run: [Ref(stage, unit) for stage in stages for unit in STAGES[stage].units(run)]


def sweep_tables(run: Run) -> list[Ref]:
    """The threshold sweep, and the one with a ResUNet a threshold where `experiments.retrain` asks for it."""
    names = ["threshold_sweep", *(["threshold_sweep_resunet"] if run.config.experiments.retrain else [])]
    return [Ref(f"experiments/{name}") for name in names]


MASKS = [f"masks/{source}" for source in SOURCES]


def maps_of(source: str) -> list[str]:
    """Stages of the maps that a network makes, and of what is made of them."""
    decided = ["/decided"] if source in (GROUND, SELF_TRAINING) else []
    return [f"maps/{source}{kind}" for kind in ("", "/joined", "/tiles", "/products", *decided)]


MAPS = [stage for source in MAPPED for stage in maps_of(source)]
SECOND_ROUND = [name for name in STAGES if name.startswith(f"{SELF_TRAINING}/")]
METRICS = [f"metrics/{name}" for name in ("localizer", "pseudo_masks", "maps", "summary", "checks", "objects")]

# Name -> files. Each target also updates the view of the run.
TARGETS: Mapping[str, Files] = {
    "all": everything("scenes", *MAPS, *METRICS, "suggestions", "report"),
    "all_scenes": everything("scenes"),
    "all_tiles": everything("tiles", "tiles/joined"),
    "all_localizer": everything("localizer"),
    "all_ground": everything("ground/label_errors", "ground", "ground/tiles"),
    "all_cams": everything("cams", "cams/joined"),
    "all_prompts": everything("prompts", "prompts/joined"),
    "all_embeddings": everything("embeddings", "embeddings/joined"),
    "all_heatmaps": everything("heatmaps/networks", "heatmaps", "heatmaps/threshold", "heatmaps/factor"),
    "all_views": everything("views", "views/heatmaps", "views/prompts", "views/embeddings", "views/masks"),
    "all_masks": everything(*MASKS, *(f"{stage}/joined" for stage in MASKS), f"masks/{GROUND}"),
    "all_self_training": everything(*SECOND_ROUND),
    "all_networks": everything("localizer", *(f"resunet/{source}" for source in (*TRAINED, GROUND))),
    "all_maps": everything(*MAPS),
    # Without the localizer, and so without what it needs of labels.
    "all_ground_maps": everything(*maps_of(GROUND)),
    "all_metrics": everything(*METRICS),
    "all_suggestions": everything("suggestions"),
    "all_reports": everything("report"),
    "threshold_sweep": sweep_tables,
    "prompt_ablation": everything("experiments/prompt_ablation"),
    "everything_vs_apsam": everything("experiments/everything_vs_apsam"),
    "sam_size": everything("experiments/sam_size"),
    "seeds": everything("experiments/seeds"),
    "released_effects": everything("experiments/released_effects"),
    "table1": table1_refs,
}
