"""QGIS style of a tile grid for labelling: colours, a form with a list of labels, and an action for one click.

The XML is that of QGIS 3.22 in a layer's style (Symbology, Fields, Forms, Actions). The same text is used in the table
`layer_styles` of the GeoPackage and the project next to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import quoteattr

from apsam.products.styles import QGIS_VERSION

# Okabe and Ito's colours, which the label page has too: red-orange, blue, yellow.
LANDSLIDE, NONE, DOUBTFUL, EMPTY = "213,94,0", "0,114,178", "240,228,66", "255,255,255"

# QGIS's value for "no value" in a list.
NULL = "{2839923C-8B7D-419E-B84B-CA2FE9B80EC7}"

COLUMNS = ("number", "tile", "label", "doubtful", "why", "scene", "grid")
HIDDEN = ("scene", "grid")
ALIASES = {
    "number": "number in the run",
    "label": "landslide?",
    "doubtful": "look at it first",
    "why": "why it is empty",
}

ACTION_ID = "{5b1d5f0a-6f0b-4a4e-9d43-1c6f0e0f7a21}"

# Tiles overlap, and QGIS runs the action for every feature under the pointer; only the nearest centre is used.
ACTION = """\
from qgis.core import QgsFeatureRequest, QgsPointXY, QgsProject, QgsRectangle
layer = QgsProject.instance().mapLayer('[% @layer_id %]')
click = QgsPointXY([% @click_x %], [% @click_y %])
under = layer.getFeatures(QgsFeatureRequest().setFilterRect(QgsRectangle(click, click)))
nearest = min(under, key=lambda one: one.geometry().centroid().asPoint().sqrDist(click), default=None)
if nearest is not None and nearest.id() == [% $id %]:
    if not layer.isEditable():
        layer.startEditing()
    label = nearest['label']
    following = 0 if label == 1 else None if label == 0 else 1
    layer.changeAttributeValue(nearest.id(), layer.fields().indexOf('label'), following)
    layer.triggerRepaint()
"""


def grid_style(marker: float, columns: Sequence[str] = COLUMNS) -> str:
    """Return the inner XML of a grid's style.

    Args:
        marker: Diameter of the spot in the middle of a tile, in units of the CRS.
        columns: Of the layer, after `fid`.
    """
    return _symbology(marker) + _fields(columns) + _action() + _form(columns)


def grid_document(marker: float, columns: Sequence[str] = COLUMNS) -> str:
    """Return the style as a whole .qml document."""
    head = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>"
    start = f'<qgis version="{QGIS_VERSION}" styleCategories="Symbology|Fields|Forms|Actions">'
    return f"{head}\n{start}\n{grid_style(marker, columns)}</qgis>\n"


def _symbology(marker: float) -> str:
    """An outline and a spot in its centre, because fills of overlapping tiles would hide the scene."""
    kinds = [
        ("1", "landslide", f"{LANDSLIDE},255", f"{LANDSLIDE},150"),
        ("0", "no landslide", f"{NONE},255", f"{NONE},120"),
        ("2", "empty, look at it first", f"{DOUBTFUL},255", f"{DOUBTFUL},200"),
        ("3", "empty", f"{EMPTY},60", f"{EMPTY},70"),
    ]
    categories = symbols = ""
    for index, (value, title, spot, line) in enumerate(kinds):
        categories += f'<category value="{value}" symbol="{index}" label={quoteattr(title)} render="true" type="long"/>'
        symbols += (
            f'<symbol type="fill" name="{index}" alpha="1" clip_to_extent="1" force_rhr="0">{_outline(line)}'
            f"{_spot(spot, marker, f'@{index}@1')}</symbol>"
        )
    value = quoteattr('coalesce("label", CASE WHEN "doubtful" THEN 2 ELSE 3 END)')
    return (
        f'<renderer-v2 type="categorizedSymbol" attr={value} enableorderby="0" forceraster="0" symbollevels="0">'
        f"<categories>{categories}</categories><symbols>{symbols}</symbols></renderer-v2>\n"
    )


def _outline(colour: str) -> str:
    return _symbol_layer(
        "SimpleFill",
        {"style": "no", "outline_color": colour, "outline_width": "0.2", "outline_width_unit": "MM",
         "outline_style": "solid", "joinstyle": "miter"},
    )  # fmt: skip


def _spot(colour: str, diameter: float, name: str) -> str:
    marker = _symbol_layer(
        "SimpleMarker",
        {"name": "circle", "color": colour, "size": f"{diameter:g}", "size_unit": "MapUnit", "outline_style": "solid",
         "outline_color": "0,0,0,160", "outline_width": "0.2"},
    )  # fmt: skip
    inner = f'<symbol type="marker" name="{name}" alpha="1" clip_to_extent="1" force_rhr="0">{marker}</symbol>'
    return _symbol_layer("CentroidFill", {"point_on_surface": "0", "point_on_all_parts": "1"}, inner)


def _symbol_layer(kind: str, options: dict[str, str], inner: str = "") -> str:
    written = "".join(f'<Option type="QString" name="{name}" value="{text}"/>' for name, text in options.items())
    return f'<layer class="{kind}" enabled="1" locked="0" pass="0"><Option type="Map">{written}</Option>{inner}</layer>'


def _fields(columns: Sequence[str]) -> str:
    answers = (("landslide", "1"), ("no landslide", "0"), ("(empty)", NULL))
    listed = "".join(
        f'<Option type="Map"><Option type="QString" name="{name}" value="{value}"/></Option>' for name, value in answers
    )
    widgets = {
        "label": f'<editWidget type="ValueMap"><config><Option type="Map"><Option type="List" name="map">{listed}'
        "</Option></Option></config></editWidget>",
        **{name: '<editWidget type="Hidden"><config><Option/></config></editWidget>' for name in ("fid", *HIDDEN)},
    }
    plain = (
        '<editWidget type="TextEdit"><config><Option type="Map"><Option type="bool" name="IsMultiline" value="false"/>'
        '<Option type="bool" name="UseHtml" value="false"/></Option></config></editWidget>'
    )
    fields = "".join(
        f'<field name="{name}" configurationFlags="None">{widgets.get(name, plain)}</field>'
        for name in ("fid", *columns)
    )
    aliases = "".join(
        f'<alias index="{index}" field="{name}" name={quoteattr(ALIASES.get(name, ""))}/>'
        for index, name in enumerate(("fid", *columns))
    )
    return f"<fieldConfiguration>{fields}</fieldConfiguration>\n<aliases>{aliases}</aliases>\n"


def _action() -> str:
    code = quoteattr(ACTION, {"\n": "&#xa;"})
    return (
        f'<attributeactions><defaultAction key="Canvas" value="{ACTION_ID}"/><actionsetting id="{ACTION_ID}" type="1" '
        f'name="Label the tile: landslide, no landslide, empty" shortTitle="Label" capture="0" icon="" '
        f'notificationMessage="" isEnabledOnlyWhenEditable="0" action={code}><actionScope id="Canvas"/>'
        '<actionScope id="Feature"/></actionsetting></attributeactions>\n'
    )


def _form(columns: Sequence[str]) -> str:
    # Only the label is editable; the other columns identify the tile.
    editable = "".join(f'<field name="{name}" editable="{int(name == "label")}"/>' for name in ("fid", *columns))
    return (
        '<editform tolerant="1"></editform>\n<editforminit/>\n<editforminitcodesource>0</editforminitcodesource>\n'
        "<featformsuppress>0</featformsuppress>\n<editorlayout>generatedlayout</editorlayout>\n"
        f'<editable>{editable}</editable>\n<previewExpression>"tile"</previewExpression>\n'
    )
