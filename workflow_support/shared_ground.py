"""Held-out rasters that may show the ground of a training scene (`split.shared_ground: leave_out`)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from apsam.bounds import Bounds, boxes_touch
from apsam.errors import ApsamError
from apsam.scenes import Scene
from apsam.sidecar_files import sidecar_files
from workflow_support.memory import Memory


def held_out_near(name: str, scenes: Mapping[str, Scene], memory: Memory) -> list[Path]:
    """Return the rasters of other scenes that are measured on and whose boxes touch that of a training scene.

    One whose place is not known counts as near: its tiles are compared when the scene is cut.

    Args:
        name: A scene; one that does not train, or is no raster, has none.
        scenes: All of the sheet.
        memory: The cache of places.
    """
    scene = scenes[name]
    if scene.kind != "raster" or scene.split == "test" or scene.image is None:
        return []
    here = _place(scene.image, memory)
    others = (other for other in scenes.values() if other.kind == "raster" and other.name != name)
    images = [other.image for other in others if other.split != "train" and other.image is not None]
    return [image for image in images if _near(here, _place(image, memory))]


def _near(one: Bounds | None, other: Bounds | None) -> bool:
    return one is None or other is None or boxes_touch(one, other)


# Once a process: every training scene is compared with all that are held out.
@cache
def _place(image: Path, memory: Memory) -> Bounds | None:
    try:
        # A world file or a projection next to the image may say where it is.
        found = memory.of_file("place", image, lambda: _read(image), sidecar_files(image))
    except OSError:
        return None  # other checks say that it is missing
    return None if found is None else (found[0], found[1], found[2], found[3])


def _read(image: Path) -> Bounds | None:
    # Imported here: rasterio and pyproj take longer to import than everything else that a start of Snakemake imports.
    import rasterio
    from rasterio.errors import RasterioError

    from apsam.tiles.georeference import degrees_of, raster_bounds

    try:
        with rasterio.open(image) as raster:
            return degrees_of(raster.crs, raster_bounds(raster)) if raster.crs else None
    except (RasterioError, ApsamError):
        return None
