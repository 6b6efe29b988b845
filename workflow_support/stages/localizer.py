"""The localizer, its class activation maps, and the prompts made of them."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING

from apsam.localizer.method_settings import OFFLINE_FILES
from apsam.tiles.blocks import block_of
from workflow_support.recipes import ALL, PROMPTS, STACK, Job, Ref, Section, Stage
from workflow_support.stages.ground import label_map

if TYPE_CHECKING:
    from workflow_support.run import Run


def localizer_offline(run: Run, unit: str) -> Job:
    """What some localization methods need before their training."""
    teacher = run.config.localizer.method == "s2c"
    return Job(
        {
            "_": run.stacks("tiles", run.training),
            "settings": Section("localizer"),
            "sam": Section("sam") if teacher else None,
            "seed": run.config.seed,
            "device": run.device,
        },
        {
            "method": run.code.of_offline(run.config.localizer.method),
            "backbone": run.backbone_weights,
            "weights": run.sam_weights if teacher else None,
        },
    )


def localizer(run: Run, unit: str) -> Job:
    """The localizer, trained on the image-level labels of the training scenes."""
    method = run.config.localizer.method
    return Job(
        {
            "_": run.stacks("tiles", run.training),
            "offline": Ref(f"localizer/offline/{method}") if method in OFFLINE_FILES else None,
            "settings": Section("localizer"),
            "seed": run.config.seed,
            "device": run.device,
        },
        {"method": run.code.of_method(method), "backbone": run.backbone_weights},
    )


def localizer_metrics(run: Run, unit: str) -> Job:
    """How well the localizer tells held-out tiles apart."""
    return Job(
        {"_": run.stacks("tiles", run.held_out), "weights": Ref("localizer"), "device": run.device},
        {"method": run.code.of_method(run.config.localizer.method)},
    )


def cams(run: Run, unit: str) -> Job:
    """The class activation maps of a scene or block."""
    name = block_of(unit)[0]
    surroundings = run.config.cams.context > 0 and run.scenes[name].kind != "folder"
    return Job(
        {
            "tiles": Ref("tiles", unit),
            "weights": Ref("localizer"),
            "settings": Section("cams"),
            "label-gate": run.config.label_gate,
            "ground": label_map(run, name),
            "image": run.image(name) if surroundings else None,
            "device": run.device,
        },
        {"method": run.code.of_method(run.config.localizer.method)},
    )


def prompts(run: Run, unit: str) -> Job:
    """Box and point prompts."""
    return Job({"tiles": Ref("tiles", unit), "cams": Ref("cams", unit), "settings": Section("prompts")})


def _of_method(method: str) -> Callable[[Run], list[str]]:
    return lambda run: [ALL] if run.config.localizer.method == method else []


STAGES = [
    *(
        Stage(
            f"localizer/offline/{method}", {"output": file}, "localizer_offline", localizer_offline,
            "localizer_offline", units=_of_method(method),
        )
        for method, file in OFFLINE_FILES.items()
    ),
    Stage("localizer", {"output": "weights.safetensors", "history": "history.json"}, "localizer", localizer),
    Stage(
        "metrics/localizer", {"output": "localizer.json"}, "metrics:metrics_localizer", localizer_metrics, "metrics",
        units=lambda run: [ALL] if run.held_out else [],
    ),
]  # fmt: skip
CAMS = [
    Stage("cams", {"output": STACK}, "cams", cams, units=attrgetter("all_units")),
    Stage("prompts", PROMPTS, "prompts", prompts, units=attrgetter("all_units")),
]
