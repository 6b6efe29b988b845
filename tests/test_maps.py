"""Blending, Cloud Optimised GeoTIFFs, prediction of whole scenes."""

from __future__ import annotations

import errno
import os
import re
import shutil
import zipfile
from pathlib import Path

import cv2
import geopandas as gpd
import numpy as np
import pytest
import rasterio
import torch
from rasterio.transform import from_origin
from rasters import write_raster
from rio_cogeo.cogeo import cog_validate
from safetensors.numpy import save_file
from torch import Tensor, nn

from apsam.api.prediction import map_scenes
from apsam.commands.predict import predict as predict_command
from apsam.errors import InputError, OutputError
from apsam.maps import cog
from apsam.maps.archive import read_mask
from apsam.maps.bands import join_bands
from apsam.maps.blend import RowBlender, blend_weights
from apsam.maps.cog import MapWriter, to_steps
from apsam.maps.model import MapModel
from apsam.maps.settings import MapSettings
from apsam.products import make
from apsam.products import replace as replace_module
from apsam.products.settings import ProductSettings
from apsam.resunet import predict
from apsam.tiles.blocks import Block
from apsam.tiles.settings import TileSettings
from apsam.tiles.windows import positions

PLACE = {"crs": "EPSG:32648", "transform": from_origin(500000, 3000000, 0.5, 0.5)}


def blend(field: np.ndarray, size: int, stride: int) -> np.ndarray:
    """Cut a field into windows and blend them again."""
    height, width = field.shape
    rows = positions(height, size, stride)
    blender = RowBlender(width, size)
    done = []
    for row, following in zip(rows, [*rows[1:], height], strict=True):
        for col in positions(width, size, stride):
            blender.add(col, field[row : row + size, col : col + size])
        done.append(blender.take(following - row))
    return np.concatenate(done)


@pytest.mark.parametrize(("size", "stride"), [(32, 16), (32, 32), (32, 20), (48, 7)])
def test_blending_keeps_values_on_which_windows_agree(size: int, stride: int) -> None:
    field = np.random.default_rng(0).random((101, 77)).astype(np.float32)
    assert np.allclose(blend(field, size, stride), field, atol=1e-5)


def test_blending_of_different_windows_has_no_seam() -> None:
    size, stride = 64, 32
    blender = RowBlender(6 * stride, size)
    for index, col in enumerate(positions(6 * stride, size, stride)):
        blender.add(col, np.full((size, size), index % 2, np.float32))
    line = blender.take(size)[size // 2]
    assert line.min() < 0.01 and line.max() > 0.99
    assert np.abs(np.diff(line)).max() < 0.06


def test_weights_are_positive_and_highest_in_the_middle() -> None:
    weights = blend_weights(16)
    assert weights.min() > 0 and weights.max() == weights[7, 7] == weights[8, 8]
    assert np.allclose(weights, weights[::-1].T)


def test_probabilities_are_stored_in_steps() -> None:
    probability = np.array([[0, 0.496, 0.5, 0.504, 1, np.nan]], np.float32)
    assert to_steps(probability).tolist() == [[0, 124, 125, 126, 250, 255]]
    assert np.abs(to_steps(np.linspace(0, 1, 999)) / 250 - np.linspace(0, 1, 999)).max() <= 0.002


@pytest.mark.parametrize("kind", ["probability", "mask"])
def test_maps_are_valid_cogs(tmp_path: Path, kind: str) -> None:
    values = np.random.default_rng(1).integers(0, 2, (1300, 1100)).astype(np.uint8)
    values[:40] = 255
    path = tmp_path / "out/map.tif"
    place = rasterio.crs.CRS.from_user_input(PLACE["crs"]), PLACE["transform"]
    with MapWriter(path, kind, 1300, 1100, *place, {"APSAM_SCENE": "x"}) as writer:  # type: ignore[arg-type]
        for row in range(0, 1300, 100):
            writer.write(row, values[row : row + 100])
    valid, errors, _ = cog_validate(path, strict=True)
    assert valid, errors
    with rasterio.open(path) as raster:
        assert raster.nodata == 255 and raster.crs.to_epsg() == 32648 and raster.transform == PLACE["transform"]
        assert np.array_equal(raster.read(1), values)
        assert raster.overviews(1)
        assert raster.tags()["APSAM_SCENE"] == "x" and raster.tags()["TIFFTAG_SOFTWARE"].startswith("apsam")
        if kind == "mask":
            assert raster.colormap(1)[1] == (213, 94, 0, 255)
        else:
            assert raster.scales == (1 / 250,)
    assert [p.name for p in path.parent.iterdir()] == ["map.tif"]


def test_failure_leaves_no_map(tmp_path: Path) -> None:
    place = rasterio.crs.CRS.from_user_input(PLACE["crs"]), PLACE["transform"]
    with pytest.raises(RuntimeError), MapWriter(tmp_path / "map.tif", "mask", 64, 64, *place, {}):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


class Brightness(nn.Module):
    """A network whose probability is the first band / 255: what comes out must lie where it went in."""

    def forward(self, image: Tensor) -> Tensor:
        return torch.logit(image[:, :1], eps=1e-6)


class Constant(nn.Module):
    """A network that always predicts 0.7."""

    def forward(self, image: Tensor) -> Tensor:
        return torch.full_like(image[:, :1], float(torch.logit(torch.tensor(0.7))))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights.safetensors"
    save_file({}, path)  # stands for weights
    return path


def use(monkeypatch: pytest.MonkeyPatch, network: nn.Module) -> None:
    monkeypatch.setattr(predict, "load_resunet", lambda path, device: (network, None))
    monkeypatch.setattr(predict, "bf16_pays", lambda device: False)


@pytest.mark.parametrize(("height", "width", "flips"), [(300, 210, False), (150, 333, True), (40, 100, False)])
def test_predictions_are_at_their_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: Path, height: int, width: int, flips: bool
) -> None:
    use(monkeypatch, Brightness())
    image = np.random.default_rng(2).integers(1, 255, (3, height, width)).astype(np.uint8)
    scene = write_raster(tmp_path / "scene.tif", image)
    paths = [tmp_path / name for name in ("p.tif", "m.tif")]
    settings = MapSettings(overlap=0.4, flips=flips, threshold=0.5, batch_size=3)
    predict.predict_raster(scene, weights, TileSettings(size=64), settings, *paths)
    with rasterio.open(paths[0]) as raster, rasterio.open(paths[1]) as mask, rasterio.open(scene) as source:
        assert raster.transform == source.transform and raster.crs == source.crs and raster.shape == source.shape
        probability = raster.read(1) * raster.scales[0]
        assert np.abs(probability - image[0] / 255).max() < 0.003
        assert np.array_equal(mask.read(1), (image[0] / 255 >= 0.5).astype(np.uint8))


def test_constant_network_gives_a_constant_map_and_no_data_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: Path
) -> None:
    use(monkeypatch, Constant())
    image = np.full((3, 260, 270), 90, np.uint8)
    image[:, :130, :140] = 0
    scene = write_raster(tmp_path / "scene.tif", image, nodata=0)
    paths = [tmp_path / name for name in ("p.tif", "m.tif")]
    predict.predict_raster(scene, weights, TileSettings(size=64), MapSettings(), *paths)
    with rasterio.open(paths[0]) as raster, rasterio.open(paths[1]) as mask:
        expected = np.where(image[0] == 0, 255, 175)
        assert np.array_equal(raster.read(1), expected)
        assert np.array_equal(mask.read(1), np.where(image[0] == 0, 255, 1))


def test_the_same_scene_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    use(monkeypatch, Brightness())
    image = np.random.default_rng(2).integers(1, 255, (3, 150, 150)).astype(np.uint8)
    scene = write_raster(tmp_path / "scene.tif", image)
    for run in ("a", "b"):
        paths = [tmp_path / run / name for name in ("p.tif", "m.tif")]
        predict.predict_raster(scene, weights, TileSettings(size=64), MapSettings(), *paths)
    for name in ("p.tif", "m.tif"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_folder_of_tiles_becomes_a_zip_of_masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    use(monkeypatch, Brightness())
    folder = tmp_path / "tiles"
    folder.mkdir()
    sizes = [(90, 120), (64, 64), (200, 70)]
    for index, (height, width) in enumerate(sizes):
        image = np.zeros((height, width, 3), np.uint8)
        image[:, : width // 2] = 255
        cv2.imwrite(str(folder / f"t{index}.jpg"), image)
    for name in ("a.zip", "b.zip"):
        predict.predict_folder(folder, weights, TileSettings(size=64), MapSettings(batch_size=2), tmp_path / name)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist() == ["t0.png", "t1.png", "t2.png"]
        for index, (height, width) in enumerate(sizes):
            mask = read_mask(archive, f"t{index}.jpg")
            assert mask.shape == (height, width)
            assert mask[:, : width // 2 - 3].all() and not mask[:, width // 2 + 3 :].any()
        with pytest.raises(InputError, match=r"contains no mask other\.png"):
            read_mask(archive, "other.jpg")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_predict_replaces_its_own_files_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Brightness())
    run, out = tmp_path / "run", tmp_path / "out"
    for file in ("resunet/apsam/weights.safetensors", "report/config.yaml"):
        (run / file).parent.mkdir(parents=True)
        (run / file).write_text("tiles: {size: 64}\n")
    save_file({}, run / "resunet/apsam/weights.safetensors")  # stands for weights
    image = np.zeros((3, 70, 90), np.uint8)
    image[:, 20:50, 20:60] = 255
    scene = write_raster(out / "gorge.tif", image)
    tiles = tmp_path / "tiles"
    tiles.mkdir()
    cv2.imwrite(str(tiles / "t.png"), image.transpose(1, 2, 0))

    def map_scenes(*scenes: Path, folder: Path = out, overwrite: bool = False) -> None:
        predict_command(list(scenes), folder, run, overwrite=overwrite, device="cpu")

    # An inventory of the user looks much like a GeoPackage of apsam.
    polygons = gpd.GeoSeries.from_xy([500040], [2999960], crs=32648).buffer(10)
    inventory = gpd.GeoDataFrame({"surveyed_by": ["me"]}, geometry=polygons)
    inventory.to_file(out / "gorge.gpkg", layer="landslides", driver="GPKG")
    inventory.to_file(out / "gorge.gpkg", layer="layer_styles", driver="GPKG")
    before = (out / "gorge.gpkg").read_bytes()
    with pytest.raises(InputError, match="out/gorge.gpkg: already exists and was not made by apsam"):
        map_scenes(scene)
    assert (out / "gorge.gpkg").read_bytes() == before
    (out / "gorge.gpkg").unlink()
    for name in ("gorge_mask.tif", "gorge.gpkg", "gorge_mask.qml", "tiles.zip"):
        shutil.copy(scene, out / name)
        with pytest.raises(InputError, match=f"out/{name}: already exists and was not made by apsam.*--overwrite"):
            map_scenes(tiles, scene)
        assert (out / name).read_bytes() == scene.read_bytes()
        (out / name).unlink()
    map_scenes(tiles, scene)
    assert (out / "gorge.gpkg").is_file() and (out / "tiles.zip").is_file()
    map_scenes(tiles, scene)  # its own
    shutil.copy(scene, out / "gorge_mask.tif")
    map_scenes(scene, overwrite=True)
    # Files of the user next to maps of apsam.
    mine = gpd.GeoDataFrame({"mine": [1]}, geometry=gpd.points_from_xy([0], [0]), crs=4326)
    for name, write in (
        ("gorge.gpkg", lambda path: mine.to_file(path, layer="landslides", driver="GPKG")),
        ("gorge.qgs", lambda path: path.write_text("<qgis/>")),
        ("gorge.stac.json", lambda path: path.write_text('{"type": "Feature"}')),
    ):
        own = (out / name).read_bytes()
        (out / name).unlink()
        write(out / name)
        given = (out / name).read_bytes()
        with pytest.raises(InputError, match=f"out/{name}: already exists and was not made by apsam.*--overwrite"):
            map_scenes(scene)
        assert (out / name).read_bytes() == given
        (out / name).write_bytes(own)
    map_scenes(scene)
    with rasterio.open(out / "gorge_mask.tif") as raster:
        assert raster.tags()["APSAM_SCENE"] == "gorge"
    other = write_raster(tmp_path / "other" / "gorge.tiff", image)
    with pytest.raises(InputError, match="gorge.tif and .*gorge.tiff: their maps would have the same names"):
        map_scenes(scene, other, folder=tmp_path / "new")
    given = write_raster(tmp_path / "other" / "gorge_mask.tif", image)
    with pytest.raises(InputError, match="gorge_mask.tif: is to be mapped, and a map of .*gorge.tiff would replace it"):
        map_scenes(other, given, folder=tmp_path / "other", overwrite=True)
    with pytest.raises(InputError, match=r"none.tif: no such raster or folder of tiles$"):
        map_scenes(tmp_path / "none.tif")


def test_files_of_two_predictions_are_never_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: Path
) -> None:
    use(monkeypatch, Brightness())
    image = np.zeros((3, 70, 90), np.uint8)
    image[:, 20:50, 20:60] = 255
    scene, out = write_raster(tmp_path / "gorge.tif", image), tmp_path / "out"

    def contents() -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in out.iterdir()}

    def map_scene() -> None:
        settings = ProductSettings(min_area_m2=0)
        list(
            map_scenes(MapModel(weights, TileSettings(size=64), MapSettings(), settings, None, "a test"), [scene], out)
        )

    map_scene()

    # Killed after earlier files were removed: the next prediction makes them all.
    move = os.replace

    def killed(source: Path, target: Path) -> None:
        if Path(target).parent == out:
            raise KeyboardInterrupt
        move(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(replace_module.os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            map_scene()
    assert not [file for file in out.iterdir() if not file.name.startswith(".")]
    map_scene()
    first = contents()
    image[:, 20:50, 20:60] = 0
    write_raster(scene, image)
    copy = cog.copy_raster

    def full(source: Path, target: Path, **options: object) -> None:
        if "probability" in target.name:  # the second of both
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        copy(source, target, **options)

    monkeypatch.setattr(cog, "copy_raster", full)
    expected = f"{out}/gorge_probability.tif: cannot be written (No space left on device)"
    with pytest.raises(OutputError, match=re.escape(expected)):
        map_scene()
    assert contents() == first  # the old maps and what was made of them
    monkeypatch.setattr(cog, "copy_raster", copy)
    monkeypatch.setattr(make, "write_geopackage", full_geopackage)
    with pytest.raises(OutputError, match="no room"):
        map_scene()
    # The new maps, and no landslides of the old ones.
    now = contents()
    assert {name for name in now if not name.endswith(".qml")} == {"gorge_probability.tif", "gorge_mask.tif"}
    assert now["gorge_mask.tif"] != first["gorge_mask.tif"]


def full_geopackage(*_: object) -> None:
    raise OutputError("no room")


@pytest.mark.parametrize("value", [0.498, 0.499, 0.4999, 0.5, 0.5001, 0.501, 0.502])
def test_scenes_bands_and_tiles_have_one_threshold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: Path, value: float
) -> None:
    """It applies to the network's probability, not to the stored step, which is 125 (0.5) from 0.498 to 0.502."""

    class Says(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return torch.full_like(image[:, :1], float(torch.logit(torch.tensor(value, dtype=torch.float64))))

    use(monkeypatch, Says())
    image = np.full((3, 64, 64), 90, np.uint8)
    scene = write_raster(tmp_path / "scene.tif", image)
    settings, tiles = MapSettings(flips=False), TileSettings(size=64)
    predict.predict_raster(scene, weights, tiles, settings, tmp_path / "p.tif", tmp_path / "m.tif")
    predict.predict_band(scene, weights, tiles, settings, Block(1, 1), tmp_path / "band.tif")
    join_bands(scene, [tmp_path / "band.tif"], settings, tmp_path / "joined_p.tif", tmp_path / "joined_m.tif")
    folder = tmp_path / "tiles"
    folder.mkdir()
    cv2.imwrite(str(folder / "t.png"), image.transpose(1, 2, 0))
    predict.predict_folder(folder, weights, tiles, settings, tmp_path / "t.zip")
    for name in ("m.tif", "joined_m.tif"):
        with rasterio.open(tmp_path / name) as mask:
            assert (mask.read(1) == (value >= 0.5)).all(), name
    with zipfile.ZipFile(tmp_path / "t.zip") as archive:
        assert (read_mask(archive, "t.png") == (value >= 0.5)).all()
    with pytest.raises(InputError, match=r"band\.tif: predicted at threshold 0.5, not 0.4; predict it again"):
        join_bands(scene, [tmp_path / "band.tif"], MapSettings(threshold=0.4), tmp_path / "x", tmp_path / "y")
