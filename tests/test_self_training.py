"""Heat maps of the second round: a ResUNet's probabilities of tiles as grey values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from localizer_tiles import blob_tiles, write_tiles

from apsam.maps.settings import MapSettings
from apsam.resunet.checkpoint import save_resunet
from apsam.resunet.model import build_resunet
from apsam.resunet.predict import Predictor
from apsam.resunet.settings import ResUNetSettings
from apsam.self_training.heat_maps import make_tile_heat_maps
from apsam.stack import TileStack, TileStackWriter

SMALL = ResUNetSettings(preset="paper", widths=(4, 6, 8, 8, 8), pyramid_width=4, epochs=1, batch_size=4)
MAPS = MapSettings(batch_size=4)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, np.ndarray]:
    """A stack of ten tiles, an untrained ResUNet, and the tiles' labels."""
    folder = tmp_path_factory.mktemp("second_round")
    images, labels, _ = blob_tiles(10)
    tiles = write_tiles(folder / "tiles.zarr.zip", images, labels, np.zeros(10, bool))
    torch.manual_seed(0)
    save_resunet(build_resunet(SMALL), SMALL, folder / "w.safetensors", {}, None)
    return tiles, folder / "w.safetensors", labels


def heat_maps(given: tuple[Path, Path, np.ndarray], output: Path, **options: Any) -> np.ndarray:
    make_tile_heat_maps(given[0], given[1], MAPS, output, device="cpu", **options)
    with TileStack(output) as stack:
        return stack.read("cam")


def test_heat_maps_are_log_odds_around_the_papers_threshold(
    given: tuple[Path, Path, np.ndarray], tmp_path: Path
) -> None:
    found = heat_maps(given, tmp_path / "cams.zarr.zip").astype(float)
    with TileStack(given[0]) as stack:
        images, valid = stack.read("image"), stack.read("valid")
    positive = np.flatnonzero(given[2] == 1)
    expected = np.stack([Predictor(given[1], MAPS, "cpu").probabilities(images[i : i + 1])[0] for i in positive])
    expected[valid[positive] == 0] = 0
    odds = np.log(expected / (1 - expected))
    sure = abs(odds) > 0.01  # steps of log-odds, and sums in another order
    assert ((found[positive] > 120) == (expected >= 0.5))[sure].all()
    inside = (found[positive] > 0) & (found[positive] < 255)
    assert inside.any()
    assert abs((found[positive] - 120.5)[inside] - 40 * odds[inside]).max() <= 1


def test_the_mean_with_a_cam(given: tuple[Path, Path, np.ndarray], tmp_path: Path) -> None:
    alone, positive = heat_maps(given, tmp_path / "alone.zarr.zip"), given[2] == 1
    cams = np.random.default_rng(0).integers(0, 256, alone.shape, dtype=np.uint8)
    with TileStackWriter(tmp_path / "cams.zarr.zip", {"scene": "tiles"}, {"cam": (alone.shape[1:], "uint8")}) as writer:
        writer.append(cam=cams)
    for share in (0.25, 1.0):
        found = heat_maps(given, tmp_path / f"{share}.zarr.zip", cams=tmp_path / "cams.zarr.zip", cam_share=share)
        expected = share * cams.astype(float) + (1 - share) * alone
        assert abs(found[positive] - expected[positive]).max() <= 0.5
        assert not found[~positive].any()


def test_negative_tiles_have_no_heat_map(given: tuple[Path, Path, np.ndarray], tmp_path: Path) -> None:
    negative = given[2] == 0
    assert negative.any()
    assert not heat_maps(given, tmp_path / "gated.zarr.zip")[negative].any()
    assert heat_maps(given, tmp_path / "all.zarr.zip", label_gate=False)[negative].any()
