"""Which variants and files Table 1 needs of a run."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from apsam.localizer.method_settings import OFFLINE_FILES
from workflow_support.run import Run
from workflow_support.shell import quoted

# Prompts at several thresholds, of which SAM's agreement picks: the one rule for all methods.
RULE = {"prompts.threshold": "auto"}
ZHOU = {
    "localizer.head": "plain",
    "localizer.pooling": "mean",
    "localizer.frozen_stages": 1,
    "cams.gamma": 1.0,
}
REFINED = "cam_refined"
METHOD_SOURCES = ("cam_agreed", "apsam")
# What is shown side by side, tile by tile.
FIGURES = ("masks", "maps")
BOUND_SOURCES = ("truth", "box")


class Table1:
    """The variants of one run's Table 1, registered at once.

    Args:
        run: The run.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.settings = run.config.experiments.table1
        self.common: dict[str, Any] = dict(RULE)
        if self.settings.network == "zhou":
            self.common |= ZHOU
        given = {
            "localizer.epochs": self.settings.epochs,
            "resunet.epochs": self.settings.resunet_epochs,
            "cams.flips": self.settings.flips,
            "prompts.candidates": self.settings.candidates and list(self.settings.candidates),
        }
        self.common |= {key: value for key, value in given.items() if value is not None}
        self.files = {**self._of_methods, **(self._of_bounds if self.settings.bounds else {})}

    def variant(self, method: str, seed: int) -> str:
        """Where the files of a method and seed lie."""
        changes = {"localizer.method": method}
        if method == REFINED:
            changes = {"localizer.method": "cam", "cams.refine": "prototype"}
        return self.run.variants.add({**self.common, **changes, "seed": seed})

    @property
    def methods(self) -> list[str]:
        """Those of the table, in its order."""
        return [*self.settings.methods, *([REFINED] if self.settings.refined else [])]

    @cached_property
    def mask_scenes(self) -> list[str]:
        """Scenes whose pseudo-masks are measured: those for training, or, where none has a true mask, the others."""
        return self.run.measured_training or self.run.measured

    def only_argument(self) -> str:
        """The argument that names them."""
        return " ".join(f"--only {name}" for name in self.mask_scenes)

    @cached_property
    def _of_methods(self) -> dict[str, str]:
        """`kind:source:method:seed` -> metrics file; only what a true mask is there to measure with."""
        files = {}
        for method in self.methods:
            for seed in self.settings.seeds:
                folder = self.variant(method, seed)
                if self.mask_scenes:
                    files[f"oracle:cam_oracle:{method}:{seed}"] = self.run.place("table1/cam_oracle.json", folder)
                for source in METHOD_SOURCES:
                    files |= self._measured(source, method, seed, folder)
        return files

    @cached_property
    def _of_bounds(self) -> dict[str, str]:
        files: dict[str, str] = {}
        every_truth = set(self.run.training) == set(self.run.measured_training)
        for source in BOUND_SOURCES if every_truth else BOUND_SOURCES[1:]:
            for seed in self.settings.seeds:
                found = self._measured(source, "none", seed, self.variant(self.settings.methods[0], seed))
                if source == "truth" or seed != self.settings.seeds[0]:
                    # Masks of bounds are the same whatever the seed; that true masks equal themselves is no figure.
                    found = {name: file for name, file in found.items() if not name.startswith("masks:")}
                files |= found
        return files

    def _measured(self, source: str, method: str, seed: int, folder: str) -> dict[str, str]:
        scenes = {"masks": self.mask_scenes, "maps": self.run.measured_held_out if self.settings.resunet else []}
        kinds = [kind for kind, names in scenes.items() if names]
        return {
            f"{kind}:{source}:{method}:{seed}": self.run.place(f"table1/{kind}_{source}.json", folder) for kind in kinds
        }

    def figures(self) -> list[str]:
        """The figures that show the same tiles by every method: pseudo-masks, and maps where ResUNets are trained."""
        return [kind for kind in FIGURES if self.shown_scenes(kind)]

    def shown_files(self, kind: str) -> list[str]:
        """The files of the masks, or maps, of one figure."""
        names = self.shown_scenes(kind)
        if kind == "maps":
            return [file for source, folder in self._shown.values() for file in self.run.maps([source], names, folder)]
        return [
            self.run.place(f"masks/{source}/{name}.zarr.zip", folder)
            for source, folder in self._shown.values()
            for name in names
        ]

    def shown_tiles(self, kind: str) -> list[str]:
        """The tile stacks, and true masks, of one figure."""
        names = self.shown_scenes(kind)
        return [*self.run.truth(names), *(self.run.place(f"tiles/{name}.zarr.zip") for name in names)]

    def shown_arguments(self, kind: str) -> str:
        """The arguments that name scenes, methods and folders of one figure."""
        folders = {method: self.run.place(f"{kind}/{source}", place) for method, (source, place) in self._shown.items()}
        compared = [f"--compared {quoted(f'{method}={folder}')}" for method, folder in folders.items()]
        return " ".join([*(f"--only {name}" for name in self.shown_scenes(kind)), *compared])

    def shown_scenes(self, kind: str) -> list[str]:
        """The scenes of one figure."""
        if kind == "masks":
            return self.mask_scenes
        return self.run.measured_held_out if self.settings.resunet else []

    @cached_property
    def _shown(self) -> dict[str, tuple[str, str]]:
        """Column of the figures -> source of its masks and folder: the first seed of every method, and APSAM last."""
        seed = self.settings.seeds[0]
        own = {method: ("cam_agreed", self.variant(method, seed)) for method in self.methods}
        feeds = "cam" if "cam" in own else self.methods[0]
        return {**own, f"apsam:{feeds}": ("apsam", self.variant(feeds, seed))}

    def measured_arguments(self) -> str:
        """The arguments that name the files."""
        return " ".join(f"--measured {quoted(f'{name}={file}')}" for name, file in self.files.items())

    @cached_property
    def _units(self) -> list[str]:
        """Scenes and blocks whose CAMs the table needs."""
        needed = {*self.mask_scenes, *(self.run.training if self.settings.resunet else [])}
        return [unit for name in self.run.names if name in needed for unit in self.run.units(name)]

    def seconds_arguments(self) -> str:
        """The arguments that name the benchmark files of offline stage, training and CAMs of each method and seed."""
        named = []
        for method in self.methods:
            for seed in self.settings.seeds:
                folder = self.variant(method, seed)
                stages = [("localizer", "localizer"), *(("cams", f"cams/{unit}") for unit in self._units)]
                if method in OFFLINE_FILES:
                    stages.append((f"localizer_offline/{OFFLINE_FILES[method]}",) * 2)
                places = [
                    f"{self.run.benchmarks}/{self.run.variants.place(stage, folder)}{path}.tsv"
                    for stage, path in stages
                ]
                argument = f"{method}:{seed}=" + ",".join(places)
                named.append(f"--seconds {quoted(argument)}")
        return " ".join(named)

    @property
    def candidates(self) -> tuple[int, ...]:
        """The cuts that the rule chooses from."""
        return self.settings.candidates or self.run.config.prompts.candidates

    def oracle_arguments(self) -> str:
        """The thresholds that the oracle may choose from: those that the rule may."""
        return " ".join(f"--threshold {level}" for level in self.candidates)
