"""The segmentation network: shapes, size, loss, augmentation, training, weights."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from apsam.errors import ApsamError, InputError
from apsam.resunet.augment import colour, dihedral, random_views
from apsam.resunet.checkpoint import load_resunet, save_resunet
from apsam.resunet.lite_encoder import FixedDepthwise
from apsam.resunet.model import PyramidPooling, build_resunet
from apsam.resunet.settings import PRESETS, ResUNetSettings
from apsam.resunet.train import ResUNetTraining, segmentation_loss, train_resunet
from apsam.stack import TileStackWriter

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
TINY = ResUNetSettings(
    preset="paper", widths=(4, 6, 8, 8, 8), pyramid_width=4, batch_size=4, epochs=2, learning_rate=0.05
)


def write_scene(folder: Path, name: str = "a", count: int = 8, part: int = 0, size: int = 64) -> tuple[Path, Path]:
    """Tiles with a bright square as landslide; tile 0 is negative; a corner has no data."""
    rng = np.random.default_rng(len(name) + count)
    image = rng.integers(40, 90, (count, 3, size, size)).astype(np.uint8)
    mask = np.zeros((count, size, size), np.uint8)
    for index in range(1, count):
        row, col = rng.integers(4, size - 30, 2)
        mask[index, row : row + 24, col : col + 24] = 1
    image[np.broadcast_to(mask[:, None] == 1, image.shape)] += 120
    mask[:, :4, :4] = 255
    tiles, masks = folder / f"tiles_{name}.zarr.zip", folder / f"masks_{name}.zarr.zip"
    specs = {"image": ((3, size, size), "uint8"), "part": ((), "uint8")}
    with TileStackWriter(tiles, {"scene": name, "tile_size": size}, specs) as writer:
        writer.append(image=image, part=np.full(count, part, np.uint8))
    with TileStackWriter(masks, {"scene": name}, {"mask": ((size, size), "uint8")}) as writer:
        writer.append(mask=mask)
    return tiles, masks


def test_the_papers_network_has_its_12_42_million_parameters() -> None:
    network = build_resunet(ResUNetSettings(preset="paper"))
    assert sum(p.numel() for p in network.parameters()) == 12_417_264


@pytest.mark.parametrize(
    "settings", [TINY, ResUNetSettings(preset="demo"), TINY.model_copy(update={"input_scale": 0.5})]
)
@pytest.mark.parametrize("size", [(64, 64), (100, 75)])
def test_one_logit_a_pixel(settings: ResUNetSettings, size: tuple[int, int]) -> None:
    network = build_resunet(settings, pretrained=False).eval()
    with torch.no_grad():
        assert network(torch.rand(2, 3, *size)).shape == (2, 1, *size)


def test_presets_fill_what_is_not_written() -> None:
    paper = ResUNetSettings(preset="paper")
    expected = {"batch_size": 24, "epochs": 100, "learning_rate": 0.01, "momentum": 0.9, "weight_decay": 5e-4}
    assert {name: getattr(paper, name) for name in expected} == expected
    assert (paper.optimizer, paper.loss, paper.schedule, paper.augment) == ("sgd", "bce", "plateau", "none")
    assert ResUNetSettings() == ResUNetSettings(preset="demo")
    assert ResUNetSettings(preset="paper", epochs=3).epochs == 3
    assert ResUNetSettings.model_validate_json(paper.model_dump_json()) == paper
    assert PRESETS["paper"].keys() == PRESETS["demo"].keys()
    for wrong in ({"preset": "papr"}, {"epoch": 3}, {"epochs": 0}, {"widths": (0, 1, 1, 1, 1)}, {"input_scale": 2}):
        with pytest.raises(ValidationError):
            ResUNetSettings(**wrong)


@pytest.mark.parametrize("side", [6, 8, 16, 17])
def test_pyramid_bins_are_adaptive_averages(side: int) -> None:
    pyramid = PyramidPooling(5, 2, (1, 2, 3, 6), keep_input=True).eval()
    x = torch.rand(2, 5, side, side)
    expected = [x] + [
        F.interpolate(reduce(F.adaptive_avg_pool2d(x, bins)), x.shape[-2:], mode="bilinear", align_corners=True)
        for bins, reduce in zip(pyramid.bins, pyramid.reduce, strict=True)
    ]
    assert torch.allclose(pyramid(x), torch.cat(expected, 1), atol=1e-6)
    assert pyramid.channels == 5 + 8


def test_loss_by_hand_ignores_no_data() -> None:
    logits = torch.randn(2, 1, 6, 6)
    mask = torch.randint(0, 2, (2, 6, 6), dtype=torch.uint8)
    plain = F.binary_cross_entropy_with_logits(logits[:, 0], mask.float())
    assert torch.allclose(segmentation_loss(logits, mask, "bce"), plain)
    probability = logits[:, 0].sigmoid()
    dice = 1 - (2 * (probability * mask).sum() + 1) / (probability.sum() + mask.sum() + 1)
    assert torch.allclose(segmentation_loss(logits, mask, "bce_dice"), plain + dice)
    mask[:, :3] = 255
    for kind in ("bce", "bce_dice"):
        changed = logits.clone()
        changed[:, :, :3] = 50
        assert torch.equal(segmentation_loss(logits, mask, kind), segmentation_loss(changed, mask, kind))
        leaf = logits.clone().requires_grad_()
        segmentation_loss(leaf, mask, kind).backward()
        assert leaf.grad[:, :, :3].abs().max() == 0 and leaf.grad[:, :, 3:].abs().min() > 0
    assert segmentation_loss(logits, torch.full_like(mask, 255), "bce_dice").isfinite()


def test_image_and_mask_are_rotated_together() -> None:
    image = torch.rand(64, 3, 8, 8)
    mask = (image[:, 0] * 200).to(torch.uint8)
    turned, turned_mask = dihedral(image, mask)
    assert torch.equal((turned[:, 0] * 200).to(torch.uint8), turned_mask)
    assert len({tuple(m.flatten().tolist()) for m in dihedral(image[:1].repeat(64, 1, 1, 1), mask)[0]}) == 8


def test_colours_stay_in_range_and_differ() -> None:
    image = torch.rand(8, 3, 16, 16)
    varied = colour(image)
    assert varied.min() >= 0 and varied.max() <= 1
    assert (varied - image).abs().mean((1, 2, 3)).min() > 1e-3


def test_views_are_parts_of_half_of_the_images_with_their_masks() -> None:
    torch.manual_seed(3)
    count, side, zoom = 200, 32, 2.0
    rows, cols = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    image = torch.stack([rows, cols, torch.full_like(rows, 7)]).float().expand(count, 3, side, side)
    mask = torch.where(rows < 16, 1, torch.where(cols < 8, 255, 0)).to(torch.uint8).expand(count, side, side)
    views, masks = random_views(image, mask, zoom)
    whole = (views - image).abs().amax((1, 2, 3)) < 1e-3
    assert 70 < int(whole.sum()) < 130
    assert torch.equal(masks[whole], mask[whole]) and masks.dtype == torch.uint8
    # Pixels of a view are as far apart as its magnification says, and lie in the image.
    step = (views[:, 0, -2, 0] - views[:, 0, 1, 0]) / (side - 3)
    assert step.min() >= 1 / zoom - 0.02 and step.max() <= 1 and step[~whole].min() < 0.6
    assert views[:, :2].min() >= 0 and views[:, :2].max() <= side - 1 and torch.allclose(views[:, 2], torch.tensor(7.0))
    assert views[~whole, 0].mean((1, 2)).std() > 1, "at places that differ"
    inside = torch.where(views[:, 0] < 15.4, 1, torch.where(views[:, 1] < 7.4, 255, 0))
    sure = ((views[:, 0] - 15.5).abs() > 0.6) & ((views[:, 1] - 7.5).abs() > 0.6)
    assert torch.equal(masks[sure].long(), inside[sure])


def test_the_encoder_keeps_depthwise_filters_and_its_own_rate() -> None:
    settings = ResUNetSettings(preset="demo", learning_rate=0.01, encoder_rate=0.1)
    network = build_resunet(settings, pretrained=False)
    fixed = [m for m in network.encoder.modules() if isinstance(m, FixedDepthwise)]
    assert len(fixed) == 11 and not any(p.requires_grad for m in fixed for p in m.parameters())
    training = ResUNetTraining(network, settings)
    training.trainer = SimpleNamespace(estimated_stepping_batches=10)
    groups = training.configure_optimizers()["optimizer"].param_groups
    assert [group["max_lr"] for group in groups] == pytest.approx([0.01, 0.001])
    together = sum(p.numel() for group in groups for p in group["params"])
    assert together == sum(p.numel() for p in network.parameters() if p.requires_grad)


@pytest.mark.parametrize("steps", [1, 2, 5, 6, 10])
def test_one_cycle_of_any_length_rises_and_falls(steps: int) -> None:
    training = ResUNetTraining(build_resunet(TINY), TINY.model_copy(update={"schedule": "one_cycle"}))
    training.trainer = SimpleNamespace(estimated_stepping_batches=steps)
    made = training.configure_optimizers()
    rates = []
    for _ in range(steps):
        rates.append(made["optimizer"].param_groups[0]["lr"])
        made["optimizer"].step()
        made["lr_scheduler"]["scheduler"].step() if len(rates) < steps else None
    assert all(0 < rate <= TINY.learning_rate for rate in rates)
    assert steps < 3 or max(rates) > 5 * rates[-1]


def test_small_data_set_is_overfitted(tmp_path: Path) -> None:
    tiles, masks = write_scene(tmp_path)
    settings = TINY.model_copy(update={"epochs": 15, "optimizer": "adamw", "learning_rate": 0.02, "loss": "bce_dice"})
    output, history = tmp_path / "w.safetensors", tmp_path / "h.json"
    train_resunet([tiles], [masks], settings, output, history, seed=1, device="cpu")
    epochs = json.loads(history.read_text())["epochs"]
    assert len(epochs) == 15 and epochs[-1]["loss"] < 0.5 * epochs[0]["loss"]
    network, kept = load_resunet(output, CPU)
    assert kept == settings and not network.training


def test_same_seed_same_bytes_and_only_training_tiles_count(tmp_path: Path) -> None:
    pairs = [write_scene(tmp_path, "a"), write_scene(tmp_path, "bb", count=5)]
    held_out = write_scene(tmp_path, "held_out", part=1)
    settings = TINY.model_copy(update={"augment": "dihedral_colour", "schedule": "one_cycle"})
    runs = {}
    for run, seed, given in (("a", 1, pairs), ("b", 1, [*pairs, held_out]), ("c", 2, pairs)):
        paths = tmp_path / run / "w.safetensors", tmp_path / run / "h.json"
        train_resunet([t for t, _ in given], [m for _, m in given], settings, *paths, seed=seed, device="cpu")
        runs[run] = [path.read_bytes() for path in paths]
        assert sorted(p.name for p in (tmp_path / run).iterdir()) == ["h.json", "w.safetensors"]
    assert runs["a"] == runs["b"]
    assert runs["a"][0] != runs["c"][0]
    facts = json.loads(runs["a"][1])
    assert (facts["tiles"], facts["with_landslide"]) == (13, 11)


def test_diverged_training_is_an_error(tmp_path: Path) -> None:
    tiles, masks = write_scene(tmp_path)
    settings = TINY.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(
        ApsamError,
        match=r"training diverged, the loss is NaN or inf in epoch \d; lower resunet.learning_rate \(1e\+30\)",
    ):
        train_resunet([tiles], [masks], settings, tmp_path / "w.safetensors", tmp_path / "h.json", device="cpu")
    assert not (tmp_path / "w.safetensors").exists()


def test_weights_that_diverge_in_the_last_step_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiles, masks = write_scene(tmp_path)
    step = ResUNetTraining.training_step

    def overflow(task: ResUNetTraining, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        if index == task.trainer.num_training_batches - 1:
            next(task.network.parameters()).register_hook(lambda gradient: gradient * float("inf"))
        return step(task, batch, index)

    monkeypatch.setattr(ResUNetTraining, "training_step", overflow)
    outputs = tmp_path / "w.safetensors", tmp_path / "h.json"
    settings = TINY.model_copy(update={"epochs": 1})
    with pytest.raises(ApsamError, match="training diverged, weights are NaN or inf in epoch 1; lower resunet"):
        train_resunet([tiles], [masks], settings, *outputs, device="cpu")
    assert not outputs[0].exists() and not outputs[1].exists()


def test_mismatched_inputs_are_named(tmp_path: Path) -> None:
    (tiles, masks), (other, other_masks) = write_scene(tmp_path, "a"), write_scene(tmp_path, "bb", count=5)
    outputs = tmp_path / "w.safetensors", tmp_path / "h.json"
    with pytest.raises(InputError, match="5 masks of scene 'bb' do not fit the 8 tiles of scene 'a'"):
        train_resunet([tiles], [other_masks], TINY, *outputs, device="cpu")
    with pytest.raises(InputError, match="2 tile stacks but 1"):
        train_resunet([tiles, other], [masks], TINY, *outputs, device="cpu")
    tiles, masks = write_scene(tmp_path, "test", part=1)
    with pytest.raises(InputError, match="needs at least two"):
        train_resunet([tiles], [masks], TINY, *outputs, device="cpu")
    tiles, masks = write_scene(tmp_path, "wide", size=96)
    with pytest.raises(InputError, match=r"different tile sizes \[64, 96\]"):
        train_resunet([other, tiles], [other_masks, masks], TINY, *outputs, device="cpu")
    assert not outputs[0].exists()


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    with pytest.raises(InputError, match="no such weights"):
        load_resunet(path, CPU)
    path.write_bytes(b"\x80\x04 pickle")
    with pytest.raises(InputError, match="not a safetensors file"):
        load_resunet(path, CPU)
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(InputError, match="contains another model"):
        load_resunet(path, CPU)
    save_file({"x": torch.zeros(1)}, path, {"apsam": json.dumps({"model": "localizer"})})
    with pytest.raises(InputError, match="contains the model 'localizer'"):
        load_resunet(path, CPU)
    network = build_resunet(TINY)
    save_resunet(network, TINY.model_copy(update={"widths": (4, 6, 8, 8, 16)}), path, {})
    with pytest.raises(InputError, match="do not fit its settings"):
        load_resunet(path, CPU)


def test_best_epoch_on_reference_masks_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluated at epochs 2, 4 and 5; the best network is written, not the last one."""
    from apsam.resunet import train

    tiles, masks = write_scene(tmp_path, "a", 4)
    settings = TINY.model_copy(update={"epochs": 5, "keep": "best_on_labels"})
    seen: list[dict[str, torch.Tensor]] = []
    scores = iter((0.2, 0.9, 0.5))

    def f1_on_labels(network: torch.nn.Module) -> float:
        seen.append({name: value.clone() for name, value in network.state_dict().items()})
        return next(scores)

    monkeypatch.setattr(train, "_f1_on_labels", lambda *_: f1_on_labels)
    train_resunet([tiles], [masks], settings, tmp_path / "w.safetensors", tmp_path / "h.json", device="cpu")
    kept = load_resunet(tmp_path / "w.safetensors", CPU)[0].state_dict()
    assert len(seen) == 3
    assert all(torch.equal(kept[name], value) for name, value in seen[1].items())
    assert any(not torch.equal(kept[name], value) for name, value in seen[2].items())
    epochs = json.loads((tmp_path / "h.json").read_text())["epochs"]
    assert [epoch.get("f1_on_labels") for epoch in epochs] == [None, 0.2, None, 0.9, 0.5]


def test_best_epoch_needs_reference_masks(tmp_path: Path) -> None:
    tiles, masks = write_scene(tmp_path, "a", 4)
    settings = TINY.model_copy(update={"keep": "best_on_labels"})
    with pytest.raises(InputError, match="needs reference masks of training tiles"):
        train_resunet([tiles], [masks], settings, tmp_path / "w.safetensors", tmp_path / "h.json", device="cpu")
