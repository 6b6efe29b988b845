"""The report of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workflow_support.recipes import ALL, FIGURE, Job, Ref, SheetFile, Stage, Unkeyed
from workflow_support.stages.experiments import tables_made
from workflow_support.stages.metrics import STAGES as METRICS
from workflow_support.stages.self_training import TILE_MASKS
from workflow_support.stages.sources import SOURCES
from workflow_support.stages.suggestions import STAGES as SUGGESTIONS

if TYPE_CHECKING:
    from workflow_support.run import Run


def report_files(run: Run) -> list[Ref]:
    """All that the report shows."""
    return [
        *run.synthetic_files(run.names),
        *run.stacks("tiles", run.names),
        Ref("localizer"),
        Ref("localizer", ALL, "history"),
        *([Ref("metrics/localizer")] if run.held_out else []),
        *run.stacks("cams", run.names),
        *run.stacks("prompts", run.names),
        *(ref for source in SOURCES for ref in run.stacks(f"masks/{source}", run.names)),
        *(run.stacks(TILE_MASKS, run.names) if run.tiles_second_round else []),
        *(run.resunet(source)._replace(output=output) for source in run.trained for output in ("output", "history")),
        *(ref for source in run.trained for name in run.mapped for ref in run.map_refs(source, name)),
        *(Ref(f"maps/{source}/products", name, "+project") for source in run.trained for name in run.mapped_rasters),
        *(Ref(stage.name) for stage in METRICS if stage.units(run)),
        *(Ref(stage.name) for stage in SUGGESTIONS[-1:] if stage.units(run)),
    ]


def report(run: Run, unit: str) -> Job:
    """The report of the run, with the tables of those experiments that are there."""
    tables = [Ref(f"experiments/{name}", ALL, output) for name in tables_made(run) for output in FIGURE]
    return Job(
        {
            "run": Unkeyed("@files"),
            "name": run.config.run,
            "settings": run.whole_configuration(),
            "files": [*report_files(run), *tables],
        },
        run.reference(run.measured) | {"page": run.code.of_page(), "sheet": SheetFile(run.config.scenes)},
    )


STAGES = [
    Stage("report", {"output": "index.html", "+config": "config.yaml"}, "report", report, folders=("figures",)),
]
