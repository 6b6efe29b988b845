"""Inputs of typical users, made for tests: scenes, layers, masks, and the scene sheet that names them."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
from rasterio.transform import from_origin
from rasters import write_raster
from shapely import Geometry, Point, box

from apsam.inputs import Report, check
from apsam.scenes import read_scene_sheet
from apsam.stack import TileStack
from apsam.tiles.settings import LabelSettings, SplitSettings, TileSettings
from apsam.tiles.tiling import tile_scene

UTM = "EPSG:32648"
SIDE = 160
LEFT, TOP = 500000.0, 3000000.0
PLACE = from_origin(LEFT, TOP, 1, 1)
SLIDE = box(LEFT + 20, TOP - 40, LEFT + 50, TOP - 20)  # rows 20 to 40, columns 20 to 50
HEAD = ("scene", "image", "labels", "mask", "split")


@dataclass
class Given:
    """A folder with inputs, and the settings for reading them.

    Attributes:
        folder: Their folder.
        rows: Of the scene sheet.
        head: Its columns.
        tiles, labels, split: Sections of the configuration.
        dem: Raster of elevations.
    """

    folder: Path
    rows: list[tuple[str, ...]] = field(default_factory=list)
    head: tuple[str, ...] = HEAD
    tiles: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, Any] = field(default_factory=dict)
    split: dict[str, Any] = field(default_factory=dict)
    dem: Path | None = None

    def settings(self) -> tuple[TileSettings, LabelSettings, SplitSettings]:
        return (
            TileSettings(**{"size": 64, **self.tiles}),
            LabelSettings(**self.labels),
            SplitSettings(**{"block": 64, **self.split}),
        )

    def scenes(self) -> list:
        sheet = self.folder / "scenes.tsv"
        sheet.write_text("\n".join("\t".join(row) for row in [self.head, *self.rows]) + "\n")
        return read_scene_sheet(sheet)

    def check(self) -> Report:
        return check(self.scenes(), *self.settings(), self.dem)

    def tile(self, number: int = 0, held_out: tuple[Path, ...] = ()) -> dict[str, np.ndarray]:
        """Cut a scene like the job. Arrays by name, `at`: (row, col) -> label."""
        output = self.folder / f"{number}.zarr.zip"
        tile_scene(self.scenes()[number], *self.settings(), output, held_out=held_out)
        with TileStack(output) as stack:
            found = {name: stack.read(name) for name in ("image", "valid", "label", "part", "window")}
        found["at"] = {
            (r, c): int(label) for (r, c, _, _), label in zip(found["window"].tolist(), found["label"], strict=True)
        }
        return found


def pixels(bands: int = 3, side: int = SIDE, dtype: str = "uint8", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(40, 200, (bands, side, side)).astype(dtype)


def write(path: Path, values: np.ndarray, crs: Any = UTM, transform: Any = PLACE, **profile: Any) -> Path:
    return write_raster(path, values, crs, transform, **profile)


def drawn(value: float = 1, other: float = 0, dtype: str = "uint8") -> np.ndarray:
    """(1, side, side): `value` where SLIDE is, `other` elsewhere."""
    mask = np.full((1, SIDE, SIDE), other, dtype)
    mask[0, 20:40, 20:50] = value
    return mask


def layer(path: Path, *shapes: Geometry, crs: Any = UTM, name: str | None = None, **columns: Any) -> Path:
    gpd.GeoDataFrame(columns, geometry=list(shapes), crs=crs).to_file(path, **({"layer": name} if name else {}))
    return path


def given(
    folder: Path, image: str = "a.tif", labels: str = "inv.gpkg", mask: str = "", split: str = "train", **more: Any
):
    """Return one scene with its inventory; missing files are made."""
    if not (folder / "a.tif").exists():
        write(folder / "a.tif", pixels())
    if not (folder / "inv.gpkg").exists():
        layer(folder / "inv.gpkg", SLIDE)
    return Given(folder, [("a", image, labels, mask, split)], **more)


def zipped(path: Path, *files: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, file.name)
    return path


def in_degrees(shape: Geometry) -> Geometry:
    return gpd.GeoSeries([shape], crs=UTM).to_crs(4326).iloc[0]


def kml(path: Path, *folders: Geometry) -> Path:
    def text(shape: Geometry) -> str:
        return " ".join(f"{x:.9f},{y:.9f},0" for x, y in in_degrees(shape).exterior.coords)

    inner = "".join(
        f"<Folder><name>f{number}</name><Placemark><Polygon><outerBoundaryIs><LinearRing><coordinates>{text(shape)}"
        "</coordinates></LinearRing></outerBoundaryIs></Polygon></Placemark></Folder>"
        for number, shape in enumerate(folders)
    )
    document = f'<kml xmlns="http://www.opengis.net/kml/2.2"><Document>{inner}</Document></kml>'
    path.write_text(document)
    return path


def gpx(path: Path, waypoint: Point | None = None, track: Geometry | None = None) -> Path:
    inner = ""
    if waypoint is not None:
        spot = in_degrees(waypoint)
        inner += f'<wpt lat="{spot.y:.9f}" lon="{spot.x:.9f}"></wpt>'
    if track is not None:
        points = "".join(f'<trkpt lat="{y:.9f}" lon="{x:.9f}"/>' for x, y in in_degrees(track).coords)
        inner += f"<trk><trkseg>{points}</trkseg></trk>"
    path.write_text(f'<gpx version="1.1" creator="t" xmlns="http://www.topografix.com/GPX/1/1">{inner}</gpx>')
    return path
