"""What the columns of a layer say about its features: some are no landslides, or they belong to several classes."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from apsam.errors import InputError
from apsam.tiles.labels import LABEL_COLUMNS, known_label
from apsam.vectors.columns import read_columns
from apsam.vectors.formats import stamped
from apsam.vectors.layers import chosen_layers, split_layer

log = logging.getLogger(__name__)

# Names of columns, in small letters without signs: labels; classes, as in training samples of a GIS and in polygonized
# rasters (`gridcode`, `DN`); text in which a feature may be called "non-landslide".
LABELS = (*LABEL_COLUMNS, "landslides", "islandslide", "haslandslide")
CLASSES = (
    *("class", "classid", "classname", "classvalue", "category", "categoryid", "gridcode", "dn", "value"),
    *("presence", "target"),
)
TEXTS = ("name", "type", "kind", "status")

# Words that say of a feature that it is no landslide, and those that do so among opposites: NO is a country too.
NO_LANDSLIDE = re.compile(r"(no|non|not)[\s_-]*(a[\s_-]*)?(land)?slides?")
NEGATIVE_WORD = re.compile(rf"false|negative|absent|absence|{NO_LANDSLIDE.pattern}")
SHORT_NEGATIVE, SHORT_LABEL = re.compile(r"no?|neg"), re.compile(r"no?|neg|y|yes|pos|positive|(land)?slides?|[01]")

# Words in the kinds of landslides, and for what is known about them: next to "landslide" they are no other class.
KINDS_OF_LANDSLIDES = re.compile(
    r"slide|slip|flow|fall|topple|creep|slump|spread|avalanche|failure|collapse|scar|deposit|debris|mud|rock|soil|earth"
    r"|source|runout|active|dormant|relict|old|new|recent|shallow|deep|certain|known|possible|probable"
)

# More different values than this are not classes.
MOST_CLASSES = 16


def check_classes(path: Path) -> None:
    """Refuse a layer of which features are marked as no landslide: each would make its tiles positive.

    A column that names other classes than landslides causes a warning.

    Raises:
        InputError: A column of labels contains 0 and 1, only 0, or words such as 'no'; a column of classes contains 0
            and 1; or a feature is called 'non-landslide' or the like.
    """
    _check_classes(path, stamped(split_layer(path)[0]))


@lru_cache(maxsize=64)
def _check_classes(path: Path, stamp: tuple[Path, tuple[int, ...]]) -> None:
    fields = dict.fromkeys(field for layer in chosen_layers(path) for field in layer.fields)
    for column in fields:
        name = re.sub(r"[^a-z]", "", column.lower())
        if name not in (*LABELS, *CLASSES, *TEXTS):
            continue
        cells = [cell for value in read_columns(path, [column])[column].dropna() if (cell := str(value).strip())]
        found = _negatives(name, cells)
        if found:
            raise InputError(
                f"{path}: its column '{column}' is {found[0]} for {len(found)} of {len(cells)} features, but each "
                f"feature of a layer counts as a landslide; remove those (QGIS: Select by Expression), or rename the "
                f"column if it says something else"
            )
        if _are_classes(name, cells):
            listed = ", ".join(f"'{value}' ({count})" for value, count in Counter(cells).most_common(5))
            log.warning(
                "%s: its column '%s' has the values %s; the features of all of them count as landslides. If some are "
                "other classes, remove these (QGIS: Select by Expression)",
                path, column, listed,
            )  # fmt: skip


def _negatives(name: str, cells: Sequence[str]) -> list[str]:
    """Those cells of a column that say "no landslide", as an error shows them."""
    if name in TEXTS:
        return [f"'{cell}'" for cell in cells if NO_LANDSLIDE.fullmatch(cell.lower())]
    words = [cell for cell in cells if NEGATIVE_WORD.fullmatch(cell.lower())]
    if all(SHORT_LABEL.fullmatch(cell.lower()) or NEGATIVE_WORD.fullmatch(cell.lower()) for cell in cells):
        words += [cell for cell in cells if SHORT_NEGATIVE.fullmatch(cell.lower())]
    if words:
        return [f"'{cell}'" for cell in words]
    labels = [known_label(cell) for cell in cells]
    # Other numbers than 0 and 1 are classes or sizes; a class of its own may be number 0.
    if None in labels or (name in CLASSES and 1 not in labels):
        return []
    return ["0"] * labels.count(0)


def _are_classes(name: str, cells: Sequence[str]) -> bool:
    """Whether the cells of a column name several classes, of which some may be no landslides."""
    values = set(cells)
    if name in TEXTS or not 2 <= len(values) <= MOST_CLASSES:
        return False
    if all(re.fullmatch(r"-?\d+(\.0*)?", value) for value in values):
        return name in CLASSES or len(values) < len(cells)
    named = any("landslide" in value.lower() for value in values)
    return named and not all(KINDS_OF_LANDSLIDES.search(value.lower()) for value in values)
