"""Maps as Cloud Optimised GeoTIFFs.

Probabilities are stored as bytes: 0 to 250 with the scale 1/250 in the file, 255 for no data.
Steps of 0.004 are finer than the accuracy of a network's probabilities, every threshold of two decimals is a
step or midway between two, and the file has a quarter of the size of float32 before compression (float16 is not
supported by most GIS). QGIS and `rasterio` with `scales` show 0 to 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.shutil import copy as copy_raster
from rasterio.transform import Affine
from rasterio.windows import Window

from apsam import __version__
from apsam.files import atomic_path, scratch_folder
from apsam.maps.settings import MapSettings

NO_DATA = 255
STEPS = 250
MASK_COLOURS = {0: (0, 0, 0, 0), 1: (213, 94, 0, 255), NO_DATA: (0, 0, 0, 0)}
BLOCK = 512


def to_steps(probability: np.ndarray) -> np.ndarray:
    """Convert probabilities in [0, 1] to uint8 steps of 1/250, NaN to 255."""
    steps = np.full(probability.shape, NO_DATA, np.uint8)
    known = np.isfinite(probability)
    steps[known] = np.rint(np.clip(probability[known], 0, 1) * STEPS).astype(np.uint8)
    return steps


def from_steps(steps: np.ndarray) -> np.ndarray:
    """Convert stored steps to probabilities: float32 in [0, 1], NaN for no data."""
    return np.where(steps == NO_DATA, np.nan, steps / STEPS).astype(np.float32)


def apply_threshold(probability: np.ndarray, threshold: float) -> np.ndarray:
    """Threshold probabilities to a mask; the same rule for scenes, bands and folders of tiles.

    The probabilities are those of the network, before they are stored in steps of 1/250: a threshold applied to a
    stored map may differ in pixels within half a step (0.002) of it.

    Args:
        probability: float32 in [0, 1], NaN for no data.
        threshold: A pixel is landslide if its probability is at least this, compared in float32.

    Returns:
        uint8 {0, 1}, 255 for no data.
    """
    positive = probability >= np.float32(threshold)
    return np.where(np.isnan(probability), NO_DATA, positive).astype(np.uint8)


def map_tags(name: str, image: Path, model: str, settings: MapSettings) -> dict[str, str]:
    """Return the tags of a map: its scene, image, network and threshold."""
    return {
        "APSAM_SCENE": name,
        "APSAM_IMAGE": image.name,
        "APSAM_MODEL": model,
        "APSAM_THRESHOLD": f"{settings.threshold:g}",
    }


def map_profile(height: int, width: int, crs: CRS, transform: Affine) -> dict[str, Any]:
    """Return rasterio's options for writing the rows of a map."""
    return {
        "driver": "GTiff",
        "count": 1,
        "dtype": "uint8",
        "nodata": NO_DATA,
        "height": height,
        "width": width,
        "crs": crs,
        "transform": transform,
        "BIGTIFF": "IF_SAFER",
    }


class MapWriter:
    """Write a one-band uint8 map row by row; the COG is complete when the `with` block ends without an error.

    Args:
        path: GeoTIFF to make.
        kind: "probability" (see this module) or "mask" ({0, 1}, 255 no data, with a colour table).
        height, width: Size, pixels.
        crs: Coordinate reference system.
        transform: Pixel to map.
        tags: Provenance; the version of apsam is added.
    """

    def __init__(
        self,
        path: Path,
        kind: Literal["probability", "mask"],
        height: int,
        width: int,
        crs: CRS,
        transform: Affine,
        tags: Mapping[str, str],
    ) -> None:
        self.path, self.kind = Path(path), kind
        self._profile = map_profile(height, width, crs, transform)
        self._tags = {**tags, "TIFFTAG_SOFTWARE": f"apsam {__version__}"}

    def __enter__(self) -> MapWriter:
        with ExitStack() as opening:
            self._raw = opening.enter_context(scratch_folder(self.path, "rows")) / "rows.tif"
            opening.push(self._finish)
            self._raster = opening.enter_context(rasterio.open(self._raw, "w", **self._profile))
            self._raster.update_tags(**self._tags)
            if self.kind == "probability":
                self._raster.scales = (1 / STEPS,)
                self._raster.set_band_description(1, "landslide probability")
            else:
                self._raster.write_colormap(1, MASK_COLOURS)
                self._raster.set_band_description(1, "landslide")
            self._open = opening.pop_all()
        return self

    def write(self, row: int, values: np.ndarray) -> None:
        """Write (rows, width) uint8 from row `row` on."""
        self._raster.write(values, 1, window=Window(0, row, values.shape[1], values.shape[0]))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def _finish(self, kind: type[BaseException] | None, *_: object) -> None:
        """Convert the rows, once their file is closed, to a Cloud-Optimized GeoTIFF."""
        if kind is not None:
            return
        with atomic_path(self.path) as partial:
            copy_raster(
                self._raw,
                partial,
                driver="COG",
                compress="DEFLATE",
                predictor="NO" if self.kind == "mask" else "STANDARD",
                blocksize=BLOCK,
                bigtiff="IF_SAFER",
                overview_resampling="MODE" if self.kind == "mask" else "AVERAGE",
            )
