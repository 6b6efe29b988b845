"""`apsam predict`: weights alone map a scene, and a scene that differs from the training causes a warning."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import torch
from rasterio.transform import Affine, from_origin
from rasters import write_raster
from safetensors import safe_open
from safetensors.torch import save_file
from tiny_run import make_tiny_run
from typer.testing import CliRunner

from apsam import cli
from apsam.conditions import TrainingConditions, conditions_of, read_conditions
from apsam.errors import ApsamError, InputError
from apsam.localizer.cam import make_cams
from apsam.localizer.checkpoint import save_localizer
from apsam.localizer.methods import build_method
from apsam.localizer.settings import CamSettings, LocalizerSettings
from apsam.maps.decision import decide, map_histogram
from apsam.maps.model import find_model
from apsam.maps.resample import write_interpolated
from apsam.maps.settings import MapSettings
from apsam.products.settings import ProductSettings
from apsam.resunet.checkpoint import save_resunet
from apsam.resunet.model import build_resunet
from apsam.resunet.predict import predict_raster
from apsam.resunet.settings import ResUNetSettings
from apsam.resunet.train import train_resunet
from apsam.scenes import Scene
from apsam.stack import TileStack, TileStackWriter
from apsam.tiles.reader import SceneReader
from apsam.tiles.resolution import ground_resolution_m
from apsam.tiles.settings import LabelSettings, SplitSettings, TileSettings
from apsam.tiles.tiling import tile_scene

SMALL = ResUNetSettings(preset="paper", widths=(4, 6, 8, 8, 8), pyramid_width=4, epochs=1, batch_size=4)
TILES = TileSettings(size=64, bands=(1, 2, 3))


def write(
    path: Path, step: float = 0.5, size: int = 160, crs: str = "EPSG:32648", dtype: str = "uint8", **more
) -> Path:
    """A textured scene with pixels of `step` units."""
    rng = np.random.default_rng(1)
    image = rng.integers(40, 200, (3, size, size)).astype(dtype) * (1 if dtype == "uint8" else 20)
    return write_raster(path, image, **{"crs": crs, "transform": from_origin(500000, 3000000, step, step), **more})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights trained on a scene of 0.5 m a pixel, and nothing else next to them."""
    folder = tmp_path_factory.mktemp("trained")
    image = write(folder / "scene.tif")
    mask = np.zeros((160, 160), np.uint8)
    mask[20:50, 20:60] = 1
    write_raster(folder / "mask.tif", mask)
    scene = Scene("valley", "raster", image, None, folder / "mask.tif", "train")
    tile_scene(scene, TILES, LabelSettings(min_pixels=5), SplitSettings(), folder / "t.zarr.zip")
    with TileStack(folder / "t.zarr.zip") as stack:
        count = len(stack)
    with TileStackWriter(folder / "m.zarr.zip", {"scene": "valley"}, {"mask": ((64, 64), "uint8")}) as writer:
        writer.append(mask=np.zeros((count, 64, 64), np.uint8))
    weights = folder / "weights" / "w.safetensors"
    weights.parent.mkdir()
    train_resunet([folder / "t.zarr.zip"], [folder / "m.zarr.zip"], SMALL, weights, folder / "h.json", 1, "cpu")
    return weights


def untrained(path: Path, conditions: TrainingConditions | None) -> Path:
    torch.manual_seed(0)
    save_resunet(build_resunet(SMALL), SMALL, path, {}, conditions)
    return path


def predict(*arguments: object) -> tuple[int, str]:
    """Return exit code and output."""
    result = CliRunner().invoke(cli.app, ["predict", *map(str, arguments), "--device", "cpu", "--threads", "1"])
    if isinstance(result.exception, ApsamError):
        return result.exception.exit_code, str(result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_weights_have_the_conditions_of_training(trained: Path) -> None:
    found = read_conditions(trained)
    assert found.schema_version == 1
    assert found.tiles.size == 64 and found.labels.min_pixels == 5
    assert found.ground_resolution_m == pytest.approx((0.5, 0.5), rel=1e-3)
    assert found.stretched is False
    assert found.maps == MapSettings() and found.products == ProductSettings()


def test_weights_alone_map_a_scene(trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scene = write(tmp_path / "other.tif")
    code, text = predict(scene, "--weights", trained, "-o", tmp_path / "maps")
    assert code == 0, text
    assert (
        "w.safetensors: trained at 0.5 m a pixel; threshold 0.5, maps and products by the settings in the weights"
        in text
    )
    assert "warning" not in text + caplog.text
    names = {file.name for file in (tmp_path / "maps").iterdir()}
    assert {"other_probability.tif", "other_mask.tif", "other.gpkg", "other.qgs", "other.stac.json"} <= names
    with rasterio.open(tmp_path / "maps/other_mask.tif") as mask:
        assert mask.shape == (160, 160)


def test_a_run_needs_no_report(trained: Path, tmp_path: Path) -> None:
    weights = tmp_path / "run/resunet/cam/weights.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(trained.read_bytes())
    scene = write(tmp_path / "other.tif")
    code, text = predict(scene, "--run", tmp_path / "run", "--model", "cam", "-o", tmp_path / "maps")
    assert code == 0 and "settings in the weights" in text
    (tmp_path / "run/report").mkdir()
    (tmp_path / "run/report/config.yaml").write_text("maps: {threshold: 0.25}\n")
    code, text = predict(scene, "--run", tmp_path / "run", "--model", "cam", "-o", tmp_path / "maps")
    assert code == 0 and "threshold 0.25, maps and products by" in text and "report/config.yaml" in text
    (tmp_path / "mine.yaml").write_text("maps: {threshold: 0.75}\n")
    code, text = predict(
        scene, "--run", tmp_path / "run", "--model", "cam", "-o", tmp_path / "maps", "--config", tmp_path / "mine.yaml"
    )
    assert code == 0 and "threshold 0.75" in text
    code, text = predict(scene, "--run", tmp_path / "run", "--model", "apsam", "-o", tmp_path / "maps")
    assert code != 0 and "resunet/apsam/weights.safetensors: missing, so" in text


def test_a_run_maps_with_its_best_network_and_its_decision(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    by_f1 = TrainingConditions(tiles=TILES, ground_resolution_m=(0.5, 0.5), decision="expected_f1")
    for masks, conditions in (("apsam", TrainingConditions(tiles=TILES)), ("ground", by_f1)):
        untrained(tmp_path / f"run/resunet/{masks}/weights.safetensors", conditions)
    scene, run, maps = write(tmp_path / "other.tif"), tmp_path / "run", tmp_path / "maps"

    def threshold(*arguments: object) -> float:
        caplog.clear()
        code, text = predict(scene, "--run", run, "-o", maps, *arguments)
        assert code == 0
        with rasterio.open(maps / "other_mask.tif") as mask, rasterio.open(maps / "other_probability.tif") as map_:
            found = float(mask.tags()["APSAM_THRESHOLD"])
            assert ("expected F1" in text) == (f"other_mask.tif: threshold {found:g}" in caplog.text)
            assert np.array_equal(mask.read(1) == 1, map_.read(1) >= round(found * 250))
        return found

    assert threshold() == decide(map_histogram(maps / "other_probability.tif")).threshold < 0.5
    assert not list(maps.glob(".partial*"))
    assert threshold("--model", "apsam") == 0.5
    (tmp_path / "mine.yaml").write_text("maps: {threshold: 0.25}\n")
    assert threshold("--config", tmp_path / "mine.yaml") == 0.25
    (run / "report").mkdir()
    scene_wide = "ground: {masks: scene, heat_maps: labels, decision: %s}\nresunet: {loss: bce}\n"
    (run / "report/config.yaml").write_text(scene_wide % "threshold")
    assert threshold() == 0.5
    (run / "report/config.yaml").write_text(scene_wide % "expected_f1")
    assert threshold() < 0.5


def test_a_configuration_changes_only_the_keys_that_it_sets(tmp_path: Path) -> None:
    by_f1 = TrainingConditions(tiles=TILES, ground_resolution_m=(0.5, 0.5), decision="expected_f1")
    weights = untrained(tmp_path / "run/resunet/ground/weights.safetensors", by_f1)
    record, mine, run = tmp_path / "run/report/config.yaml", tmp_path / "mine.yaml", tmp_path / "run"
    record.parent.mkdir()
    record.write_text(
        "ground: {masks: scene, heat_maps: labels, decision: expected_f1}\nresunet: {loss: bce}\n"
        "maps: {overlap: 0.6, flips: false}\nproducts: {smooth_m: 3, dem: dem.tif}\nscenes: data/scenes.tsv\n"
    )
    mine.write_text("products: {min_area_m2: 400}\nmaps: {overlap: 0.2}\n")
    found = find_model(run, None, None, mine)
    assert (found.decision, found.maps.overlap, found.maps.flips) == ("expected_f1", 0.2, False)
    assert found.products == ProductSettings(min_area_m2=400, smooth_m=3, dem=Path("data/dem.tif"))
    assert f"{mine} and {record}" in found.in_words() and found.elevations_from == record
    mine.write_text("ground: {decision: threshold}\n")
    assert find_model(run, None, None, mine).decision == "threshold"
    # Like other paths of the run, those of the file start where the run's do.
    mine.write_text("products: {dem: other.tif}\n")
    found = find_model(run, None, None, mine)
    assert (found.products.dem, found.elevations_from) == (Path("data/other.tif"), record)
    mine.write_text("ground: {decision: expected_f1}\n")
    assert find_model(run, None, None, mine).decision == find_model(None, None, weights, mine).decision == "expected_f1"
    mine.write_text("products: {dem: other.tif}\n")
    # Of weights alone too.
    assert find_model(None, None, weights, mine).decision == "expected_f1"
    mine.write_text("maps: {threshold: 0.5}\n")
    assert find_model(None, None, weights, mine).decision == "threshold"


@pytest.mark.parametrize("both", [False, True])
def test_missing_run_is_an_error(both: bool, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "results/demo/resunet/apsam").mkdir(parents=True)
    (tmp_path / "results/demo/resunet/apsam/weights.safetensors").write_bytes(trained.read_bytes())
    monkeypatch.chdir(tmp_path)
    given = ["--run", "results/demo", "--weights", trained] if both else []
    code, text = predict(write(tmp_path / "a.tif"), "-o", "maps", *given)
    assert code != 0 and "give --run" in text and "--weights" in text and ("both" if both else "neither") in text
    assert not (tmp_path / "maps").exists()


def test_a_run_finds_its_elevations_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, here = tmp_path / "clone", tmp_path / "here"
    run = make_tiny_run(project / "results/mine")
    record = run / "report/config.yaml"
    record.write_text(
        "scenes: config/mine.tsv\ntiles: {size: 64}\nmaps: {threshold: 0.001}\n"
        "products: {dem: dem.tif, min_area_m2: 0}\n"
    )
    (project / "config").mkdir()
    here.mkdir()
    write(here / "scene.tif")
    monkeypatch.chdir(here)
    code, text = predict("scene.tif", "--run", run, "-o", "maps")
    assert code and f"config/dem.tif: no such raster of elevations ('products.dem' of {record})" in text
    assert not Path("maps").exists()  # nothing was predicted
    place = {"crs": "EPSG:32648", "transform": from_origin(499900, 3000100, 10, 10), "dtype": "float32"}
    with rasterio.open(
        project / "config/dem.tif", "w", driver="GTiff", count=1, height=40, width=40, **place
    ) as raster:
        raster.write(np.repeat(np.arange(40, dtype=np.float32)[:, None] * 5, 40, 1), 1)
    code, text = predict("scene.tif", "--run", run, "-o", "maps")
    assert code == 0, text
    # The elevations rise by 5 m for 10 m to the south.
    assert gpd.read_file("maps/scene.gpkg", layer="landslides").slope_deg.iloc[0] == pytest.approx(26.6, abs=0.1)
    (project / "config/dem.tif").write_text("text")
    code, text = predict("scene.tif", "--run", run, "-o", "more")
    assert code and "'products.dem' names the raster of elevations" in text and not Path("more").exists()


def test_early_weights_need_a_configuration(tmp_path: Path) -> None:
    weights = untrained(tmp_path / "w.safetensors", None)
    scene = write(tmp_path / "a.tif")
    code, text = predict(scene, "--weights", weights, "-o", tmp_path / "maps")
    assert code != 0 and "does not say how its training scenes were read" in text and "--config" in text
    (tmp_path / "c.yaml").write_text("tiles: {size: 64}\n")
    code, text = predict(scene, "--weights", weights, "-o", tmp_path / "maps", "--config", tmp_path / "c.yaml")
    assert code == 0 and "the ground resolution of its training is not known" in text
    code, text = predict(
        scene, "--weights", weights, "-o", tmp_path / "n", "--config", tmp_path / "c.yaml", "--resample"
    )
    assert code != 0 and "does not say at which ground resolution it was trained" in text


@pytest.mark.parametrize(
    ("step", "words"),
    [(10, "is 10 m a pixel, the network was trained at 0.5 m a pixel: 20 times coarser"), (0.1, "5 times finer")],
)
def test_another_ground_resolution_is_named(
    step: float, words: str, trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scene = write(tmp_path / "other.tif", step)
    code, _ = predict(scene, "--weights", trained, "-o", tmp_path / "maps", *(["--no-resample"] if step < 0.5 else []))
    assert code == 0
    assert words in caplog.text and ("--resample" in caplog.text) is (step > 0.5)


def test_a_finer_scene_is_read_at_the_resolution_of_the_training(
    trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    scene = write(tmp_path / "other.tif", 0.25)
    code, _ = predict(scene, "--weights", trained, "-o", tmp_path / "maps")
    assert code == 0 and "warning" not in caplog.text
    assert "its pixels of 0.25 m are read as averages of 0.5 m" in caplog.text and "--no-resample" in caplog.text
    with rasterio.open(tmp_path / "maps/other_mask.tif") as mask, rasterio.open(scene) as source:
        assert mask.shape == (80, 80) and mask.bounds == source.bounds


def test_the_resolution_of_a_run_goes_with_its_weights(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tiles = TILES.model_copy(update={"resolution_m": 1.0})
    weights = untrained(tmp_path / "w.safetensors", TrainingConditions(tiles=tiles, ground_resolution_m=(1.0, 1.0)))
    caplog.set_level("INFO")
    for step, size in ((0.5, 80), (1.0, 160)):
        scene = write(tmp_path / "other.tif", step)
        caplog.clear()
        code, _ = predict(scene, "--weights", weights, "-o", tmp_path / "maps")
        assert code == 0 and "warning" not in caplog.text
        assert ("are read as averages of 1 m" in caplog.text) is (step == 0.5)
        with rasterio.open(tmp_path / "maps/other_mask.tif") as mask:
            assert mask.shape == (size, size)


@pytest.mark.parametrize("step", [0.45, 0.6])
def test_slightly_different_resolution_causes_no_warning(
    step: float, trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert predict(write(tmp_path / "other.tif", step), "--weights", trained, "-o", tmp_path / "maps")[0] == 0
    assert "warning" not in caplog.text


@pytest.mark.parametrize("nodata", [None, 0, "mask"])
@pytest.mark.parametrize("step", [1.0, 0.25])
def test_resampled_to_the_resolution_of_the_training(
    step: float, nodata: int | str | None, trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scene = write(tmp_path / "other.tif", step, **({"nodata": 0} if nodata == 0 else {}))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(scene, "r+") as raster:
        values = raster.read()
        values[:, :, :80] = 0
        raster.write(values)
        if nodata == "mask":
            known = np.full((160, 160), 255, np.uint8)
            known[:, :80] = 0
            raster.write_mask(known)
    code, text = predict(scene, "--weights", trained, "-o", tmp_path / "maps", "--resample")
    assert code == 0, text
    assert "warning" not in caplog.text
    with rasterio.open(tmp_path / "maps/other_mask.tif") as mask, rasterio.open(scene) as source:
        assert mask.shape == ((320, 320) if step == 1 else (80, 80))
        assert mask.res == pytest.approx((0.5, 0.5), rel=1e-3)
        assert mask.bounds == pytest.approx(source.bounds, abs=0.6)
        known = mask.read(1) != 255
        middle = known.shape[1] // 2
        assert known[:, middle + 1 :].all()
        assert known[:, : middle - 1].all() == (nodata is None)
        assert known[:, : middle - 1].any() == (nodata is None)
        if step == 1:  # interpolated: the virtual raster is removed, and nothing names it
            assert mask.tags()["APSAM_IMAGE"] == "other.tif"
            item = json.loads((tmp_path / "maps/other.stac.json").read_text())
            assert item["properties"]["processing:lineage"].startswith("image: other.tif; ")
    assert not list((tmp_path / "maps").glob(".partial*"))


@pytest.mark.parametrize("nodata", [0, (0, 255)])
def test_no_data_of_the_settings_is_not_interpolated(nodata: int | tuple[int, ...], tmp_path: Path) -> None:
    scene = write(tmp_path / "a.tif", size=64)
    with rasterio.open(scene, "r+") as raster:
        values = np.full((3, 64, 64), 120, np.uint8)
        values[:, :, 32:] = 0
        values[0, :, :8] = 0  # dark in one band is data
        values[:, :16, 8:32] = 255
        raster.write(values)
    tiles = TILES.model_copy(update={"nodata": nodata})
    write_interpolated(scene, 2.0, tmp_path / "a.vrt", tiles)
    with SceneReader(tmp_path / "a.vrt", tiles) as reader:
        image, valid = reader.read(0, 0, 128, 128)
    expected = np.ones((128, 128), np.uint8)
    expected[:, 64:] = 0
    if nodata != 0:
        expected[:32, 16:64] = 0
    assert np.array_equal(valid, expected)
    assert (image[1, 34:, :64] == 120).all() and (image[0, 34:, 18:64] == 120).all()
    assert image[0, :, :14].max() <= 1  # of no data, GDAL keeps a distance of 1


@pytest.mark.parametrize(("nodata", "declared", "fourth"), [(0, None, 255), (None, 0, 255), (-9999, None, None)])
def test_interpolation_keeps_what_the_reader_reads(
    nodata: float | None, declared: float | None, fourth: int | None, tmp_path: Path
) -> None:
    """Bands that are not read have no say in what is no data, and a value that no pixel can have changes no type."""
    count = 3 if fourth is None else 4
    place = {"crs": "EPSG:32648", "transform": from_origin(500000, 3000000, 1, 1), "dtype": "uint8", "alpha": "no"}
    profile = {"driver": "GTiff", "count": count, "height": 64, "width": 64, "photometric": "RGB", "nodata": declared}
    with rasterio.open(tmp_path / "a.tif", "w", **place, **profile) as raster:
        values = np.full((count, 64, 64), 120, np.uint8)
        values[:3, :, 32:] = 0
        values[3:] = fourth or 0
        raster.write(values)
    tiles = TILES.model_copy(update={"nodata": nodata})
    with SceneReader(tmp_path / "a.tif", tiles) as reader:
        stored, known = reader.read(0, 0, 64, 64)
    read_with = write_interpolated(tmp_path / "a.tif", 2.0, tmp_path / "a.vrt", tiles)
    with SceneReader(tmp_path / "a.vrt", read_with) as reader:
        assert reader.dtype == np.uint8
        image, valid = reader.read(0, 0, 128, 128)
    assert np.array_equal(valid, np.kron(known, np.ones((2, 2), np.uint8)))
    assert (image[:, :, :60] == 120).all() and stored[:, :, :32].max() == 120


def test_palettes_are_not_interpolated(tmp_path: Path) -> None:
    place = {"crs": "EPSG:32648", "transform": from_origin(500000, 3000000, 1, 1), "dtype": "uint8"}
    with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", count=1, height=32, width=32, **place) as raster:
        raster.write(np.repeat(np.array([0, 200], np.uint8), 16)[None].repeat(32, 0), 1)
        raster.write_colormap(1, {0: (0, 120, 0, 255), 100: (255, 0, 255, 255), 200: (150, 100, 50, 255)})
    write_interpolated(tmp_path / "a.tif", 3.0, tmp_path / "a.vrt")
    with SceneReader(tmp_path / "a.vrt", TileSettings()) as reader:
        image, _ = reader.read(0, 0, 96, 96)
    assert (image[:, :, :48] == np.array([0, 120, 0])[:, None, None]).all()
    assert (image[:, :, 48:] == np.array([150, 100, 50])[:, None, None]).all()


def test_another_stretch_is_named(trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scene = write(tmp_path / "deep.tif", dtype="uint16")
    assert predict(scene, "--weights", trained, "-o", tmp_path / "maps")[0] == 0
    assert (
        "pixels are stretched to 8 bit by percentiles, those of the training scenes were taken as they are"
        in caplog.text
    )


def test_other_bands_or_sizes_are_refused(trained: Path, tmp_path: Path) -> None:
    scene, outputs = write(tmp_path / "a.tif"), (tmp_path / "p.tif", tmp_path / "m.tif")
    for settings, word in (
        (TileSettings(size=64, bands=(3, 2, 1)), r"bands: \[1, 2, 3\] and \[3, 2, 1\]"),
        (TileSettings(size=96), "size: 64 and 96"),
        (TileSettings(size=64, stretch="percentile"), "stretch: auto and percentile"),
    ):
        with pytest.raises(InputError, match=f"w.safetensors: was trained on tiles made in another way .*{word}"):
            predict_raster(scene, trained, settings, MapSettings(), *outputs)
    # What a network does not see may differ.
    predict_raster(scene, trained, TileSettings(size=64, overlap=0.1, nodata=0, min_valid=0.9), MapSettings(), *outputs)


def test_configuration_with_other_bands_is_refused(trained: Path, tmp_path: Path) -> None:
    scene = write(tmp_path / "a.tif")
    for text, refused in (("tiles: {bands: [3, 2, 1]}", True), ("tiles: {size: 64, nodata: 0}", False), ("{}", False)):
        (tmp_path / "c.yaml").write_text(text)
        code, said = predict(scene, "--weights", trained, "-o", tmp_path / "m", "--config", tmp_path / "c.yaml")
        assert (code != 0) == refused, said
        assert ("bands: [1, 2, 3] and [3, 2, 1]" in said) == refused


def test_bands_and_no_data_of_a_scene_are_those_of_the_configuration(tmp_path: Path, caplog) -> None:
    conditions = TrainingConditions(tiles=TileSettings(size=64), ground_resolution_m=(0.5, 0.5))
    weights = untrained(tmp_path / "w.safetensors", conditions)
    scene = tmp_path / "a.tif"
    with rasterio.open(
        scene, "w", driver="GTiff", count=4, height=160, width=160, dtype="uint8", photometric="MINISBLACK",
        crs="EPSG:32648", transform=from_origin(500000, 3000000, 0.5, 0.5),
    ) as raster:  # fmt: skip
        raster.write(np.full((4, 160, 160), 7, np.uint8))
    code, said = predict(scene, "--weights", weights, "-o", tmp_path / "maps")
    assert code == 0, said
    assert "a.tif: has 4 bands, of which none is declared as red, green or blue" in caplog.text
    (tmp_path / "c.yaml").write_text("tiles: {size: 64, bands: [3, 2, 1], nodata: 250}\n")
    found = find_model(None, None, weights, tmp_path / "c.yaml").tiles
    assert found == TileSettings(size=64, bands=(3, 2, 1), nodata=250)
    caplog.clear()
    code, said = predict(scene, "--weights", weights, "-o", tmp_path / "maps", "--config", tmp_path / "c.yaml")
    assert code == 0 and "4 bands" not in caplog.text, said


def test_cams_of_tiles_made_in_another_way_are_refused(trained: Path, tmp_path: Path) -> None:
    stack = trained.parents[1] / "t.zarr.zip"
    own = conditions_of([stack])
    method = build_method(LocalizerSettings(weights="none")).eval()
    save_localizer(method, tmp_path / "l.safetensors", conditions=own)
    assert read_conditions(tmp_path / "l.safetensors") == own
    other = own.model_copy(update={"tiles": TileSettings(size=64, bands=(3, 2, 1))})
    save_localizer(method, tmp_path / "o.safetensors", conditions=other)
    make_cams(stack, tmp_path / "l.safetensors", tmp_path / "c.zarr.zip", CamSettings(), "cpu")
    with pytest.raises(InputError, match=r"o\.safetensors: was trained on tiles made in another way \(bands"):
        make_cams(stack, tmp_path / "o.safetensors", tmp_path / "c.zarr.zip", CamSettings(), "cpu")


def test_training_on_tiles_made_in_two_ways_is_refused(trained: Path, tmp_path: Path) -> None:
    stack = trained.parents[1] / "t.zarr.zip"
    with TileStack(stack) as opened:
        attributes = opened.attributes
    made_by = {**attributes["made_by"], "tiles": {**attributes["made_by"]["tiles"], "stretch": "percentile"}}
    with TileStackWriter(tmp_path / "o.zarr.zip", {**attributes, "made_by": made_by}, {"label": ((), "uint8")}):
        pass
    with pytest.raises(InputError, match=r"o\.zarr\.zip: was made with other settings than .*\(stretch: auto and perc"):
        conditions_of([stack, tmp_path / "o.zarr.zip"])


def test_conditions_of_a_later_version(tmp_path: Path) -> None:
    weights = untrained(tmp_path / "w.safetensors", TrainingConditions(tiles=TILES))
    with safe_open(weights, "np") as file:
        description = json.loads(file.metadata()["apsam"])
    description["conditions"] = {**description["conditions"], "schema_version": 2}
    save_file({"a": torch.ones(1)}, weights, {"apsam": json.dumps(description)})
    with pytest.raises(
        InputError, match=r"which does not know its conditions of training \(schema_version.*train again"
    ):
        read_conditions(weights)


@pytest.mark.parametrize(
    ("crs", "transform", "metres"),
    [
        ("EPSG:32648", from_origin(500000, 3000000, 0.5, 0.5), 0.5),
        ("EPSG:3857", from_origin(0, 8399737.889818361, 10, 10), 5.0),  # 60 degrees north
        ("EPSG:4326", from_origin(10, 0, 1e-5, 1e-5), 1.1095),
        ("EPSG:2225", from_origin(6000000, 2000000, 1, 1), 0.3048),  # feet
        ("EPSG:32648", Affine(0.3, 0.4, 500000, 0.4, -0.3, 3000000), 0.5),  # turned
    ],
)
def test_ground_resolution_in_any_crs(crs: str, transform: Affine, metres: float) -> None:
    wkt = rasterio.crs.CRS.from_string(crs).to_wkt()
    assert ground_resolution_m(wkt, transform, 100, 100) == pytest.approx(metres, rel=5e-3)
