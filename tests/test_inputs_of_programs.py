"""Inputs as other programs and people write them, whose first reading by apsam was wrong without a word."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
from given_inputs import LEFT, SLIDE, TOP, UTM, Given, drawn, given, in_degrees, kml, layer, pixels, write
from rasterio.transform import from_origin
from shapely import box

from apsam.errors import InputError
from apsam.reference_mask import ReferenceMaskReader
from apsam.scenes import tile_files
from apsam.tiles.bands import band_doubts
from apsam.tiles.mask_folder import MaskFolder
from apsam.tiles.reader import SceneReader
from apsam.tiles.settings import TileSettings

SIDE = 64


def slide(value: int = 1) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[10:30, 20:40] = value
    return mask


def tile_folder(folder: Path, masks: list[np.ndarray], labels: str = "mask") -> Given:
    """Ready-made tiles `t0.png`, ... and their masks, (h, w) or (h, w, channels of BGR)."""
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    for number, mask in enumerate(masks):
        image = pixels(side=SIDE, seed=number).transpose(1, 2, 0)
        cv2.imwrite(str(folder / "images" / f"t{number}.png"), image)
        cv2.imwrite(str(folder / "masks" / f"t{number}.png"), mask)
    return given(folder, image="images", labels=labels, mask="masks")


def test_masks_of_two_kinds_in_one_folder_are_not_guessed(tmp_path: Path) -> None:
    """Of 0/1 and 0/255 together, 255 was unknown, and tiles with such a landslide were labelled negative."""
    tiles = tile_folder(tmp_path, [slide(0), slide(1), slide(0), slide(255)])
    for reads in (tiles.check, tiles.tile):
        with pytest.raises(InputError, match=r"value 1 \(t1.png\), others 255 \(t3.png\)"):
            reads()
    tiles.head, tiles.rows = (*tiles.head, "mask_values"), [(*tiles.rows[0], "1,255")]
    assert tiles.check().scenes[0].positive == 2
    np.testing.assert_array_equal(tiles.tile()["label"], [0, 1, 0, 1])


def test_unknown_pixels_next_to_landslides_show_one_kind(tmp_path: Path) -> None:
    both = slide(1)
    both[:, 50:] = 255
    tile_folder(tmp_path, [slide(0), slide(1), both, slide(255)])
    masks = MaskFolder(tmp_path / "masks")
    assert masks.rule is not None and masks.rule.unknown == {255}


@pytest.mark.parametrize("by_alpha", [False, True])
def test_a_cut_out_of_the_image_is_no_mask(tmp_path: Path, by_alpha: bool) -> None:
    """Only pixels brighter than 127 counted as landslide."""
    photo = pixels(side=SIDE).transpose(1, 2, 0) // 2 + 30  # up to 129
    photo = np.dstack([photo, slide(255)]) if by_alpha else photo * slide(1)[..., None]
    tiles = tile_folder(tmp_path, [slide(0), photo, slide(0), photo])
    for reads in (tiles.check, tiles.tile):
        with pytest.raises(InputError, match="from which all but the landslides was cut"):
            reads()


def test_bands_of_all_ready_made_tiles_are_doubted(tmp_path: Path) -> None:
    """Only the first tile was looked at."""
    (tmp_path / "images").mkdir()
    for number, bands in enumerate((3, 3, 4, 4)):
        kind = {} if bands == 3 else {"photometric": "minisblack", "alpha": "no"}
        write(tmp_path / "images" / f"t{number}.tif", pixels(bands, SIDE), **kind)
    (tmp_path / "labels.csv").write_text("tile,label\n" + "".join(f"t{n}.tif,{n % 2}\n" for n in range(4)))
    report = given(tmp_path, image="images", labels="labels.csv").check()
    [warning] = [text for text in report.warnings if "4 bands" in text]
    assert "t2.tif" in warning and "1 other tile" in warning
    assert report.scenes[0].bands == "red, green, blue; of 2 tiles the first three"


def with_own_mask(path: Path, hidden: np.ndarray) -> Path:
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as raster:
        raster.write_mask(~hidden)
    return path


def test_a_scene_with_a_mask_and_a_no_data_value(tmp_path: Path) -> None:
    """GDAL's masks leave the value out if the file has a mask."""
    values = pixels()
    values[:, :, 120:] = 0
    hidden = np.zeros(values.shape[1:], bool)
    hidden[:30] = True
    with_own_mask(write(tmp_path / "a.tif", values, nodata=0), hidden)
    with SceneReader(tmp_path / "a.tif", TileSettings()) as scene:
        valid = scene.read(0, 0, *hidden.shape)[1]
    np.testing.assert_array_equal(valid == 0, hidden | (values == 0).all(axis=0))


def test_a_reference_mask_with_a_mask_and_a_no_data_value(tmp_path: Path) -> None:
    """GDAL's warper leaves the mask out if it is given a value: hidden landslides counted."""
    values, hidden = drawn(), np.zeros((1, 160, 160), bool)
    hidden[:, :30] = True
    values[:, :, 120:] = 255
    with_own_mask(write(tmp_path / "m.tif", values, nodata=255), hidden[0])
    write(tmp_path / "a.tif", pixels())
    with (
        SceneReader(tmp_path / "a.tif", TileSettings()) as scene,
        ReferenceMaskReader(tmp_path / "m.tif", scene) as mask,
    ):
        np.testing.assert_array_equal(mask.read(0, 0, 160, 160), np.where(hidden, 255, values)[0])


def test_images_on_the_ground_of_a_kml_are_no_landslides(tmp_path: Path) -> None:
    """Google Earth keeps them in the same folder as outlines; GDAL gives their frames as polygons."""
    west, south, east, north = in_degrees(box(LEFT, TOP - 160, LEFT + 160, TOP)).bounds
    overlay = (
        f"<GroundOverlay><Icon><href>before.png</href></Icon><LatLonBox><north>{north}</north><south>{south}</south>"
        f"<east>{east}</east><west>{west}</west></LatLonBox></GroundOverlay>"
    )
    text = kml(tmp_path / "k.kml", SLIDE).read_text()
    (tmp_path / "k.kml").write_text(text.replace("<Placemark>", f"{overlay}<Placemark>"))
    inputs = given(tmp_path, labels="k.kml")
    report = inputs.check()
    assert any("1 of 2 features are images laid on the ground" in text for text in report.warnings)
    assert {at for at, label in inputs.tile()["at"].items() if label} == {(0, 0), (0, 38), (38, 0), (38, 38)}


@pytest.mark.parametrize(
    ("column", "unit"), [("area_ha", "ha"), ("Area (km²)", "km2"), ("LengthKm", "km"), ("Shape_Area", None)]
)
def test_a_unit_in_the_name_of_the_column_of_sizes(tmp_path: Path, column: str, unit: str | None) -> None:
    """40 ha were read as 40 square metres."""
    layer(tmp_path / "p.gpkg", SLIDE.centroid, **{column: [40.0]})
    settings = {"size_column": column, "size_kind": "length" if "L" in column else "area"}
    inputs = given(tmp_path, labels="p.gpkg")
    inputs.labels = settings
    said = [text for text in inputs.check().warnings if "the unit" in text]
    assert [f"'{unit}'" in text for text in said] == [True] * (unit is not None)


def stacked(path: Path, *bands: str) -> Path:
    """A virtual raster of one file a band, as `gdalbuildvrt -separate` makes it."""
    for number, name in enumerate(bands):
        write(path.parent / name, np.full((1, 64, 64), 10 + number, np.uint8))
    layers = "".join(
        f'<VRTRasterBand dataType="Byte" band="{number}"><ComplexSource><SourceFilename relativeToVRT="1">{name}'
        f"</SourceFilename><SourceBand>1</SourceBand></ComplexSource></VRTRasterBand>"
        for number, name in enumerate(bands, 1)
    )
    with rasterio.open(path.parent / bands[0]) as raster:
        place = ", ".join(map(str, raster.transform.to_gdal()))
    path.write_text(
        f'<VRTDataset rasterXSize="64" rasterYSize="64"><SRS>{UTM}</SRS><GeoTransform>{place}</GeoTransform>{layers}'
        f"</VRTDataset>"
    )
    return path


@pytest.mark.parametrize(
    ("files", "first", "doubted"),
    [
        (("T48_20200101_B02_10m.tif", "T48_20200101_B03_10m.tif", "T48_20200101_B04_10m.tif"), 12, False),
        (("T48_20200101_B04_10m.tif", "T48_20200101_B03_10m.tif", "T48_20200101_B02_10m.tif"), 10, False),
        (("a_blue.tif", "a_green.tif", "a_red.tif"), 12, False),
        (("LC08_SR_B2.TIF", "LC08_SR_B3.TIF", "LC08_SR_B4.TIF"), 10, True),
        (("one.tif", "two.tif", "three.tif"), 10, False),
    ],
)
def test_bands_of_a_virtual_stack_are_known_by_their_files(
    tmp_path: Path, files: tuple[str, ...], first: int, doubted: bool
) -> None:
    """Files in the order of their names, as QGIS puts them, begin with blue, which was taken for red."""
    with SceneReader(stacked(tmp_path / "s.vrt", *files), TileSettings()) as scene:
        assert scene.read(0, 0, 64, 64)[0][0].max() == first
        assert bool(band_doubts(scene.chosen, scene.count)) is doubted


@pytest.mark.parametrize(
    ("name", "remedy"), [("image_1.h5", "convert them"), ("landslide", "put the tiles of a scene")]
)
def test_a_folder_without_tiles_says_what_to_do(tmp_path: Path, name: str, remedy: str) -> None:
    (tmp_path / "images" / name).mkdir(parents=True)
    with pytest.raises(InputError, match=remedy):
        tile_files(tmp_path / "images")


def test_labels_of_ready_made_tiles_are_compared_with_their_masks(tmp_path: Path) -> None:
    """Tools that number classes by their names call landslides 0, and others 1."""
    tiles = tile_folder(tmp_path, [slide(number % 2) for number in range(6)], "labels.csv")
    for right, warned in ((1, False), (0, True)):
        rows = "".join(f"t{number}.png,{int(number % 2 == right)}\n" for number in range(6))
        (tmp_path / "labels.csv").write_text(f"tile,label\n{rows}")
        assert any("is 1 landslide in the labels" in text for text in tiles.check().warnings) is warned


@pytest.mark.parametrize(
    ("column", "values"), [("是否滑坡", ["是", "否"]), ("类别", ["滑坡", "非滑坡"]), ("LS", [1, 0])]
)
def test_features_that_are_no_landslides_in_chinese(tmp_path: Path, column: str, values: list) -> None:
    layer(tmp_path / "i.gpkg", SLIDE, box(LEFT + 100, TOP - 140, LEFT + 120, TOP - 120), **{column: values})
    with pytest.raises(InputError, match="each feature of a layer counts as a landslide"):
        given(tmp_path, labels="i.gpkg").check()


@pytest.mark.parametrize("latitude", [60, 20])
def test_pixels_that_are_not_square_on_the_ground(tmp_path: Path, latitude: float) -> None:
    place = from_origin(10, latitude, 1e-5, 1e-5)
    write(tmp_path / "a.tif", pixels(), crs="EPSG:4326", transform=place)
    layer(tmp_path / "inv.gpkg", box(10.0002, latitude - 0.0004, 10.0005, latitude - 0.0002), crs="EPSG:4326")
    warnings = given(tmp_path).check().warnings
    assert any("0.56 x 1.1 m on the ground" in text for text in warnings) is (latitude == 60)


def test_no_data_of_one_band_is_left_out_of_its_averages(tmp_path: Path) -> None:
    """A value of -9999 among four made the average black in its band."""
    values = pixels(dtype="float32") / 255
    values[0, ::2, ::2] = -9999
    write(tmp_path / "a.tif", values, nodata=-9999)
    with SceneReader(tmp_path / "a.tif", TileSettings(resolution_m=2.0)) as scene:
        image, valid = scene.read(0, 0, 80, 80)
        low, high = scene.limits or (0, 0)
    assert valid.all()
    of_band = np.where(values == -9999, np.nan, values).reshape(3, 80, 2, 80, 2)
    mean = np.nanmean(of_band, axis=(2, 4))
    wanted = np.clip((mean - low[:, None, None]) / (high - low)[:, None, None], 0, 1) * 255
    np.testing.assert_allclose(image, wanted, atol=1)


def test_settings_of_rasters_that_ready_made_tiles_do_not_follow(tmp_path: Path) -> None:
    tiles = tile_folder(tmp_path, [slide(0), slide(1)])
    assert not any("read as they are" in text for text in tiles.check().warnings)
    tiles.tiles = {"bands": (3, 2, 1), "stretch": "none"}
    assert any("without 'tiles.bands';" in text for text in tiles.check().warnings)
