"""QGIS styles of the products: symbols as the XML that styles (.qml), GeoPackages and projects share.

A style here is the inner XML of `<qgis>` in a .qml file, of `layer_styles.styleQML`, and of a project's `<maplayer>`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

from apsam.files import atomic_path

# The QGIS version of this format; later versions read it.
QGIS_VERSION = "3.22.0"

LANDSLIDE, TILE, POSITIVE, BOX, POINT = "213,94,0", "255,255,255", "255,208,138", "255,255,255", "240,228,66"
# Colours that are distinguishable with colour blindness (Okabe and Ito).
FOUND, PARTLY, MISSED = "0,158,115", "240,228,66", "204,121,167"

# Low probabilities are transparent; a perceptually uniform scale (viridis).
RAMP = ((0.0, "#440154", 0), (0.1, "#482475", 60), (0.3, "#35608d", 150), (0.5, "#21918c", 200),
        (0.75, "#5dc863", 230), (1.0, "#fde725", 255))  # fmt: skip


def write_qml(path: Path, style: str) -> None:
    """Write a style next to a raster of the same name; QGIS loads it with the raster."""
    with atomic_path(path) as partial:
        partial.write_text(qml(style), encoding="utf-8")


def qml(style: str) -> str:
    """Return a style as a complete document."""
    head = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>"
    return f'{head}\n<qgis version="{QGIS_VERSION}" styleCategories="Symbology">\n{style}</qgis>\n'


def probability_style() -> str:
    """Probabilities 0 to 1 on a colour scale."""
    items = "".join(f'<item value="{v:g}" color="{c}" alpha="{a}" label="{v:g}"/>' for v, c, a in RAMP)
    return (
        '<pipe><rasterrenderer type="singlebandpseudocolor" band="1" opacity="1" alphaBand="-1" nodataColor="" '
        'classificationMin="0" classificationMax="1"><rasterTransparency/><rastershader><colorrampshader '
        'colorRampType="INTERPOLATED" classificationMode="1" clip="0" minimumValue="0" maximumValue="1" '
        f'labelPrecision="2">{items}</colorrampshader></rastershader></rasterrenderer>{_REST}</pipe>\n'
    )


def mask_style() -> str:
    """Landslides in colour, all other pixels transparent."""
    return (
        '<pipe><rasterrenderer type="paletted" band="1" opacity="0.8" alphaBand="-1" nodataColor="">'
        '<rasterTransparency/><colorPalette><paletteEntry value="0" color="#000000" alpha="0" label="no landslide"/>'
        '<paletteEntry value="1" color="#d55e00" alpha="255" label="landslide"/></colorPalette></rasterrenderer>'
        f"{_REST}</pipe>\n"
    )


def landslides_style() -> str:
    """Filled outlines."""
    return _single("fill", _fill(f"{LANDSLIDE},70", f"{LANDSLIDE},255", 0.5))


def tiles_style() -> str:
    """The tile grid, positive tiles in colour."""
    symbols = [
        ("1", "labelled positive", _fill(f"{POSITIVE},16", f"{POSITIVE},255", 0.3)),
        ("0", "labelled negative", _fill(f"{TILE},0", f"{TILE},110", 0.15)),
        # QGIS uses a category without a value for all other values.
        ("", "not labelled, or in neither part", _fill(f"{TILE},0", "120,120,120,255", 0.2, dashed=True)),
    ]
    return _categories("label", symbols)


def reference_style() -> str:
    """Open outlines of the reference mask's landslides, by their match with the map."""
    colours = {"found": FOUND, "partly": PARTLY, "missed": MISSED}
    symbols = [(name, name, _fill(f"{colour},0", f"{colour},255", 0.5)) for name, colour in colours.items()]
    return _categories("match", [*symbols, ("", "not known", _fill(f"{TILE},0", "120,120,120,255", 0.3, dashed=True))])


def _categories(column: str, symbols: Sequence[tuple[str, str, str]]) -> str:
    """Symbols by the value of a column: value, label, symbol layer."""
    categories = "".join(
        f'<category value="{value}" symbol="{index}" label={quoteattr(label)} render="true"/>'
        for index, (value, label, _) in enumerate(symbols)
    )
    drawn = "".join(_symbol(str(index), "fill", layer) for index, (_, _, layer) in enumerate(symbols))
    return (
        f'<renderer-v2 type="categorizedSymbol" attr="{column}" enableorderby="0" forceraster="0" symbollevels="0">'
        f"<categories>{categories}</categories><symbols>{drawn}</symbols></renderer-v2>\n"
    )


def boxes_style() -> str:
    """Open outlines of the box prompts."""
    return _single("fill", _fill(f"{BOX},0", f"{BOX},255", 0.3, dashed=True))


def points_style() -> str:
    """Dots of the point prompts."""
    options = {"color": f"{POINT},255", "outline_color": "0,0,0,255", "name": "circle", "size": "1.6",
               "size_unit": "MM", "outline_width": "0.2", "outline_style": "solid"}  # fmt: skip
    return _single("marker", _layer("SimpleMarker", options))


_REST = "<brightnesscontrast/><huesaturation/><rasterresampler/>"


def _fill(colour: str, outline: str, width: float, dashed: bool = False) -> str:
    options = {"color": colour, "outline_color": outline, "outline_width": f"{width:g}", "outline_width_unit": "MM",
               "style": "solid", "outline_style": "dash" if dashed else "solid", "joinstyle": "round"}  # fmt: skip
    return _layer("SimpleFill", options)


def _layer(kind: str, options: dict[str, str]) -> str:
    written = "".join(f'<Option type="QString" name="{name}" value="{value}"/>' for name, value in options.items())
    return f'<layer class="{kind}" enabled="1" locked="0" pass="0"><Option type="Map">{written}</Option></layer>'


def _symbol(name: str, kind: str, *layers: str) -> str:
    inner = "".join(layers)
    return f'<symbol type="{kind}" name="{name}" alpha="1" clip_to_extent="1" force_rhr="0">{inner}</symbol>'


def _single(kind: str, layer: str) -> str:
    return (
        '<renderer-v2 type="singleSymbol" enableorderby="0" forceraster="0" symbollevels="0">'
        f"<symbols>{_symbol('0', kind, layer)}</symbols></renderer-v2>\n"
    )


VECTOR_STYLES: dict[str, Sequence[str]] = {
    # Layer -> its title, and its style.
    "landslides": ("Landslides", landslides_style()),
    "reference": ("Reference landslides: found, partly, missed", reference_style()),
    "tiles": ("Tiles and their labels", tiles_style()),
    "prompt_boxes": ("Box prompts", boxes_style()),
    "prompt_points": ("Point prompts", points_style()),
}
