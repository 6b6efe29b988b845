"""The synthetic scenes: reproducible, georeferenced, with the requested landslides and decoys."""

import subprocess
import sys
import time
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
from pydantic import ValidationError

from apsam.synthetic.noise import random_stream, smooth_noise
from apsam.synthetic.placing import positive_share
from apsam.synthetic.scene import SyntheticScene, make_scene, place_scene, write_scene
from apsam.synthetic.settings import SyntheticSettings
from apsam.synthetic.surface import DECOYS

ROOT = Path(__file__).parents[1]
SMALL = SyntheticSettings(size_px=384, landslide_area_m2=(200, 1500))
NAMES = ("minshan", "longmen")


@pytest.fixture(scope="module")
def scenes() -> list[SyntheticScene]:
    start = time.process_time()
    made = [make_scene(name, SyntheticSettings()) for name in NAMES]
    # About 3.5 s a scene on one core where it was written.
    assert time.process_time() - start < 15 * len(NAMES)
    return made


def test_same_name_and_seed_give_the_same_bytes(tmp_path: Path) -> None:
    files = []
    for folder in ("a", "b"):
        paths = tmp_path / folder / "scene.tif", tmp_path / folder / "scene_mask.tif"
        write_scene(make_scene("minshan", SMALL), *paths)
        files.append([path.read_bytes() for path in paths])
    assert files[0] == files[1]


def test_names_and_seeds_differ() -> None:
    first = make_scene("minshan", SMALL)
    for other in (make_scene("longmen", SMALL), make_scene("minshan", SMALL.model_copy(update={"seed": 8}))):
        assert (first.image != other.image).mean() > 0.5
        assert (first.mask != other.mask).any()
        assert first.transform != other.transform


def test_files_are_georeferenced_alike(tmp_path: Path) -> None:
    scene = make_scene("minshan", SMALL.model_copy(update={"no_data_share": 1.0}))
    image_path, mask_path = tmp_path / "scene.tif", tmp_path / "scene_mask.tif"
    write_scene(scene, image_path, mask_path)
    with rasterio.open(image_path) as image, rasterio.open(mask_path) as mask:
        assert image.crs == mask.crs == rasterio.crs.CRS.from_epsg(32648)
        assert image.transform == mask.transform == scene.transform
        assert image.res == (0.5, 0.5)
        assert (image.count, mask.count, image.dtypes[0], mask.dtypes[0]) == (3, 1, "uint8", "uint8")
        assert image.block_shapes[0] == (256, 256) and image.compression.name == "deflate"
        assert np.array_equal(np.moveaxis(image.read(), 0, -1), scene.image)
        assert np.array_equal(mask.read(1), scene.mask)
        no_data = image.dataset_mask() == 0
    assert np.array_equal(no_data, ~scene.valid)
    assert 0.02 < no_data.mean() < 0.15
    assert not scene.mask[no_data].any() and not scene.image[no_data].any()
    assert scene.image[scene.valid].min() >= 1
    assert list(tmp_path.iterdir()) and len(list(tmp_path.iterdir())) == 2


def test_scenes_lie_apart() -> None:
    places = [place_scene(name, SMALL) for name in ("a", "b", "c", "d")]
    assert len({(place.c, place.f) for place in places}) == 4
    assert all(place.c % 1000 == 0 and place.f % 1000 == 0 for place in places)


def test_large_scenes_lie_apart() -> None:
    """In cells of a grid as wide as they are; those of the default size stay where they were."""
    for size, metre in ((8192, 4.0), (3000, 0.5), (2048, 0.5)):
        settings = SyntheticSettings(size_px=size, resolution_m=metre)
        side = size * metre
        places = {(place.c, place.f) for place in (place_scene(f"scene {i}", settings) for i in range(300))}
        assert len(places) > 250
        apart = [max(abs(a - c), abs(b - d)) for (a, b), (c, d) in combinations(places, 2)]
        assert min(apart) >= side
        assert all(166_000 < east and east + side < 834_000 and 0 < north < 9_300_000 for east, north in places)
    place = place_scene("minshan", SyntheticSettings())
    assert (place.c, place.f) == (349_000, 3_219_000)


def test_a_scene_smaller_than_a_clearing_has_none() -> None:
    settings = SyntheticSettings(size_px=256, resolution_m=0.3, decoys=2.0)
    name = next(f"s{i}" for i in range(300) if random_stream(settings.seed, f"s{i}", "clearings").poisson(0.2))
    decoy = make_scene(name, settings).decoy
    assert not (decoy == DECOYS.index("clearing") + 1).any()


def test_landslides_are_as_many_and_as_large_as_asked(scenes: list[SyntheticScene]) -> None:
    settings = SyntheticSettings()
    for scene in scenes:
        assert scene.image.shape == (1280, 1280, 3)
        assert 0.03 <= scene.mask.mean() <= 0.08
        assert 0.4 <= positive_share(scene.mask, settings.tile_px, settings.tile_stride_px) <= 0.55
        areas = np.bincount(scene.instances.ravel())[1:] * settings.resolution_m**2
        assert areas.min() > 0
        assert len(areas) >= 6
        assert areas.max() < 1.35 * settings.landslide_area_m2[1]
        assert areas.max() > 8 * areas.min()
        assert np.array_equal(scene.mask, scene.instances > 0)


def test_hollow_landslides_keep_islands() -> None:
    def holes(share: float) -> int:
        found = 0
        for name in ("minshan", "wolong", "heishui"):
            scene = make_scene(name, SyntheticSettings(hollow_share=share, size_px=640))
            contours, hierarchy = cv2.findContours(scene.mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
            found += sum(
                cv2.contourArea(contour) > 150
                for contour, links in zip(contours, hierarchy[0], strict=True)
                if links[3] >= 0
            )
        return found

    assert holes(1.0) > holes(0.0)


def test_landslides_run_down_the_slope(scenes: list[SyntheticScene]) -> None:
    agreements = []
    for scene in scenes:
        height = scene.terrain.height
        for number in range(1, scene.instances.max() + 1):
            rows, cols = np.nonzero(scene.instances == number)
            if len(rows) < 300:
                continue
            spread = np.cov(np.stack([cols, rows]))
            values, vectors = np.linalg.eigh(spread)
            if values[1] < 2.5 * values[0]:
                continue
            plane = np.linalg.lstsq(np.stack([cols, rows, np.ones_like(cols)], -1), height[rows, cols], rcond=None)[0][
                :2
            ]
            agreements.append(abs(vectors[:, 1] @ plane) / np.hypot(*plane))
    assert len(agreements) >= 6
    # Two random directions agree to 2 / pi = 0.64 on average.
    assert np.mean(agreements) > 0.8


def test_decoys_share_colours_with_landslides(scenes: list[SyntheticScene]) -> None:
    for scene in scenes:
        assert not scene.mask[scene.decoy > 0].any()
        shown = {DECOYS[number - 1] for number in np.unique(scene.decoy) if number}
        assert {"water", "river bar", "field", "track", "outcrop", "clearing"} <= shown
        soils = [DECOYS.index(kind) + 1 for kind in ("track", "road cut", "clearing", "yard", "quarry")]
        here, there = scene.image[np.isin(scene.decoy, soils)], scene.image[scene.mask > 0]
        for band in range(3):
            low, high = np.percentile(here[:, band], [5, 95])
            assert ((there[:, band] > low) & (there[:, band] < high)).mean() > 0.5


def test_without_decoys_or_landslides_there_are_none() -> None:
    scene = make_scene("minshan", SMALL.model_copy(update={"decoys": 0.0, "landslide_cover": (0.0, 0.0)}))
    assert not scene.mask.any()
    assert {DECOYS[number - 1] for number in np.unique(scene.decoy) if number} <= {"water", "river bar"}


def test_bare_ground_is_what_the_mask_shows(scenes: list[SyntheticScene]) -> None:
    """Greenness falls at the outline: the mask is true to the pixel, not a hull."""
    for scene in scenes:
        kernel = np.ones((3, 3), np.uint8)
        inside = (scene.mask > 0) & (cv2.erode(scene.mask, kernel, iterations=1) == 0)
        grown = cv2.dilate(scene.mask, kernel, iterations=4) > 0
        outside = grown & (cv2.dilate(scene.mask, kernel, iterations=2) == 0)
        outside &= (scene.decoy == 0) & scene.valid
        image = scene.image.astype(np.float32)
        green = image[..., 1] / image.sum(-1).clip(1)
        assert green[outside].mean() - green[inside].mean() > 0.02


def test_noise_has_unit_spread_at_every_width() -> None:
    for sigma in (0.5, 1.0, 3.0, 20.0):
        field = smooth_noise(random_stream(1, str(sigma)), (600, 500), sigma)
        assert field.shape == (600, 500) and field.dtype == np.float32
        assert 0.75 < field.std() < 1.25


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 1},
        {"landslide_cover": (0.2, 0.1)},
        {"landslide_cover": (0.2, 0.9)},
        {"size_px": 256, "tile_px": 512},
        {"decoys": -1},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SyntheticSettings.model_validate(wrong)


def test_script_writes_both_files(tmp_path: Path) -> None:
    image, mask = tmp_path / "scene.tif", tmp_path / "scene_mask.tif"
    command = [sys.executable, "scripts/synthesize.py", "--scene", "minshan", "--image", image]
    command += ["--mask", mask, "--settings", SMALL.model_dump_json()]
    subprocess.run(command, cwd=ROOT, check=True)
    with rasterio.open(mask) as raster:
        assert np.array_equal(raster.read(1), make_scene("minshan", SMALL).mask)


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import sys, apsam.synthetic; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
