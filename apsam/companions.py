"""Files that are read with a file that is named: those of a folder, of a Shapefile, of a virtual raster.

Whoever notes what a result was made from has to look at these too. Only names and text are looked at here, no raster is
opened: the workflow asks in every job.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from apsam.scenes import TILE_SUFFIXES

VIRTUAL = ".vrt"
SIDECARS = {
    ".shp": (".dbf", ".shx", ".prj", ".cpg"),
    ".tif": (".tfw",),
    ".tiff": (".tfw",),
}
# Elements of a virtual raster that name a file.
SOURCES = ("SourceFilename", "SourceDataset")


def companions(path: Path) -> list[Path]:
    """The files that are read with `path`, or in it, by name: images of a folder, sidecars, sources of a .vrt.

    What is named, but is not there, or not a file of its own (/vsizip/...), is left out.
    """
    if path.is_dir():
        with os.scandir(path) as entries:
            return sorted(path / e.name for e in entries if e.name.lower().endswith(TILE_SUFFIXES) and e.is_file())
    suffix = path.suffix.lower()
    if suffix == VIRTUAL:
        return sorted(_sources(path, set()))
    both_cases = (path.with_suffix(text) for ending in SIDECARS.get(suffix, ()) for text in (ending, ending.upper()))
    return [file for file in both_cases if file.is_file()]


def _sources(raster: Path, seen: set[Path]) -> set[Path]:
    """The files of a virtual raster and of those that it is made of."""
    for file in _named_in(raster):
        if file not in seen and file.is_file():
            seen.add(file)
            if file.suffix.lower() == VIRTUAL:
                _sources(file, seen)
    return seen


def _named_in(raster: Path) -> Iterator[Path]:
    try:
        tree = ElementTree.parse(raster)
    except (OSError, ElementTree.ParseError):
        return  # whoever opens it says what is wrong
    for element in tree.iter():
        if element.tag in SOURCES and element.text:
            yield Path(raster.parent if element.get("relativeToVRT") == "1" else "", element.text.strip())
