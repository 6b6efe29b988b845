"""The stages behind the suggestions of a run: which tiles to label next, which labels look wrong (docs/labelling.md).

`report.suggestions: auto` makes them of scenes whose labels a person gave (a table, a grid, a layer), not of those
whose labels follow from a mask. No reference mask is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workflow_support.recipes import ALL, STACK, Job, Ref, Stage, Unkeyed
from workflow_support.stages.metrics import best_source

if TYPE_CHECKING:
    from workflow_support.run import Run


def localizer_scores(run: Run, unit: str) -> Job:
    """What the localizer says of every tile of a scene, labelled or not."""
    return Job(
        {"tiles": run.stack("tiles", unit), "weights": Ref("localizer"), "device": run.device},
        {"method": run.code.of_method(run.config.localizer.method)},
    )


def map_scores(run: Run, unit: str) -> Job:
    """What the ResUNet says of every tile of a scene that is not mapped."""
    weights = run.resunet(best_source(run))
    return Job({"tiles": run.stack("tiles", unit), "weights": weights, "device": run.device})


def suggestions(run: Run, unit: str) -> Job:
    """Tiles to label next and labels to check, of all these scenes together."""
    names, source = suggested(run), best_source(run)
    files = [
        *run.stacks("tiles", names),
        *(Ref("suggestions/localizer", name) for name in names),
        *run.stacks("masks/apsam", names),
        *(Ref("suggestions/map", name) for name in _not_mapped(run)),
        *(run.map_refs(source, name)[0] for name in names if name in run.mapped),
    ]
    return Job({**run.sheet(), "run": Unkeyed("@files"), "source": source, "only": names, "files": files})


def suggested(run: Run) -> list[str]:
    """Scenes whose tiles are suggested."""
    match run.config.report.suggestions:
        case "all":
            return run.names
        case "none":
            return []
        case _:
            return [name for name, scene in run.scenes.items() if scene.labels is not None]


def _not_mapped(run: Run) -> list[str]:
    return [name for name in suggested(run) if name not in run.mapped]


STAGES = [
    Stage("suggestions/localizer", {"output": STACK}, "suggest:localizer_scores", localizer_scores, units=suggested),
    Stage("suggestions/map", {"output": STACK}, "suggest:map_scores", map_scores, units=_not_mapped),
    Stage(
        "suggestions", {"output": "suggestions.json"}, "suggest:suggestions", suggestions,
        units=lambda run: [ALL] if suggested(run) else [],
    ),
]  # fmt: skip
