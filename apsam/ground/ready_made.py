"""What image-level labels say of the ground of ready-made tiles, where the files know where they lie.

Ready-made tiles have no common pixel grid, so there is no map: every tile gets its own array. GeoTIFFs carry a
coordinate reference system and a transform; tiles in other formats, and GeoTIFFs without, say nothing about others.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import shapely
from affine import Affine
from pyproj import CRS, Transformer
from rasterio.errors import RasterioError
from rasterio.features import rasterize
from shapely.strtree import STRtree

from apsam.errors import InputError
from apsam.ground.labels import FREE, POSSIBLE, UNKNOWN
from apsam.stack import TileStack, TileStackWriter
from apsam.tiles.open_raster import open_quietly
from apsam.tiles.parts import NEITHER

log = logging.getLogger(__name__)

BATCH = 64
# Points along each side of a tile's outline, so that it stays in place in another coordinate system.
POINTS_A_SIDE = 8


def make_tile_ground_labels(tiles: Path, folder: Path, output: Path) -> None:
    """Write what labels say of the ground of ready-made tiles: `ground` (n, size, size) uint8 for each tile.

    Values: 0 where a tile labelled negative covers the pixel, 1 elsewhere in tiles labelled positive, 255 elsewhere.

    Args:
        tiles: Tile stack of the folder, or those of its blocks joined.
        folder: The files that it was made of.
        output: Stack to write.

    Raises:
        InputError: A file of the stack is missing from the folder.
    """
    with TileStack(tiles) as stack:
        names, size = stack.attributes["names"], int(stack.attributes["tile_size"])
        if names is None:
            raise InputError(f"{tiles}: contains tiles of a raster scene, not of a folder; do not name a folder")
        labels, known = stack.read("label"), stack.read("part") != NEITHER
        scene = stack.attributes["scene"]
    places = [_georeference(folder / name, size) for name in names]
    crs = next((place[0] for place in places if place is not None), None)
    if crs is None:
        log.info("%s: no tile knows where it lies, so labels of overlapping tiles say nothing", folder)
    negative = np.flatnonzero((labels == FREE) & known)
    outlines = [_outline(places[index], size, crs) for index in negative]
    tree = STRtree([outline for outline in outlines if outline is not None])
    attributes = {"scene": scene, "kind": "folder", "names": names}
    with TileStackWriter(output, attributes, {"ground": ((size, size), "uint8")}) as writer:
        for start in range(0, len(names), BATCH):
            some = range(start, min(start + BATCH, len(names)))
            own = [
                _ground_of(places[i], size, crs, tree, int(labels[i]) if known[i] or labels[i] == POSSIBLE else UNKNOWN)
                for i in some
            ]
            writer.append(ground=np.stack(own))


def _georeference(file: Path, size: int) -> tuple[CRS, Affine] | None:
    """Coordinate reference system and transform of a tile's pixels in the stack; None where the file has none."""
    if not file.is_file():
        raise InputError(f"{file}: no such file, but the tile stack names it; run the tile stage again")
    if file.suffix.lower() not in (".tif", ".tiff"):
        return None
    try:
        with open_quietly(file) as raster:
            if raster.crs is None or raster.transform == Affine.identity():
                return None
            scale = Affine.scale(raster.width / size, raster.height / size)
            return CRS.from_user_input(raster.crs.to_wkt()), raster.transform @ scale
    except RasterioError as error:
        raise InputError(f"{file}: not an image that can be read ({error})") from error


def _outline(place: tuple[CRS, Affine] | None, size: int, crs: CRS | None) -> shapely.Polygon | None:
    """A tile's outline in another coordinate reference system."""
    if place is None or crs is None:
        return None
    along = np.linspace(0, size, POINTS_A_SIDE, endpoint=False)
    x = np.concatenate([along, np.full(POINTS_A_SIDE, size), size - along, np.zeros(POINTS_A_SIDE)])
    y = np.concatenate([np.zeros(POINTS_A_SIDE), along, np.full(POINTS_A_SIDE, size), size - along])
    corners = place[1] @ (x, y)  # type: ignore[operator]  # affine's types leave out that it takes arrays
    if place[0] != crs:
        corners = Transformer.from_crs(place[0], crs, always_xy=True).transform(*corners)
    return shapely.Polygon(np.transpose(corners))


def _ground_of(
    place: tuple[CRS, Affine] | None, size: int, crs: CRS | None, negative: STRtree, label: int
) -> np.ndarray:
    if label == FREE:
        return np.full((size, size), FREE, np.uint8)
    ground = np.full((size, size), label, np.uint8)
    own = _outline(place, size, crs)
    if own is None or place is None or crs is None:
        return ground
    covering = negative.geometries[negative.query(own, predicate="intersects")]
    if len(covering):
        to_tile = ~place[1]
        shapes = [_in_pixels(outline, crs, place[0], to_tile) for outline in covering]
        covered = rasterize(shapes, (size, size), dtype="uint8")
        ground[covered > 0] = FREE
    return ground


def _in_pixels(outline: shapely.Polygon, crs: CRS, target: CRS, to_tile: Affine) -> shapely.Polygon:
    x, y = shapely.get_coordinates(outline).T
    if crs != target:
        x, y = Transformer.from_crs(crs, target, always_xy=True).transform(x, y)
    pixels = to_tile @ (np.asarray(x), np.asarray(y))  # type: ignore[operator]  # affine's types leave out that it takes arrays
    return shapely.Polygon(np.transpose(pixels))
