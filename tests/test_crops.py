"""Training on crops at random positions: positions, contents, and the same result for the same seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from ground_scenes import SIZE, make_scene, write_grid

from apsam.conditions import read_conditions
from apsam.errors import InputError
from apsam.files import read_json
from apsam.resunet.crops import CropOrder, SceneCrops, TrainingScene
from apsam.resunet.settings import ResUNetSettings
from apsam.resunet.train import train_on_scenes
from apsam.stack import TileStack
from apsam.tiles.parts import TEST, TRAIN

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = ResUNetSettings(
    preset="paper", widths=(4, 6, 8, 8, 8), pyramid_width=4, batch_size=4, epochs=2, learning_rate=0.05
)


def training_scene(folder: Path, **how: object) -> tuple[TrainingScene, np.ndarray]:
    image, tiles, mask = make_scene(folder, **how)
    return TrainingScene(image, tiles[0], write_grid(folder / "target.tif", tiles[0], mask)), mask


def place_of(image: np.ndarray, scene: np.ndarray) -> tuple[int, int]:
    """Where in a scene of random pixels a crop lies, by its middle row."""
    middle = image[0, SIZE // 2]
    for row in range(scene.shape[1] - SIZE + 1):
        windows = np.lib.stride_tricks.sliding_window_view(scene[0, row + SIZE // 2], SIZE)
        found = np.flatnonzero((windows == middle).all(axis=1))
        if len(found):
            return row, int(found[0])
    raise AssertionError("the crop is not of this scene")


def test_crops_show_the_scene_and_its_mask(tmp_path: Path) -> None:
    scene, mask = training_scene(tmp_path)
    pixels = rasterio.open(scene.image).read()
    data = SceneCrops([scene], seed=3)
    with TileStack(scene.tiles) as stack:
        windows, parts = stack.read("window"), stack.read("part")
    assert len(data) == (parts == TRAIN).sum()
    assert 0 < data.positive < len(data)
    places = []
    for number in range(12):
        image, target = (values.numpy() for values in data[number])
        row, col = place_of(image, pixels)
        places.append((row, col))
        assert np.array_equal(image, pixels[:, row : row + SIZE, col : col + SIZE])
        own = mask[row : row + SIZE, col : col + SIZE].copy()
        own[:, np.arange(col, col + SIZE) >= 190] = 255
        assert np.array_equal(target, own)
        tile = windows[np.flatnonzero(parts == TRAIN)[number % len(data)], :2]
        assert np.abs(np.array([row, col]) - tile).max() <= 19
    assert any((row % 38, col % 38) != (0, 0) for row, col in places)
    data.close()


def test_another_epoch_another_crop_the_same_seed_the_same(tmp_path: Path) -> None:
    scene, _ = training_scene(tmp_path)
    data, again, other = (SceneCrops([scene], seed) for seed in (3, 3, 4))
    again[5]
    assert torch.equal(data[2][0], again[2][0])
    assert not torch.equal(data[2][0], data[2 + len(data)][0])
    assert not torch.equal(data[2][0], other[2][0])
    order = CropOrder(len(data), 1)
    order.set_epoch(2)
    assert sorted(order) == list(range(2 * len(data), 3 * len(data)))


def test_no_crop_shares_a_pixel_with_a_test_tile(tmp_path: Path) -> None:
    scene, _ = training_scene(tmp_path, height=300, width=300, split="blocks")
    pixels = rasterio.open(scene.image).read()
    with TileStack(scene.tiles) as stack:
        windows, parts = stack.read("window"), stack.read("part")
    assert (parts == TEST).any()
    held_out = np.zeros(pixels.shape[1:], bool)
    for row, col in windows[parts == TEST, :2]:
        held_out[row : row + SIZE, col : col + SIZE] = True
    data = SceneCrops([scene], seed=1)
    for number in range(3 * len(data)):
        row, col = place_of(data[number][0].numpy(), pixels)
        assert not held_out[row : row + SIZE, col : col + SIZE].any()


def test_training_learns_is_resumed_and_gives_the_same_bytes(tmp_path: Path) -> None:
    scene, _ = training_scene(tmp_path)
    weights = []
    for name in ("a", "b"):
        weights.append(tmp_path / f"{name}.safetensors")
        train_on_scenes([scene], TINY, weights[-1], tmp_path / "history.json", 7, "cpu")
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert read_conditions(weights[0]).decision == ("expected_f1" if TINY.loss == "bce" else "threshold")
    history = read_json(tmp_path / "history.json")
    assert history["epochs"][1]["loss"] < history["epochs"][0]["loss"]
    assert history["tiles"] > history["with_landslide"] > 0
    assert not list(tmp_path.glob(".resume*"))


def test_scenes_without_training_tiles_are_refused(tmp_path: Path) -> None:
    scene, _ = training_scene(tmp_path, split="test")
    with pytest.raises(InputError, match="needs at least two"):
        SceneCrops([scene], 1)


@pytest.mark.parametrize("value", [0, 255])
def test_masks_without_landslide_are_refused(tmp_path: Path, value: int) -> None:
    image, [tiles], mask = make_scene(tmp_path)
    empty = write_grid(tmp_path / "empty.tif", tiles, np.full_like(mask, value))
    outputs = tmp_path / "w.safetensors", tmp_path / "history.json"
    with pytest.raises(InputError, match=r"none of the \d+ training tiles in .*valley.* has landslide .*empty.tif"):
        train_on_scenes([TrainingScene(image, tiles, empty)], TINY, *outputs, 7, "cpu")
    assert not outputs[0].exists()
    given = write_grid(tmp_path / "mask.tif", tiles, mask)
    both = [TrainingScene(image, tiles, path) for path in (empty, given)]
    assert SceneCrops(both, 1).positive, "another scene has some"
