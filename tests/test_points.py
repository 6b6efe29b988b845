"""Points of landslides: sizes from a column, tiles left out near them, settings for each scene."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from given_inputs import HEAD, LEFT, SLIDE, TOP, UTM, Given, given, layer, pixels, write
from rasterio.transform import from_origin
from shapely import Point, box
from typer.testing import CliRunner

from apsam.cli import app
from apsam.errors import InputError
from apsam.geodesy import Geodesy
from apsam.inputs.sizes import landslide_lengths, mask_lengths, rounded_up, scale_warnings
from apsam.labelling.grid import write_grid
from apsam.tiles.landslide_sizes import lengths_of
from apsam.tiles.parts import NEITHER, TRAIN
from apsam.tiles.settings import LabelSettings, TileSettings

# In the upper left corner of the scene of 160 m; windows of 64 m begin at 0, 38, 76 and 96.
POINT = Point(LEFT + 10, TOP - 10)
COLUMNS = ("buffer_m", "ignore_m", "size_column", "size_kind", "length_to_width")


def points(folder: Path, settings: dict, *shapes: Point, **columns: list) -> Given:
    layer(folder / "inv.gpkg", *(shapes or (POINT,)), **columns)
    one = given(folder)
    one.labels = settings
    return one


def kinds(one: Given, number: int = 0) -> tuple[set, set, set]:
    """Places of positive, negative and left out tiles."""
    cut = one.tile(number)
    parts = dict(zip(cut["at"], cut["part"].tolist(), strict=True))
    positive = {place for place, label in cut["at"].items() if label}
    left_out = {place for place, part in parts.items() if part == NEITHER}
    assert all(parts[place] == TRAIN for place in positive)
    return positive, set(parts) - positive - left_out, left_out


def nearest(place: tuple[int, int], point: Point = POINT) -> float:
    row, col = place
    return box(LEFT + col, TOP - row - 64, LEFT + col + 64, TOP - row).distance(point)


@pytest.mark.parametrize(
    ("settings", "columns", "positive_m", "ignore_m"),
    [
        ({"ignore_m": 40}, {}, 0, 40),
        ({"buffer_m": 30, "ignore_m": 80}, {}, 30, 80),
        ({"buffer_m": 30, "ignore_m": 20}, {}, 30, 30),
        ({"size_column": "len"}, {"len": [120.0]}, 25, 120),
        ({"size_column": "LEN", "ignore_m": 40}, {"len": ["120"]}, 25, 40),
        ({"size_column": "r", "size_kind": "radius"}, {"r": [40.0]}, 40, 80),
        ({"size_column": "a", "size_kind": "area"}, {"a": [np.pi / 4 / 2.4 * 120**2]}, 25, 120),
        ({"size_column": "len", "length_to_width": 4}, {"len": [120.0]}, 15, 120),
        ({"size_column": "r", "size_kind": "radius", "length_to_width": 4}, {"r": [40.0]}, 40, 80),
        # No size: the buffer.
        ({"size_column": "len", "buffer_m": 30}, {"len": [0.0]}, 30, 30),
        ({"size_column": "len", "buffer_m": 30}, {"len": [np.inf]}, 30, 30),
    ],
)
def test_tiles_around_a_point(tmp_path: Path, settings, columns, positive_m: float, ignore_m: float) -> None:
    if columns.get("len") in ([0.0], [np.inf]):
        columns = {"len": [*columns["len"], 50.0]}
        one = points(tmp_path, settings, POINT, Point(LEFT + 5000, TOP), **columns)
    else:
        one = points(tmp_path, settings, **columns)
    positive, negative, left_out = kinds(one)
    everything = positive | negative | left_out
    # A circle is drawn with 64 corners, and UTM is 1 in 2500 off.
    assert positive == {place for place in everything if nearest(place) <= 0.995 * positive_m}
    assert left_out == {place for place in everything - positive if nearest(place) <= 0.995 * ignore_m}
    row = one.check().scenes[0]
    assert (row.positive, row.negative, row.unlabelled) == (len(positive), len(negative), len(left_out))


def test_outlines_are_not_buffered_by_their_size(tmp_path: Path) -> None:
    layer(tmp_path / "inv.gpkg", SLIDE, len=[500.0])
    one = given(tmp_path)
    plain = kinds(one)
    one.labels = {"size_column": "len"}
    assert kinds(one) == plain and not plain[2]
    one.labels = {"ignore_m": 30}
    positive, _, left_out = kinds(one)
    assert positive == plain[0]
    assert left_out == {place for place in plain[1] if box_distance(place) <= 30}


def box_distance(place: tuple[int, int]) -> float:
    row, col = place
    return box(LEFT + col, TOP - row - 64, LEFT + col + 64, TOP - row).distance(SLIDE)


def test_sizes_go_with_their_features(tmp_path: Path) -> None:
    """Features without geometry, elsewhere, or of another CRS do not shift the column."""
    far, small, large = Point(LEFT + 90_000, TOP), Point(LEFT + 10, TOP - 150), Point(LEFT + 150, TOP - 10)
    frame = gpd.GeoDataFrame({"len": [9.0, 1.0, 4.0, 400.0]}, geometry=[None, far, small, large], crs=UTM)
    frame.to_crs(4326).to_file(tmp_path / "inv.gpkg")
    one = given(tmp_path)
    one.labels = {"size_column": "len", "ignore_m": 0, "length_to_width": 2}
    positive, _, _ = kinds(one)
    assert positive == {
        place for place in one.tile()["at"] if nearest(place, large) <= 99 or nearest(place, small) <= 1
    }


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [("size", [5.0], "has no column 'size' .*its columns: len"), ("len", ["long"], "nothing in its column 'len' is")],
)
def test_columns_without_sizes(tmp_path: Path, column: str, values: list, message: str) -> None:
    one = points(tmp_path, {"size_column": column}, len=values)
    for work in (one.check, one.tile):
        with pytest.raises(InputError, match=message):
            work()


def test_points_for_one_scene_and_outlines_for_another(tmp_path: Path) -> None:
    layer(tmp_path / "inv.gpkg", SLIDE)
    layer(tmp_path / "points.gpkg", POINT, len=[120.0])
    write(tmp_path / "a.tif", pixels())
    rows = [
        ("a", "a.tif", "points.gpkg", "", "train", "", "40", "len", "", "2"),
        ("b", "a.tif", "inv.gpkg", "", "train", "0", "", "-", "", ""),
    ]
    both = Given(tmp_path, rows, (*HEAD, *COLUMNS), labels={"buffer_m": 100, "size_column": "other"})
    first, second = both.scenes()
    assert first.label_values == (("ignore_m", 40.0), ("size_column", "len"), ("length_to_width", 2.0))
    assert second.label_settings(LabelSettings(**both.labels)) == LabelSettings(buffer_m=0, size_column=None)
    assert {place for place in kinds(both, 0)[0]} == {place for place in both.tile(0)["at"] if nearest(place) <= 30}
    assert kinds(both, 1)[0] == {(0, 0), (0, 38), (38, 0), (38, 38)}
    assert [row.positive for row in both.check().scenes] == [len(kinds(both, number)[0]) for number in (0, 1)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("inv.gpkg", "", "-5", ""), "buffer_m '-5': Input should be greater"),
        (("inv.gpkg", "", "", "far"), "ignore_m 'far'"),
        (("inv.gpkg", "", "", "-1"), "ignore_m '-1': must be auto or 0 to 5000 metres"),
        (("mask", "m.tif", "5", ""), "buffer_m concerns a vector layer of labels"),
    ],
)
def test_rows_that_make_no_sense(tmp_path: Path, row: tuple, message: str) -> None:
    labels, mask, buffer_m, ignore_m = row
    one = Given(tmp_path, [("a", "a.tif", labels, mask, "train", buffer_m, ignore_m)], (*HEAD, "buffer_m", "ignore_m"))
    with pytest.raises(InputError, match=message):
        one.scenes()


def test_distances_are_refused_for_tables(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", pixels())
    write_grid(tmp_path / "a.tif", TileSettings(size=64), tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text((tmp_path / "t.csv").read_text().replace("r0_c0,", "r0_c0,1"))
    one = Given(tmp_path, [("a", "a.tif", "t.csv", "", "train", "5")], (*HEAD, "buffer_m"))
    for work in (one.check, one.tile):
        with pytest.raises(InputError, match="labels tiles, so buffer_m of scene 'a' has no use"):
            work()


def test_check_warns_of_points(tmp_path: Path) -> None:
    def says(settings: dict, **columns: list) -> str:
        return "\n".join(points(tmp_path, settings, **columns).check().warnings)

    assert "its column 'len_m' may be one" in says({}, len_m=[120.0])
    text = says({"buffer_m": 20}, note=["x"])
    assert "1 of 1 points near 'a' have no size" in text and "leave tiles near points out" in text
    text = says({"buffer_m": 20, "ignore_m": 40}, note=["x"])
    assert "1 of 1 points near 'a' have no size" in text and "leave tiles near points out" not in text, "they are"
    # Of the ten negative tiles beyond 40 m, those within 120 m may show the rest.
    text = says({"size_column": "len", "ignore_m": 0}, len=[120.0])
    assert "negative tiles of 'a' lie within the length of a landslide" in text and "ignore_m: auto" in text
    assert "no distance around points is right for 'a'" in says({"size_column": "len"}, len=[150.0])
    assert not says({"size_column": "len"}, len=[20.0])


def test_check_warns_of_landslides_as_long_as_tiles() -> None:
    tiles = TileSettings(size=256)
    assert scale_warnings([(np.array([20.0, 50.0, 60.0]), 128.0, 900.0)], tiles) == []
    scenes = [(np.array([90.0, 110.0]), 128.0, 900.0), (np.array([400.0]), 128.0, 900.0)]
    [text] = scale_warnings(scenes, tiles)
    assert "longer than 110 m, a tile is 128 m wide" in text and "tiles.resolution_m: 1'" in text
    [text] = scale_warnings([(*scenes[0][:2], 250.0), scenes[1]], tiles)
    assert text.endswith(
        "most tiles show a part of one; add config/real_scenes.yaml, which combines the labels of overlapping tiles"
    ), "a tile of 256 m is larger than the first scene"
    assert [rounded_up(value) for value in (0.86, 1.0, 1.1, 13, 900)] == [1.0, 1.0, 1.2, 15, 1000]


def test_check_does_not_advise_what_is_set_already(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layer(tmp_path / "inv.gpkg", box(LEFT, TOP - 60, LEFT + 150, TOP))
    given(tmp_path).scenes()
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "mine.yaml"
    config.write_text("run: mine\nscenes: scenes.tsv\ntiles: {size: 64}\n")
    advice = "add config/real_scenes.yaml"
    assert advice in CliRunner().invoke(app, ["check", str(config)]).stdout
    real_scenes = Path(__file__).parents[1] / "config" / "real_scenes.yaml"
    done = CliRunner().invoke(app, ["check", str(config), str(real_scenes)])
    assert done.exit_code == 0 and advice not in done.stdout, done.output


def test_lengths_of_outlines_masks_and_sizes() -> None:
    geodesy = Geodesy(gpd.GeoSeries([SLIDE], crs=UTM).crs, (LEFT, TOP - 160, LEFT + 160, TOP))
    found = landslide_lengths(np.array([SLIDE, POINT]), geodesy)
    assert found[0] == pytest.approx(30, rel=1e-3) and np.isnan(found[1])
    mask = np.zeros((60, 60), bool)
    mask[20:30, 10:50] = True
    assert mask_lengths(mask, 0.5) == pytest.approx([20])
    areas, by_area = np.array([8 / np.pi, 0.0]), {"size_column": "a", "size_kind": "area", "length_to_width": 2}
    assert lengths_of(areas, LabelSettings(**by_area)) == pytest.approx([8 / np.pi, np.nan], nan_ok=True)
    longer = LabelSettings(**{**by_area, "length_to_width": 8})
    assert lengths_of(areas, longer) == pytest.approx([16 / np.pi, np.nan], nan_ok=True)


def test_a_table_of_another_scene_or_grid_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", pixels())
    settings = TileSettings(size=64)
    elsewhere = write(tmp_path / "b.tif", pixels(), transform=from_origin(LEFT + 900, TOP, 1, 1))
    for kind in ("csv", "gpkg"):
        for image, wrong in ((tmp_path / "a.tif", None), (elsewhere, "of the scene 'b', not of 'a'")):
            grid = tmp_path / f"grid.{kind}"
            write_grid(image, settings, grid, overwrite=True, labels=layer(tmp_path / "inv.gpkg", SLIDE))
            one = Given(tmp_path, [("a", "a.tif", grid.name, "", "train")])
            for work in (one.check, one.tile):
                if wrong is None:
                    work()
                else:
                    with pytest.raises(InputError, match=wrong):
                        work()
    # The scene may be called otherwise in the sheet; the tiles must be the run's.
    write_grid(tmp_path / "a.tif", settings, tmp_path / "grid.csv", True, labels=tmp_path / "inv.gpkg")
    one = Given(tmp_path, [("renamed", "a.tif", "grid.csv", "", "train")])
    one.check()
    one.tiles = {"overlap": 0.5}
    with pytest.raises(InputError, match="64 px with a stride of 38 px, not 64 px with 32 px"):
        one.check()
