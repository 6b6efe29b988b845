"""The grid in QGIS: form with a list of labels, colours, one click, and a project over the scene."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import types
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree

import geopandas as gpd
import numpy as np
import pytest
from labelling_scenes import SMALL, on_map, write_layer, write_scene
from own_scenes import write_tiles
from shapely import Point, box

from apsam.errors import InputError
from apsam.labelling.grid import write_grid
from apsam.labelling.qgis_grid import ACTION, ACTION_ID, COLUMNS, NULL, grid_document

SYSTEM_PYTHON = "/usr/bin/python3"

# What QGIS makes of the grid: opened by itself (its default style) and by the project; then the action, as one click.
QGIS = """
import json, sys
from qgis.core import (QgsApplication, QgsProject, QgsVectorLayer, QgsExpressionContext, QgsExpressionContextScope,
                       QgsExpressionContextUtils, QgsExpression, QgsFeatureRequest)
application = QgsApplication([], False)
application.initQgis()
found = {}
alone = QgsVectorLayer(sys.argv[1] + "|layername=tiles", "tiles", "ogr")
def told(layer):
    label = layer.fields().indexOf("label")
    setup = layer.editorWidgetSetup(label)
    return {
        "valid": layer.isValid(), "renderer": layer.renderer().type(),
        "categories": [c.label() for c in layer.renderer().categories()],
        "widget": setup.type(), "answers": [list(one.items())[0] for one in setup.config().get("map", [])],
        "hidden": [layer.fields()[i].name() for i in layer.fields().allAttributesList()
                   if layer.editorWidgetSetup(i).type() == "Hidden"],
        "editable": [f.name() for i, f in enumerate(layer.fields()) if not layer.editFormConfig().readOnly(i)],
        "action": layer.actions().defaultAction("Canvas").name(),
    }
found["alone"] = told(alone)
project = QgsProject.instance()
found["read"] = project.read(sys.argv[2])
layers = project.mapLayers()
found["layers"] = {name: layer.isValid() for name, layer in layers.items()}
layer = layers["apsam_layer_tiles"]
found["project"] = told(layer)
kinds = {}
context = QgsExpressionContext(QgsExpressionContextUtils.globalProjectLayerScopes(layer))
expression = QgsExpression(layer.renderer().classAttribute())
for feature in layer.getFeatures():
    context.setFeature(feature)
    kinds[feature["tile"]] = expression.evaluate(context)
found["kinds"] = kinds
x, y = float(sys.argv[3]), float(sys.argv[4])
action = layer.actions().defaultAction("Canvas")
def click():
    for feature in list(layer.getFeatures(QgsFeatureRequest())):
        scope = QgsExpressionContextScope()
        scope.setVariable("click_x", x)
        scope.setVariable("click_y", y)
        context = QgsExpressionContext(QgsExpressionContextUtils.globalProjectLayerScopes(layer))
        context.appendScope(scope)
        context.setFeature(feature)
        if feature.geometry().boundingBox().contains(x, y):
            exec(QgsExpression.replaceExpressionText(action.command(), context), {})
labels = []
for _ in range(4):
    click()
    labels.append({f["tile"]: int(f["label"]) for f in layer.getFeatures() if f["label"] in (0, 1)})
found["clicks"] = labels
layer.commitChanges()
print(json.dumps(found))
"""


def has_qgis() -> bool:
    """Whether the system's Python has QGIS (apt-get install python3-qgis)."""
    if not Path(SYSTEM_PYTHON).exists():
        return False
    return subprocess.run([SYSTEM_PYTHON, "-c", "import qgis.core"], capture_output=True).returncode == 0


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    image = write_scene(tmp_path / "valley.tif")
    layer = write_layer(tmp_path / "points.gpkg", Point(on_map(193, 200)))
    write_grid(image, SMALL, tmp_path / "grid.gpkg", labels=layer)
    return tmp_path / "grid.gpkg"


def test_columns_have_reasons_for_empty_labels(grid: Path) -> None:
    tiles = gpd.read_file(grid, layer="tiles").set_index("tile")
    assert list(tiles.columns) == [name for name in COLUMNS if name != "tile"] + ["geometry"]
    assert tiles.loc["r160_c160", "label"] == 1 and not tiles.loc["r160_c160", "doubtful"]
    assert np.isnan(tiles.loc["r160_c192", "label"]) and tiles.loc["r160_c192", "doubtful"]
    assert "edge of the tile" in tiles.loc["r160_c192", "why"]
    corner = tiles.loc["r0_c0"]
    assert np.isnan(corner["number"]) and corner["why"] == "too little data, the run leaves it out"
    assert not corner["doubtful"] and tiles.loc["r0_c32", "number"] == 0
    assert set(tiles["scene"]) == {"valley"} and set(tiles["grid"].str[:17]) == {"64 px, stride 32,"}


def test_style_in_the_file_has_a_label_form(grid: Path) -> None:
    with closing(sqlite3.connect(grid)) as database:
        rows = database.execute("SELECT f_table_name, f_geometry_column, styleQML, useAsDefault FROM layer_styles")
        ((table, geometry, style, default),) = rows.fetchall()
    assert (table, geometry, default) == ("tiles", "geom", 1) and style == grid_document(6.4)
    root = ElementTree.fromstring(style.split("\n", 1)[1])
    label = root.find("fieldConfiguration/field[@name='label']/editWidget")
    answers = label.findall("config/Option/Option[@name='map']/Option/Option")
    assert label.get("type") == "ValueMap"
    assert [(one.get("name"), one.get("value")) for one in answers] == [
        ("landslide", "1"), ("no landslide", "0"), ("(empty)", NULL)
    ]  # fmt: skip
    with closing(sqlite3.connect(grid)) as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(tiles)")]
    assert [field.get("name") for field in root.findall("fieldConfiguration/field")] == [
        name for name in columns if name != "geom"
    ]
    editable = {field.get("name") for field in root.findall("editable/field") if field.get("editable") == "1"}
    assert editable == {"label"}
    action = root.find("attributeactions/actionsetting")
    assert action.get("action") == ACTION and root.find("attributeactions/defaultAction").get("value") == ACTION_ID


class Layer:
    """Stands in for a QGIS layer of three tiles in a row that overlap by half."""

    def __init__(self) -> None:
        self.labels, self.editing = {1: None, 2: None, 3: None}, False

    def getFeatures(self, request: object) -> list:
        return [Feature(self, number) for number in self.labels]

    def isEditable(self) -> bool:
        return self.editing

    def startEditing(self) -> None:
        self.editing = True

    def fields(self) -> types.SimpleNamespace:
        return types.SimpleNamespace(indexOf=lambda name: {"label": 3}[name])

    def changeAttributeValue(self, number: int, field: int, value: object) -> None:
        assert self.editing and field == 3
        self.labels[number] = value

    def triggerRepaint(self) -> None:
        pass


class Feature:
    """One tile of it."""

    def __init__(self, layer: Layer, number: int) -> None:
        self.layer, self.number = layer, number

    def id(self) -> int:
        return self.number

    def __getitem__(self, name: str) -> object:
        return self.layer.labels[self.number]

    def geometry(self) -> Feature:
        return self

    centroid = asPoint = geometry

    def sqrDist(self, click: tuple[float, float]) -> float:
        return (self.number * 32 - click[0]) ** 2


def test_click_labels_the_tile_with_the_nearest_centre(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = Layer()
    request = types.SimpleNamespace(setFilterRect=lambda rectangle: None)
    core = types.SimpleNamespace(
        QgsFeatureRequest=lambda: request,
        QgsPointXY=lambda x, y: (x, y),
        QgsRectangle=lambda one, other: None,
        QgsProject=types.SimpleNamespace(
            instance=lambda: types.SimpleNamespace(mapLayer=lambda name: {"L1": layer}[name])
        ),
    )
    monkeypatch.setitem(sys.modules, "qgis", types.ModuleType("qgis"))
    monkeypatch.setitem(sys.modules, "qgis.core", core)

    def click(x: float) -> dict[int, int | None]:
        # QGIS runs the action for every feature under the pointer.
        for number in (1, 2, 3):
            written = ACTION.replace("[% @layer_id %]", "L1").replace("[% @click_x %]", str(x))
            exec(written.replace("[% @click_y %]", "0").replace("[% $id %]", str(number)), {})
        return layer.labels

    assert click(60) == {1: None, 2: 1, 3: None}
    assert click(60) == {1: None, 2: 0, 3: None}
    assert click(60) == {1: None, 2: None, 3: None}
    assert click(90) == {1: None, 2: None, 3: 1}


def test_the_project_lies_over_the_scene_with_relative_paths(grid: Path) -> None:
    root = ElementTree.parse(grid.with_suffix(".qgs")).getroot()
    assert [layer.findtext("datasource") for layer in root.iter("maplayer")] == [
        "./grid.gpkg|layername=tiles", "./valley.tif"
    ]  # fmt: skip
    assert [layer.get("checked") for layer in root.iter("layer-tree-layer")] == ["Qt::Checked", "Qt::Checked"]
    assert root.find("projectlayers/maplayer/fieldConfiguration") is not None


def test_qgis_reads_form_colours_and_action(grid: Path) -> None:
    if not has_qgis():
        pytest.skip("no QGIS (apt-get install python3-qgis)")
    environment = {"QT_QPA_PLATFORM": "offscreen", "PATH": "/usr/bin:/bin", "HOME": str(grid.parent)}
    # The middle of r96_c256, and nearer to it than to any other.
    x, y = on_map(256 + 30, 96 + 30)
    command = [SYSTEM_PYTHON, "-c", QGIS, str(grid), str(grid.with_suffix(".qgs")), str(x), str(y)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for one in (found["alone"], found["project"]):
        assert one["valid"] and one["renderer"] == "categorizedSymbol"
        assert one["categories"] == ["landslide", "no landslide", "empty, look at it first", "empty"]
        assert one["widget"] == "ValueMap"
        assert one["answers"] == [["landslide", "1"], ["no landslide", "0"], ["(empty)", NULL]]
        assert one["hidden"] == ["fid", "scene", "grid"] and one["editable"] == ["label"]
        assert one["action"].startswith("Label the tile")
    assert found["read"] and found["layers"] == {"apsam_layer_tiles": True, "apsam_layer_image": True}
    assert found["kinds"]["r160_c160"] == 1 and found["kinds"]["r160_c192"] == 2 and found["kinds"]["r0_c0"] == 3
    before = {"r160_c160": 1, "r192_c160": 1}
    assert found["clicks"] == [
        {**before, "r96_c256": 1}, {**before, "r96_c256": 0}, before, {**before, "r96_c256": 1}
    ]  # fmt: skip
    tiles = gpd.read_file(grid, layer="tiles").set_index("tile")
    assert tiles["label"].dropna().to_dict() == {**before, "r96_c256": 1}, "saved"


def test_a_project_of_the_user_and_a_grid_that_is_open_are_not_replaced(grid: Path, tmp_path: Path) -> None:
    image = tmp_path / "valley.tif"
    (tmp_path / "mine.qgs").write_text("mine")
    with pytest.raises(InputError, match=r"mine.qgs: already exists; .*--overwrite"):
        write_grid(image, SMALL, tmp_path / "mine.gpkg")
    assert (tmp_path / "mine.qgs").read_text() == "mine" and not (tmp_path / "mine.gpkg").exists()
    (tmp_path / "grid.gpkg-wal").write_bytes(b"")
    with pytest.raises(InputError, match=r"grid.gpkg: another program has it open"):
        write_grid(image, SMALL, grid, overwrite=True)


def test_a_folder_gets_a_table_and_no_map(tmp_path: Path) -> None:
    write_tiles(tmp_path / "crops", 3, np.random.default_rng(0))
    made = write_grid(tmp_path / "crops/images", SMALL, tmp_path / "t.csv", labels=tmp_path / "crops/labels.csv")
    assert made.tiles == 3 and made.project is None
    assert (tmp_path / "t.csv").read_text().splitlines()[1:] == [
        "images,files,0.png,0", "images,files,1.png,1", "images,files,2.png,0"
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"t.gpkg: ready-made tiles are not georeferenced"):
        write_grid(tmp_path / "crops/images", SMALL, tmp_path / "t.gpkg")


def test_grid_from_polygons_reports_certain_tiles(tmp_path: Path) -> None:
    image = write_scene(tmp_path / "valley.tif")
    layer = write_layer(tmp_path / "polygons.gpkg", box(*on_map(140, 200), *on_map(160, 190)))
    made = write_grid(image, SMALL, tmp_path / "grid.gpkg", labels=layer)
    label = gpd.read_file(tmp_path / "grid.gpkg", layer="tiles").query("number.notna()")["label"]
    assert made.lines[0] == (
        f"{(label == 1).sum()} tiles labelled positive, {(label == 0).sum()} negative, {label.isna().sum()} left empty"
    )
