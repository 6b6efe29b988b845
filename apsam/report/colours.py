"""Colours of the layers, the same on maps, tiles and figures, and images as data URIs.

Layers take the colour-blind safe palette of Okabe and Ito (2008), heat maps perceptually uniform scales.
"""

from __future__ import annotations

import base64
import io
from functools import cache

import numpy as np
from PIL import Image

REFERENCE, PREDICTION, BOTH, NEITHER, UNKNOWN = "#56b4e9", "#d55e00", "#f4f4f2", "#16181b", "#6b7078"

LAYER_COLOURS = {
    "truth": REFERENCE,
    "prediction-ground": "#cc79a7",
    "prediction-self_training": "#8f7ff0",
    "prediction-apsam": PREDICTION,
    "prediction-cam": "#e69f00",
    "masks-apsam": "#f0e442",
    "masks-self_training": "#b4e85a",
    "masks-cam": "#00b386",
    "masks-grabcut": "#d88fb9",
    "prompts": "#ffffff",
    "positive": "#ffd08a",
    "held-out": "#ffffff",
}

# Indices of `compare`; the palette of the PNG is in this order.
AGREE_NOT, AGREE, FALSE_ALARM, MISSED, NO_DATA = range(5)
# More effort (up to 6) takes twice the time for a few percent.
WEBP_EFFORT = 3

PALETTE = (NEITHER, BOTH, PREDICTION, REFERENCE, UNKNOWN)


@cache
def _scale(name: str) -> np.ndarray:
    import matplotlib

    return (matplotlib.colormaps[name](np.arange(256))[:, :3] * 255 + 0.5).astype(np.uint8)


def heat(values: np.ndarray, scale: str = "inferno") -> np.ndarray:
    """(h, w) uint8 -> (h, w, 3) uint8 on a perceptually uniform scale."""
    return _scale(scale)[values]


def heat_overlay(values: np.ndarray, scale: str = "inferno") -> np.ndarray:
    """(h, w) uint8 -> (h, w, 4) uint8: low values let the image below show through."""
    alpha = np.clip(values.astype(np.float32) * 1.6, 0, 255).astype(np.uint8)
    return np.dstack([heat(values, scale), alpha])


def compare(mask: np.ndarray, reference: np.ndarray | None) -> np.ndarray:
    """Where a mask and the reference mask agree. {0, 1, 255} both -> (h, w) uint8 indices of PALETTE.

    Without reference mask the mask alone is shown.
    """
    found = mask == 1
    if reference is None:
        return np.where(mask == 255, NO_DATA, found).astype(np.uint8)
    real = reference == 1
    picture = np.full(mask.shape, AGREE_NOT, np.uint8)
    picture[found & real] = AGREE
    picture[found & ~real] = FALSE_ALARM
    picture[~found & real] = MISSED
    picture[(mask == 255) | (reference == 255)] = NO_DATA
    return picture


def rgb(colour: str) -> tuple[int, int, int]:
    """`#rrggbb` as three numbers."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def palette_png(indices: np.ndarray) -> str:
    """Indices of PALETTE as a PNG data URI."""
    image = Image.fromarray(indices, "P")
    image.putpalette([value for colour in PALETTE for value in rgb(colour)])
    return _uri(image, "png", optimize=True)


def webp(pixels: np.ndarray, quality: int) -> str:
    """(h, w, 3 or 4) uint8 as a WebP data URI."""
    return _uri(Image.fromarray(pixels), "webp", quality=quality, method=WEBP_EFFORT)


def webp_within(pixels: np.ndarray, limit: int) -> str:
    """The best WebP data URI of at most `limit` characters, coarser step by step; the coarsest may exceed it."""
    image = Image.fromarray(pixels)
    uri = ""
    for shrink in (1.0, 0.75, 0.5, 0.35, 0.25):
        side = [max(1, round(length * shrink)) for length in image.size]
        smaller = image if shrink == 1 else image.resize(side, Image.Resampling.BOX)
        for quality in (80, 60):
            uri = _uri(smaller, "webp", quality=quality, method=WEBP_EFFORT, alpha_quality=70)
            if len(uri) <= limit:
                return uri
    return uri


def _uri(image: Image.Image, kind: str, **options: object) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind.upper(), **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
