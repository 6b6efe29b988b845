"""Open files of vector data: archives, GeoParquet, encodings."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from apsam.errors import InputError, no_such
from apsam.file_content import content_hint

if TYPE_CHECKING:
    import geopandas as gpd

PARQUET_SUFFIXES = (".parquet", ".geoparquet")

ARCHIVES = (".zip", ".kmz")

VECTOR_SUFFIXES = (
    *(".gpkg", ".geojson", ".json", ".geojsonl", ".topojson", ".shp", ".fgb", ".kml", ".gpx", ".gdb", ".gml", ".tab"),
    *(".mif", ".sqlite", ".dxf"),
    *PARQUET_SUFFIXES,
    *ARCHIVES,
)

# GPX: vertices of the routes and tracks, which are layers themselves.
GPX_VERTICES = ("route_points", "track_points")


def stamped(file: Path) -> tuple[Path, tuple[int, ...]]:
    """Return a file, and times and sizes of all files that it is read with; these are the key of a cache.

    Raises:
        InputError: There is no such file.
    """
    if not file.exists():
        raise no_such("vector layer", file)
    real = file.resolve()  # SQLite writes its log next to the file that a link points to
    watched = [file, real.with_name(f"{real.name}-wal"), file.with_suffix(".prj"), file.with_suffix(".dbf")]
    stamp: list[int] = []
    for one in watched:
        if one.exists():
            status = one.stat()
            stamp += [status.st_mtime_ns, status.st_size]
    return file, tuple(stamp)


def raw_layers(file: Path, refuse: bool = False) -> list[tuple[str, str | None]]:
    """Return name and geometry type (None for a table) of all layers.

    Args:
        file: The file.
        refuse: Whether a file that GDAL cannot read is an error; otherwise it has no layers.

    Raises:
        InputError: GDAL cannot read the file, if `refuse`.
    """
    import pyogrio

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [(str(name), kind) for name, kind in pyogrio.list_layers(dataset_path(file))]
    except Exception as error:  # GDAL's drivers raise many kinds
        if not refuse:
            return []
        if isinstance(error, InputError):
            raise
        # The rest of the message is about drivers.
        said, hint = str(error).partition("; It might help")[0], content_hint(file)
        raise InputError(
            f"{file}: not a vector layer that GDAL can read, so it gives no features ({said}){hint}"
        ) from error


@contextmanager
def decoding(file: Path) -> Iterator[None]:
    """Raise InputError if text of a layer does not have the encoding that its file declares.

    Shapefiles may have any encoding; the file `.cpg` next to it may name a wrong one.
    """
    try:
        yield
    except UnicodeDecodeError as error:
        remedy = "open it in QGIS with the right encoding, and export it as GeoPackage"
        if file.suffix.lower() == ".shp":
            remedy = f"write the right one into {file.stem}.cpg, for example GBK or ISO-8859-1, or {remedy}"
        raise InputError(
            f"{file}: text in its columns is not {error.encoding.upper()}, as the file says (byte "
            f"0x{error.object[error.start]:02x}); {remedy}"
        ) from error


def is_kml(file: Path) -> bool:
    """Whether a file is a KML, whose layers are folders of one document, also in an archive."""
    return dataset_path(file).lower().endswith((".kml", ".kmz"))


def dataset_path(file: Path) -> str:
    """Return the path that GDAL opens: in an archive, that of its only dataset.

    Raises:
        InputError: A `.zip` file is not an archive, or does not contain exactly one dataset.
    """
    if file.suffix.lower() != ".zip":
        return str(file)
    try:
        with zipfile.ZipFile(file) as archive:
            members = [name for name in archive.namelist() if not name.startswith("__MACOSX/")]
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(f"{file}: not a zip archive ({error}){content_hint(file)}") from error
    databases = {name[: name.lower().index(".gdb/") + 4] for name in members if ".gdb/" in name.lower()}
    endings = tuple(suffix for suffix in VECTOR_SUFFIXES if suffix not in (*ARCHIVES, ".gdb"))
    files = [name for name in members if name.lower().endswith(endings)]
    shapefiles = [name for name in files if name.lower().endswith(".shp")]
    root = f"/vsizip/{file.absolute()}"
    if len(shapefiles) > 1 and len(shapefiles) == len(files) and not databases:
        folders = {name.rpartition("/")[0] for name in shapefiles}
        if len(folders) == 1:
            return f"{root}/{folders.pop()}".rstrip("/")
    sets = [*sorted(databases), *files]
    if len(sets) != 1:
        listed = ", ".join(sets[:5]) or f"none in {', '.join(members[:3]) or 'an empty archive'}"
        raise InputError(
            f"{file}: an archive must contain one vector layer; its datasets: {listed}; unpack it and name the right "
            f"one"
        )
    return f"{root}/{sets[0]}"


def holds_raster(file: Path) -> bool:
    """Whether GDAL can open a file as a raster, or finds several in it."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(file) as raster:
                return bool(raster.count > 0 or raster.subdatasets)
    except (RasterioError, UnicodeDecodeError):
        return False


def read_parquet(file: Path) -> gpd.GeoDataFrame:
    """Read a GeoParquet file.

    Raises:
        InputError: pyarrow is not installed, or the file is not GeoParquet.
    """
    import geopandas as gpd

    try:
        return gpd.read_parquet(file)
    except ImportError as error:
        raise InputError(f"{file}: GeoParquet needs the package pyarrow: pip install pyarrow") from error
    except Exception as error:
        raise InputError(f"{file}: not a GeoParquet file that can be read ({error})") from error
