"""A STAC item for the maps of one scene, so that catalogues and scripts find them (STAC 1.1, projection 2.0)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import rasterio
from pyproj import CRS
from rasterio.warp import transform_bounds

from apsam import __version__
from apsam.files import write_json
from apsam.maps.cog import MASK_COLOURS, NO_DATA
from apsam.products.place import north_up

STAC_VERSION = "1.1.0"
EXTENSIONS = {
    "projection": "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "raster": "https://stac-extensions.github.io/raster/v2.0.0/schema.json",
    "classification": "https://stac-extensions.github.io/classification/v2.0.0/schema.json",
    "processing": "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
}
COG = "image/tiff; application=geotiff; profile=cloud-optimized"
UNKNOWN = ("1970-01-01T00:00:00Z", "2099-12-31T23:59:59Z")


def write_item(
    output: Path, name: str, probability: Path, mask: Path, geopackage: Path, project: Path, taken: date | None = None
) -> None:
    """Write the item of a scene; its assets are named relative to it.

    Args:
        output: The item, JSON.
        name: Of the scene.
        probability, mask, geopackage, project: The products.
        taken: When the image was taken. Where nobody knows, STAC wants an interval: it spans the satellite age.
    """
    with rasterio.open(mask) as raster:
        crs = CRS.from_user_input(raster.crs.to_wkt())
        bounds, shape, transform = north_up(raster.bounds), list(raster.shape), list(raster.transform)[:6]
        west, south, east, north = transform_bounds(raster.crs, "EPSG:4326", *bounds, densify_pts=21)
        tags = raster.tags()
    with rasterio.open(probability) as raster:
        scale = raster.scales[0]
    authority = crs.to_authority()
    properties: dict[str, Any] = {
        **_time(taken),
        "title": f"Landslides of {name}",
        "description": "Landslide probability, mask and polygons, learnt from image-level labels.",
        "proj:code": ":".join(authority) if authority else None,
        "proj:bbox": list(bounds),
        "proj:shape": shape,
        "proj:transform": transform,
        "processing:software": {"apsam": __version__},
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
        "geometry": {
            "type": "Polygon",
            "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]],
        },
        "bbox": [west, south, east, north],
        "properties": properties,
        "links": [],
        "assets": assets,
    }
    write_json(output, item)


def _asset(item: Path, file: Path, title: str, kind: str, roles: list[str], **more: Any) -> dict[str, Any]:
    return {"href": f"./{file.name}", "title": title, "type": kind, "roles": roles, **more}


def _time(taken: date | None) -> dict[str, str | None]:
    if taken is None:
        return {"datetime": None, "start_datetime": UNKNOWN[0], "end_datetime": UNKNOWN[1]}
    moment = datetime(taken.year, taken.month, taken.day, tzinfo=UTC)
    return {"datetime": moment.strftime("%Y-%m-%dT%H:%M:%SZ")}


def _lineage(tags: Mapping[str, str]) -> str:
    known = [("image", "APSAM_IMAGE"), ("model", "APSAM_MODEL"), ("threshold", "APSAM_THRESHOLD")]
    return "; ".join(f"{name}: {tags[tag]}" for name, tag in known if tag in tags)
