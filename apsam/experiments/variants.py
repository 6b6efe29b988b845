"""Tables of experiments that change settings: each setting is a variant of the run, measured like the run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from apsam.errors import InputError
from apsam.experiments.table import COUNTS, FIGURES, PART, SCHEMA, TILES, Column, Experiment
from apsam.files import read_json
from apsam.protocol import HELD_OUT

APSAM = "apsam"
SHARES = tuple(column.key for column in FIGURES)

# Columns that identify the rows of a file, so that seeds can be compared.
KEYS = {
    "pseudo_masks": ("source", "part"),
    "resunet": ("source", "part"),
    "threshold_sweep": ("source", "part", "threshold"),
    "prompt_ablation": ("part", "prompts"),
}


@dataclass(frozen=True)
class Figures:
    """The protocol and the rows of a metrics file or of an experiment, over all scenes."""

    protocol: str
    rows: list[dict[str, Any]]


def read_figures(path: Path) -> Figures:
    """Read `metrics/*.json` or `experiments/*.json`, without the rows of single scenes.

    Raises:
        InputError: It is neither.
    """
    value = read_json(path)
    if not isinstance(value, dict) or not isinstance(value.get("rows"), list) or value.get("schema", SCHEMA) != SCHEMA:
        raise InputError(f"{path}: neither a metrics file nor an experiment; remove it and run again")
    return Figures(value["protocol"], [row for row in value["rows"] if "scene" not in row])


def pseudo_mask_rows(path: Path) -> dict[str, dict[str, Any]]:
    """Return part -> metrics of APSAM's masks in `metrics/pseudo_masks.json`."""
    return {row["part"]: row for row in read_figures(path).rows if row["source"] == APSAM}


def protocol_of_file(path: Path) -> str:
    """Return the protocol in a metrics file."""
    return read_figures(path).protocol


def retrained(measured: Mapping[int, Path]) -> Experiment:
    """Return a row for every part, source and CAM threshold: ResUNets trained on the pseudo-masks of that threshold.

    Args:
        measured: Threshold -> its `metrics/resunet.json`.
    """
    columns = (Column("source", "Trained on"), PART, Column("threshold", "Threshold"), *FIGURES, *COUNTS)
    rows = [
        {**row, "threshold": threshold} for threshold, path in measured.items() for row in read_figures(path).rows
    ]  # fmt: skip
    rows.sort(key=lambda row: (row["source"], row["part"], row["threshold"]))
    return Experiment(
        "threshold_sweep_resunet",
        "ResUNets trained at every CAM threshold",
        _one_protocol(measured.values()),
        columns,
        rows,
        ["Measured on maps of held-out scenes; one seed."],
    )


def sam_size(measured: Mapping[str, Path], skipped: Mapping[str, str]) -> Experiment:
    """Return a row for every part and SAM; a SAM that could not be run has a row with the reason.

    Args:
        measured: Name of the SAM -> its `metrics/pseudo_masks.json`.
        skipped: Name of the SAM -> reason why it was not run.

    Raises:
        InputError: The files are of different protocols.
    """
    columns = (Column("sam", "SAM"), PART, Column("skipped", "Not run because"), TILES, *FIGURES, *COUNTS)
    rows: list[dict[str, Any]] = []
    for name, path in measured.items():
        rows += [{"sam": name, "part": part, **row} for part, row in pseudo_mask_rows(path).items()]
    rows += [{"sam": name, "skipped": reason} for name, reason in skipped.items()]
    notes = ["Pseudo-masks; everything but the SAM as in the run."]
    notes += [f"{name} was not run: {reason}" for name, reason in skipped.items()]
    return Experiment(
        "sam_size",
        "Size of the SAM",
        _one_protocol(measured.values()) if measured else HELD_OUT,
        columns,
        rows,
        notes,
    )


def seeds(files: Mapping[str, Mapping[int, Path]]) -> Experiment:
    """Return mean and sample standard deviation over seeds, one row per measured row.

    Args:
        files: Kind of metrics (a key of `KEYS`) -> seed -> its file.

    Raises:
        InputError: The files are of different protocols, or one lacks a row that another has.
    """
    columns = (
        Column("measured", "Measured"),
        Column("source", "Pseudo-mask"),
        PART,
        Column("threshold", "Threshold"),
        Column("prompts", "Prompts"),
        Column("seeds", "Seeds", "integer"),
        *(c for column in FIGURES for c in (column, Column(f"{column.key}_std", f"{column.title} ±", "share"))),
    )
    rows, notes = [], []
    for kind, of_seed in files.items():
        found = {seed: read_figures(path).rows for seed, path in of_seed.items()}
        by_key = {seed: {_key(kind, row): row for row in of_run} for seed, of_run in found.items()}
        first = next(iter(of_seed))
        for seed, path in of_seed.items():
            if set(by_key[seed]) != set(by_key[first]):
                raise InputError(f"{path}: its rows are not those of {of_seed[first]}; run both again")
        for key in by_key[first]:
            several = [by_key[seed][key] for seed in of_seed]
            rows.append({"measured": kind, **dict(zip(KEYS[kind], key, strict=True)), **_spread(several)})
        if kind == "threshold_sweep":
            picks = {seed: _picked(of_run) for seed, of_run in found.items()}
            notes.append(
                "Threshold selected without labels: "
                + ", ".join(f"{pick} (seed {seed})" for seed, pick in picks.items())
            )
    used = sorted({seed for of_seed in files.values() for seed in of_seed})
    notes.insert(0, f"Seeds {', '.join(map(str, used))}: mean, and sample standard deviation (n - 1).")
    paths = [path for of_seed in files.values() for path in of_seed.values()]
    return Experiment("seeds", "Spread over seeds", _one_protocol(paths), columns, rows, notes)


def _key(kind: str, row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in KEYS[kind])


def _spread(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    figures: dict[str, Any] = {"seeds": len(rows)}
    for key in SHARES:
        values = [row[key] for row in rows if row.get(key) is not None]
        if len(values) == len(rows):
            figures |= {key: float(np.mean(values)), f"{key}_std": float(np.std(values, ddof=1))}
    return figures


def _picked(rows: Sequence[Mapping[str, Any]]) -> Any:
    return next((row["threshold"] for row in rows if row.get("selected")), "none")


def _one_protocol(paths: Iterable[Path]) -> str:
    found = {path: read_figures(path).protocol for path in paths}
    if len(set(found.values())) > 1:
        listed = ", ".join(f"{path} ({protocol})" for path, protocol in found.items())
        raise InputError(f"figures of different protocols cannot share a table: {listed}")
    return next(iter(found.values()))
