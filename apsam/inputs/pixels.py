"""A raster scene's pixels, decimated: the valid share, collars that are not declared as no data, empty bands."""

from __future__ import annotations

import cv2
import numpy as np

from apsam.errors import InputError
from apsam.inputs.report import SceneReport
from apsam.inputs.state import CheckState
from apsam.scenes import Scene
from apsam.tiles.open_raster import open_raster
from apsam.tiles.photometry import doubtful_alpha
from apsam.tiles.reader import SceneReader

# Side of the decimated version of a scene that shares are estimated on.
SIDE = 512

# Share of pixels that are black, or white, in all bands, from which on they may be no data.
LEAST_COLLAR = 0.05

# Values up to which a collar of 8 bit is black, but for the losses of a compression.
NEARLY_BLACK = 6

# With as few different values, an image is a drawing.
LEAST_COLOURS = 16


def look_at_pixels(state: CheckState, scene: Scene, reader: SceneReader, row: SceneReport) -> None:
    """Note the valid share of a raster scene, and warn of pixels that look like no data.

    Raises:
        InputError: No pixel is valid.
    """
    values, valid = reader.stored_overview(SIDE)
    row.valid = float(valid.mean())
    if not valid.any():
        raise InputError(f"{scene.image}: has no valid pixel; check its no-data value and 'tiles.nodata'")
    _ = reader.limits  # says where a band alone has no data
    for value in reader.undeclared:
        row.notes.append(f"{value:g} in all bands is taken for no data")
    with open_raster(reader.path) as raster:
        alpha = doubtful_alpha(raster)
    if alpha is not None:
        state.warnings.append(
            f"{scene.image}: band {alpha} is declared as transparency (alpha), but has the values of a colour; its "
            f"pixels of 0 are no data. If it is near infrared, say so: gdal_edit.py -colorinterp_{alpha} undefined "
            f"{scene.image}"
        )
    seen = values[:, valid > 0]
    blank = {band: v[0] for band, v in zip(reader.chosen.bands, seen, strict=True) if (v == v[0]).all()}
    if blank and reader.chosen.palette is None:
        listed = ", ".join(f"band {band} is {value:g}" for band, value in blank.items())
        state.warnings.append(f"{scene.image}: {listed} everywhere; was it exported or merged without its pixels?")
    if len(np.unique(seen)) <= LEAST_COLOURS:
        return
    names = {0: "black (0)"} | ({255: "white (255)"} if reader.dtype == np.uint8 else {})
    for value in dict.fromkeys([0, *names, seen.min().item(), seen.max().item()]):
        name = names.get(value, f"{value:g}")
        share = float(((values == value).all(axis=0) & (valid > 0)).mean())
        if LEAST_COLLAR <= share < 1:
            state.warnings.append(
                f"{scene.image}: {share:.0%} of its pixels are {name} in all bands and count as data; if nothing "
                f"is shown there, set 'tiles.nodata: {value:g}'"
            )
    plain = reader.dtype == np.uint8 and reader.chosen.palette is None
    share = share_of_dark_edges(values, valid) if plain else 0.0
    if share >= LEAST_COLLAR:
        state.warnings.append(
            f"{scene.image}: {share:.0%} of its pixels, along its edges, are nearly black (up to {NEARLY_BLACK}), as a "
            f"collar is in a JPEG, and count as data; if nothing is shown there, make it transparent: nearblack "
            f"-setalpha -o NEW.tif {scene.image}"
        )


def share_of_dark_edges(values: np.ndarray, valid: np.ndarray) -> float:
    """Share of valid pixels that are nearly, not wholly, black and connected with the border over such pixels.

    Args:
        values: (3, h, w) uint8.
        valid: (h, w) uint8 {0, 1}.
    """
    brightest = values.max(axis=0)
    dark = (brightest <= NEARLY_BLACK) & (valid > 0)
    _, regions = cv2.connectedComponents(dark.astype(np.uint8))
    border = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    return float((np.isin(regions, np.setdiff1d(border, [0])) & (brightest > 0)).mean())
