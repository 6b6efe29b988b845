"""Choices of the paper's released code that differ from ours; each is a variant whose effect is measured.

Together they are `config/as_released.yaml`. The numbers are those of the list in docs/reproducing.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apsam.experiments.table import COUNTS, FIGURES, PART, TILES, Column, Experiment
from apsam.experiments.variants import protocol_of_file, pseudo_mask_rows

DEFAULT, ALL = "default", "all of them"


@dataclass(frozen=True)
class Choice:
    """One choice of the released code.

    Attributes:
        name: In the table and in the targets.
        what: Short description.
        overrides: Dotted keys of the configuration, and the values that reproduce it.
    """

    name: str
    what: str
    overrides: Mapping[str, Any]


CHOICES = (
    Choice(
        "momentum", "weight decay passed in momentum's place: momentum 0.0001", {"localizer.momentum": 1e-4}
    ),
    Choice(
        "head_rate",
        "learning rate of the head is 10 times that of the backbone, 0.1",
        {"localizer.learning_rate": 0.01, "localizer.head_factor": 10.0},
    ),
    Choice("decay", "learning rate falls as (1 - t/T)^0.9, not in steps", {"localizer.decay": "poly"}),
    Choice(
        "schedule",
        "the three above, learning rate 0.1, 15 epochs of all tiles, batches of 32, no warm-up, gradients clipped at 1",
        {
            "localizer.recipe": "as_released",
            "localizer.learning_rate": 0.1,
            "localizer.momentum": 1e-4,
            "localizer.head_factor": 10.0,
            "localizer.decay": "poly",
            "localizer.epochs": 15,
            "localizer.batch_size": 32,
            "localizer.balanced": False,
            "localizer.warmup_steps": 0,
            "localizer.gradient_clip": 1.0,
        },
    ),
    Choice(
        "no_augmentation",
        "training tiles are never rotated, shifted, zoomed or recoloured",
        {
            "localizer.augmentation.dihedral": False,
            "localizer.augmentation.zoom": [1.0, 1.0],
            "localizer.augmentation.shift": 0.0,
            "localizer.augmentation.colour": 0.0,
        },
    ),
    Choice(
        "network",
        "the plain CAM: linear layer, mean over the map, only the first stage frozen",
        {"localizer.head": "plain", "localizer.pooling": "mean", "localizer.frozen_stages": 1},
    ),
    Choice(
        "views",
        "maps of four sizes and a mirror image, summed before negative values are clipped",
        {"cams.scales": [1.0, 0.5, 1.5, 2.0], "cams.flips": "horizontal", "cams.views_sum": "as_released"},
    ),
    Choice(
        "stretch",
        "every CAM is stretched from its minimum to its maximum, without a square root",
        {"cams.normalise": "as_released", "cams.gamma": 1.0},
    ),
    Choice(
        "sipe",
        "trained with SIPE's consistency loss too, features not detached, its map discarded",
        {"localizer.method": "sipe", "localizer.sipe.code": "as_released"},
    ),
    Choice("no_label_gate", "tiles labelled negative get CAMs, prompts and masks too", {"label_gate": False}),
    Choice("at_least_threshold", "a grey value equal to the threshold counts", {"prompts.threshold": 119}),
    Choice(
        "contour_filter",
        "contours below 200 px2 (of the polygon) or 5 px a side are dropped",
        {"prompts.min_area": 200.0, "prompts.min_side": 5, "prompts.area": "polygon"},
    ),
    Choice("external_contours", "islands in holes give no prompt", {"prompts.contours": "external"}),
    Choice(
        "centroid", "the point is the centroid of the simplified outer contour, also outside the region",
        {"prompts.point": "centroid"},
    ),
    Choice("bgr", "the image is passed to SAM as blue, green, red", {"sam.channels": "bgr"}),
    Choice(
        "mask_index", "of SAM's three masks always the first", {"masks.mask_choice": "index", "masks.mask_index": 0}
    ),
    Choice(
        "added_masks", "overlapping masks are added as bytes; pixels in several are not counted", {"masks.join": "add"}
    ),
)  # fmt: skip

# These change no pseudo-mask, so they have no row in the table of effects.
LATER_CHOICES = (
    Choice(
        "best_epoch",
        "the epoch with the best F1 on reference masks of training tiles is kept",
        {"resunet.keep": "best_on_labels"},
    ),
    Choice("training_tiles", "figures of the ResUNet are of training tiles", {"maps.scenes": "all"}),
)  # fmt: skip


def all_overrides() -> dict[str, Any]:
    """Return the overrides of all choices together."""
    return {key: value for choice in (*CHOICES, *LATER_CHOICES) for key, value in choice.overrides.items()}


def released_effects(files: Mapping[str, Path]) -> Experiment:
    """Return a row for every part and choice, with its difference from the run's own settings.

    Args:
        files: `DEFAULT`, names of choices, `ALL` -> the metrics of APSAM's pseudo-masks.
    """
    columns = (
        Column("choice", "Choice of the released code"),
        Column("what", "Description"),
        Column("counted", "Protocol"),
        PART,
        Column("mean_iou_change", "Change of the mean IoU of a tile", "number"),
        Column("iou_change", "Change of the IoU", "number"),
        TILES,
        *FIGURES,
        *COUNTS,
    )
    meanings = {choice.name: choice.what for choice in CHOICES}
    meanings |= {DEFAULT: "the run's own settings", ALL: "config/as_released.yaml"}
    base = pseudo_mask_rows(files[DEFAULT])
    rows = []
    for name, path in files.items():
        for part, row in pseudo_mask_rows(path).items():
            changes = {
                f"{key}_change": None if None in (row[key], base[part][key]) else row[key] - base[part][key]
                for key in ("mean_iou", "iou")
            }
            rows.append({"choice": name, "what": meanings[name], "counted": protocol_of_file(path), **row, **changes})
    notes = [
        "Each row but no_label_gate changes one choice and nothing else, measured on pseudo-masks; changes are "
        "differences of shares (0.01 is one percentage point).",
        "With ground.exclude: true, no_label_gate changes a second thing: the exclusion is off too, so tiles labelled "
        "negative no longer empty the masks of tiles that overlap them.",
        "Rows counted as_released leave out pixels that several prompts claim, so they compare with no other row.",
    ]
    return Experiment(
        "released_effects", "Choices of the released code, one by one", "as_released", columns, rows, notes
    )  # fmt: skip
