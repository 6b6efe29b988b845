"""Scenes cut into tiles: windows, pixels, image-level labels, parts of the split (see `apsam.tiles.tiling`)."""
