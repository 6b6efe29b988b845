"""Which variants and files the experiments need of a run: each experiment is a list of names and of files to gather."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from apsam import weights
from apsam.experiments.released import ALL, CHOICES, DEFAULT, all_overrides
from workflow_support.run import Run
from workflow_support.shell import quoted

FIGURES = "experiments/pseudo_masks.json"
# What is measured with every seed -> the file it is read from.
SEED_FILES = {
    "pseudo_masks": FIGURES,
    "resunet": "metrics/resunet.json",
    "threshold_sweep": "experiments/threshold_sweep.json",
    "prompt_ablation": "experiments/prompt_ablation.json",
}


class Experiments:
    """The experiments of one run; reading a list registers its variants.

    Args:
        run: The run.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.settings = run.config.experiments
        # Registered at once: Snakemake asks for the files of all rules before it knows which are wanted.
        self.lists: dict[str, Mapping[str, str]] = {
            "sam_size": self.sam_size,
            "seeds": self.seeds,
            "released_effects": self.released,
            "threshold_sweep_resunet": self.retrained,
        }

    def files(self, experiment: str) -> list[str]:
        """The files that an experiment gathers."""
        return list(self.lists[experiment].values())

    def arguments(self, experiment: str) -> str:
        """The arguments that name them."""
        return " ".join(f"--measured {quoted(f'{name}={file}')}" for name, file in self.lists[experiment].items())

    def trial_settings(self) -> str:
        """What of the section `experiments` decides the trials of a scene."""
        return json.dumps({"thresholds": list(self.settings.thresholds)})

    def everything_settings(self) -> str:
        """What of the section decides the comparison with full-image SAM."""
        kept = self.settings.model_dump(mode="json", include={"everything", "everything_tiles"})
        return json.dumps(kept, sort_keys=True)

    @cached_property
    def sam_size(self) -> Mapping[str, str]:
        """SAM -> figures, of those whose weights are there."""
        own = self.run.config.sam
        changes = {
            name: {} if name == own.name else {"sam.name": name, "sam.checkpoint": None}
            for name in self.settings.sams
            if name not in self.skipped
        }
        return {name: self._file(FIGURES, overrides) for name, overrides in changes.items()}

    @cached_property
    def skipped(self) -> Mapping[str, str]:
        """SAM -> why it cannot be run here."""
        own = self.run.config.sam
        reasons = {}
        for name in self.settings.sams:
            given = name == own.name and own.checkpoint is not None
            if name != "light" and not given and not weights.is_cached(f"sam_{name}"):
                published = weights.PUBLISHED[f"sam_{name}"]
                reasons[name] = f"its weights are not on this machine ({published.filename} in the folder APSAM_CACHE)"
        return reasons

    def skipped_arguments(self) -> str:
        """The arguments that name SAMs that cannot be run."""
        return " ".join(f"--skipped {quoted(f'{name}={reason}')}" for name, reason in self.skipped.items())

    @cached_property
    def seeds(self) -> Mapping[str, str]:
        """`kind:seed` -> file."""
        return {
            f"{kind}:{seed}": self._file(SEED_FILES[kind], {"seed": seed})
            for kind in self.settings.seeds_of
            for seed in self.settings.seeds
        }

    @cached_property
    def released(self) -> Mapping[str, str]:
        """Choice of the released code -> figures."""
        changes = {DEFAULT: {}, **{choice.name: dict(choice.overrides) for choice in CHOICES}, ALL: all_overrides()}
        return {name: self._file(FIGURES, overrides) for name, overrides in changes.items()}

    @cached_property
    def retrained(self) -> Mapping[str, str]:
        """CAM threshold -> figures of the ResUNets; empty unless `retrain` asks for them."""
        thresholds = self.settings.thresholds if self.settings.retrain else ()
        return {str(t): self._file("metrics/resunet.json", {"prompts.threshold": t}) for t in thresholds}

    def _file(self, path: str, overrides: Mapping[str, Any]) -> str:
        return self.run.place(path, self.run.variants.add(overrides))
