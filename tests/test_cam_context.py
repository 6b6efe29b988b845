"""CAMs with the scene around a tile show no edge of the tile."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from ground_scenes import SIZE, make_scene
from torch.nn import functional

from apsam.errors import ConfigError
from apsam.localizer.cam import make_cams
from apsam.localizer.checkpoint import save_localizer
from apsam.localizer.methods import build_method
from apsam.localizer.methods.cam import PlainCam
from apsam.localizer.settings import CamSettings, LocalizerSettings
from apsam.stack import TileStack

WIDTH = 31  # of the stand-in's receptive field


def blur(images: torch.Tensor) -> torch.Tensor:
    """A localizer's map whose view is wide and, like a network's, sees nothing beyond its input."""
    return functional.avg_pool2d(images[:, :1], WIDTH, 1, WIDTH // 2)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    torch.set_num_threads(1)
    monkeypatch.setattr(PlainCam, "cam", lambda self, images: blur(images))
    save_localizer(build_method(LocalizerSettings(weights="none")), tmp_path / "w.safetensors")
    return tmp_path / "w.safetensors"


def cams_of(folder: Path, weights: Path, tiles: Path, context: int, image: Path | None) -> np.ndarray:
    settings = CamSettings(gamma=1, context=context, flips="none")
    make_cams(tiles, weights, folder / "c.zarr.zip", settings, "cpu", label_gate=False, image=image)
    with TileStack(folder / "c.zarr.zip") as stack:
        return stack.read("cam")


def test_the_map_of_a_tile_is_that_of_the_scene(tmp_path: Path, weights: Path) -> None:
    image, tiles, _ = make_scene(tmp_path)
    with rasterio.open(image) as raster:
        pixels = raster.read().astype(np.float32)
    reach = WIDTH // 2 + 1
    padded = np.pad(pixels, [(0, 0), (reach, reach), (reach, reach)], mode="symmetric")
    scene = blur(torch.from_numpy(padded)[None])[0, 0, reach:-reach, reach:-reach].numpy()
    with TileStack(tiles[0]) as stack:
        windows, valid = stack.read("window"), stack.read("valid")
    around, alone = (cams_of(tmp_path, weights, tiles[0], context, image) for context in (16, 0))
    for (row, col, _, _), seen, cam in zip(windows.tolist(), valid, around, strict=True):
        expected = scene[row : row + SIZE, col : col + SIZE] * seen
        assert np.abs(cam - 255 * expected / expected.max()).max() <= 1
    edge, middle = ([maps[:, [0, -1]].mean(), maps[:, 24:40].mean()] for maps in (alone, around))
    assert edge[0] < 0.7 * edge[1], "alone, the map is high in the middle of a tile"
    assert abs(middle[0] / middle[1] - 1) < 0.1, "with what is around it, there is no trend"


def test_the_image_must_be_named(tmp_path: Path, weights: Path) -> None:
    _, tiles, _ = make_scene(tmp_path)
    with pytest.raises(ConfigError, match="cams.context: the image of 'valley' is needed"):
        cams_of(tmp_path, weights, tiles[0], 16, None)
