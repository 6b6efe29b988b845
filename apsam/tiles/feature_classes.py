"""What the columns of a layer say about its features: some are no landslides, or they belong to several classes."""

from __future__ import annotations

import logging
import re
from collections import Counter
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
LABELS = (*LABEL_COLUMNS, "landslides", "islandslide", "haslandslide", "ls", "滑坡", "是否滑坡", "标签")
CLASSES = (
    *("class", "classid", "classname", "classvalue", "category", "categoryid", "gridcode", "dn", "value"),
    *("presence", "target", "类别"),
)
TEXTS = ("name", "type", "kind", "status", "名称", "类型")

# Words that say of a feature that it is no landslide, and those that do so among opposites: NO is a country too.
NO_LANDSLIDE = re.compile(r"(no|non|not)[\s_-]*(a[\s_-]*)?(land)?slides?|[非无]滑坡|不是滑坡")
NEGATIVE_WORD = re.compile(rf"false|negative|absent|absence|否|{NO_LANDSLIDE.pattern}")
SHORT_NEGATIVE, SHORT_LABEL = re.compile(r"no?|neg"), re.compile(r"no?|neg|y|yes|pos|positive|(land)?slides?|[01]")

# A movement, or its trace: a value that names one is a kind of landslide (`mudflow`, `rock slide`, `main scarp`).
MOVEMENT = re.compile(
    r"slid(e|es|ing)|slips?|flows?|falls?|toppl(e|es|ing)|creep|slumps?|spread(s|ing)?|avalanches?|failures?|collapses?"
    r"|scars?|scarps?"
)
# Words for the material, part, activity, depth, type, size, age or certainty of a landslide. A value of such words
# alone is no other class than "landslide"; "bare soil" and "old road" are.
DETAILS = frozenset(
    "debris mud rock soil earth source runout deposit deposits crown head body toe zone area "
    "active inactive reactivated activated dormant relict stabilised stabilized suspended old new recent young fresh "
    "ancient historic historical shallow deep seated rotational translational planar wedge complex composite compound "
    "multiple single simple very small medium large low moderate high certain uncertain sure unsure known unknown "
    "confirmed unconfirmed likely unlikely possible probable definite confidence natural human induced triggered "
    "and or of with type class".split()
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
    for warning in _check_classes(path, stamped(split_layer(path)[0])):
        log.warning("%s", warning)


@lru_cache(maxsize=64)
def _check_classes(path: Path, stamp: tuple[Path, tuple[int, ...]]) -> tuple[str, ...]:
    """Return the warnings of `check_classes`."""
    warnings = []
    fields = dict.fromkeys(field for layer in chosen_layers(path) for field in layer.fields)
    names = {column: re.sub(r"[\W\d_]", "", column.lower()) for column in fields}
    names = {column: name for column, name in names.items() if name in (*LABELS, *CLASSES, *TEXTS)}
    table = read_columns(path, list(names)) if names else {}
    for column, name in names.items():
        cells = Counter(cell for value in table[column].dropna() if (cell := str(value).strip()))
        found = _negatives(name, cells)
        if found:
            shown = "0" if found[0].startswith("0") else f"'{found[0]}'"
            raise InputError(
                f"{path}: its column '{column}' is {shown} for {sum(cells[cell] for cell in found)} of {cells.total()} "
                f"features, but each feature of a layer counts as a landslide; remove those (QGIS: Select by "
                f"Expression), or rename the column if it says something else"
            )
        if _are_classes(name, cells):
            listed = ", ".join(f"'{value}' ({count})" for value, count in cells.most_common(5))
            warnings.append(
                f"{path}: its column '{column}' has the values {listed}; the features of all of them count as "
                f"landslides. If some are other classes, remove these (QGIS: Select by Expression)"
            )
    return tuple(warnings)


def _negatives(name: str, cells: Counter[str]) -> list[str]:
    """Those values of a column that say "no landslide"."""
    if name in TEXTS:
        return [cell for cell in cells if NO_LANDSLIDE.fullmatch(cell.lower())]
    words = [cell for cell in cells if NEGATIVE_WORD.fullmatch(cell.lower())]
    if all(SHORT_LABEL.fullmatch(cell.lower()) or NEGATIVE_WORD.fullmatch(cell.lower()) for cell in cells):
        short = [cell for cell in cells if SHORT_NEGATIVE.fullmatch(cell.lower())]
        # A class that all features have may be called N.
        words += short if name in LABELS or len(short) < len(cells) else []
    if words:
        return words
    labels = {cell: known_label(cell) for cell in cells}
    # Other numbers than 0 and 1 are classes or sizes; a class of its own may be number 0.
    if None in labels.values() or (name in CLASSES and 1 not in labels.values()):
        return []
    return [cell for cell, label in labels.items() if label == 0]


def _are_classes(name: str, cells: Counter[str]) -> bool:
    """Whether the cells of a column name several classes, of which some may be no landslides."""
    if name in TEXTS or not 2 <= len(cells) <= MOST_CLASSES:
        return False
    if all(re.fullmatch(r"-?\d+(\.0*)?", value) for value in cells):
        # Numbers that are all different are classes of dissolved features, or identify or measure features.
        return (name in CLASSES and name != "value") or cells.total() > len(cells)
    named = any("landslide" in value.lower() for value in cells)
    return named and not all(_is_landslide(value.lower()) for value in cells)


def _is_landslide(value: str) -> bool:
    """Whether a value names a movement, or describes a landslide by nothing but `DETAILS`."""
    words = re.findall(r"[^\W\d_]+", value)
    return any(re.search(rf"({MOVEMENT.pattern})$", word) for word in words) or DETAILS.issuperset(words)
