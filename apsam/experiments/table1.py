"""The paper's Table 1 on the run's own data: every localization method, alone and as source of APSAM's prompts.

One protocol for all rows: same tiles, parts, backbone, head, augmentation, epochs and CAM views; the label gate;
each tile's CAM thresholded where SAM's masks agree best with it, which reads no label; the same ResUNet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from apsam.errors import InputError
from apsam.experiments.published import PUBLISHED
from apsam.experiments.published import SHARES as PUBLISHED_SHARES
from apsam.experiments.table import FIGURES, PART, Column, Experiment
from apsam.experiments.variants import read_figures
from apsam.store.recipe import job_folder, read_recipe, store_of

NAME = "table1"
METHOD_NAMES = {
    "cam": "CAM",
    "cam_refined": "CAM, own prototypes",
    "sipe": "SIPE",
    "cda": "CDA",
    "cpn": "CPN",
    "oc_cse": "OC-CSE",
    "flipcam": "FlipCAM",
    "s2c": "S2C",
    "lgag_proxy": "LGAG (proxy)",
    "lgagnet": "LGAGNet",
    "apsam": "APSAM",
}
MASK_NAMES = {
    "cam_agreed": "own map",
    "apsam": "APSAM with its prompts",
    "truth": "reference masks",
    "box": "centred box",
}
KINDS = {"maps": "ResUNet", "masks": "pseudo-mask"}
# Rows that do not depend on the method: bounds.
NO_METHOD = "none"
BOUNDS = {"truth": "upper bound: reads reference masks", "box": "lower bound"}
# The paper's metrics, and the mean over tiles; for the main ones also the spread over seeds.
SHOWN = tuple(figure for figure in FIGURES if figure.key != "kappa")
SPREAD = ("f1", "iou", "mean_iou")
COLUMNS = (
    Column("measured", "Measured"),
    PART,
    Column("method", "Localizer"),
    Column("masks", "Masks"),
    Column("remark", "Remark"),
    Column("seeds", "Seeds", "integer"),
    *(
        column
        for figure in SHOWN
        for column in (figure, Column(f"{figure.key}_std", f"{figure.title} ±", "share"))
        if column is figure or figure.key in SPREAD
    ),
    Column("oracle_iou", "Oracle threshold IoU (upper bound)", "share"),
    Column("oracle_threshold", "Oracle threshold, mean", "number"),
    Column("seconds", "Seconds for CAMs", "number"),
    Column("cost", "Cost, times CAM", "number"),
    *(
        Column(f"published_{name.lower().replace(' ', '_')}_iou", f"IoU published, {name} (other data)", "share")
        for name in PUBLISHED
    ),
)


@dataclass(frozen=True)
class Measured:
    """One metrics file of the table.

    Attributes:
        kind: `masks`, `maps`, or `oracle`.
        source: apsam, cam_agreed, truth, box, cam_oracle.
        method: Localization method; `none` for bounds.
        seed: Of the trainings.
        path: The file.
    """

    kind: str
    source: str
    method: str
    seed: int
    path: Path

    @staticmethod
    def parse(name: str, path: str) -> Measured:
        """Parse `kind:source:method:seed` and a path.

        Raises:
            InputError: The name has another form.
        """
        parts = name.split(":")
        if len(parts) != 4 or not parts[3].isdigit():
            raise InputError(f"'{name}': expected kind:source:method:seed")
        return Measured(parts[0], parts[1], parts[2], int(parts[3]), Path(path))


def table1(files: Sequence[Measured], seconds: Mapping[tuple[str, int], float | None], dataset: str) -> Experiment:
    """Make the table.

    Args:
        files: All metrics files.
        seconds: (method, seed) -> time for its CAMs, starting from the tiles; None if it was not recorded.
        dataset: Name of the run.

    Raises:
        InputError: No file, files of different protocols, or a file with missing values.
    """
    if not files:
        raise InputError(
            "no scene has a reference mask: table1 has nothing to measure with; name one in the scene sheet"
        )
    protocols = {read_figures(one.path).protocol for one in files}
    if len(protocols) != 1:
        raise InputError(f"table1: figures of different protocols ({', '.join(sorted(protocols))}) share no table")
    costs = {
        method: _mean(seconds.get((method, seed)) for seed in _seeds(files, method))
        for method in {one.method for one in files}
    }
    rows = [
        row
        for kind in KINDS
        for source, method in _groups(files, kind)
        for row in _rows(kind, source, method, files, costs)
    ]
    rows.sort(key=lambda row: (list(KINDS.values()).index(row["measured"]), row["part"] == "train"))
    return Experiment(
        NAME,
        f"Localization methods compared (paper, Table 1) on {dataset}",
        next(iter(protocols)),
        COLUMNS,
        [*rows, *published_rows()],
        notes(files),
    )


def _groups(files: Sequence[Measured], kind: str) -> list[tuple[str, str]]:
    """Return (source, method) of the rows of a kind, in the order of the paper's table; bounds last."""
    found = {(one.source, one.method) for one in files if one.kind == kind}
    return [
        (source, method) for source in MASK_NAMES for method in [*METHOD_NAMES, NO_METHOD] if (source, method) in found
    ]


def _rows(
    kind: str, source: str, method: str, files: Sequence[Measured], costs: Mapping[str, float | None]
) -> list[dict[str, Any]]:
    """Return a row for each part."""
    own = [one for one in files if (one.kind, one.source, one.method) == (kind, source, method)]
    found = [_by_part(one.path, source) for one in own]
    oracle = [_by_part(one.path, "cam_oracle") for one in files if (one.kind, one.method) == ("oracle", method)]
    rows = []
    for part in found[0]:
        row: dict[str, Any] = {
            "measured": KINDS[kind],
            "part": part,
            "method": METHOD_NAMES.get(method),
            "masks": MASK_NAMES[source],
            "remark": BOUNDS.get(source),
            "seeds": len(own),
        }
        for figure in SHOWN:
            values = [of_seed[part].get(figure.key) for of_seed in found]
            if None not in values:
                row[figure.key] = float(np.mean(np.array(values, float)))
                if figure.key in SPREAD and len(values) > 1:
                    row[f"{figure.key}_std"] = float(np.std(np.array(values, float), ddof=1))
        if kind == "masks" and source == "cam_agreed" and oracle:
            row["oracle_iou"] = _mean(of_seed[part]["iou"] for of_seed in oracle)
            row["oracle_threshold"] = _mean(of_seed[part]["threshold"] for of_seed in oracle)
        if method != NO_METHOD and (cost := costs.get(method)) is not None:
            row["seconds"] = round(cost, 1)
            unit = costs.get("cam")
            row["cost"] = round(cost / unit, 2) if unit else None
        if kind == "maps":
            name = "apsam" if (source, method) == ("apsam", "cam") else method if source == "cam_agreed" else None
            for dataset, published in PUBLISHED.items():
                if name in published:
                    row[f"published_{dataset.lower().replace(' ', '_')}_iou"] = published[name][-1] / 100
        rows.append(row)
    return rows


def published_rows() -> list[dict[str, Any]]:
    """Return the paper's own rows, marked as such."""
    return [
        {
            "measured": "published, other data",
            "part": None,
            "method": METHOD_NAMES[name],
            "masks": dataset,
            "remark": "as printed in the paper; not comparable",
            **{key: round(value / 100, 4) for key, value in zip(PUBLISHED_SHARES, values, strict=True)},
        }
        for dataset, methods in PUBLISHED.items()
        for name, values in methods.items()
    ]


def notes(files: Sequence[Measured]) -> list[str]:
    """Return notes for the reader."""
    seeds = sorted({one.seed for one in files})
    among = f"seeds {', '.join(map(str, seeds))}, mean and sample standard deviation" if len(seeds) > 1 else "one seed"
    resunet = "same ResUNet; " if any(one.kind == "maps" for one in files) else ""
    texts = [
        "One protocol for all rows: same tiles, parts, backbone, head, augmentation, epochs and views; tiles labelled "
        f"negative have empty masks; {resunet}{among}.",
        "Each tile's map is thresholded where the SAM masks prompted by its regions agree best with it (soft IoU times "
        "SAM's predicted IoU): one rule for a method's own masks and for APSAM's prompts; it reads no pixel label.",
        "The oracle threshold, selected by the reference masks, has separate columns: an upper bound, not a result.",
        "Only the upper bound is trained on reference masks. Published results are for other data, backbones and SAM.",
        "Seconds were recorded when the files were made: offline stage, training and maps, while other jobs ran.",
    ]
    if any(one.method == "lgag_proxy" for one in files):
        texts.append("LGAG (proxy) is a guess at LGAGNet, which has no public code: its row is not LGAGNet's result.")
    return texts


def read_seconds(files: Iterable[Path]) -> float | None:
    """Return the total time, s, of the jobs that made files of the store; None if one has no recipe."""
    total = 0.0
    for file in files:
        try:
            total += float(read_recipe(job_folder(file.absolute(), store_of(file)))["seconds"])
        except (InputError, KeyError, ValueError):
            return None
    return total


def _by_part(path: Path, source: str) -> dict[str, dict[str, Any]]:
    found = {row["part"]: row for row in read_figures(path).rows if row["source"] == source}
    if not found:
        raise InputError(f"{path}: has no figures of '{source}'; remove it and run again")
    return found


def _seeds(files: Sequence[Measured], method: str) -> list[int]:
    return sorted({one.seed for one in files if one.method == method})


def _mean(values: Iterable[float | None]) -> float | None:
    known = list(values)
    return None if not known or None in known else float(np.mean(np.array(known, float)))
