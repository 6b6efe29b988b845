"""Scenes cut into tiles: windows, pixels, image-level labels, parts of the split (`apsam.tiles.tiling` does it)."""
