"""Read windows of a raster scene as 8-bit RGB with a validity mask."""

from __future__ import annotations

import logging
from functools import cached_property
from pathlib import Path

import numpy as np
from rasterio.enums import MaskFlags, Resampling
from rasterio.errors import RasterioError
from rasterio.windows import Window

from apsam.errors import InputError, first_cause
from apsam.tiles.bands import choose_bands, undeclared_no_data
from apsam.tiles.decimated import column_groups, may_have_overviews, sampled_lines
from apsam.tiles.georeference import check_placed, raster_bounds
from apsam.tiles.open_raster import open_raster
from apsam.tiles.photometry import unused_alpha, unused_no_data, white_is_zero
from apsam.tiles.resolution import NEARLY, PixelGrid, area_means, ground_sides_m, pixel_edges, reading_grid
from apsam.tiles.settings import TileSettings

log = logging.getLogger(__name__)

# The stretch is computed from a decimated read of at most this many pixels a side, for scenes of any size.
STRETCH_SIDE = 1024
# Rows of an overview that are converted to 8 bit at once, because the conversion needs 30 to 40 bytes a value.
STRIP = 128

# Stored pixels that are averaged at once, and the minimum share of valid ones in a coarser pixel.
AVERAGED_AT_ONCE = 1_000_000
LEAST_DATA = 0.5


class SceneReader:
    """Read windows of a raster without loading all of it.

    Opening reads only the header; the first window, or `limits`, reads a decimated version of the raster. With
    `tiles.resolution_m`, a finer raster is read as area averages of its valid pixels. All rows and columns of this
    class are then those of the coarser grid. A coarser raster is read without resampling.

    Args:
        path: A raster that GDAL reads.
        settings: Bands, stretch, no-data value, ground size of a pixel.

    Attributes:
        stored: Pixel grid of the file (`apsam.tiles.resolution.PixelGrid`).
        height, width: Size of the scene, pixels.
        crs: `rasterio.crs.CRS`.
        transform: `Affine`, pixel to map.
        bounds: Left, bottom, right, top on the map, also if the raster is rotated.
        chosen: The bands used as red, green and blue (`apsam.tiles.bands.ChosenBands`).
        dtype: Type of their values.
        count: Number of bands of the raster.
        white: The value of black if 0 is white (WhiteIsZero), so that the image is inverted; else None.

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
            self.crs = self._raster.crs
            self.stored = PixelGrid(self._raster.height, self._raster.width, self._raster.transform)
            self.height, self.width, self.transform = reading_grid(
                self.stored, self.crs.to_wkt(), settings.resolution_m
            )
            self.bounds = raster_bounds(self._raster)
            types = [np.dtype(self._raster.dtypes[band - 1]) for band in self.chosen.bands]
            self.dtype = np.result_type(*types)
            self._mixed = len(set(types)) > 1
            self.count = self._raster.count
            alpha = unused_alpha(self._raster)
            self._alpha = None if alpha in self.chosen.bands else alpha
            self._no_data = unused_no_data(self._raster, self.chosen.bands)
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
        """Return the mean side of a pixel in units of the CRS."""
        return float(abs(self.transform.determinant) ** 0.5)

    @property
    def step(self) -> tuple[float, float]:
        """Return height and width of a pixel in stored pixels."""
        return self.stored.height / self.height, self.stored.width / self.width

    @property
    def averaged(self) -> bool:
        """Whether a pixel is the mean of several stored ones."""
        return self.step != (1, 1)

    def resolution_note(self) -> str | None:
        """Return the effect of `tiles.resolution_m` on the scene, in words; None if it has none."""
        crs, wanted = self.crs.to_wkt(), self.settings.resolution_m
        own, read = ground_sides_m(crs, self.stored), ground_sides_m(crs, self.grid)
        if wanted is None or own is None or read is None:
            return None
        if self.averaged:
            return (
                f"{self.path}: its pixels of {_sides_in_words(own)} are read as averages of {_sides_in_words(read)} "
                f"(tiles.resolution_m)"
            )
        if float(np.sqrt(np.prod(own))) > NEARLY * wanted:
            return (
                f"{self.path}: its pixels of {_sides_in_words(own)} are coarser than tiles.resolution_m ({wanted:g} m) "
                f"and are read as they are: interpolation would add no detail"
            )
        return None

    @property
    def grid(self) -> PixelGrid:
        """Return the pixel grid that is read."""
        return PixelGrid(self.height, self.width, self.transform)

    def read(self, row: int, col: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Read one window, which may extend beyond the scene.

        Returns:
            image (3, height, width) uint8 RGB, 0 where invalid; valid (height, width) uint8 {0, 1}.

        Raises:
            InputError: The pixels cannot be read (a broken file).
        """
        image = np.zeros((3, height, width), np.uint8)
        valid = np.zeros((height, width), np.uint8)
        top, left = max(row, 0), max(col, 0)
        bottom, right = min(row + height, self.height), min(col + width, self.width)
        if bottom <= top or right <= left:
            return image, valid
        window = (top, left, bottom - top, right - left)
        values, mask = self._average(*window) if self.averaged else self._read(_window(*window))
        inside = (slice(top - row, bottom - row), slice(left - col, right - col))
        image[:, inside[0], inside[1]] = self._to_8_bit(values) * mask
        valid[inside] = mask
        return image, valid

    def valid(self, window: Window | None, shape: tuple[int, int] | None = None) -> np.ndarray:
        """Whether pixels of a window within the scene are valid, bool; decimated to `shape` if given."""
        if self.averaged and shape is None:
            row, col, height, width = (0, 0, self.height, self.width) if window is None else _parts(window)
            return self._average(row, col, height, width)[1] > 0
        return self._read(self._stored_window(window), shape)[1] > 0

    @property
    def stretched(self) -> bool:
        """Whether values are stretched to 8 bit by percentiles."""
        if self.chosen.palette is not None or self.settings.stretch == "none":
            return False
        return not (self.settings.stretch == "auto" and self.dtype == np.uint8)

    def overview(self, side: int) -> tuple[np.ndarray, np.ndarray]:
        """Read the whole scene like `read`, decimated so that the longer side has about `side` pixels."""
        values, mask = self._read(None, _decimated(self.height, self.width, side))
        image = np.empty((3, *mask.shape), np.uint8)
        for row in range(0, mask.shape[0], STRIP):
            rows = slice(row, row + STRIP)
            image[:, rows] = self._to_8_bit(values[:, rows]) * mask[rows]
        return image, mask

    def stored_overview(self, side: int) -> tuple[np.ndarray, np.ndarray]:
        """Read `overview` with the values in the file, (3, h, w) of its type."""
        return self._read(None, _decimated(self.height, self.width, side))

    def _average(self, row: int, col: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Return means of the valid stored pixels (3, height, width) float64, and where at least half is valid {0, 1}.

        The window must be within the scene.
        """
        down, across = self.step
        rows = pixel_edges(row, height, down, self.stored.height)
        top, bottom = int(rows[0]), int(np.ceil(rows[-1]))
        values, mask = np.zeros((3, height, width)), np.zeros((height, width), np.uint8)
        # In 8 bit, 0 is a dark colour, also where 0 in all bands is no data.
        declared = self._raster.nodatavals
        gaps = [declared[band - 1] if self.stretched else None for band in self.chosen.bands]
        at_once = max(1, int(AVERAGED_AT_ONCE / (bottom - top) / across))
        for start in range(0, width, at_once):
            cols = pixel_edges(col + start, min(at_once, width - start), across, self.stored.width)
            left, right = int(cols[0]), int(np.ceil(cols[-1]))
            stored, valid = self._read(_window(top, left, bottom - top, right - left))
            some = (..., slice(start, start + len(cols) - 1))
            values[some], area = area_means(stored, valid, gaps, rows - top, cols - left)
            mask[some] = area >= LEAST_DATA * down * across - 1e-9
        return values, mask

    def _stored_window(self, window: Window | None) -> Window | None:
        """Return the window of stored pixels that a window of the scene covers."""
        if window is None or not self.averaged:
            return window
        (down, across), (row, col, height, width) = self.step, _parts(window)
        rows = pixel_edges(row, height, down, self.stored.height)[[0, -1]]
        cols = pixel_edges(col, width, across, self.stored.width)[[0, -1]]
        (top, bottom), (left, right) = (np.rint(edges).astype(int).tolist() for edges in (rows, cols))
        return _window(top, left, max(1, bottom - top), max(1, right - left))

    def _read(
        self, window: Window | None, shape: tuple[int, int] | None = None, far: tuple[float, ...] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        values, mask = self._stored(window, shape)
        nodata = self.settings.nodata
        given = () if nodata is None else nodata if isinstance(nodata, tuple) else (nodata,)
        for value in (*given, *(self.undeclared if far is None else far)):
            mask &= ~(values == value).all(axis=0)
        if self.chosen.palette is not None:
            colours = self.chosen.palette.apply(values[0])
            values, opaque = np.moveaxis(colours[..., :3], -1, 0), colours[..., 3] > 0
            mask &= opaque
        return values, mask.astype(np.uint8)

    @cached_property
    def _sample(self) -> tuple[np.ndarray, np.ndarray]:
        """Stored values of the whole raster on at most `STRETCH_SIDE` pixels a side, and where they are data.

        Undeclared no-data values count as data.
        """
        stored = self.stored
        shape = _decimated(stored.height, stored.width, STRETCH_SIDE)
        if shape == stored[:2] or not may_have_overviews(self._raster):
            return self._read(None, shape, ())
        rows, cols = sampled_lines(stored.height, shape[0]).tolist(), sampled_lines(stored.width, shape[1])
        values, mask = np.empty((3, *shape), self.dtype), np.empty(shape, np.uint8)
        for some in column_groups(cols, self._raster.block_shapes[0][1]):
            left, right = int(cols[some][0]), int(cols[some][-1]) + 1
            for index, row in enumerate(rows):
                line, valid = self._read(_window(row, left, 1, right - left), None, ())
                values[:, index, some], mask[index, some] = line[:, 0, cols[some] - left], valid[0, cols[some] - left]
        return values, mask

    def _stored(self, window: Window | None, shape: tuple[int, int] | None) -> tuple[np.ndarray, np.ndarray]:
        """Return values as stored in the file, and where they are data according to the file."""
        bands = list(self.chosen.bands)
        out_mask = {} if shape is None else {"out_shape": (3, *shape)}
        try:
            values = self._read_bands(bands, window, shape)
            mask = self._valid(self._raster.read_masks(bands, window=window, **out_mask) > 0)
            if self._alpha is not None:
                mask &= self._read_bands([self._alpha], window, shape)[0] > 0
        except RasterioError as error:
            raise InputError(
                f"{self.path}: pixels cannot be read ({first_cause(error)}); is the file complete?"
            ) from error
        if self._no_data is not None:
            mask &= ~(values == np.reshape(self._no_data, (3, 1, 1))).all(axis=0)
        if values.dtype.kind == "f":
            mask &= np.isfinite(values).all(axis=0)
        return values, mask

    def _read_bands(self, bands: list[int], window: Window | None, shape: tuple[int, int] | None) -> np.ndarray:
        out = {} if shape is None else {"resampling": Resampling.nearest}
        if not self._mixed:
            size = {} if shape is None else {"out_shape": (len(bands), *shape)}
            return self._raster.read(bands, window=window, **out, **size)
        # Rasterio can only read bands of different types one by one.
        band_size = {} if shape is None else {"out_shape": shape}
        return np.stack(
            [self._raster.read(band, window=window, **out, **band_size).astype(self.dtype) for band in bands]
        )

    def _valid(self, masks: np.ndarray) -> np.ndarray:
        """Combine the masks of three bands (3, h, w) bool to the valid pixels (h, w).

        A pixel has no data if all bands have their no-data value: in one band it is a dark colour. Alpha and masks
        of the file are the same for all bands.
        """
        flags = self._raster.mask_flag_enums
        by_value = np.array([MaskFlags.nodata in flags[band - 1] for band in self.chosen.bands])
        return masks[~by_value].all(axis=0) & (masks[by_value].any(axis=0) | ~by_value.any())

    @cached_property
    def undeclared(self) -> tuple[float, ...]:
        """Return no-data values that neither the file nor `tiles.nodata` declares."""
        if not self.stretched or self.dtype == np.uint8:
            return ()
        values, mask = self._sample
        found = undeclared_no_data(values[:, mask > 0])
        for value, share in found:
            log.warning(
                "%s: %.0f %% of its pixels are %.8g in all bands, far from all other values; treated as no-data, "
                "though the file does not declare it (gdal_edit.py -a_nodata %.8g, or 'tiles.nodata')",
                self.path, max(100 * share, 1), value, value,
            )  # fmt: skip
        return tuple(value for value, _ in found)

    @cached_property
    def limits(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return low and high value of each band that become 0 and 255; None if values are not stretched.

        Raises:
            InputError: The scene has no valid pixel.
        """
        if not self.stretched:
            return None
        far = self.undeclared
        values, mask = self._sample
        del self._sample  # some 10 MB, and not needed again
        for value in far:
            mask = mask * ~(values == value).all(axis=0)
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
        """Return the values (n,) of a band at valid pixels, without those that are no data in this band alone.

        Such pixels stay valid, because their other bands have data, but their value is excluded from the stretch.
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
            shown = values if self.white is None else self.white - values
            return shown if shown.dtype == np.uint8 else (shown + 0.5).astype(np.uint8)
        low, high = (limit[:, None, None] for limit in self.limits)
        scaled = (np.nan_to_num(values.astype(np.float64)) - low) / (high - low)
        bright = (np.clip(scaled, 0, 1) * 255 + 0.5).astype(np.uint8)
        return bright if self.white is None else 255 - bright


def _window(row: int, col: int, height: int, width: int) -> Window:
    return Window(col, row, width, height)


def _parts(window: Window) -> tuple[int, int, int, int]:
    """Return row, column, height and width."""
    return int(window.row_off), int(window.col_off), int(window.height), int(window.width)


def _sides_in_words(sides: tuple[float, float]) -> str:
    """Format as `0.5 m`, or for pixels that are not square `0.5 x 1.1 m`."""
    across, down = (f"{side:.3g}" for side in sides)
    return f"{across} m" if across == down else f"{across} x {down} m"


def _decimated(height: int, width: int, side: int) -> tuple[int, int]:
    """Return height and width with a whole number of pixels for one, so that neither exceeds `side` pixels."""
    scale = max(1, -(-max(height, width) // side))
    return max(1, height // scale), max(1, width // scale)
