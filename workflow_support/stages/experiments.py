"""The stages of the paper's experiments. Each table is made when it is asked for by name.

An experiment that only decodes other prompts shares one job a scene (`trials`). One that changes settings compares
variants of the run, which share every file that the change leaves alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apsam.sam.settings import SamSettings
from apsam.sam.weights_files import weights_present
from workflow_support.environment import settled
from workflow_support.recipes import STACK, STORE, Job, Named, Ref, Section, Stage, Unkeyed, figure_outputs
from workflow_support.stages.ground import label_map
from workflow_support.stages.metrics import measured_masks

if TYPE_CHECKING:
    from workflow_support.run import Run

# What is measured with every seed -> the stage that measures it.
SEED_STAGES = {
    "pseudo_masks": "apsam_metrics",
    "resunet": "metrics/maps",
    "threshold_sweep": "experiments/threshold_sweep",
    "prompt_ablation": "experiments/prompt_ablation",
}


def trials(run: Run, unit: str) -> Job:
    """Masks of a scene with the prompts of every threshold and kind, counted."""
    blocks = run.units(unit)
    return Job(
        {
            "scene": unit,
            "tiles": run.stack("tiles", unit),
            "cams": run.stack("cams", unit),
            "embeddings": run.stack("embeddings", unit),
            "ground": label_map(run, unit),
            **run.sheet(),
            "synthetic": Unkeyed("@files/scenes"),
            "settings": _thresholds(run),
            "prompts": Section("prompts"),
            "sam": Section("sam"),
            "masks": Section("masks"),
            "protocol": run.protocol,
            "device": run.device,
            # Temporary embeddings of blocks must not be deleted before they are read.
            "files": run.synthetic_files([unit]) + [Ref("embeddings", block) for block in blocks if len(blocks) > 1],
        },
        run.reference([unit]) | {"weights": run.sam_weights},
    )


def threshold_sweep(run: Run, unit: str) -> Job:
    """Figures by CAM threshold (paper, Fig. 5)."""
    return Job({"_": [Ref("trials", name) for name in run.measured], "settings": _thresholds(run)})


def prompt_ablation(run: Run, unit: str) -> Job:
    """Figures of points, boxes and both (paper, Table 2)."""
    return Job({"_": [Ref("trials", name) for name in run.measured]})


def everything_vs_apsam(run: Run, unit: str) -> Job:
    """Full-image SAM compared with APSAM (paper, Fig. 4)."""
    settings = run.config.experiments.model_dump(mode="json", include={"everything", "everything_tiles"})
    names = run.measured
    stacks = [
        run.stack(stage, name) for stage in ("tiles", "cams", "prompts", "embeddings", "masks/apsam") for name in names
    ]
    blocks = [Ref("embeddings", block) for name in names for block in run.units(name) if run.blocks[name] > 1]
    return Job(
        {
            "scene": list(names),
            "results": Unkeyed("@files"),
            **run.sheet(),
            "settings": json.dumps(settings, sort_keys=True),
            "sam": Section("sam"),
            "protocol": run.protocol,
            "device": run.device,
            "files": [*stacks, *blocks, *run.synthetic_files(names)],
        },
        run.reference(names) | {"weights": run.sam_weights},
    )


def apsam_metrics(run: Run, unit: str) -> Job:
    """Figures of APSAM's pseudo-masks alone: an experiment over many variants needs no baselines."""
    return measured_masks(run, run.measured, ["apsam"])


def sam_size(run: Run, unit: str) -> Job:
    """Figures by SAM, of those whose weights are there."""
    skipped = skipped_sams(run)
    changes = {
        name: {} if name == run.config.sam.name else {"sam.name": name, "sam.checkpoint": None}
        for name in run.config.experiments.sams
        if name not in skipped
    }
    measured = [Named(name, Ref("apsam_metrics", changes=change)) for name, change in changes.items()]
    return Job({"measured": measured, "skipped": [Named(name, why) for name, why in skipped.items()]})


def skipped_sams(run: Run) -> Mapping[str, str]:
    """SAM -> why it cannot be run here. That of the run itself is never left out: its job downloads the weights."""
    names = [name for name in run.config.experiments.sams if name != run.config.sam.name]
    absent = settled("APSAM_ABSENT_SAMS", lambda: [n for n in names if not weights_present(SamSettings(name=n))])
    return {name: f"its weights are not on this machine (apsam doctor says how to get {name})" for name in absent}


def seeds(run: Run, unit: str) -> Job:
    """Mean and spread over seeds."""
    settings = run.config.experiments
    return Job(
        {
            "measured": [
                Named(f"{kind}:{seed}", Ref(SEED_STAGES[kind], changes={"seed": seed}))
                for kind in settings.seeds_of
                for seed in settings.seeds
            ]
        }
    )


def released_effects(run: Run, unit: str) -> Job:
    """What each choice of the released code changes."""
    # Imported where it is needed: it imports NumPy, and on a cluster every job starts a Snakemake.
    from apsam.experiments import released

    choices: dict[str, dict[str, Any]] = {released.DEFAULT: {}}
    choices |= {choice.name: dict(choice.overrides) for choice in released.CHOICES}
    choices |= {released.ALL: released.all_overrides()}
    return Job({"measured": [Named(name, Ref("apsam_metrics", changes=change)) for name, change in choices.items()]})


def threshold_sweep_resunet(run: Run, unit: str) -> Job:
    """The ResUNets of every CAM threshold."""
    return Job(
        {
            "measured": [
                Named(str(threshold), Ref("metrics/maps", changes={"prompts.threshold": threshold}))
                for threshold in run.config.experiments.thresholds
            ]
        }
    )


def _thresholds(run: Run) -> str:
    return json.dumps({"thresholds": list(run.config.experiments.thresholds)})


TABLES: Mapping[str, Callable[[Run, str], Job]] = {
    "threshold_sweep": threshold_sweep,
    "prompt_ablation": prompt_ablation,
    "everything_vs_apsam": everything_vs_apsam,
    "sam_size": sam_size,
    "seeds": seeds,
    "released_effects": released_effects,
    "threshold_sweep_resunet": threshold_sweep_resunet,
}


STAGES = [
    Stage(
        "trials", {"output": STACK}, "experiments:trials", trials, "experiments/trials", units=attrgetter("measured")
    ),
    Stage("apsam_metrics", {"output": "pseudo_masks.json"}, "metrics:metrics_masks", apsam_metrics, "experiments"),
    *(
        Stage(f"experiments/{name}", figure_outputs(name), f"experiments:{name}", job, "experiments")
        for name, job in TABLES.items()
    ),
]


def tables_made(run: Run) -> list[str]:
    """Tables of this very configuration that are in the store: a report shows them, and starts none."""
    made: list[str] = settled("APSAM_TABLES", lambda: _tables_made(run))
    return made


def _tables_made(run: Run) -> list[str]:
    names = [*TABLES, "table1_masks", "table1_maps", "table1"]
    # Working out a recipe over many variants takes time; without a folder there is nothing to find.
    made = [name for name in names if Path(STORE, "experiments", name).is_dir()]
    return [name for name in made if run.exists(f"experiments/{name}")]
