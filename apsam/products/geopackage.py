"""GeoPackages that QGIS opens with their styles."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyogrio

from apsam.files import atomic_path
from apsam.products.styles import VECTOR_STYLES, qml

# GDAL 3.6, of QGIS 3.22 and Debian 12, warns of later versions.
VERSION = "1.3"
DATE = "1980-01-01T00:00:00Z"
GEOMETRY_TYPES = {
    "landslides": "MultiPolygon",
    "reference": "MultiPolygon",
    "tiles": "Polygon",
    "prompt_boxes": "Polygon",
    "prompt_points": "Point",
}


def write_geopackage(
    output: Path, layers: Mapping[str, gpd.GeoDataFrame], documents: Mapping[str, str] | None = None
) -> None:
    """Write layers with their styles; the same layers always give the same bytes.

    Args:
        output: The GeoPackage.
        layers: Name -> features; names are those of `VECTOR_STYLES`. Empty layers are written too.
        documents: Name -> style of a layer as a whole .qml document, if it differs from that of `VECTOR_STYLES`.
    """
    # Otherwise every layer is announced in the job's log.
    logging.getLogger("pyogrio").setLevel(logging.WARNING)
    with atomic_path(output) as partial, _fixed_date():
        for index, (name, frame) in enumerate(layers.items()):
            frame.to_file(
                partial,
                layer=name,
                driver="GPKG",
                engine="pyogrio",
                mode="a" if index else "w",
                geometry_type=GEOMETRY_TYPES[name],
                promote_to_multi=GEOMETRY_TYPES[name].startswith("Multi"),
                dataset_options={} if index else {"VERSION": VERSION},
            )
        # The table that QGIS writes when a style is saved in a GeoPackage.
        styles = _styles(list(layers), documents or {})
        pyogrio.write_dataframe(styles, partial, layer="layer_styles", driver="GPKG", append=True)
        for name, frame in layers.items():
            written = pyogrio.read_info(partial, layer=name)["features"]
            if written != len(frame):
                raise OSError(errno.EIO, f"{written} of {len(frame)} features of the layer {name}", str(partial))


def _styles(names: list[str], documents: Mapping[str, str]) -> pd.DataFrame:
    count = len(names)
    return pd.DataFrame(
        {
            "f_table_catalog": [""] * count,
            "f_table_schema": [""] * count,
            "f_table_name": names,
            "f_geometry_column": ["geom"] * count,
            "styleName": names,
            "styleQML": [documents.get(name) or qml(VECTOR_STYLES[name][1]) for name in names],
            "styleSLD": [""] * count,
            "useAsDefault": [True] * count,
            "description": [VECTOR_STYLES[name][0] for name in names],
            "owner": [""] * count,
            "ui": [""] * count,
            "update_time": pd.to_datetime([DATE] * count),
        }
    )


@contextmanager
def _fixed_date() -> Iterator[None]:
    """Write a fixed modification date into GeoPackages: the same landslides give the same bytes."""
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": DATE})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})
