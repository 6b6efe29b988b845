"""The localizer: training data, optimizer, and contents of its files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from localizer_tiles import SIDE, STILL, blob_tiles, write_tiles
from pydantic import ValidationError
from safetensors.torch import save_file

from apsam.backbones.build import lite0_weights_path, read_lite0_weights, read_state_dict
from apsam.errors import ApsamError, InputError
from apsam.localizer.augment import augment
from apsam.localizer.checkpoint import load_localizer, save_localizer
from apsam.localizer.data import TEST, TRAIN, EpochOrder, TileSet
from apsam.localizer.evaluate import classification_figures, evaluate_localizer
from apsam.localizer.methods import Method, build_method
from apsam.localizer.methods.ordinary_classifier import OrdinaryClassifier
from apsam.localizer.settings import AugmentationSettings, LocalizerSettings
from apsam.localizer.train import LocalizerTask, lr_lambda, train_localizer

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def untrained() -> LocalizerSettings:
    return LocalizerSettings(weights="none")


PLAIN = LocalizerSettings(weights="none", head="plain", pooling="mean", frozen_stages=2)


def test_tile_logit_of_the_plain_cam_is_the_mean_of_the_map() -> None:
    torch.manual_seed(0)
    method = build_method(PLAIN).eval()
    head = method.localizer.head
    torch.nn.init.normal_(head.linear.weight)
    images = torch.randint(0, 256, (2, 3, SIDE, SIDE)).float()
    with torch.no_grad():
        maps = method.cam(images)
        pooled = head.last(method.localizer.features(images)[-1]).mean(dim=(2, 3))
    assert maps.shape == (2, 1, SIDE // 16, SIDE // 16)
    assert head.linear.bias is None
    by_hand = pooled @ head.linear.weight[0, :, 0, 0]
    torch.testing.assert_close(maps.mean(dim=(1, 2, 3)), by_hand, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(method.logits(images), by_hand, rtol=1e-4, atol=1e-5)


def test_top_pooling_averages_the_highest_share() -> None:
    localizer = build_method(LocalizerSettings(weights="none", pooling="top", top_share=0.05)).localizer
    maps = torch.arange(100.0).view(1, 1, 10, 10)
    assert localizer.pool(maps).tolist() == [pytest.approx((99 + 98 + 97 + 96 + 95) / 5)]
    whole = build_method(LocalizerSettings(weights="none", pooling="mean")).localizer
    assert whole.pool(maps).tolist() == [pytest.approx(49.5)]


def test_the_pixel_head_sees_one_place_at_a_time_in_standard_units(untrained: LocalizerSettings) -> None:
    torch.manual_seed(0)
    method = build_method(untrained).eval()
    method.prepare(torch.randint(0, 256, (4, 3, SIDE, SIDE), dtype=torch.uint8))
    head = method.localizer.head
    stages = [torch.randn(1, channels, 8, 8) for channels in method.localizer.backbone.channels]
    before = head(stages)
    for stage in stages:
        stage[..., 2, 3] += 5
    changed = (head(stages) != before)[0, 0].nonzero().tolist()
    assert changed == [[2, 3]]
    images = torch.randint(0, 256, (4, 3, SIDE, SIDE))
    with torch.no_grad():
        features = head._gather(method.localizer.features(images))
    units = (features - head.mean) / head.std
    assert float(units.std()) == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_output_stride(stride: int) -> None:
    method = build_method(LocalizerSettings(weights="none", output_stride=stride)).eval()
    assert method.cam(torch.zeros(1, 3, SIDE, SIDE)).shape[-1] == SIDE // stride


def test_frozen_parts_do_not_change() -> None:
    method = build_method(PLAIN).train()
    torch.nn.init.normal_(method.localizer.head.linear.weight)
    before = {name: value.clone() for name, value in method.state_dict().items()}
    batch = {"image": torch.rand(2, 3, SIDE, SIDE) * 255, "label": torch.tensor([0.0, 1.0])}
    losses = method.training_step(batch)
    assert list(losses) == ["classification"]
    losses["classification"].backward()
    torch.optim.SGD(method.parameter_groups(method.settings.optimizer()), lr=1e-3).step()
    changed = {name for name, value in method.state_dict().items() if not torch.equal(value, before[name])}
    assert not [name for name in changed if "running" in name or "num_batches" in name]
    first = {f"localizer.backbone.network.blocks.{i}." for i in (0, 1)} | {"localizer.backbone.network.conv_stem"}
    assert not [name for name in changed if name.startswith(tuple(first))]
    assert [name for name in changed if name.startswith("localizer.backbone.network.blocks.3.")]
    assert "localizer.head.linear.weight" in changed


@pytest.mark.parametrize(
    ("given", "momentum", "rates"),
    [
        ({}, 0.9, (0.001, 0.03)),
        ({"recipe": "as_written"}, 0.9, (0.1, 0.1)),
        ({"recipe": "as_released"}, 1e-4, (0.1, 1.0)),
        ({"recipe": "as_released", "momentum": 0.5, "learning_rate": 0.02}, 0.5, (0.02, 0.2)),
    ],
)
def test_the_optimizer_really_has_what_the_settings_say(
    given: dict, momentum: float, rates: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = PLAIN.model_copy(update={"warmup_steps": 0, **given})
    task = LocalizerTask(build_method(settings), seed=0)
    trainer = type("Trainer", (), {"estimated_stepping_batches": 10})()
    monkeypatch.setattr(LocalizerTask, "trainer", trainer)
    groups = {group["name"]: group for group in task.configure_optimizers()["optimizer"].param_groups}
    assert [groups["backbone"]["initial_lr"], groups["head"]["initial_lr"]] == pytest.approx(rates)
    assert {group["momentum"] for group in groups.values()} == {momentum}
    assert {group["weight_decay"] for group in groups.values()} == {1e-4}
    trained = {id(p) for p in task.method.parameters() if p.requires_grad}
    assert {id(p) for group in groups.values() for p in group["params"]} == trained
    assert [p.shape for p in groups["head"]["params"]] == [task.method.localizer.head.linear.weight.shape]


@pytest.mark.parametrize("names", ["of the package", "of timm"])
def test_the_plain_head_takes_its_convolution_from_a_file_of_weights(names: str, tmp_path: Path) -> None:
    state = read_state_dict(lite0_weights_path()) if names == "of the package" else read_lite0_weights("imagenet")
    path = tmp_path / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in state.items()}, path)
    expected = build_method(PLAIN.model_copy(update={"weights": "imagenet"})).state_dict()
    found = build_method(PLAIN.model_copy(update={"weights": str(path)})).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in found.items())


@pytest.mark.parametrize("kind", [build_method, OrdinaryClassifier])
def test_a_convolution_that_a_file_lacks_is_trained_as_new(
    kind: Callable[[LocalizerSettings], Method], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = {name: value.contiguous() for name, value in read_lite0_weights("imagenet").items()}
    save_file({name: value for name, value in state.items() if "conv_head" not in name}, tmp_path / "w.safetensors")
    method = kind(PLAIN.model_copy(update={"weights": str(tmp_path / "w.safetensors")}))
    assert "w.safetensors: no conv_head.weight, so the last convolution" in caplog.text
    groups = {group["name"]: {id(p) for p in group["params"]} for group in method.parameter_groups(PLAIN.optimizer())}
    heads = [head for head in (method.localizer.head, getattr(method, "ground", None)) if head is not None]
    assert groups["head"] == {id(p) for head in heads for p in head.parameters()}


def test_rate_falls_by_steps_or_by_the_polynomial() -> None:
    steps = LocalizerSettings(warmup_steps=0, milestones=(0.5, 0.9), decay_factor=0.1)
    factors = [lr_lambda(step, 10, steps) for step in range(10)]
    assert factors == pytest.approx([1] * 5 + [0.1] * 4 + [0.01])
    poly = LocalizerSettings(warmup_steps=0, recipe="as_released")
    assert [lr_lambda(step, 10, poly) for step in (0, 5, 10)] == pytest.approx([1, 0.5**0.9, 0])
    assert lr_lambda(0, 100, LocalizerSettings(warmup_steps=4)) == pytest.approx(0.2)


def test_unknown_keys_and_values_are_refused() -> None:
    with pytest.raises(ValidationError, match="epoch"):
        LocalizerSettings.model_validate({"epoch": 3})
    with pytest.raises(ValidationError, match="rising"):
        AugmentationSettings(zoom=(1.4, 0.7))


def test_augmentation_off_is_the_identity() -> None:
    images = torch.randint(0, 256, (3, 3, SIDE, SIDE), dtype=torch.uint8)
    views = augment(images, STILL, torch.Generator().manual_seed(1))
    torch.testing.assert_close(views, images.float(), rtol=0, atol=1e-2)


def test_dihedral_views_are_turned_tiles() -> None:
    image = torch.randint(0, 256, (1, 3, SIDE, SIDE)).float()
    turned = [torch.rot90(flipped, k, (-2, -1)) for flipped in (image, image.flip(-1)) for k in range(4)]
    settings = STILL.model_copy(update={"dihedral": True})
    generator = torch.Generator().manual_seed(1)
    seen = set()
    for _ in range(60):
        view = augment(image, settings, generator)
        distances = [float((view - other).abs().max()) for other in turned]
        assert min(distances) < 0.1
        seen.add(int(np.argmin(distances)))
    assert seen == set(range(8))


def test_views_keep_the_pixel_size_and_leave_the_centre() -> None:
    image = torch.zeros(256, 3, 128, 128)
    image[:, :, 56:72, 56:72] = 255
    settings = AugmentationSettings(dihedral=False, zoom=(1, 1), view=0.75, shift=0.2, colour=0)
    views = augment(image, settings, torch.Generator().manual_seed(1))
    assert views.shape == (256, 3, 96, 96)
    area = (views[:, 0] / 255).sum(dim=(1, 2))
    assert float(area.median()) == pytest.approx(16 * 16, rel=0.02)
    rows = (views[:, 0].sum(2) * torch.arange(96)).sum(1) / views[:, 0].sum((1, 2))
    assert float(rows.std()) > 10


def test_occlusion_hides_a_square() -> None:
    images = torch.zeros(8, 3, SIDE, SIDE)
    images[:, :, ::2] = 200
    settings = STILL.model_copy(update={"occlusion": 1.0})
    views = augment(images, settings, torch.Generator().manual_seed(1))
    hidden = (views - 100).abs().amax(1) < 1
    assert (hidden.flatten(1).float().mean(1) > 0.01).all()
    assert (hidden.flatten(1).float().mean(1) < 0.2).all()


def test_balanced_epochs_show_every_tile_of_the_rarer_label_once() -> None:
    labels = np.array([1] * 3 + [0] * 10, np.uint8)
    order = EpochOrder(labels, balanced=True, seed=0)
    epochs = []
    for epoch in range(10):
        order.set_epoch(epoch)
        epochs.append(list(order))
    assert len(order) == 6
    for epoch in epochs:
        assert sorted(tile for tile in epoch if labels[tile]) == [0, 1, 2]
        assert labels[epoch].tolist() == [1, 0, 1, 0, 1, 0]
    negatives = [tile for epoch in epochs for tile in epoch if not labels[tile]]
    assert sorted(negatives) == sorted(list(range(3, 13)) * 3)
    assert [list(EpochOrder(labels, True, 0)) for _ in range(2)] == [epochs[0]] * 2
    assert sorted(EpochOrder(labels, False, 0)) == list(range(13))


def test_tiles_outside_part_0_are_in_no_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels, _ = blob_tiles(24)
    part = np.tile([0, 0, 1, 1, 255, 255], 4)
    images[part == 1, :, 0, 0] = 251
    images[part == 255, :, 0, 0] = 252
    images[part == 0, :, 0, 0] = 7
    stack = write_tiles(tmp_path / "a.zarr.zip", images, labels, part)
    seen: list[int] = []
    from apsam.localizer.methods.cam import PlainCam

    original = PlainCam.views

    def spy(self, tiles, generator):  # noqa: ANN001, ANN202
        seen.extend(tiles.image[:, 0, 0, 0].tolist())
        return original(self, tiles, generator)

    monkeypatch.setattr(PlainCam, "views", spy)
    settings = LocalizerSettings(weights="none", epochs=2, batch_size=4)
    train_localizer([stack], settings, tmp_path / "w.safetensors", tmp_path / "h.json", device="cpu")
    assert seen == [7] * 16
    history = json.loads((tmp_path / "h.json").read_text())
    assert history["tiles"] == {"positive": 4, "negative": 4}
    evaluate_localizer([stack], tmp_path / "w.safetensors", tmp_path / "e.json", "cpu")
    held_out = json.loads((tmp_path / "e.json").read_text())
    assert held_out["tiles"] == {"positive": 4, "negative": 4} and 0 <= held_out["accuracy"] <= 1
    assert seen == [7] * 16, "nothing was trained on them"
    assert len(history["epochs"]) == 2


def test_streamed_tiles_equal_cached_ones(tmp_path: Path) -> None:
    images, labels, _ = blob_tiles(12)
    stacks = [
        write_tiles(tmp_path / "a.zarr.zip", images[:7], labels[:7], np.arange(7) % 2),
        write_tiles(tmp_path / "b.zarr.zip", images[7:], labels[7:], 0),
    ]
    held, streamed = TileSet(stacks, TRAIN), TileSet(stacks, TRAIN, memory_mb=0)
    assert len(held) == 9 and len(TileSet(stacks, TEST)) == 3
    expected = np.concatenate([images[:7:2], images[7:]])
    for index in range(9):
        assert torch.equal(held[index][0], torch.from_numpy(expected[index]))
        assert torch.equal(held[index][0], streamed[index][0])


@pytest.mark.parametrize(("label", "word"), [(0, "no positive tile"), (1, "no negative tile")])
def test_one_label_alone_is_refused(tmp_path: Path, label: int, word: str) -> None:
    images, _, _ = blob_tiles(4)
    stack = write_tiles(tmp_path / "valley.zarr.zip", images, np.full(4, label, np.uint8))
    with pytest.raises(InputError, match=f"{word}.*valley.zarr.zip"):
        train_localizer([stack], LocalizerSettings(), tmp_path / "w.safetensors", tmp_path / "h.json")
    assert list(tmp_path.iterdir()) == [stack]


def test_tile_sizes_cannot_be_mixed(tmp_path: Path) -> None:
    images, labels, _ = blob_tiles(4)
    stacks = [
        write_tiles(tmp_path / "a.zarr.zip", images, labels),
        write_tiles(tmp_path / "b.zarr.zip", images[..., :32, :32], labels),
    ]
    with pytest.raises(InputError, match="tile sizes"):
        TileSet(stacks, TRAIN)


def test_diverged_training_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels, _ = blob_tiles(4)
    stack = write_tiles(tmp_path / "a.zarr.zip", images, labels)
    from apsam.localizer.methods.cam import PlainCam

    monkeypatch.setattr(
        PlainCam,
        "training_step",
        lambda self, batch: {"loss": self.localizer(batch["image"]).mean() * np.nan},
    )
    with pytest.raises(ApsamError, match="localizer.learning_rate"):
        train_localizer(
            [stack],
            LocalizerSettings(weights="none", epochs=1),
            tmp_path / "w.safetensors",
            tmp_path / "h.json",
            device="cpu",
        )
    assert not (tmp_path / "w.safetensors").exists()


def test_weights_survive_the_file_and_are_the_same_bytes(tmp_path: Path, untrained: LocalizerSettings) -> None:
    torch.manual_seed(0)
    method = build_method(untrained).eval()
    method.prepare(torch.randint(0, 256, (4, 3, SIDE, SIDE), dtype=torch.uint8))
    for name in ("a", "b"):
        save_localizer(method, tmp_path / f"{name}.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    again = load_localizer(tmp_path / "a.safetensors")
    assert again.settings == untrained and not again.training
    images = torch.rand(1, 3, SIDE, SIDE) * 255
    with torch.no_grad():
        torch.testing.assert_close(again.cam(images), method.cam(images), rtol=0, atol=0)


def test_files_of_other_models_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(2)}, other)
    with pytest.raises(InputError, match="other.safetensors.*no localizer"):
        load_localizer(other)
    save_file({"x": torch.zeros(2)}, other, {"apsam": json.dumps({"kind": "apsam resunet"})})
    with pytest.raises(InputError, match="contains apsam resunet"):
        load_localizer(other)
    save_file({"x": torch.zeros(2)}, other, {"apsam": json.dumps({"model": "resunet"})})
    with pytest.raises(InputError, match="contains a ResUNet, no localizer"):
        load_localizer(other)
    settings = LocalizerSettings(weights="none").model_dump(mode="json")
    description = {"kind": "apsam localizer", "settings": settings, "apsam_version": "0"}
    save_file({"x": torch.zeros(2)}, other, {"apsam": json.dumps(description)})
    with pytest.raises(InputError, match="apsam 0 that this version cannot rebuild"):
        load_localizer(other)
    other.write_bytes(b"PK\x03\x04 no tensors")
    with pytest.raises(InputError, match="not a safetensors file"):
        load_localizer(other)
    with pytest.raises(InputError, match="no such file"):
        load_localizer(tmp_path / "missing.safetensors")


def test_classification_figures_by_hand() -> None:
    logits = np.array([2.0, -1.0, 0.5, -3.0])
    labels = np.array([1, 1, 0, 0])
    balanced = {"majority": 0.5, "balanced_accuracy": 0.5}
    assert classification_figures(logits, labels) == {"accuracy": 0.5, "auc": 0.75, **balanced}
    alone = {"majority": 1, "balanced_accuracy": None}
    assert classification_figures(logits[:2], labels[:2]) == {"accuracy": 0.5, "auc": None, **alone}
    assert classification_figures(np.zeros(4), labels)["auc"] == 0.5
