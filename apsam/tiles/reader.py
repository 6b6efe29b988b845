"""Windows of a raster scene as 8-bit RGB with a validity mask."""

from __future__ import annotations

import logging
import warnings
from functools import cached_property
from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from apsam.errors import InputError, no_such
from apsam.tiles.bands import choose_bands, undeclared_no_data
from apsam.tiles.georeference import check_placed, raster_bounds
from apsam.tiles.photometry import white_is_zero
from apsam.tiles.settings import TileSettings

log = logging.getLogger(__name__)

# The stretch is found on a decimated read of at most this many pixels a side, whatever the scene's size.
STRETCH_SIDE = 1024


class SceneReader:
    """Read windows of a raster; never the whole of it.

    Opening reads the header alone; the first window, or `limits`, a decimated version of the whole.

    Args:
        path: A raster that GDAL reads.
        settings: Bands, stretch and no-data value.

    Attributes:
        height, width: Size of the scene, pixels.
        crs: `rasterio.crs.CRS`.
        transform: `Affine`, pixel to map.
        bounds: Left, bottom, right, top on the map, also of a raster that is turned.
        chosen: The bands taken as red, green and blue (`apsam.tiles.bands.ChosenBands`).
        dtype: Of their values.
        count: Bands of the raster.
        white: The value of black where 0 is white (WhiteIsZero), so that the image is inverted; else None.

    Raises:
        InputError: The raster cannot be read, has no CRS or no geotransform, too few bands or complex values.
    """

    def __init__(self, path: Path | str, settings: TileSettings) -> None:
        self.path = Path(path)
        self.settings = settings
        self._raster = open_raster(self.path)
        try:
            self.chosen = choose_bands(self._raster, self.path, settings.bands)
            check_placed(self._raster, self.path)
            self.height, self.width = self._raster.shape
            self.crs, self.transform = self._raster.crs, self._raster.transform
            self.bounds = raster_bounds(self._raster)
            types = [np.dtype(self._raster.dtypes[band - 1]) for band in self.chosen.bands]
            self.dtype = np.result_type(*types)
            self._mixed = len(set(types)) > 1
            self.count = self._raster.count
            self.white = None if self.chosen.palette is not None else white_is_zero(self._raster)
            if settings.stretch == "none" and self.dtype != np.uint8:
                raise InputError(
                    f"{self.path}: is {self.dtype}, which needs 'tiles.stretch: percentile' (or auto) to become 8 bit"
                )
        except BaseException:
            self._raster.close()
            raise

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

    def valid(self, window: Window | None, shape: tuple[int, int] | None = None) -> np.ndarray:
        """Whether pixels of a window within the scene are valid, bool; decimated to `shape` where that is given."""
        return self._read(window, shape)[1] > 0

    @property
    def stretched(self) -> bool:
        """Whether values are brought to 8 bit by percentiles."""
        if self.chosen.palette is not None or self.settings.stretch == "none":
            return False
        return not (self.settings.stretch == "auto" and self.dtype == np.uint8)

    def overview(self, side: int) -> tuple[np.ndarray, np.ndarray]:
        """The whole scene as of `read`, by every so many pixels, so that the longer side has about `side`."""
        shape = _decimated(self.height, self.width, side)
        values, mask = self._read(None, shape)
        return self._to_8_bit(values) * mask, mask

    @property
    def undeclared_colours(self) -> bool:
        """Whether the first three of more bands were taken because nothing says which are red, green and blue."""
        return self.settings.bands == "auto" and self.count > 3 and self.chosen.why.startswith("the first three")

    def stored_overview(self, side: int) -> tuple[np.ndarray, np.ndarray]:
        """`overview` with the values that the file has, (3, h, w) of its type."""
        return self._read(None, _decimated(self.height, self.width, side))

    def _read(
        self, window: Window | None, shape: tuple[int, int] | None = None, far: tuple[float, ...] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        values, mask = self._stored(window, shape)
        nodata = self.settings.nodata
        given = () if nodata is None else nodata if isinstance(nodata, tuple) else (nodata,)
        for value in (*given, *(self.undeclared if far is None else far)):
            mask &= ~(values == value).all(axis=0)
        if self.chosen.palette is not None:
            values, opaque = _colours(values[0], self.chosen.palette.colours)
            mask &= opaque
        return values, mask.astype(np.uint8)

    def _stored(self, window: Window | None, shape: tuple[int, int] | None) -> tuple[np.ndarray, np.ndarray]:
        """Values as the file has them, and where they are data by what the file declares."""
        bands = list(self.chosen.bands)
        out_mask = {} if shape is None else {"out_shape": (3, *shape)}
        try:
            values = self._read_bands(bands, window, shape)
            mask = self._valid(self._raster.read_masks(bands, window=window, **out_mask) > 0)
        except RasterioError as error:
            raise InputError(f"{self.path}: pixels cannot be read ({error}); is the file whole?") from error
        if values.dtype.kind == "f":
            mask &= np.isfinite(values).all(axis=0)
        return values, mask

    def _read_bands(self, bands: list[int], window: Window | None, shape: tuple[int, int] | None) -> np.ndarray:
        out = {} if shape is None else {"resampling": Resampling.nearest}
        if not self._mixed:
            size = {} if shape is None else {"out_shape": (len(bands), *shape)}
            return self._raster.read(bands, window=window, **out, **size)
        # Rasterio reads bands of different types one by one only.
        size = {} if shape is None else {"out_shape": shape}
        return np.stack([self._raster.read(band, window=window, **out, **size).astype(self.dtype) for band in bands])

    def _valid(self, masks: np.ndarray) -> np.ndarray:
        """Of the masks of three bands (3, h, w) bool, what is valid (h, w).

        A pixel has no data where all bands have their no-data value: in one alone it is a dark colour. Alpha and masks
        of the file are the same for all bands.
        """
        flags = self._raster.mask_flag_enums
        by_value = np.array([MaskFlags.nodata in flags[band - 1] for band in self.chosen.bands])
        return masks[~by_value].all(axis=0) & (masks[by_value].any(axis=0) | ~by_value.any())

    @cached_property
    def undeclared(self) -> tuple[float, ...]:
        """Values that are no data by their look, though neither the file nor `tiles.nodata` says so."""
        if not self.stretched or self.dtype == np.uint8:
            return ()
        values, mask = self._read(None, _decimated(self.height, self.width, STRETCH_SIDE), ())
        found = undeclared_no_data(values[:, mask > 0])
        for value, share in found:
            log.warning(
                "%s: %.0f %% of its pixels are %.8g in all bands, far from all other values; taken for no-data, though "
                "the file does not declare it (gdal_edit.py -a_nodata %.8g, or 'tiles.nodata')",
                self.path, max(100 * share, 1), value, value,
            )  # fmt: skip
        return tuple(value for value, _ in found)

    @cached_property
    def limits(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Low and high value of each band that become 0 and 255; None where values are taken as they are.

        Raises:
            InputError: The scene has no valid pixel.
        """
        if not self.stretched:
            return None
        values, mask = self._read(None, _decimated(self.height, self.width, STRETCH_SIDE))
        chosen = values[:, mask > 0].astype(np.float64)
        if chosen.size == 0:
            raise InputError(f"{self.path}: has no valid pixel; check its no-data value and 'tiles.nodata'")
        found = [
            np.percentile(self._without_gaps(number, band), self.settings.percentiles)
            for number, band in zip(self.chosen.bands, chosen, strict=True)
        ]
        low, high = np.array(found).T
        return low, np.maximum(high, low + 1e-9)

    def _without_gaps(self, number: int, values: np.ndarray) -> np.ndarray:
        """Values (n,) of a band at valid pixels without those that are no data in this band alone.

        Such pixels stay valid, since their other bands show the ground; the stretch must not be spent on them.
        """
        declared = self._raster.nodatavals[number - 1]
        rest = values if declared is None else values[values != declared]
        for value, share in undeclared_no_data(rest[None]) if self.dtype != np.uint8 else ():
            log.warning(
                "%s: %.0f %% of band %d is %.8g, far from all its other values; left out of the stretch",
                self.path, max(100 * share, 1), number, value,
            )  # fmt: skip
            rest = rest[rest != value]
        return rest if rest.size else values

    def _to_8_bit(self, values: np.ndarray) -> np.ndarray:
        if self.limits is None:
            return values if self.white is None else (self.white - values).astype(np.uint8)
        low, high = (limit[:, None, None] for limit in self.limits)
        scaled = (np.nan_to_num(values.astype(np.float64)) - low) / (high - low)
        bright = (np.clip(scaled, 0, 1) * 255 + 0.5).astype(np.uint8)
        return bright if self.white is None else 255 - bright


def _decimated(height: int, width: int, side: int) -> tuple[int, int]:
    scale = max(1, max(height, width) // side)
    return max(1, height // scale), max(1, width // scale)


def _colours(numbers: np.ndarray, palette: dict[int, tuple[int, int, int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Colours (3, h, w) uint8 of numbers (h, w), and where they are not transparent (h, w) bool."""
    table = np.zeros((max(int(numbers.max(initial=0)), *palette) + 1, 4), np.uint8)
    table[list(palette)] = list(palette.values())
    red, green, blue, alpha = np.moveaxis(table[numbers], -1, 0)
    return np.stack([red, green, blue]), alpha > 0


def open_raster(path: Path) -> rasterio.DatasetReader:
    """Open a raster.

    Raises:
        InputError: The file is missing or GDAL cannot read it.
    """
    if not path.exists():
        raise no_such("file", path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            return rasterio.open(path)
    except RasterioError as error:
        raise InputError(f"{path}: not a raster that GDAL can read ({error})") from error
