"""Masks of ready-made tiles: a zip of PNG images, one per tile, at the tile's own size, 255 landslide, 0 not."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np

from apsam.errors import InputError

LANDSLIDE_GREY = 255
ZIP_DATE = (1980, 1, 1, 0, 0, 0)


def add_mask(archive: zipfile.ZipFile, name: str, mask: np.ndarray) -> None:
    """Add the mask of the tile `name`, (height, width) uint8 {0, 1}; the same masks always give the same bytes."""
    encoded = cv2.imencode(".png", mask * LANDSLIDE_GREY)[1]
    archive.writestr(zipfile.ZipInfo(_member(name), ZIP_DATE), encoded.tobytes())


def read_mask(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """Read the mask of the tile `name`. (height, width) uint8 {0, 1}.

    Raises:
        InputError: There is no mask of that tile, or it is damaged.
    """
    try:
        encoded = np.frombuffer(archive.read(_member(name)), np.uint8)
    except KeyError as error:
        raise InputError(f"{archive.filename}: contains no mask {_member(name)}; predict again") from error
    except (zipfile.BadZipFile, EOFError) as error:
        raise InputError(f"{archive.filename}: {_member(name)} cannot be read ({error}); predict again") from error
    mask = cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise InputError(f"{archive.filename}: {_member(name)} is not an image; predict again")
    return (mask > 0).astype(np.uint8)


def _member(name: str) -> str:
    return f"{Path(name).stem}.png"
