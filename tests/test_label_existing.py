"""Labels of tiles from existing labels: certain ones are set, doubtful ones are empty, with reasons."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from affine import Affine
from labelling_scenes import CRS, SMALL, on_map, write_layer, write_scene
from shapely import LineString, Point, Polygon, box

from apsam.errors import InputError
from apsam.labelling.existing import ExistingLabels, ExistingRules, read_existing
from apsam.labelling.grid import write_grid
from apsam.labelling.scene_tiles import SceneTiles, count_valid, folder_tiles, metres_on_the_map, raster_tiles
from apsam.scenes import Scene
from apsam.stack import TileStack
from apsam.tiles.reader import SceneReader
from apsam.tiles.settings import LabelSettings, SplitSettings
from apsam.tiles.tiling import tile_scene


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return write_scene(tmp_path / "valley.tif")


def read(image: Path, labels: Path, rules: ExistingRules | None = None) -> tuple[SceneTiles, ExistingLabels]:
    with SceneReader(image, SMALL) as reader:
        tiles = raster_tiles(reader, SMALL)
        count_valid(reader, tiles, SMALL.min_valid)
        return tiles, read_existing(labels, tiles, rules)


def of(tiles: SceneTiles, found: ExistingLabels, name: str) -> tuple[int, bool, str]:
    index = tiles.names.index(name)
    return int(found.label[index]), bool(found.doubtful[index]), found.why()[index]


def test_tiles_their_order_and_numbers_are_those_of_the_run(image: Path, tmp_path: Path) -> None:
    with SceneReader(image, SMALL) as reader:
        tiles = raster_tiles(reader, SMALL)
        count_valid(reader, tiles, SMALL.min_valid, rows=50)
    mask = write_layer(tmp_path / "mask.gpkg", box(*on_map(100, 140), *on_map(140, 100)))
    scene = Scene("valley", "raster", image, mask, None, "train")
    tile_scene(scene, SMALL, LabelSettings(), SplitSettings(), tmp_path / "valley.zarr.zip")
    with TileStack(tmp_path / "valley.zarr.zip") as stack:
        windows = stack.read("window")
        assert np.array_equal(windows, tiles.windows[tiles.counted])
        shares = stack.read("valid").mean(axis=(1, 2))
    assert np.allclose(shares, tiles.valid_share[tiles.counted])
    names = [name for name, number in zip(tiles.names, tiles.numbers(), strict=True) if number is not None]
    assert names == [f"r{row}_c{col}" for row, col, _, _ in windows.tolist()]
    assert tiles.numbers()[0] is None, "the corner contains no data"


def test_polygons_set_certain_tiles_and_leave_edges_empty(image: Path, tmp_path: Path) -> None:
    # Tiles are 32 m, the accuracy 2 m: 4 px. Columns 128 to 192 are one tile.
    layer = write_layer(tmp_path / "polygons.gpkg", box(*on_map(140, 200), *on_map(160, 190)))
    tiles, found = read(image, layer)
    assert of(tiles, found, "r160_c128")[:2] == (1, False)
    assert of(tiles, found, "r0_c256")[:2] == (0, False)
    # r160_c160 begins where the polygon ends, r192_c64 ends 12 px before it.
    label, doubtful, why = of(tiles, found, "r160_c160")
    assert (label, doubtful) == (255, True) and "within 2 m of the edge of a landslide of polygons.gpkg" in why
    assert of(tiles, found, "r192_c64")[:2] == (0, False)
    loose = ExistingRules(accuracy_m=8)
    assert of(*read(image, layer, loose), "r192_c64")[:2] == (255, True)
    assert of(*read(image, layer, ExistingRules(complete=False)), "r0_c256")[:2] == (255, False)


def test_points_make_no_tile_negative_unless_their_reach_is_known(image: Path, tmp_path: Path) -> None:
    layer = write_layer(tmp_path / "points.gpkg", Point(on_map(240, 200)))
    tiles, found = read(image, layer)
    assert set(np.array(tiles.names)[found.label == 1]) == {
        f"r{row}_c{col}" for row in (160, 192) for col in (192, 224)
    }
    assert of(tiles, found, "r160_c192")[:2] == (1, False)
    assert not (found.label == 0).any()
    label, doubtful, why = of(tiles, found, "r96_c192")
    assert (label, doubtful) == (255, True) and "the extent of its landslide is not known" in why
    tiles, found = read(image, layer, ExistingRules(reach_m=30))
    assert of(tiles, found, "r96_c192")[:2] == (255, True), "20 m away"
    assert of(tiles, found, "r64_c192")[:2] == (0, False), "36 m away"
    assert of(*read(image, layer, ExistingRules(reach_m=30, complete=False)), "r64_c192")[:2] == (255, False)


def test_a_point_at_the_edge_of_a_tile_is_doubtful(image: Path, tmp_path: Path) -> None:
    layer = write_layer(tmp_path / "points.gpkg", Point(on_map(193, 200)))
    tiles, found = read(image, layer)
    assert of(tiles, found, "r160_c192")[:2] == (255, True) and "edge of the tile" in of(tiles, found, "r160_c192")[2]
    assert of(tiles, found, "r160_c160")[:2] == (1, False)


def test_lines_and_layers_in_another_crs_count(image: Path, tmp_path: Path) -> None:
    line = gpd.GeoSeries([LineString([on_map(150, 180), on_map(170, 190)])], crs=CRS).to_crs(4326)
    layer = write_layer(tmp_path / "lines.gpkg", *line, crs="EPSG:4326")
    tiles, found = read(image, layer)
    assert of(tiles, found, "r160_c128")[0] == 1 and of(tiles, found, "r0_c256")[0] == 0


def test_landslide_on_pixels_without_data_is_doubtful(image: Path, tmp_path: Path) -> None:
    layer = write_layer(tmp_path / "polygons.gpkg", box(*on_map(50, 60), *on_map(70, 40)))
    tiles, found = read(image, layer)
    # r32_c32 covers 32 to 96, and sees only what lies beyond 80.
    label, doubtful, why = of(tiles, found, "r32_c32")
    assert (label, doubtful) == (255, True) and "on pixels without data" in why


def test_a_scene_without_any_landslide_is_negative_where_the_layer_is_complete(image: Path, tmp_path: Path) -> None:
    layer = write_layer(tmp_path / "far.gpkg", box(600000, 3400000, 600100, 3400100))
    tiles, found = read(image, layer)
    assert (found.label[tiles.counted] == 0).all()


def test_a_grid_keeps_what_it_found_doubtful(image: Path, tmp_path: Path) -> None:
    layer = write_layer(tmp_path / "points.gpkg", Point(on_map(193, 200)))
    made = write_grid(image, SMALL, tmp_path / "grid.gpkg", labels=layer)
    assert made.left_out == 1 and any("edge of the tile" in line for line in made.lines)
    tiles, found = read(image, tmp_path / "grid.gpkg")
    assert of(tiles, found, "r160_c160")[:2] == (1, False)
    assert of(tiles, found, "r160_c192") == (255, True, "doubtful in grid.gpkg")
    other = write_scene(tmp_path / "ridge.tif")
    with pytest.raises(InputError, match=r"grid.gpkg: its labels are of the scene 'valley', not of 'ridge'"):
        read(other, tmp_path / "grid.gpkg")


def test_a_folder_takes_a_table_and_no_layer(tmp_path: Path) -> None:
    from own_scenes import write_tiles

    write_tiles(tmp_path / "crops", 4, np.random.default_rng(0))
    tiles = folder_tiles(tmp_path / "crops/images")
    assert read_existing(tmp_path / "crops/labels.csv", tiles).label.tolist() == [0, 1, 0, 1]
    layer = write_layer(tmp_path / "points.gpkg", Point(0, 0))
    with pytest.raises(InputError, match=r"points.gpkg: a folder of ready-made tiles is labelled by a table"):
        read_existing(layer, tiles)


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:4326", Affine(5e-6, 0, 101, 0, -5e-6, 30)),
        ("EPSG:3857", Affine(0.5, 0, 11243268, 0, -0.5, 3503549)),
        ("EPSG:2225", Affine(1.6, 0, 6000000, 0, -1.6, 2000000)),
    ],
)
def test_metres_on_the_ground_in_degrees_feet_and_web_mercator(crs: str, transform: Affine) -> None:
    from pyproj import CRS as Reference
    from pyproj import Geod, Transformer

    east, north = metres_on_the_map(Reference(crs), transform, 1000, 1000)
    to_degrees = Transformer.from_crs(crs, 4326, always_xy=True)
    for step, unit in (((1000, 0), east * transform.a), ((0, 1000), north * -transform.e)):
        (x0, y0), (x1, y1) = transform @ (0, 0), transform @ step
        length = Geod(ellps="WGS84").inv(*to_degrees.transform(x0, y0), *to_degrees.transform(x1, y1))[2]
        assert unit * 1000 == pytest.approx(length, rel=2e-3)


def test_a_mask_is_no_file_of_labels(image: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"valley.tif: is a raster; labels are filled in from a table"):
        read(image, image)
    with pytest.raises(InputError, match=r"none.gpkg: no such label file"):
        read(image, tmp_path / "none.gpkg")


def test_layers_are_read_as_the_run_reads_them(image: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    corners = [on_map(col, row) for col, row in ((100, 100), (250, 100), (250, 220), (100, 220), (100, 100))]
    tiles, of_ring = read(image, write_layer(tmp_path / "ring.gpkg", LineString(corners)))
    _, of_area = read(image, write_layer(tmp_path / "area.gpkg", Polygon(corners)))
    assert np.array_equal(of_ring.label, of_area.label) and of(tiles, of_ring, "r128_c160")[0] == 1
    two = gpd.GeoDataFrame({"label": [0, 1]}, geometry=[box(*on_map(0, 60), *on_map(60, 0))] * 2, crs=CRS)
    two.to_file(tmp_path / "two.gpkg")
    with pytest.raises(InputError, match="its column 'label' is 0 for 1 of 2 features"):
        read(image, tmp_path / "two.gpkg")
    caplog.clear()
    read(image, write_layer(tmp_path / "far.gpkg", box(600000, 3400000, 600100, 3400100)))
    assert "far.gpkg: no feature is near the scene" in caplog.text


def test_a_scene_beyond_180_degrees_has_the_labels_of_the_run(tmp_path: Path) -> None:
    degree = 1 / 200000
    image = write_scene(tmp_path / "fiji.tif", Affine(degree, 0, 180.0005, 0, -degree, -17.0), "EPSG:4326", empty=0)
    west = write_layer(tmp_path / "west.gpkg", box(-179.9993, -17.0009, -179.9989, -17.0005), crs="EPSG:4326")
    scene = Scene("fiji", "raster", image, west, None, "train")
    tile_scene(scene, SMALL, LabelSettings(), SplitSettings(), tmp_path / "fiji.zarr.zip")
    with TileStack(tmp_path / "fiji.zarr.zip") as stack:
        wanted = stack.read("label")
    _, found = read(image, west, ExistingRules(accuracy_m=0))
    assert 0 < np.count_nonzero(wanted) < len(wanted)
    assert np.array_equal(found.label == 1, wanted == 1)


def test_a_named_layer_and_a_grid_with_labels_as_text(image: Path, tmp_path: Path) -> None:
    with SceneReader(image, SMALL) as reader:
        names = raster_tiles(reader, SMALL).names
    file = tmp_path / "both.gpkg"
    write_layer(tmp_path / "faults.gpkg", box(*on_map(140, 200), *on_map(160, 190)))
    gpd.read_file(tmp_path / "faults.gpkg").to_file(file, layer="faults")
    texts = ["true", "false", *[""] * (len(names) - 2)]
    grid = gpd.GeoDataFrame({"Tile": names, "LABEL": texts}, geometry=[Point(0, 0)] * len(names), crs=CRS)
    grid.to_file(file, layer="mine")
    _, of_layer = read(image, Path(f"{file}|layername=faults"))
    assert (of_layer.label == 1).any()
    tiles, of_grid = read(image, Path(f"{file}|layername=mine"))
    assert of_grid.label[:2].tolist() == [1, 0] and (of_grid.label[2:] == 255).all()
