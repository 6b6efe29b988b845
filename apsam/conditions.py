"""Conditions of a network's training and of its input, stored in the metadata of the weights.

With them, a weights file is enough to map a scene (`apsam predict --weights`), and a scene that differs from the
training scenes is detected. This module does not import torch.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rasterio.transform import Affine
from safetensors import SafetensorError, safe_open

from apsam import __version__
from apsam.errors import InputError
from apsam.maps.settings import MapSettings
from apsam.products.settings import ProductSettings
from apsam.stack import TileStack
from apsam.tiles.bands import band_doubts
from apsam.tiles.reader import SceneReader
from apsam.tiles.resolution import ground_resolution_m
from apsam.tiles.settings import LabelSettings, TileSettings

log = logging.getLogger(__name__)

SCHEMA: Final = 1
# Key of the description in a weights file (`apsam.resunet.checkpoint`, `apsam.localizer.checkpoint`).
CONDITIONS = "conditions"
# Tile settings that do not change the pixels a network sees; for their ground size there is `check_scene`.
FREE = {"overlap", "min_valid", "block_tiles", "nodata", "resolution_m"}
# A scene's ground resolution may differ from the training's by this factor without a warning.
TOLERANCE = 1.25


class TrainingConditions(BaseModel):
    """Conditions of a network's training.

    Attributes:
        schema_version: Of this description.
        tiles: Settings of the training tiles: size, overlap, bands, stretch.
        labels: Settings of the image-level labels.
        ground_resolution_m: Finest and coarsest ground resolution of the training scenes, m per pixel; None if it is
            unknown (ready-made tiles).
        stretched: Whether the pixels of the training scenes were stretched to 8 bit; None: some were, or unknown.
        maps, products: Default settings of maps and products, those of the version that
            trained the network, so that the same weights make the same maps.
        decision: Threshold of the masks of maps: that of `maps`, or the one with the highest expected F1
            (`apsam.maps.decision`), for networks trained on scene-wide masks that predict calibrated probabilities.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = SCHEMA
    tiles: TileSettings
    labels: LabelSettings = Field(default_factory=LabelSettings)
    ground_resolution_m: tuple[float, float] | None = None
    stretched: bool | None = None
    maps: MapSettings = Field(default_factory=MapSettings)
    products: ProductSettings = Field(default_factory=ProductSettings)
    decision: Literal["threshold", "expected_f1"] = "threshold"


def conditions_of(stacks: Sequence[Path]) -> TrainingConditions | None:
    """Return the conditions of a training on some tile stacks; None if a stack does not record its settings.

    Raises:
        InputError: The stacks were read in different ways.
    """
    made_by, resolutions, stretched = [], [], set()
    for path in stacks:
        with TileStack(path) as stack:
            attributes = stack.attributes
        if "made_by" not in attributes:
            return None
        made_by.append((path, attributes["made_by"]))
        resolutions.append(_resolution_of(attributes))
        stretched.add(attributes.get("stretched"))
    first, settings = made_by[0]
    for path, other in made_by[1:]:
        if different := _different(settings["tiles"], other["tiles"]):
            raise InputError(f"{path}: was made with other settings than {first} ({different}); tile all scenes alike")
    known = [resolution for resolution in resolutions if resolution]
    return TrainingConditions(
        tiles=settings["tiles"],
        labels=settings["labels"],
        ground_resolution_m=(min(known), max(known)) if len(known) == len(resolutions) else None,
        stretched=stretched.pop() if len(stretched) == 1 else None,
    )


def read_conditions(weights: Path) -> TrainingConditions | None:
    """Read the conditions in a weights file; None if it has none, because it was written by an early version.

    Raises:
        InputError: They are those of a later version, or the file is not a weights file.
    """
    try:
        with safe_open(weights, "np") as file:
            description = json.loads((file.metadata() or {}).get("apsam", "{}"))
    except SafetensorError as error:
        raise InputError(
            f"{weights}: not a whole safetensors file, in which apsam keeps weights ({error}); copy it again, or train "
            f"it again"
        ) from error
    except (OSError, ValueError):
        return None  # Loading the weights later reports the problem.
    found = description.get(CONDITIONS)
    if found is None:
        return None
    try:
        return TrainingConditions.model_validate(found)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        raise InputError(
            f"{weights}: was written by apsam {description.get('apsam_version', '?')}, this is {__version__}, which "
            f"does not know its conditions of training ({place}: {problem['msg']}); update apsam, or train again"
        ) from error


def check_tiles(conditions: TrainingConditions | None, tiles: TileSettings | dict[str, Any], weights: Path) -> None:
    """Check that tiles are read with the same settings as in training.

    Args:
        conditions: Those of the weights; None: unknown.
        tiles: Settings of the tiles.
        weights: Path, for the message.

    Raises:
        InputError: Size, bands or stretch differ.
    """
    if conditions is None:
        return
    given = tiles if isinstance(tiles, dict) else tiles.decisive()
    if different := _different(conditions.tiles.decisive(), given):
        raise InputError(f"{weights}: was trained on tiles made in another way ({different}); use the same settings")


def check_scene(conditions: TrainingConditions | None, scene: SceneReader) -> None:
    """Warn if the pixels of a scene differ from those of the training, or its bands may not be red, green and blue."""
    for doubt in band_doubts(scene.chosen, scene.count):
        log.warning("warning: %s: %s", scene.path, doubt)
    if conditions is None:
        return
    own = ground_resolution_m(scene.crs.to_wkt(), scene.transform, scene.height, scene.width)
    known = conditions.ground_resolution_m
    if known and own and not known[0] / TOLERANCE <= own <= known[1] * TOLERANCE:
        factor = own / known[1] if own > known[1] else known[0] / own
        log.warning(
            "warning: %s: its ground resolution is %.3g m a pixel, the network was trained at %s: %.3g times %s; "
            "landslides look different there, do not trust the map (apsam predict%s maps at the training's)",
            scene.path, own, in_words(known), factor, "coarser" if own > known[1] else "finer",
            " --resample" if own > known[1] else "",
        )  # fmt: skip
    if conditions.stretched is not None and scene.stretched != conditions.stretched:
        ways = {True: "are stretched to 8 bit by percentiles", False: "are taken as they are"}
        log.warning(
            "warning: %s: its pixels %s, those of the training scenes %s; colours and contrast differ, "
            "do not trust the map",
            scene.path, ways[scene.stretched], ways[conditions.stretched].replace("are", "were", 1),
        )  # fmt: skip


def in_words(resolution: tuple[float, float]) -> str:
    """Format a resolution for messages: `0.5 m a pixel`, `0.5 to 0.8 m a pixel`."""
    low, high = (f"{value:.3g}" for value in resolution)
    return f"{low} m a pixel" if low == high else f"{low} to {high} m a pixel"


def _resolution_of(attributes: dict[str, Any]) -> float | None:
    """Return the ground resolution of a tile stack's scene."""
    if not attributes.get("crs") or not attributes.get("transform"):
        return None
    place = Affine(*attributes["transform"])
    return ground_resolution_m(attributes["crs"], place, attributes["height"], attributes["width"])


def _different(trained: dict[str, Any], given: dict[str, Any]) -> str:
    """List the settings that differ, `bands: [1, 2, 3] and [3, 2, 1]`; empty if none does."""
    names = sorted((trained.keys() | given.keys()) - FREE)
    if "auto" in (trained.get("bands"), given.get("bands")):
        # The scene's declared colours define these bands.
        names.remove("bands")
    return ", ".join(
        f"{name}: {trained.get(name)} and {given.get(name)}" for name in names if trained.get(name) != given.get(name)
    )
