"""Scenes cut into tiles: windows, pixels, image-level labels, parts of the split (`apsam.tiles.tiling` does it)."""

from apsam.tiles.reader import SceneReader
from apsam.tiles.settings import LabelSettings, SplitSettings, TileSettings
from apsam.tiles.windows import tile_windows

__all__ = ["LabelSettings", "SceneReader", "SplitSettings", "TileSettings", "tile_windows"]
