"""Windows of a raster scene as 8-bit RGB with a validity mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from pyproj import CRS
from rasterio.enums import MaskFlags, Resampling
from rasterio.errors import RasterioError
from rasterio.windows import Window

from apsam.errors import InputError, no_such
from apsam.tiles.settings import TileSettings

# The stretch is found on a decimated read of at most this many pixels a side, whatever the scene's size.
STRETCH_SIDE = 1024


class SceneReader:
    """Read windows of a raster; never the whole of it.

    Args:
        path: A raster that GDAL reads.
        settings: Bands, stretch and no-data value.

    Attributes:
        height, width: Size of the scene, pixels.
        crs: `rasterio.crs.CRS`.
        transform: `Affine`, pixel to map.

    Raises:
        InputError: The raster cannot be read, has no CRS, too few bands or complex values.
    """

    def __init__(self, path: Path | str, settings: TileSettings) -> None:
        self.path = Path(path)
        self.settings = settings
        self._raster = open_raster(self.path)
        check_bands(self._raster, self.path, settings.bands)
        check_crs(self._raster, self.path)
        self.height, self.width = self._raster.shape
        self.crs, self.transform = self._raster.crs, self._raster.transform
        self._stretch = self._find_stretch()

    def __enter__(self) -> SceneReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the raster."""
        self._raster.close()

    @property
    def resolution(self) -> float:
        """Mean side of a pixel in units of the CRS."""
        return float(abs(self.transform.determinant) ** 0.5)

    @property
    def stretched(self) -> bool:
        """Whether values are brought to 8 bit by percentiles."""
        return self._stretch is not None

    def read(self, row: int, col: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Read one window, which may stick out of the scene.

        Returns:
            image (3, height, width) uint8 RGB, 0 where not valid; valid (height, width) uint8 {0, 1}.

        Raises:
            InputError: The pixels cannot be read (a broken file).
        """
        image = np.zeros((3, height, width), np.uint8)
        valid = np.zeros((height, width), np.uint8)
        top, left = max(row, 0), max(col, 0)
        bottom, right = min(row + height, self.height), min(col + width, self.width)
        if bottom <= top or right <= left:
            return image, valid
        values, mask = self._read(Window(left, top, right - left, bottom - top))
        inside = (slice(top - row, bottom - row), slice(left - col, right - col))
        image[:, inside[0], inside[1]] = self._to_8_bit(values) * mask
        valid[inside] = mask
        return image, valid

    def _read(self, window: Window | None, shape: tuple[int, int] | None = None) -> tuple[np.ndarray, np.ndarray]:
        bands = list(self.settings.bands)
        out = {} if shape is None else {"out_shape": (3, *shape), "resampling": Resampling.nearest}
        out_mask = {} if shape is None else {"out_shape": (3, *shape)}
        try:
            values = self._raster.read(bands, window=window, **out)
            mask = self._valid(self._raster.read_masks(bands, window=window, **out_mask) > 0)
        except RasterioError as error:
            raise InputError(f"{self.path}: pixels cannot be read ({error}); is the file whole?") from error
        if values.dtype.kind == "f":
            mask &= np.isfinite(values).all(axis=0)
        if self.settings.nodata is not None:
            mask &= ~(values == self.settings.nodata).all(axis=0)
        return values, mask.astype(np.uint8)

    def _valid(self, masks: np.ndarray) -> np.ndarray:
        """Of the masks of three bands (3, h, w) bool, what is valid (h, w).

        A pixel has no data where all bands have their no-data value: in one alone it is a dark colour. Alpha and masks
        of the file are the same for all bands.
        """
        flags = self._raster.mask_flag_enums
        by_value = np.array([MaskFlags.nodata in flags[band - 1] for band in self.settings.bands])
        return masks[~by_value].all(axis=0) & (masks[by_value].any(axis=0) | ~by_value.any())

    def _find_stretch(self) -> tuple[np.ndarray, np.ndarray] | None:
        dtype = np.dtype(self._raster.dtypes[self.settings.bands[0] - 1])
        if self.settings.stretch == "none" or (self.settings.stretch == "auto" and dtype == np.uint8):
            if dtype != np.uint8:
                raise InputError(
                    f"{self.path}: is {dtype}, which needs 'tiles.stretch: percentile' (or auto) to become 8 bit"
                )
            return None
        scale = max(1, max(self.height, self.width) // STRETCH_SIDE)
        values, mask = self._read(None, (max(1, self.height // scale), max(1, self.width // scale)))
        chosen = values[:, mask > 0].astype(np.float64)
        if chosen.size == 0:
            raise InputError(f"{self.path}: has no valid pixel; check its no-data value and 'tiles.nodata'")
        low, high = np.percentile(chosen, self.settings.percentiles, axis=1)
        return low, np.maximum(high, low + 1e-9)

    def _to_8_bit(self, values: np.ndarray) -> np.ndarray:
        if self._stretch is None:
            return values
        low, high = (limit[:, None, None] for limit in self._stretch)
        scaled = (np.nan_to_num(values.astype(np.float64)) - low) / (high - low)
        return (np.clip(scaled, 0, 1) * 255 + 0.5).astype(np.uint8)


def open_raster(path: Path) -> rasterio.DatasetReader:
    """Open a raster.

    Raises:
        InputError: The file is missing or GDAL cannot read it.
    """
    if not path.exists():
        raise no_such("file", path)
    try:
        return rasterio.open(path)
    except RasterioError as error:
        raise InputError(f"{path}: not a raster that GDAL can read ({error})") from error


def check_bands(raster: rasterio.DatasetReader, path: Path, bands: tuple[int, int, int]) -> None:
    """Raise InputError unless `raster` has the bands asked for, with real numbers in them."""
    if max(bands) > raster.count:
        raise InputError(
            f"{path}: has {raster.count} band(s), but 'tiles.bands' asks for {list(bands)}; "
            f"the method needs three, for one band repeat it: [1, 1, 1]"
        )
    if np.dtype(raster.dtypes[bands[0] - 1]).kind not in "uif":
        raise InputError(f"{path}: values of type {raster.dtypes[0]} cannot be used; export real numbers")


def check_crs(raster: rasterio.DatasetReader, path: Path) -> None:
    """Raise InputError unless `raster` has a coordinate reference system that says where on the Earth it lies."""
    remedy = f"assign the right one, for example: gdal_edit.py -a_srs EPSG:32648 {path}"
    if raster.crs is None:
        raise InputError(
            f"{path}: the raster has no coordinate reference system, so its landslides could not be placed on a map; "
            f"{remedy}"
        )
    crs = CRS.from_user_input(raster.crs.to_wkt())
    if crs.geodetic_crs is None:
        raise InputError(
            f"{path}: its coordinate reference system '{crs.name}' is a local one ({crs.type_name}), which does not "
            f"say where on the Earth the raster lies; {remedy}"
        )
