"""The true landslide mask of a scene, read window by window on the scene's own pixels.

Read by the metrics, the report, and, to derive image-level labels as the paper does, by the tile stage; by nothing
else.
"""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from functools import lru_cache
from math import ceil
from pathlib import Path
from typing import Protocol

import numpy as np
import rasterio
import shapely
from affine import Affine
from rasterio.crs import CRS as RasterCRS
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.features import rasterize
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform as transform_points
from rasterio.windows import Window
from rasterio.windows import transform as window_transform
from shapely.strtree import STRtree

from apsam.datums import datum_shift, proj_crs
from apsam.errors import InputError
from apsam.tiles.georeference import check_placed, degrees_of, turn_to
from apsam.tiles.labels import check_no_negatives
from apsam.tiles.mask_values import NO_DATA, MaskRule, Sample, check_mask_type, find_rule, plane
from apsam.tiles.outlines import outline
from apsam.tiles.photometry import Palette, is_lossy, masked_out, palette_of, white_is_zero
from apsam.tiles.reader import SceneReader, open_raster
from apsam.vectors.layers import is_vector
from apsam.vectors.place import read_shapes
from apsam.vectors.read import read_layer

__all__ = ["NO_DATA", "ReferenceMaskReader"]

log = logging.getLogger(__name__)

# Polygon, MultiPolygon, GeometryCollection, as GEOS numbers them.
AREAS = (3, 6, 7)

# Points along each side of a mask that is reprojected, between which its outline is taken for straight.
SIDE_POINTS = 64

# Pixels of a mask that are looked at to find out what its values mean; a larger one is sampled, in whole rows of
# blocks.
SAMPLE_PIXELS = 16_000_000
SAMPLE_WINDOWS = 256

# Where a scene is read on coarser pixels: parts a side at most that one of them is divided into to find what most of it
# is, and parts that are read at once.
FINEST, AT_ONCE = 8, 4_000_000


class ReferenceMaskReader:
    """Windows of a mask raster or a polygon layer as {0, 1, 255}.

    What the values of a raster mean, `apsam.tiles.mask_values` decides for the whole of it: unknown (255) is where it
    does not cover the scene, has its declared no-data value in all bands, or no finite one. A declared no-data
    value of 0, as QGIS's Rasterize writes, and full transparency mean background (0): with them as unknown, only
    landslide pixels would be labelled, and any map would score 1.0. A raster of another CRS, shape or place is
    reprojected (nearest); without a CRS it must have the scene's shape. Polygons are burnt with the pixel-centre rule.
    Where the scene is read on coarser pixels (`tiles.resolution_m`), a pixel of a raster is what most of it is.

    Args:
        path: Mask raster or vector layer (`file.gpkg|layername=landslides` of several).
        scene: The scene whose grid is wanted; must stay open.
        values: What the raster's values mean, where they are ambiguous (`mask_values` of the scene sheet).

    Attributes:
        note: What was understood of it where that is not plain, or None.
        no_data: The value that a raster declares for pixels that were not examined, or None.

    Raises:
        InputError: The mask cannot be read, cannot be placed on the scene, holds no polygons, or leaves open what is
            landslide.
    """

    def __init__(self, path: Path | str, scene: SceneReader, values: str | None = None) -> None:
        self.path = Path(path)
        self._scene = scene
        vector = is_vector(self.path)
        self._mask: _Mask = _PolygonMask(self.path, scene) if vector else _RasterMask(self.path, scene, values)
        self.note = self._mask.note
        self.no_data = self._mask.no_data

    def __enter__(self) -> ReferenceMaskReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the mask."""
        self._mask.close()

    def overview(self, side: int) -> np.ndarray:
        """The whole scene by every so many pixels, the longer side about `side`: uint8 as of `read`."""
        height, width = self._scene.height, self._scene.width
        step = max(1, max(height, width) // side)
        return self._mask.overview(max(1, height // step), max(1, width // step))

    def read(self, row: int, col: int, height: int, width: int) -> np.ndarray:
        """One window, which may stick out of the scene. (height, width) uint8: 0 not, 1 landslide, 255 unknown."""
        reference = np.full((height, width), NO_DATA, np.uint8)
        top, left = max(row, 0), max(col, 0)
        bottom, right = min(row + height, self._scene.height), min(col + width, self._scene.width)
        if bottom > top and right > left:
            known = self._mask.read(top, left, bottom - top, right - left)
            reference[top - row : bottom - row, left - col : right - col] = known
        return reference


def mask_polygons(path: Path, scene: SceneReader) -> np.ndarray:
    """The polygons of a mask's layer near a scene, in its CRS.

    Raises:
        InputError: The layer holds points or lines there, or nothing else anywhere.
    """
    check_no_negatives(path)
    shapes = read_shapes(path, scene.crs, scene.bounds)
    everywhere = np.asarray(read_layer(path).geometry.array)
    some_are_areas = np.isin(shapely.get_type_id(everywhere), AREAS).any()
    others = Counter(
        shape.geom_type
        for shape in (shapes if some_are_areas else everywhere)
        if shapely.get_type_id(shape) not in AREAS
    )
    if not others:
        return shapes
    listed = ", ".join(f"{count} x {kind}" for kind, count in sorted(others.items()))
    lines = any("Line" in kind or "Ring" in kind for kind in others)
    remedy = (
        "make polygons of closed lines (QGIS: Vector geometry > Lines to polygons)"
        if lines
        else "put points into the column 'labels' (with 'labels.buffer_m'), and leave 'mask' empty"
    )
    raise InputError(
        f"{path}: holds {listed}, of which no landslide's extent can be taken; a mask needs outlines as polygons: "
        f"{remedy}"
    )


class _Mask(Protocol):
    """A mask by windows within the scene."""

    note: str | None
    no_data: float | None

    def overview(self, height: int, width: int) -> np.ndarray:
        """The whole scene on (height, width) pixels."""

    def read(self, row: int, col: int, height: int, width: int) -> np.ndarray:
        """(height, width) uint8 {0, 1, 255}."""

    def close(self) -> None:
        """Close what is open."""


class _PolygonMask:
    """Polygons, of which each window burns only those that touch it."""

    note: str | None = None
    no_data: float | None = None

    def __init__(self, path: Path, scene: SceneReader) -> None:
        self._transform, self._size = scene.transform, (scene.height, scene.width)
        self._shapes = mask_polygons(path, scene)
        self._tree = STRtree(self._shapes)

    def read(self, row: int, col: int, height: int, width: int) -> np.ndarray:
        near = self._tree.query(outline(self._transform, row, col, height, width))
        if not len(near):
            return np.zeros((height, width), np.uint8)
        place = window_transform(Window(col, row, width, height), self._transform)
        return rasterize(self._shapes[near], (height, width), transform=place, fill=0, default_value=1, dtype="uint8")

    def overview(self, height: int, width: int) -> np.ndarray:
        place = self._transform @ Affine.scale(self._size[1] / width, self._size[0] / height)
        if not len(self._shapes):
            return np.zeros((height, width), np.uint8)
        return rasterize(self._shapes, (height, width), transform=place, all_touched=True, dtype="uint8")

    def close(self) -> None:
        pass


class _RasterMask:
    """A raster, laid on the scene's grid."""

    def __init__(self, path: Path, scene: SceneReader, values: str | None) -> None:
        self._path, self._scene = path, scene
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            self._raster = open_raster(path)
        self._bands, alpha = colour_bands(self._raster)
        self.no_data = _no_data_of(self._raster, path)
        self._placed = self._raster.crs is not None
        check_mask_location(self._raster, path, scene)
        self._rule, self._palette, self._inverted, _ = mask_rule(path, values)
        self.note = self._rule.note
        self._finer = min(FINEST, ceil(max(scene.step) - 0.1))
        self._aligned = self._align()
        # GDAL leaves out transparent pixels, as it does those that the mask does not cover.
        self._cover = self._outline() if alpha and self.no_data is None else None

    def close(self) -> None:
        self._aligned.close()
        self._raster.close()

    def read(self, row: int, col: int, height: int, width: int) -> np.ndarray:
        finer = self._finer
        if finer == 1:
            return self._read(Window(col, row, width, height), (height, width))
        read = np.empty((height, width), np.uint8)
        at_once = max(1, AT_ONCE // (height * finer**2))
        for left in range(0, width, at_once):
            wide = min(at_once, width - left)
            shape = (height * finer, wide * finer)
            parts = self._read(Window((col + left) * finer, row * finer, shape[1], shape[0]), shape)
            read[:, left : left + wide] = most_frequent(parts, finer)
        return read

    def overview(self, height: int, width: int) -> np.ndarray:
        return self._read(Window(0, 0, self._aligned.width, self._aligned.height), (height, width))

    def _read(self, window: Window, shape: tuple[int, int]) -> np.ndarray:
        try:
            values = self._aligned.read(self._bands, window=window, out_shape=(len(self._bands), *shape))
        except RasterioError as error:
            raise InputError(f"{self._path}: pixels cannot be read ({error}); is the file complete?") from error
        # Of a colour, one channel may be the no-data value by chance.
        missing = ~np.isfinite(values).any(axis=0)
        transparent = np.zeros_like(missing)
        if self._cover is not None:
            place = window_transform(window, self._aligned.transform)
            place = place @ Affine.scale(window.width / shape[1], window.height / shape[0])
            transparent = missing & (rasterize([self._cover], shape, transform=place, fill=0, dtype="uint8") == 1)
            missing &= ~transparent
        numbers = _numbers(np.nan_to_num(values), self._palette, self._inverted)
        numbers = np.where(missing | transparent, 0, numbers)
        read = self._rule.apply(numbers, missing | transparent, self._path)
        return np.where(transparent, 0, read).astype(np.uint8)

    def _align(self) -> WarpedVRT:
        raster, scene = self._raster, self._scene
        crs, transform = scene.crs, scene.stored.transform
        if self._placed:
            target = proj_crs(scene.crs.to_wkt())
            shift = datum_shift(proj_crs(raster.crs.to_wkt()), target, degrees_of(scene.crs, scene.bounds))
            if shift.note is not None:
                log.warning("%s: %s", self._path, shift.note)
            crs = RasterCRS.from_wkt(shift.wkt) if shift.crs.is_bound else raster.crs
            transform = turn_to(raster.transform, raster.shape, raster.crs, scene.crs, scene.bounds, self._path)
        # As numbers that have a value no mask has: all that is not known is NaN.
        return WarpedVRT(
            raster,
            src_crs=crs,
            src_transform=transform,
            crs=scene.crs,
            transform=scene.transform @ Affine.scale(1 / self._finer),
            width=scene.width * self._finer,
            height=scene.height * self._finer,
            resampling=Resampling.nearest,
            src_nodata=self.no_data,
            nodata=np.nan,
            dtype="float64",
        )

    def _outline(self) -> shapely.Polygon:
        """What the raster covers, in the scene's CRS."""
        raster, scene = self._raster, self._scene
        if not self._placed:
            return outline(scene.transform, 0, 0, scene.height, scene.width)
        longest = max(raster.shape)
        pixels = shapely.segmentize(shapely.box(0, 0, raster.width, raster.height), longest / SIDE_POINTS)
        corners = [raster.transform @ point for point in pixels.exterior.coords]
        return shapely.Polygon(zip(*transform_points(raster.crs, scene.crs, *zip(*corners, strict=True)), strict=True))


def most_frequent(values: np.ndarray, side: int) -> np.ndarray:
    """What most pixels of each square of a mask are: landslide of those known, where at least half is known.

    Args:
        values: (h * side, w * side) uint8 {0, 1, 255}.
        side: Of a square, pixels.

    Returns:
        (h, w) uint8 {0, 1, 255}.
    """
    squares = values.reshape(values.shape[0] // side, side, -1, side)
    landslide, known = ((squares == 1).sum(axis=(1, 3)), (squares != NO_DATA).sum(axis=(1, 3)))
    return np.where(2 * known < side**2, NO_DATA, 2 * landslide >= np.maximum(known, 1)).astype(np.uint8)


def colour_bands(raster: rasterio.DatasetReader) -> tuple[list[int], bool]:
    """The bands of a raster that are no alpha, and whether there is one that is."""
    alpha = [kind == ColorInterp.alpha for kind in raster.colorinterp]
    return [band for band, none in zip(raster.indexes, alpha, strict=True) if not none], any(alpha)


def check_mask_header(path: Path, scene: SceneReader) -> None:
    """Raise InputError where the header of a mask raster shows that it cannot be laid on a scene."""
    with open_raster(path) as raster:
        check_mask_location(raster, path, scene)


def check_mask_location(raster: rasterio.DatasetReader, path: Path, scene: SceneReader) -> None:
    """Raise InputError unless a mask raster has its own place, or none at all and the scene's shape."""
    if raster.crs is not None:
        check_placed(raster, path, "the mask")
        return
    if raster.gcps[0]:
        check_placed(raster, path, "the mask")
    stored = scene.stored
    if raster.shape != (stored.height, stored.width):
        raise InputError(
            f"{path}: is {raster.width} x {raster.height} px without a CRS, the scene {scene.path} is "
            f"{stored.width} x {stored.height}; give the mask a CRS and it will be reprojected"
        )
    if not raster.transform.is_identity and not raster.transform.almost_equals(
        stored.transform, precision=scene.resolution / 1000
    ):
        raise InputError(
            f"{path}: has no coordinate reference system, and its geotransform is not that of the scene {scene.path}; "
            f"assign the right one, for example: gdal_edit.py -a_srs {scene.crs.to_string()} {path}"
        )


def mask_rule(path: Path, values: str | None = None) -> tuple[MaskRule, Palette | None, float | None, Sample]:
    """How the values of a mask raster are read.

    Args:
        path: The raster.
        values: `mask_values` of the scene sheet.

    Returns:
        The rule, the mask's palette, the value of white where 0 is white (or None), and the values that were found.

    Raises:
        InputError: They leave open what is landslide.
    """
    status = path.stat()
    return _mask_rule(path, values, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=32)
def _mask_rule(path: Path, values: str | None, *_: int) -> tuple[MaskRule, Palette | None, float | None, Sample]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        raster = open_raster(path)
    with raster:
        bands, alpha = colour_bands(raster)
        if not bands:
            raise InputError(
                f"{path}: its only band is declared as transparency (alpha); if it is the mask, declare it as grey: "
                f"gdal_edit.py -colorinterp_1 gray {path}"
            )
        palette, inverted = palette_of(raster), white_is_zero(raster)
        check_mask_type(path, raster.dtypes[bands[0] - 1])
        if values:
            inverted = None  # the numbers that are said are those of the file
        sample = Sample.of(np.dtype(raster.dtypes[bands[0] - 1]), is_lossy(raster))
        no_data = None if raster.nodata == 0 else raster.nodata
        try:
            for window in _sample_windows(raster):
                read = raster.read(bands, window=window)
                missing = np.zeros(read.shape[1:], bool)
                if read.dtype.kind == "f":
                    missing |= ~np.isfinite(read).any(axis=0)
                    read = np.nan_to_num(read)
                if no_data is not None:
                    missing |= (read == no_data).all(axis=0)
                if (hidden := masked_out(raster, window)) is not None:
                    missing |= hidden
                if palette is None and inverted is not None:
                    read = _inverted_values(read, inverted)
                sample.add(read, missing, raster.dataset_mask(window=window) == 0 if alpha else None)
                if sum(sample.counts.values()) >= SAMPLE_PIXELS and len(sample.counts) > 1:
                    break
        except (RasterioError, ValueError) as error:
            raise InputError(f"{path}: pixels cannot be read ({error}); is the file complete?") from error
    return find_rule(path, sample, values, palette), palette, inverted, sample


def _sample_windows(raster: rasterio.DatasetReader) -> list[Window]:
    """All of a raster in strips; of a large one first strips evenly spaced, then the others."""
    tall = max(raster.block_shapes[0][0], -(-raster.height // SAMPLE_WINDOWS))
    tall = -(-tall // raster.block_shapes[0][0]) * raster.block_shapes[0][0]
    wide = max(1, min(raster.width, SAMPLE_PIXELS // tall))
    strips = [
        Window(left, top, min(wide, raster.width - left), min(tall, raster.height - top))
        for top in range(0, raster.height, tall)
        for left in range(0, raster.width, wide)
    ]
    step = max(1, raster.height * raster.width // SAMPLE_PIXELS + 1)
    if step == 1:
        return strips
    first = strips[::step]
    return first + [strip for index, strip in enumerate(strips) if index % step]


def _numbers(values: np.ndarray, palette: Palette | None, inverted: float | None) -> np.ndarray:
    """One number a pixel, as `mask_rule` counts them."""
    if palette is None and inverted is not None:
        values = _inverted_values(values, inverted)
    return plane(values)


def _inverted_values(values: np.ndarray, white: float) -> np.ndarray:
    return (white - values).astype(values.dtype)


def _no_data_of(raster: rasterio.DatasetReader, path: Path) -> float | None:
    if raster.nodata == 0:
        log.warning(
            "%s: its declared no-data value is 0, which is treated as 'no landslide', not as 'unknown'; "
            "where nothing was mapped, write another value, for example 255, and declare that",
            path,
        )
        return None
    declared: float | None = raster.nodata
    return declared
