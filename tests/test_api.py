"""The public functions: examples of docstrings run, and results equal those of the stages of a run."""

from __future__ import annotations

import doctest
import importlib
import inspect
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml
from tiny_run import RESUNET, SIZE, TILES, make_tiny_run, picture, write_scene

import apsam
from apsam.api.segment import _window_of
from apsam.api.tiling import windows_of
from apsam.config import Config
from apsam.errors import ApsamError, ConfigError, InputError
from apsam.extras import EXTRAS, MissingExtra, naming_extras
from apsam.localizer.cam import make_cams
from apsam.localizer.settings import LocalizerSettings
from apsam.masks.prompted import make_prompted_masks
from apsam.prompts.files import make_prompts
from apsam.sam.encode_scene import encode_scene
from apsam.sam.light import LIGHT_WEIGHTS
from apsam.stack import TileStack, TileStackWriter
from apsam.tiles.reader import SceneReader
from apsam.tiles.settings import TileSettings


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_run(tmp_path_factory.mktemp("results") / "tiny")


@pytest.fixture(scope="module")
def model(run: Path) -> apsam.Model:
    return apsam.load(run, device="cpu")


def test_every_public_name_exists_and_is_documented():
    for name in apsam.__all__:
        value = getattr(apsam, name)
        assert name == "__version__" or inspect.getdoc(value), name
    assert set(apsam.__all__) == set(dir(apsam))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        apsam.nothing  # noqa: B018


@pytest.mark.parametrize("name", [name for name in apsam.__all__ if name != "__version__"])
def test_examples_of_docstrings_run(name: str):
    value = getattr(apsam, name)
    module = importlib.import_module(value.__module__)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for test in doctest.DocTestFinder().find(value, name, module):
        runner.run(test)
    assert runner.summarize(verbose=False).failed == 0


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, apsam; print(sorted({m.partition('.')[0] for m in sys.modules} & set(sys.argv[1:])))"
    heavy = ["torch", "numpy", "rasterio", "cv2", "pydantic", "geopandas"]
    assert subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True).stdout == "[]\n"


def test_five_lines_from_an_image_to_polygons(run: Path, tmp_path: Path):
    image = picture(90, 100)
    scene = write_scene(tmp_path / "scene.tif", image)

    model = apsam.load(run)
    cam = model.cam(image)
    prompts = apsam.generate_prompts(cam, threshold=120)
    mask = model.segment(image, prompts)
    result = model.predict(scene, tmp_path / "out")

    assert cam.shape == (90, 100) and cam.dtype == np.uint8 and cam.max() == 255
    assert prompts and isinstance(prompts[0], apsam.Prompt)
    assert mask.shape == (90, 100) and mask.dtype == bool
    assert result.polygons.crs == "EPSG:32648" and len(result.polygons) == result.landslides
    assert result.probability.is_file() and result.mask.is_file() and result.project.is_file()
    assert result.scene == scene and result.archive is None


def test_tile_has_the_same_cam_and_mask_as_in_the_stages(run: Path, model: apsam.Model, tmp_path: Path):
    image = picture(SIZE, SIZE)
    arrays = {"image": ((3, SIZE, SIZE), "uint8"), "valid": ((SIZE, SIZE), "uint8"), "label": ((), "uint8")}
    attributes = {"scene": "a", "tile_size": SIZE, "kind": "folder"}
    tiles, cams, embeddings = (tmp_path / f"{name}.zarr.zip" for name in ("tiles", "cams", "embeddings"))
    with TileStackWriter(tiles, attributes, arrays) as writer:
        writer.append(
            image=image.transpose(2, 0, 1)[None],
            valid=np.ones((1, SIZE, SIZE), np.uint8),
            label=np.ones(1, np.uint8),
        )
    config = model.config
    make_cams(tiles, run / "localizer/weights.safetensors", cams, config.cams, "cpu")
    with TileStack(cams) as stack:
        np.testing.assert_array_equal(model.cam(image), stack.read("cam")[0])
    make_prompts(cams, config.prompts, tmp_path / "prompts.json")
    encode_scene(tiles, embeddings, config.sam, "cpu")
    masks = tmp_path / "masks.zarr.zip"
    make_prompted_masks(tiles, cams, tmp_path / "prompts.json", embeddings, config.sam, config.masks, masks, "cpu")
    with TileStack(masks) as stack:
        expected = stack.read("mask")[0] == 1
    found = model.segment(image, apsam.generate_prompts(model.cam(image), 120))
    assert expected.any()
    assert (found != expected).mean() < 1e-3


def test_raster_and_array_give_the_same_results(model: apsam.Model, tmp_path: Path):
    image = picture(120, 150)
    with rasterio.open(write_scene(tmp_path / "a.tif", image)) as dataset:
        cam, mask = model.cam(dataset), model.segment(dataset, [apsam.Prompt((12, 10, 40, 30), (25, 20))])
    np.testing.assert_array_equal(cam, model.cam(image))
    np.testing.assert_array_equal(mask, model.segment(image, [apsam.Prompt((12, 10, 40, 30), (25, 20))]))


class Coarse(SceneReader):
    """A raster read at half its resolution."""

    def __init__(self, path: Path, tiles: TileSettings) -> None:
        with rasterio.open(path) as raster:
            image = raster.read().transpose(1, 2, 0)[::2, ::2]
        super().__init__(write_scene(path.with_suffix(".half.tif"), image), tiles)


def test_maps_have_the_shape_of_the_raster_at_any_resolution(model: apsam.Model, tmp_path: Path, monkeypatch):
    path, prompt = write_scene(tmp_path / "a.tif", picture(120, 150)), apsam.Prompt((12, 10, 40, 30), (25, 20))
    with rasterio.open(path) as dataset:
        fine = model.segment(dataset, [prompt])
        monkeypatch.setattr("apsam.api.images.SceneReader", lambda name, tiles: Coarse(Path(name), tiles))
        cam, mask = model.cam(dataset), model.segment(dataset, [prompt])
    assert cam.shape == mask.shape == (120, 150)
    assert apsam.evaluate(mask, fine).iou > 0.8
    assert not mask[60:].any()


def test_a_raster_of_another_resolution_gets_a_warning(model: apsam.Model, tmp_path: Path, caplog):
    path = write_scene(tmp_path / "a.tif", picture(80, 80))
    with rasterio.open(path, "r+") as raster:
        raster.transform = raster.transform @ raster.transform.scale(4)
    with rasterio.open(path) as dataset:
        model.cam(dataset)
    assert "its ground resolution is 2 m a pixel, the network was trained at 0.5 m" in caplog.text


def test_a_cam_is_empty_where_a_raster_has_no_data(model: apsam.Model, tmp_path: Path):
    known = np.ones((120, 150), bool)
    known[:, 100:] = False
    with rasterio.open(write_scene(tmp_path / "a.tif", picture(120, 150), known)) as dataset:
        cam = model.cam(dataset)
    assert not cam[:, 100:].any() and cam[:, :100].max() == 255


@pytest.mark.parametrize("shape", [(40, 50), (64, 200), (131, 64)])
def test_images_of_any_size(model: apsam.Model, shape: tuple[int, int]):
    image = picture(*shape)
    cam = model.cam(image)
    assert cam.shape == shape and cam.max() == 255
    assert model.segment(image, apsam.generate_prompts(cam)).shape == shape


def test_context_is_mirrored_where_an_image_ends(run: Path):
    plain = apsam.load(run, device="cpu")
    wide = apsam.Model(
        plain.config.model_copy(update={"cams": plain.config.cams.model_copy(update={"context": 16})}),
        plain.localizer_weights,
        device="cpu",
    )
    for image in (picture(SIZE, SIZE), picture(100, 100)):
        assert wide.cam(image).shape == image.shape[:2]
        assert not np.array_equal(wide.cam(image), plain.cam(image))


def test_box_is_in_the_middle_of_sams_window():
    shape = (300, 300)
    grid = windows_of(*shape, TILES)
    for box in ((0, 0, 10, 10), (70, 90, 100, 130), (290, 290, 300, 300), (10, 20, 250, 60), (0, 0, 300, 300)):
        row, col, height, width = _window_of(apsam.Prompt(box, box[:2]), grid, shape)
        assert row >= 0 and col >= 0 and row + height <= 300 and col + width <= 300
        assert col <= box[0] and row <= box[1] and col + width >= box[2] and row + height >= box[3]


def test_masks_of_a_large_image_lie_where_the_prompts_do(model: apsam.Model):
    image = picture(200, 260)
    first, last = apsam.Prompt((12, 10, 40, 30), (25, 20)), apsam.Prompt((220, 170, 240, 188), (230, 180))
    both = model.segment(image, [first, last])
    np.testing.assert_array_equal(both, model.segment(image, [first]) | model.segment(image, [last]))
    assert both[20, 25] and both[180, 230]
    assert not model.segment(image, []).any()


@pytest.mark.parametrize("image", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3)), np.zeros((3, 8, 8), np.uint8), "a"])
def test_invalid_image_is_refused(model: apsam.Model, image: object):
    with pytest.raises(InputError, match=r"image: needs \(H, W, 3\) uint8 RGB"):
        model.cam(image)


def test_a_prompt_outside_the_image_is_refused(model: apsam.Model):
    with pytest.raises(InputError, match="within the image of 64 x 64 px"):
        model.segment(picture(SIZE, SIZE), [apsam.Prompt((50, 10, 70, 20), (60, 15))])
    for point in ((SIZE, 15), (55, -1), (float("nan"), 15)):
        with pytest.raises(InputError, match=r"point \(.*\) must be within the image of 64 x 64 px"):
            model.segment(picture(SIZE, SIZE), [apsam.Prompt((50, 10, 60, 20), point)])
    model.segment(picture(SIZE, SIZE), [apsam.Prompt((50, 10, 60, 20), (SIZE - 1, 0))])  # outside the box


def test_a_raster_in_memory_is_read_like_its_file(model: apsam.Model, tmp_path: Path):
    known = np.ones((100, 120), bool)
    known[:, :30] = False
    scene = write_scene(tmp_path / "scene.tif", picture(100, 120), known)
    with rasterio.open(scene) as raster:
        expected = model.cam(raster)
    with rasterio.MemoryFile(scene.read_bytes()) as memory, memory.open() as raster:
        np.testing.assert_array_equal(model.cam(raster), expected)


def test_cam_is_required_for_cam_mask(model: apsam.Model):
    masks = model.config.masks.model_copy(update={"cam_mask": True})
    with_cam = apsam.Model(model.config.model_copy(update={"masks": masks}), model.localizer_weights, device="cpu")
    image, prompts = picture(100, 100), [apsam.Prompt((12, 10, 40, 30), (25, 20))]
    with pytest.raises(InputError, match="pass cam="):
        with_cam.segment(image, prompts)
    assert with_cam.segment(image, prompts, cam=model.cam(image)).any()


def test_kinds_of_weights_are_distinguished(run: Path):
    localizer, resunet = run / "localizer/weights.safetensors", run / "resunet/apsam/weights.safetensors"
    assert apsam.load(localizer).mapping is None and apsam.load(localizer).config.tiles.size == SIZE
    assert apsam.load(resunet).localizer_weights is None and apsam.load(resunet).mapping.weights == resunet
    both = apsam.load(localizer=localizer, resunet=resunet, sam="vit_b")
    assert both.localizer_weights == localizer and both.mapping and both.config.sam.name == "vit_b"
    assert apsam.load(run).mapping.maps.threshold == 0.3


def test_other_weights_map_with_the_settings_of_the_run(run: Path, tmp_path: Path):
    weights = shutil.copy(run / "resunet/apsam/weights.safetensors", tmp_path / "w.safetensors")
    mapping = apsam.load(run, resunet=weights).mapping
    assert mapping.weights == weights and mapping.maps.threshold == 0.3
    assert apsam.load(resunet=weights).mapping.maps.threshold == 0.5


def test_the_sam_of_a_run_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = make_tiny_run(tmp_path / "project/results/tiny")
    record = run / "report/config.yaml"
    settings = yaml.safe_load(record.read_text())
    (tmp_path / "project/w").mkdir()
    shutil.copy(LIGHT_WEIGHTS, tmp_path / "project/w/mine.safetensors")
    monkeypatch.chdir(tmp_path)
    for sam in ({"name": "light", "checkpoint": "w/mine.safetensors"}, {"name": "./w"}):
        record.write_text(yaml.safe_dump(settings | {"sam": sam}))
        expected = tmp_path / "project" / sam.get("checkpoint", "w")
        assert apsam.load("project/results/tiny").config.sam.checkpoint == expected
        assert apsam.load("project/results/tiny", sam="vit_b").config.sam.checkpoint is None


def test_missing_network_is_named():
    model = apsam.load("light")
    with pytest.raises(InputError, match="no localizer"):
        model.cam(picture(SIZE, SIZE))
    with pytest.raises(InputError, match="no ResUNet"):
        model.predict("scene.tif", "out")


def test_loading_errors_name_the_file(tmp_path: Path):
    with pytest.raises(ConfigError, match="name a run's folder"):
        apsam.load()
    with pytest.raises(InputError, match="or name of a SAM: light"):
        apsam.load(tmp_path / "nowhere")
    with pytest.raises(InputError, match="not the folder of a trained run"):
        apsam.load(tmp_path)
    (tmp_path / "a.safetensors").write_bytes(b"no weights")
    with pytest.raises(InputError, match=r"a\.safetensors: not a safetensors file"):
        apsam.load(tmp_path / "a.safetensors")
    with pytest.raises(ConfigError, match="sam: unknown SAM 'nonsense'"):
        apsam.load(sam="nonsense")


def test_networks_are_trained_on_arrays(tmp_path: Path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (4, SIZE, SIZE, 3)).astype(np.uint8)
    masks = np.zeros((4, SIZE, SIZE), bool)
    masks[:2, 20:40, 10:50] = True
    config = Config(localizer=LocalizerSettings(epochs=1, batch_size=2), resunet=RESUNET)
    localizer = apsam.train_localizer(
        images, masks.any(axis=(1, 2)), tmp_path / "l.safetensors", config=config, device="cpu"
    )
    assert localizer.cam(images[0]).max() == 255 and localizer.config.tiles.size == SIZE
    resunet = apsam.train_resunet(images, masks, tmp_path / "r.safetensors", config=config, device="cpu")
    scene = write_scene(tmp_path / "scene.tif", picture(90, 100))
    assert resunet.predict(scene, tmp_path / "out").mask.is_file()
    assert sorted(file.name for file in tmp_path.glob("*.safetensors")) == ["l.safetensors", "r.safetensors"]
    with pytest.raises(InputError, match="labels: need 4 values"):
        apsam.train_localizer(images, [1, 0], tmp_path / "n.safetensors")
    with pytest.raises(InputError, match="masks: need"):
        apsam.train_resunet(images, masks[:2], tmp_path / "n.safetensors")


def test_tiles_that_do_not_fit_their_windows_are_refused():
    tiles, windows = apsam.cut_tiles(np.zeros((100, 100)), 64)
    with pytest.raises(InputError, match="tiles: need one"):
        apsam.blend_tiles(tiles[:-1], windows, (100, 100))
    with pytest.raises(InputError, match="overlap"):
        apsam.cut_tiles(np.zeros((100, 100)), 64, overlap=1)
    small, windows = apsam.cut_tiles(np.ones((30, 40)), 64)
    assert small.shape == (1, 64, 64) and apsam.blend_tiles(small, windows, (30, 40)).min() == 1


def test_masks_of_other_values_are_refused():
    with pytest.raises(InputError, match="mask: needs bool"):
        apsam.evaluate(np.full((2, 2), 7), np.zeros((2, 2)))
    with pytest.raises(InputError, match="one shape"):
        apsam.evaluate(np.zeros((2, 2)), np.zeros((2, 3)))


def test_a_missing_extra_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "geopandas", None)
    with pytest.raises(MissingExtra, match=r"geopandas, which is not installed: pip install 'apsam\[maps\]'"):
        with naming_extras():
            import geopandas  # noqa: F401
    with pytest.raises(ModuleNotFoundError), naming_extras():
        importlib.import_module("nothing_of_this_name")
    assert issubclass(MissingExtra, ApsamError)


def test_without_geopandas_the_rasters_are_made(run: Path, tmp_path: Path, monkeypatch, caplog):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = apsam.load(run).predict(write_scene(tmp_path / "scene.tif", picture(90, 100)), tmp_path / "out")
    assert result.mask.is_file() and result.geopackage is None
    assert "pip install 'apsam[maps]'" in caplog.text
    with pytest.raises(MissingExtra, match="predict again"):
        result.polygons  # noqa: B018


def test_extras_contain_their_packages():
    import tomllib

    from packaging.requirements import Requirement

    project = tomllib.loads((Path(__file__).resolve().parents[1] / "pyproject.toml").read_text())["project"]
    modules = {"scikit-image": "skimage"}
    core = {Requirement(text).name for text in project["dependencies"]}
    for extra, expected in EXTRAS.items():
        names = {Requirement(text).name for text in project["optional-dependencies"][extra]} - {"apsam"}
        brought = {modules.get(name, name) for name in names} | ({"pandas"} if "geopandas" in names else set())
        assert set(expected) <= brought and not names & core, extra
