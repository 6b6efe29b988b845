"""The stages of Table 1: every localization method is a variant of the run, with every seed; one protocol for all."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from apsam.localizer.method_settings import OFFLINE_FILES
from workflow_support.recipes import Job, Named, Ref, Stage, Unkeyed, figure_outputs
from workflow_support.stages.metrics import measured_maps, measured_masks

if TYPE_CHECKING:
    from workflow_support.run import Run

# Prompts at several thresholds, of which SAM's agreement picks: the one rule for all methods.
RULE = {"prompts.threshold": "auto"}
ZHOU = {"localizer.head": "plain", "localizer.pooling": "mean", "localizer.frozen_stages": 1, "cams.gamma": 1.0}
REFINED = "cam_refined"
METHOD_SOURCES = ("cam_agreed", "apsam")
BOUND_SOURCES = ("truth", "box")
MEASURED_SOURCES = (*METHOD_SOURCES, *BOUND_SOURCES)
# What is shown side by side, tile by tile.
KINDS = ("masks", "maps")

Changes = dict[str, Any]


def changes(run: Run, method: str, seed: int) -> Changes:
    """The keys that a method with a seed changes."""
    table = run.config.experiments.table1
    given = {
        "localizer.epochs": table.epochs,
        "resunet.epochs": table.resunet_epochs,
        "cams.flips": table.flips,
        "prompts.candidates": table.candidates and list(table.candidates),
    }
    refined = method == REFINED
    own = {"localizer.method": "cam" if refined else method, "cams.refine": "prototype" if refined else "none"}
    common = RULE | (ZHOU if table.network == "zhou" else {})
    return common | {key: value for key, value in given.items() if value is not None} | own | {"seed": seed}


def methods(run: Run) -> list[str]:
    """Those of the table, in its order."""
    table = run.config.experiments.table1
    return [*table.methods, *([REFINED] if table.refined else [])]


def mask_scenes(run: Run) -> list[str]:
    """Scenes whose pseudo-masks are measured: those for training, or, where none has a reference mask, the others."""
    return run.measured_training or run.measured


def scenes_of(run: Run, kind: str) -> list[str]:
    """The scenes that pseudo-masks, or maps, are measured on."""
    if kind == "masks":
        return mask_scenes(run)
    return run.measured_held_out if run.config.experiments.table1.resunet else []


def figures(run: Run) -> list[str]:
    """The figures that show the same tiles by every method: pseudo-masks, and maps where ResUNets are trained."""
    return [kind for kind in KINDS if scenes_of(run, kind)]


def metrics(kind: str, source: str) -> Callable[[Run, str], Job]:
    """Figures of one kind of masks or maps."""

    def job(run: Run, unit: str) -> Job:
        if kind == "masks":
            return measured_masks(run, mask_scenes(run), [source], only=True)
        return measured_maps(run, run.measured_held_out, [source])

    return job


def cam_oracle(run: Run, unit: str) -> Job:
    """The CAM at the threshold that the reference masks would choose: an upper bound."""
    names = mask_scenes(run)
    candidates = run.config.experiments.table1.candidates or run.config.prompts.candidates
    return Job(
        {
            **run.sheet(),
            "tiles": Unkeyed("@files/tiles"),
            "synthetic": Unkeyed("@files/scenes"),
            "cams": Unkeyed("@files/cams"),
            "threshold": list(candidates),
            "only": list(names),
            "protocol": run.protocol,
            "files": [*run.stacks("tiles", names), *run.stacks("cams", names), *run.synthetic_files(names)],
        },
        run.reference(names),
    )


def compare_methods(kind: str) -> Callable[[Run, str], Job]:
    """The same tiles by every method (paper, Figs. 2 and 3): the first seed of every method, and APSAM last."""

    def job(run: Run, unit: str) -> Job:
        names, seed = scenes_of(run, kind), run.config.experiments.table1.seeds[0]
        shown = {method: ("cam_agreed", changes(run, method, seed)) for method in methods(run)}
        feeds = "cam" if "cam" in shown else methods(run)[0]
        shown[f"apsam:{feeds}"] = ("apsam", changes(run, feeds, seed))

        def ref(source: str, name: str, of: Changes) -> Ref:
            found = run.stack(f"masks/{source}", name) if kind == "masks" else run.map_refs(source, name)[-1]
            return found._replace(changes=of)

        return Job(
            {
                "kind": kind,
                **run.sheet(),
                "tiles": Unkeyed("@files/tiles"),
                "synthetic": Unkeyed("@files/scenes"),
                "only": list(names),
                "compared": [
                    Named(method, ref(source, name, of)) for method, (source, of) in shown.items() for name in names
                ],
                "protocol": run.protocol,
                "files": [*run.stacks("tiles", names), *run.synthetic_files(names)],
            },
            run.reference(names),
        )

    return job


def table1(run: Run, unit: str) -> Job:
    """The table of localization methods."""
    return Job({"measured": _measured(run), "seconds": _seconds(run), "dataset": run.config.run})


def _measured(run: Run) -> list[Named]:
    """`kind:source:method:seed` -> figures; only what a reference mask is there to measure with."""
    table, found = run.config.experiments.table1, []
    for method in methods(run):
        for seed in table.seeds:
            of = changes(run, method, seed)
            if mask_scenes(run):
                found.append(Named(f"oracle:cam_oracle:{method}:{seed}", Ref("table1/cam_oracle", changes=of)))
            found += [
                Named(f"{kind}:{source}:{method}:{seed}", Ref(f"table1/{kind}_{source}", changes=of))
                for source in METHOD_SOURCES
                for kind in figures(run)
            ]
    if not table.bounds:
        return found
    every_reference = set(run.training) == set(run.measured_training)
    for source in BOUND_SOURCES if every_reference else BOUND_SOURCES[1:]:
        for seed in table.seeds:
            of = changes(run, table.methods[0], seed)
            # Masks of bounds are the same whatever the seed; that reference masks equal themselves is no figure.
            kinds = [k for k in figures(run) if k == "maps" or (source == "box" and seed == table.seeds[0])]
            found += [
                Named(f"{kind}:{source}:none:{seed}", Ref(f"table1/{kind}_{source}", changes=of)) for kind in kinds
            ]
    return found


def _seconds(run: Run) -> list[Named]:
    """Files of offline stage, training and CAMs of each method and seed, whose recipes say how long they took."""
    needed = {*mask_scenes(run), *(run.training if run.config.experiments.table1.resunet else [])}
    units = [unit for name in run.names if name in needed for unit in run.units(name)]
    found = []
    for method in methods(run):
        for seed in run.config.experiments.table1.seeds:
            of = changes(run, method, seed)
            refs = [Ref("localizer", changes=of), *(Ref("cams", unit, changes=of) for unit in units)]
            if method in OFFLINE_FILES:
                refs.append(Ref(f"localizer/offline/{method}", changes=of))
            found += [Named(f"{method}:{seed}", ref) for ref in refs]
    return found


STAGES = [
    *(
        Stage(
            f"table1/{kind}_{source}", {"output": f"{kind}_{source}.json"}, f"metrics:metrics_{kind}",
            metrics(kind, source), "table1",
        )
        for kind in KINDS
        for source in MEASURED_SOURCES
    ),
    Stage("table1/cam_oracle", {"output": "cam_oracle.json"}, "table1:cam_oracle", cam_oracle, "table1"),
    *(
        Stage(
            f"experiments/table1_{kind}", figure_outputs(f"table1_{kind}"), "table1:compare_methods",
            compare_methods(kind), "experiments",
        )
        for kind in KINDS
    ),
    Stage("experiments/table1", figure_outputs("table1"), "table1:table1", table1, "experiments"),
]  # fmt: skip


def table1_refs(run: Run) -> list[Ref]:
    """The table and the figures next to it."""
    return [Ref("experiments/table1"), *(Ref(f"experiments/table1_{kind}") for kind in figures(run))]
