"""A QGIS project of one scene: image, probability, mask, landslides, prompts and tiles, with relative paths."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from pyproj import CRS

from apsam.files import atomic_path
from apsam.products.styles import QGIS_VERSION

# Beginning of the layers' ids, which QGIS keeps when it saves the project.
LAYER_ID = "apsam_layer_"


@dataclass(frozen=True)
class ProjectLayer:
    """One layer of a project.

    Attributes:
        key: Its id in the project.
        title: Displayed title.
        source: The file; text is written unchanged.
        layer: Name of the layer in a GeoPackage; None for a raster.
        style: Its style (`apsam.products.styles`); empty: QGIS's default.
        geometry: `Polygon` or `Point` of a vector layer.
        on: Whether it is visible when the project opens.
    """

    key: str
    title: str
    source: Path | str
    layer: str | None = None
    style: str = ""
    geometry: str = "Polygon"
    on: bool = True


def write_project(
    output: Path, title: str, layers: Sequence[ProjectLayer], crs: CRS, bounds: tuple[float, float, float, float]
) -> None:
    """Write a project, `.qgs`.

    Args:
        output: The project; paths in it are relative to its folder, so that it can be moved with its files.
        title: Shown in the window's title.
        layers: From the top down.
        crs: Of all layers and of the project.
        bounds: Left, bottom, right, top of the initial view.
    """
    reference = _reference(crs)
    tree = "".join(
        f'<layer-tree-layer id="{_id(one)}" name={quoteattr(one.title)} expanded="0" '
        f'checked="{"Qt::Checked" if one.on else "Qt::Unchecked"}" source={quoteattr(_source(one, output))} '
        f'providerKey="{_provider(one)}"><customproperties/></layer-tree-layer>'
        for one in layers
    )
    order = "".join(f'<layer id="{_id(one)}"/>' for one in layers)
    made = "".join(_map_layer(one, output, reference) for one in layers)
    left, bottom, right, top = bounds
    extent = f"<xmin>{left!r}</xmin><ymin>{bottom!r}</ymin><xmax>{right!r}</xmax><ymax>{top!r}</ymax>"
    unit = "degrees" if crs.is_geographic else "meters"
    text = (
        "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
        f'<qgis version="{QGIS_VERSION}" projectname={quoteattr(title)}>\n'
        f"<title>{escape(title)}</title>\n<projectCrs>{reference}</projectCrs>\n"
        f"<layer-tree-group><customproperties/>{tree}</layer-tree-group>\n"
        f'<mapcanvas name="theMapCanvas" annotationsVisible="1"><units>{unit}</units><extent>{extent}</extent>'
        f"<rotation>0</rotation><destinationsrs>{reference}</destinationsrs></mapcanvas>\n"
        f"<projectlayers>\n{made}</projectlayers>\n<layerorder>{order}</layerorder>\n"
        '<properties><Paths><Absolute type="bool">false</Absolute></Paths>'
        '<SpatialRefSys><ProjectionsEnabled type="int">1</ProjectionsEnabled></SpatialRefSys></properties>\n'
        f"<ProjectViewSettings UseProjectScales=\"0\"><DefaultViewExtent xmin='{left!r}' ymin='{bottom!r}' "
        f"xmax='{right!r}' ymax='{top!r}'>{reference}</DefaultViewExtent></ProjectViewSettings>\n"
        "</qgis>\n"
    )
    with atomic_path(output) as partial:
        partial.write_text(text, encoding="utf-8")


def _map_layer(one: ProjectLayer, project: Path, reference: str) -> str:
    kind = 'type="raster"' if one.layer is None else f'type="vector" geometry="{one.geometry}"'
    return (
        f'<maplayer {kind} styleCategories="AllStyleCategories"><id>{_id(one)}</id>'
        f"<datasource>{escape(_source(one, project))}</datasource><layername>{escape(one.title)}</layername>"
        f"<srs>{reference}</srs><provider>{_provider(one)}</provider>\n{one.style}</maplayer>\n"
    )


def _id(one: ProjectLayer) -> str:
    # QGIS replaces ids of up to ten characters by random ones, and then does not find them in the tree.
    return f"{LAYER_ID}{one.key}"


def _provider(one: ProjectLayer) -> str:
    return "gdal" if one.layer is None else "ogr"


def _source(one: ProjectLayer, project: Path) -> str:
    if isinstance(one.source, str):
        path = one.source
    else:
        relative = Path(os.path.relpath(one.source.resolve(), project.parent.resolve())).as_posix()
        path = relative if relative.startswith("..") else f"./{relative}"
    return path if one.layer is None else f"{path}|layername={one.layer}"


def _reference(crs: CRS) -> str:
    """Return a CRS in QGIS's format; QGIS uses its definition, and displays its number."""
    authority = crs.to_authority()
    name = f"<authid>{':'.join(authority)}</authid>" if authority else ""
    return (
        f'<spatialrefsys nativeFormat="Wkt"><wkt>{escape(crs.to_wkt())}</wkt>{name}'
        f"<description>{escape(crs.name)}</description></spatialrefsys>"
    )
