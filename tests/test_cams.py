"""Class activation maps: views, gate, scaling, refinement, and that a trained localizer's maps find blobs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from localizer_tiles import SIDE, blob_tiles, write_tiles

from apsam.localizer.cam import make_cams, scale_to_one, sum_of_views, tile_cams, to_bytes, turn, turn_back, views
from apsam.localizer.checkpoint import save_localizer
from apsam.localizer.methods import build_method
from apsam.localizer.refine import refine_by_prototypes
from apsam.localizer.settings import AugmentationSettings, CamSettings, LocalizerSettings
from apsam.localizer.train import train_localizer
from apsam.stack import TileStack

pytestmark = pytest.mark.usefixtures("one_thread")

FAST = LocalizerSettings(
    epochs=4,
    batch_size=8,
    output_stride=8,
    warmup_steps=2,
    augmentation=AugmentationSettings(view=1, shift=0.1),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, np.ndarray, np.ndarray]:
    """A stack of blob tiles, a localizer trained on it, the labels and the reference masks."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("localizer")
    images, labels, masks = blob_tiles(48)
    stack = write_tiles(folder / "blobs.zarr.zip", images, labels, np.arange(48) >= 40)
    train_localizer([stack], FAST, folder / "w.safetensors", folder / "h.json", seed=1, device="cpu")
    return stack, folder / "w.safetensors", labels, masks


def coordinates(images: torch.Tensor) -> torch.Tensor:
    """Stand for a network: a map of what the tile shows where, at stride 8."""
    return torch.nn.functional.avg_pool2d(images[:, :1], 8)


@pytest.mark.parametrize(("flips", "count"), [("none", 1), ("horizontal", 2), ("dihedral", 8)])
def test_views_are_brought_back_to_where_they_were(flips: str, count: int) -> None:
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    image = (rows * 3 + columns).expand(2, 3, 64, 64)
    assert len(views(flips)) == count
    for turns, mirrored in views(flips):
        assert torch.equal(turn_back(turn(image, turns, mirrored), turns, mirrored), image)
    once = sum_of_views(coordinates, image, CamSettings(scales=(1.0,), flips="none"))
    all_views = sum_of_views(coordinates, image, CamSettings(scales=(1.0,), flips=flips))
    torch.testing.assert_close(all_views, once * count)


def test_scales_are_brought_back_to_the_tile() -> None:
    rows, columns = torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="ij")
    image = (rows * 3 + columns).expand(1, 3, 128, 128)
    total = sum_of_views(coordinates, image, CamSettings(scales=(0.5, 1.0, 2.0), flips="none")) / 3
    inside = (slice(None), slice(None), slice(16, 112), slice(16, 112))
    torch.testing.assert_close(total[inside], image[:, :1][inside], rtol=0, atol=1.0)


def test_only_positive_logits_count() -> None:
    images = torch.ones(1, 3, 64, 64)
    assert float(sum_of_views(lambda view: -coordinates(view), images, CamSettings()).abs().max()) == 0


def test_scaling_and_rounding() -> None:
    maps = torch.tensor([[[1.0, 2.0], [3.0, 5.0]]])
    by_max = to_bytes(scale_to_one(maps, CamSettings()), CamSettings())
    assert by_max.tolist() == [[[51, 102], [153, 255]]]
    released = CamSettings(normalise="as_released")
    assert to_bytes(scale_to_one(maps, released), released).tolist() == [[[0, 63], [127, 255]]]
    assert to_bytes(scale_to_one(torch.zeros(1, 2, 2), CamSettings()), CamSettings()).max() == 0


def test_negative_tiles_are_empty_and_not_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels, _ = blob_tiles(10)
    stack = write_tiles(tmp_path / "a.zarr.zip", images, labels)
    method = build_method(LocalizerSettings(weights="none"))
    save_localizer(method, tmp_path / "w.safetensors")
    computed = []
    from apsam.localizer.methods.cam import PlainCam

    monkeypatch.setattr(PlainCam, "cam", lambda self, x: (computed.append(len(x)), coordinates(x))[1])
    settings = CamSettings(flips="none", batch_size=4)
    make_cams(stack, tmp_path / "w.safetensors", tmp_path / "c.zarr.zip", settings, "cpu")
    with TileStack(tmp_path / "c.zarr.zip") as cams:
        values = cams.read("cam")
        assert cams.attributes["scene"] == "a"
        assert cams.attributes["made_by"] == settings.model_dump(mode="json")
    assert values.shape == (10, SIDE, SIDE) and values.dtype == np.uint8
    assert sum(computed) == labels.sum()
    assert (values.reshape(10, -1).max(1) == np.where(labels, 255, 0)).all()


def test_pixels_without_data_are_empty(tmp_path: Path) -> None:
    method = build_method(LocalizerSettings(weights="none")).eval()
    method.cam = coordinates
    valid = torch.ones(1, 64, 64, dtype=torch.uint8)
    valid[:, :, 32:] = 0
    image = torch.full((1, 3, 64, 64), 100, dtype=torch.uint8)
    image[..., 32:] = 255
    cams = tile_cams(method, image, valid, CamSettings())
    assert float(cams[..., 32:].max()) == 0
    assert float(cams[..., :32].max()) == pytest.approx(1, abs=1e-4)


def test_gamma_moves_values_and_keeps_their_order() -> None:
    method = build_method(LocalizerSettings(weights="none")).eval()
    method.cam = coordinates
    image = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    valid = torch.ones(1, 64, 64, dtype=torch.uint8)
    plain, moved = (tile_cams(method, image, valid, CamSettings(gamma=gamma)) for gamma in (1.0, 0.5))
    torch.testing.assert_close(moved, plain.sqrt())


def test_prototypes_restrict_a_wide_map_to_similar_pixels() -> None:
    scar = torch.zeros(1, 1, 64, 64)
    scar[..., 24:40, 24:40] = 1
    features = [torch.cat([scar, 1 - scar], 1) for _ in range(4)]
    rows, columns = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
    wide = torch.exp(-((rows - 128) ** 2 + (columns - 128) ** 2) / (2 * 60**2))[None]
    refined = refine_by_prototypes(wide, features)
    reference = torch.nn.functional.interpolate(scar, (256, 256))[:, 0] > 0.5

    def iou(maps: torch.Tensor) -> float:
        found = maps / maps.max() > 0.47
        return float((found & reference).sum() / (found | reference).sum())

    assert iou(wide) < 0.5 < 0.9 < iou(refined)
    assert torch.equal(refine_by_prototypes(torch.ones(1, 256, 256), features), torch.ones(1, 256, 256))


def test_a_trained_localizer_finds_the_blobs(trained: tuple, tmp_path: Path) -> None:
    stack, weights, labels, masks = trained
    make_cams(stack, weights, tmp_path / "c.zarr.zip", CamSettings(), "cpu")
    with TileStack(tmp_path / "c.zarr.zip") as cams:
        found = cams.read("cam") > 120
    assert not found[labels == 0].any()
    reference = masks == 1
    overlap = [(f & t).sum() / (f | t).sum() for f, t in zip(found[labels == 1], reference[labels == 1], strict=True)]
    constant = reference[labels == 1].mean()
    assert np.mean(overlap) > 2 * constant


def test_same_seed_same_bytes(trained: tuple, tmp_path: Path) -> None:
    stack, weights, _, _ = trained
    torch.set_num_threads(1)
    train_localizer([stack], FAST, tmp_path / "w.safetensors", tmp_path / "h.json", seed=1, device="cpu")
    assert (tmp_path / "w.safetensors").read_bytes() == weights.read_bytes()
    assert (tmp_path / "h.json").read_bytes() == (weights.parent / "h.json").read_bytes()
    for name in ("a", "b"):
        make_cams(stack, weights, tmp_path / f"{name}.zarr.zip", CamSettings(), "cpu")
    assert (tmp_path / "a.zarr.zip").read_bytes() == (tmp_path / "b.zarr.zip").read_bytes()
