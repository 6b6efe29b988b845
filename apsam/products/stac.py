"""Write a STAC item for the maps of one scene, for catalogues and scripts (STAC 1.1, projection 2.0)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import rasterio
from pyproj import CRS
from rasterio.errors import RasterioError
from rasterio.warp import transform_bounds

from apsam import __version__
from apsam.files import write_json
from apsam.maps.cog import MASK_COLOURS, NO_DATA
from apsam.tiles.georeference import raster_bounds

STAC_VERSION = "1.1.0"
EXTENSIONS = {
    "projection": "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "raster": "https://stac-extensions.github.io/raster/v2.0.0/schema.json",
    "classification": "https://stac-extensions.github.io/classification/v2.0.0/schema.json",
    "processing": "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
}
# Property with the programs that made the item.
SOFTWARE = "processing:software"
COG = "image/tiff; application=geotiff; profile=cloud-optimized"

# Tags of rasters with the date of the image: domain, name.
DATE_TAGS = (
    ("IMAGERY", "ACQUISITIONDATETIME"),
    (None, "ACQUISITION_DATE"),
    (None, "ACQUISITIONDATETIME"),
    (None, "EXIF_DateTimeOriginal"),
)
DATE = re.compile(r"(\d{4})[-:/](\d{2})[-:/](\d{2})")


def write_item(
    output: Path, name: str, probability: Path, mask: Path, geopackage: Path, project: Path, taken: date | None = None
) -> None:
    """Write the item of a scene; its assets are named relative to it.

    Args:
        output: The item, JSON.
        name: Of the scene.
        probability, mask, geopackage, project: The products.
        taken: Date of the image. If unknown, the item has the day on which the map was made, as in the
            specification for data without a date, and its description states this.
    """
    with rasterio.open(mask) as raster:
        crs = CRS.from_user_input(raster.crs.to_wkt())
        bounds, shape, transform = raster_bounds(raster), list(raster.shape), list(raster.transform)[:6]
        west, south, east, north = _degrees(transform_bounds(raster.crs, "EPSG:4326", *bounds, densify_pts=21))
        tags = raster.tags()
    with rasterio.open(probability) as raster:
        scale = raster.scales[0]
    authority = crs.to_authority()
    made = datetime.fromtimestamp(mask.stat().st_mtime, UTC).date()
    undated = "" if taken else " The date of the image is not known; datetime is the day on which the map was made."
    properties: dict[str, Any] = {
        "datetime": f"{(taken or made).isoformat()}T00:00:00Z",
        "title": f"Landslides of {name}",
        "description": f"Landslide probability, mask and polygons, learned from image-level labels.{undated}",
        "proj:code": ":".join(authority) if authority else None,
        "proj:bbox": list(bounds),
        "proj:shape": shape,
        "proj:transform": transform,
        SOFTWARE: {"apsam": __version__},
    }
    if lineage := _lineage(tags):
        properties["processing:lineage"] = lineage
    if not authority:
        properties["proj:wkt2"] = crs.to_wkt()
    colour = "".join(f"{value:02X}" for value in MASK_COLOURS[1][:3])
    assets = {
        "probability": _asset(
            output, probability, "Landslide probability", COG, ["data"],
            bands=[{"name": "probability", "data_type": "uint8", "nodata": NO_DATA, "raster:scale": scale}],
        ),
        "mask": _asset(
            output, mask, "Landslide mask", COG, ["data", "labels"],
            bands=[{
                "name": "mask", "data_type": "uint8", "nodata": NO_DATA,
                "classification:classes": [
                    {"value": 0, "name": "other", "description": "No landslide"},
                    {"value": 1, "name": "landslide", "description": "Landslide", "color_hint": colour},
                ],
            }],
        ),
        "landslides": _asset(
            output, geopackage, "Landslide polygons, prompts and tiles", "application/geopackage+sqlite3", ["data"]
        ),
        "project": _asset(output, project, "QGIS project", "application/xml", ["overview"]),
    }  # fmt: skip
    item = {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": sorted(EXTENSIONS.values()),
        "id": name,
        "geometry": _footprint(west, south, east, north),
        "bbox": [west, south, east, north],
        "properties": properties,
        "links": [],
        "assets": assets,
    }
    write_json(output, item)


def _asset(item: Path, file: Path, title: str, kind: str, roles: list[str], **more: Any) -> dict[str, Any]:
    return {"href": f"./{file.name}", "title": title, "type": kind, "roles": roles, **more}


def date_of(image: Path | None) -> date | None:
    """Read the date of an image from its metadata; None if it has none."""
    if image is None:
        return None
    try:
        with rasterio.open(image) as raster:
            texts = [raster.tags(ns=domain).get(name, "") for domain, name in DATE_TAGS]
    except RasterioError:
        return None
    for found in filter(None, map(DATE.search, texts)):
        try:
            return date(*map(int, found.groups()))
        except ValueError:
            continue
    return None


def _degrees(bounds: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """Return west, south, east, north within 180 degrees; across the antimeridian west exceeds east (RFC 7946)."""
    west, south, east, north = bounds
    if east - west >= 360:
        return -180.0, south, 180.0, north
    return _within(west), south, _within(east) if _within(east) != -180 else 180.0, north


def _within(longitude: float) -> float:
    return longitude if -180 <= longitude <= 180 else (longitude + 180) % 360 - 180


def _footprint(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    def ring(left: float, right: float) -> list[list[list[float]]]:
        return [[[left, south], [right, south], [right, north], [left, north], [left, south]]]

    if west <= east:
        return {"type": "Polygon", "coordinates": ring(west, east)}
    return {"type": "MultiPolygon", "coordinates": [ring(west, 180.0), ring(-180.0, east)]}


def _lineage(tags: Mapping[str, str]) -> str:
    known = [("image", "APSAM_IMAGE"), ("model", "APSAM_MODEL"), ("threshold", "APSAM_THRESHOLD")]
    return "; ".join(f"{name}: {tags[tag]}" for name, tag in known if tag in tags)
