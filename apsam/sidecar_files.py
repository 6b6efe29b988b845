"""Sidecar files: files that GDAL and OGR read together with a named file, and the files that a list of files names.

Provenance includes them: georeference (world files, `.aux.xml`), headers
(`.hdr`), masks (`.msk`), overviews (`.ovr`), attributes and projections of Shapefiles, the log of a GeoPackage that
QGIS has open (`-wal`). They are found by name and text, because every start of the workflow does it; only rare formats
(`DESCRIPTIONS`) are opened.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

from apsam.files import sha256_file
from apsam.scenes import TILE_SUFFIXES
from apsam.vectors.layers import split_layer

VIRTUAL = ".vrt"

# Files that name the files of an image: virtual rasters, DIMAP of SPOT and Pleiades, TIL of WorldView.
LISTS = (VIRTUAL, ".xml", ".dim", ".til")
TIL_FILE = re.compile(r'filename\s*=\s*"([^"]+)"')

# Suffixes of other files that describe an image, whose pixels are in files that GDAL knows to find.
DESCRIPTIONS = (".ers", ".gti", ".lbl", ".toc")

# Suffixes appended to the whole name of a file: `scene.tif.aux.xml`, `grid.gpkg-wal`.
APPENDED = (*(".aux.xml", ".aux", ".ovr", ".ovr.aux.xml", ".msk", ".msk.ovr", ".hdr", ".prj", ".wld", ".gfs", ".csvt"),)

# The same for logs of SQLite, which lie next to the file that a symbolic link points to.
LOGS = ("-wal", "-journal")

# Suffixes that replace that of a file of any kind: world files, headers, projections, other georeferences.
REPLACED = (
    *(".hdr", ".prj", ".wld", ".aux", ".ovr", ".rrd", ".ige", ".clr", ".stx", ".blw", ".bpw", ".bqw", ".imd", ".rpb"),
    *(".tab", ".sdw", ".eww", ".pvl", ".lbl", ".csvt", ".xsd", ".gfs"),
)

# Suffixes of files that are read instead or in addition, by suffix: parts of one layer, bands of one image.
BY_SUFFIX = {
    ".shp": (".dbf", ".shx", ".prj", ".cpg", ".cst"),
    ".tab": (".dat", ".map", ".id", ".ind"),
    ".mif": (".mid",),
    ".til": (".imd", ".rpb"),
    ".mrf": (".idx", ".ppg", ".pjg", ".pzp", ".ptf", ".lrc", ".til", ".prj"),
}

# Suffixes for which `REPLACED` and world files are searched: a table has none.
VECTORS_WITHOUT = (".gpkg", ".geojson", ".json", ".fgb", ".kml", ".kmz", ".parquet", ".gpx", ".zip", ".sqlite")
TABLES = (".csv", ".txt", ".tsv")

# Suffixes appended to the stem of an image: coefficients of its sensor.
RPC = ("_rpc.txt", "_RPC.TXT", "_RPC.txt")

# Elements of a virtual raster or layer that name a file, in lower case, and words for a relative path.
SOURCES = ("sourcefilename", "sourcedataset", "srcdatasource")
TRUE = ("1", "yes", "true", "on")

# Locks that programs leave in a geodatabase.
LOCKS = (".lock",)

ARCHIVE_PREFIXES = ("/vsizip/", "/vsitar/", "/vsigzip/")


def sidecar_files(path: Path) -> list[Path]:
    """Return the files that are read with `path`, or in it, by name: images of a folder, sidecars, sources of an image.

    Missing files are left out. Of `file|layername=x` it is those of the file.
    """
    path, _ = split_layer(path)
    if path.is_dir():
        # Names sort much faster than paths: there may be 100,000.
        return [path / name for name in sorted(_in_folder(path))]
    found: set[Path] = set()
    _collect(path, found)
    return sorted(found - {path})


def image_checksum(path: Path) -> str:
    """Return the SHA-256 of an image file; of a folder or a list of files, that of all files read with it.

    Statistics and overviews do not count: programs write them when they open an image.
    """
    if path.is_file() and path.suffix.lower() not in (*LISTS, *DESCRIPTIONS):
        return sha256_file(path)
    files = [*([path] if path.is_file() else []), *sidecar_files(path)]
    lines = [f"{file.name} {sha256_file(file)}" for file in files if not file.name.endswith((".aux.xml", ".ovr"))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _collect(path: Path, found: set[Path]) -> None:
    """Add the sidecars of a file and the sources of an image in several, with theirs."""
    found.update(_sidecars(path))
    if path.suffix.lower() in DESCRIPTIONS:
        found.update(_described_in(path))
    if path.suffix.lower() in LISTS:
        for source in _named_in(path):
            if source not in found and source.is_file():
                found.add(source)
                _collect(source, found)


def _sidecars(path: Path) -> Iterator[Path]:
    suffix = path.suffix.lower()
    names = [f"{path.name}{ending}" for ending in APPENDED]
    if suffix in BY_SUFFIX:
        endings = BY_SUFFIX[suffix]
    elif suffix in VECTORS_WITHOUT:
        endings = ()
    elif suffix in TABLES:
        endings = (".csvt", ".prj")
    else:
        endings = (*REPLACED, *_world_file(suffix))
        names += [f"{path.stem}{ending}" for ending in RPC]
    names += [f"{path.stem}{text}" for ending in endings for text in (ending, ending.upper())]
    for name in dict.fromkeys(names):
        file = path.with_name(name)
        if name != path.name and file.is_file():
            yield file
    real = path
    if path.is_symlink():
        # SQLite writes next to the file that a link points to.
        with suppress(OSError, RuntimeError):  # links that point to each other
            real = path.resolve()
    yield from (log for log in (real.with_name(f"{real.name}{ending}") for ending in LOGS) if log.is_file())


def _world_file(suffix: str) -> tuple[str, ...]:
    """Return `.tfw`, `.tifw` for `.tif`: first and last letter and w, or all and w."""
    letters = suffix.removeprefix(".")
    return (f".{letters[0]}{letters[-1]}w", f".{letters}w") if len(letters) > 1 else ()


def _in_folder(folder: Path) -> Iterator[str]:
    """Yield images of a folder of ready-made tiles with their sidecars, or all files of a geodatabase but locks."""
    database = folder.suffix.lower() == ".gdb"
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name.lower()
            stem = name.removesuffix(".aux.xml").removesuffix(".msk")
            image = stem.endswith(TILE_SUFFIXES) and not name.startswith(".")
            if (not name.endswith(LOCKS) if database else image) and entry.is_file():
                yield entry.name


def _described_in(path: Path) -> Iterator[Path]:
    """Yield the files of an image, as GDAL lists them; none if it cannot be read."""
    # Imported here: it takes longer than all else that a start of the workflow imports.
    import rasterio
    from rasterio.errors import RasterioError

    with suppress(RasterioError), rasterio.open(path) as raster:
        yield from (file for file in map(Path, raster.files) if file != path and file.is_file())


def _named_in(raster: Path) -> Iterator[Path]:
    """Files that a list of files names; none if it cannot be read, which opening it later reports."""
    kind = raster.suffix.lower()
    with suppress(OSError, ElementTree.ParseError):
        if kind == ".til":
            yield from (raster.parent / name for name in TIL_FILE.findall(raster.read_text(encoding="latin-1")))
            return
        elements = ElementTree.parse(raster).iter()
        if kind == VIRTUAL:
            yield from _sources(elements, raster.parent)
        else:
            # Components of a volume of DIMAP, and files of pixels.
            yield from (raster.parent / element.attrib["href"] for element in elements if "href" in element.attrib)


def _sources(elements: Iterable[ElementTree.Element], folder: Path) -> Iterator[Path]:
    """Sources of a virtual raster or layer in a folder."""
    for element in elements:
        # GDAL ignores the case of names.
        if element.tag.lower() in SOURCES and element.text:
            text = element.text.strip()
            attributes = {name.lower(): value for name, value in element.attrib.items()}
            relative = attributes.get("relativetovrt", "0").strip().lower() in TRUE
            archive = next((prefix for prefix in ARCHIVE_PREFIXES if text.startswith(prefix)), None)
            if archive is None:
                yield Path(folder if relative else "", text)
                continue
            inside = Path(text.removeprefix(archive))
            yield from (Path(folder if relative else "", part) for part in (inside, *inside.parents[:-1]))
