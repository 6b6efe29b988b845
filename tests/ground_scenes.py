"""Small raster scenes and their tile stacks, for tests of the scene-wide stages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rasters import write_raster

from apsam.ground.raster import Grid, GridReader, GridWriter
from apsam.scenes import Scene
from apsam.stack import TileStack, TileStackWriter
from apsam.tiles.blocks import Block
from apsam.tiles.settings import LabelSettings, SplitSettings, TileSettings
from apsam.tiles.tiling import tile_scene

SIZE = 64
TILES = TileSettings(size=SIZE, overlap=0.4)


def make_scene(
    folder: Path,
    height: int = 300,
    width: int = 200,
    split: str = "train",
    name: str = "valley",
    blocks: int = 1,
    tiling: TileSettings = TILES,
) -> tuple[Path, list[Path], np.ndarray]:
    """A grey scene with two bright landslides and a strip without data on the right: image, tile stacks, mask."""
    rng = np.random.default_rng(5)
    mask = np.zeros((height, width), np.uint8)
    mask[30:70, 20:60] = 1
    mask[height - 60 : height - 30, width - 80 : width - 40] = 1
    image = rng.integers(40, 90, (3, height, width)).astype(np.uint8)
    image[:, mask == 1] += 120
    image[:, :, -10:] = 0
    source = write_raster(folder / f"{name}.tif", image, nodata=0)
    reference = write_raster(folder / f"{name}_mask.tif", mask[None])
    scene = Scene(name, "raster", source, None, reference, split)
    stacks = []
    for number in range(1, blocks + 1):
        stacks.append(folder / f"{name}.b{number:03d}.zarr.zip")
        settings = SplitSettings(block=100)
        tile_scene(scene, tiling, LabelSettings(), settings, stacks[-1], Block(number, blocks))
    return source, stacks, mask


def relabel(tiles: Path, label: dict[int, int] | None = None, part: dict[int, int] | None = None) -> None:
    """Change labels or parts of some tiles of a stack."""
    with TileStack(tiles) as stack:
        arrays = {name: stack.read(name) for name in stack.arrays}
        attributes, specs = stack.attributes, stack.arrays
    for name, changes in (("label", label), ("part", part)):
        for index, value in (changes or {}).items():
            arrays[name][index] = value
    with TileStackWriter(tiles, attributes, specs) as writer:
        writer.append(**arrays)


def write_grid(path: Path, tiles: Path, values: np.ndarray, nodata: int = 255) -> Path:
    """(h, w) or (bands, h, w) as a raster on the grid of a scene."""
    values = values if values.ndim == 3 else values[None]
    bands = [f"band {number}" for number in range(len(values))]
    with GridWriter(path, Grid.of_tiles(tiles), bands, str(values.dtype), nodata, {}) as writer:
        writer.write(0, values)
    return path


def read_grid(path: Path, band: int = 1) -> np.ndarray:
    """A whole raster."""
    with GridReader(path) as raster:
        return raster.read(0, 0, raster.height, raster.width, band=band)
