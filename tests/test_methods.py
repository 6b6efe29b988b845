"""The localization methods: the mechanism of each, on artificial tiles and features, and that each finds blobs."""

from __future__ import annotations

import os
import signal
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from localizer_tiles import SIDE, STILL, blob_tiles, write_tiles
from tiny_sam import tiny_sam

from apsam.errors import ConfigError, InputError, Interrupted
from apsam.localizer.cam import tile_cams
from apsam.localizer.checkpoint import load_localizer, load_method, save_localizer
from apsam.localizer.data import TRAIN, Tiles, TileSet
from apsam.localizer.method_settings import (
    OFFLINE_FILES,
    CdaSettings,
    LgagSettings,
    OcCseSettings,
    S2cSettings,
    SipeSettings,
)
from apsam.localizer.methods import CLASSES, build_method
from apsam.localizer.methods.cpn import complementary, draw_hidden, lowest_share, strongest_channel
from apsam.localizer.methods.flipcam import cut_quarters, merge_quarters
from apsam.localizer.methods.lgag_proxy import centres_of
from apsam.localizer.methods.oc_cse import OcCse
from apsam.localizer.methods.ordinary_classifier import CLASSIFIER_KIND, OrdinaryClassifier, erase, random_parts
from apsam.localizer.methods.s2c import S2c, find_peaks, pad_points, segment_loss
from apsam.localizer.offline.cda import main_region, to_the_middle
from apsam.localizer.offline.stage import make_offline
from apsam.localizer.settings import AugmentationSettings, CamSettings, LocalizerSettings
from apsam.localizer.train import LocalizerTask, train_localizer
from apsam.sam.encode import encode_tiles
from apsam.sam.everything import segment_everything
from apsam.sam.settings import EverythingSettings, SamSettings
from apsam.stack import TileStack, TileStackWriter

pytestmark = pytest.mark.usefixtures("one_thread")

UNTRAINED = LocalizerSettings(weights="none", warmup_steps=0)
FAST = LocalizerSettings(
    epochs=4, batch_size=8, output_stride=8, warmup_steps=2, augmentation=AugmentationSettings(view=1, shift=0.1)
)
PLAIN = {"head": "plain", "pooling": "mean", "frozen_stages": 3}


def settings_of(method: str, base: LocalizerSettings = UNTRAINED, **changes: object) -> LocalizerSettings:
    return base.model_copy(update={"method": method, **changes})


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray, np.ndarray, np.ndarray]:
    """A stack of blob tiles, the last third held out and all white; images, labels, reference masks of the first."""
    images, labels, masks = blob_tiles(36)
    images[24:] = 255
    stack = write_tiles(tmp_path_factory.mktemp("methods") / "blobs.zarr.zip", images, labels, np.arange(36) >= 24)
    return stack, images[:24], labels[:24], masks[:24]


@pytest.fixture(scope="module")
def offline(blobs: tuple, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The offline file of every method that needs one."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("offline")
    quick = FAST.model_copy(update={"s2c": S2cSettings(points_per_side=2), "oc_cse": OcCseSettings(epochs=12)})
    files = {}
    for method, name in OFFLINE_FILES.items():
        files[method] = folder / name
        make_offline([blobs[0]], settings_of(method, quick), files[method], seed=1, device="cpu")
    return files


@pytest.mark.parametrize("method", CLASSES)
def test_every_method_finds_the_blobs_and_comes_back_from_its_file(
    method: str, blobs: tuple, offline: dict[str, Path], tmp_path: Path
) -> None:
    stack, images, labels, masks = blobs
    weights = tmp_path / "w.safetensors"
    settings = settings_of(method, FAST)
    train_localizer([stack], settings, weights, tmp_path / "h.json", 1, "cpu", offline.get(method))
    trained = load_localizer(weights)
    assert trained.settings == settings
    positive = torch.from_numpy(images[labels == 1])
    cams = tile_cams(trained, positive, torch.ones(len(positive), SIDE, SIDE), CamSettings()).numpy()
    reference = masks[labels == 1] == 1
    found = [cams > level for level in (0.4, 0.6, 0.8)]
    overlap = max(((f & reference).sum((1, 2)) / (f | reference).sum((1, 2))).mean() for f in found)
    assert overlap > 2 * reference.mean(), "no better than a map that is the same everywhere"


def test_missing_offline_file_is_an_error(blobs: tuple, offline: dict, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="superpixels.zarr.zip.*apsam localizer-offline"):
        train_localizer([blobs[0]], settings_of("cpn"), tmp_path / "w.safetensors", tmp_path / "h.json")
    with pytest.raises(ConfigError, match="sipe has no offline stage.*cda, cpn"):
        make_offline([blobs[0]], settings_of("sipe"), tmp_path / "x")
    with pytest.raises(InputError, match="superpixels of 24 tiles, there are 25"):
        build_method(settings_of("cpn")).use_offline(offline["cpn"], 25)


def test_offline_stages_see_training_tiles_alone(offline: dict[str, Path]) -> None:
    for method in ("cpn", "s2c"):
        with TileStack(offline[method]) as stack:
            assert len(stack) == 24
    with TileStack(offline["cda"]) as stack:
        images, masks = stack.read("image"), stack.read("mask") == 1
    assert not any((image[:, mask] == 255).all() for image, mask in zip(images, masks, strict=True))


def test_the_weights_file_holds_no_teacher(blobs: tuple, offline: dict[str, Path]) -> None:
    for method, file in offline.items():
        built = build_method(settings_of(method, FAST))
        names = set(built.state_dict())
        built.use_offline(file, 24)
        assert set(built.state_dict()) == names
        assert not [name for name in names if "classifier" in name or "_sam" in name]


@pytest.mark.parametrize("method", CLASSES)
@pytest.mark.parametrize("changes", [{}, PLAIN], ids=["pixels", "plain"])
def test_losses_of_one_step_reach_the_head(method: str, changes: dict, blobs: tuple, offline: dict[str, Path]) -> None:
    torch.manual_seed(0)
    settings = settings_of(method, FAST, weights="none", **changes)
    built = build_method(settings)
    tiles = TileSet([blobs[0]], TRAIN)
    if method == "oc_cse":
        built.set_classifier(OrdinaryClassifier(settings))
    elif method in offline:
        built.use_offline(offline[method], len(tiles))
    built.train()
    torch.nn.init.normal_(built.localizer.head.linear.weight, std=0.1)
    built.advance(0.5, 3)
    batch = built.views(Tiles(*(torch.stack(part) for part in zip(*(tiles[i] for i in range(4)), strict=True))),
                        torch.Generator().manual_seed(0))  # fmt: skip
    losses = built.training_step(batch)
    total = torch.stack(list(losses.values())).sum()
    assert torch.isfinite(total) and "classification" in losses and all(v.ndim == 0 for v in losses.values())
    total.backward()
    assert float(built.localizer.head.linear.weight.grad.abs().max()) > 0
    negative = {key: value[batch["label"] == 0] for key, value in batch.items()}
    lonely = built.training_step(negative)
    assert set(lonely) == set(losses) and all(torch.isfinite(value) for value in lonely.values())


# SIPE


def two_halves() -> tuple[torch.Tensor, list[torch.Tensor]]:
    """A CAM that is high on part of the left half, and stages whose features tell left from right."""
    maps = torch.full((1, 1, 8, 8), -1.0)
    maps[..., 2:6, :3] = 1.0
    left = torch.zeros(1, 1, 8, 8)
    left[..., :4] = 1
    method = build_method(settings_of("sipe"))
    stages = []
    for channels in method.localizer.backbone.channels:
        stage = torch.zeros(1, channels, 8, 8)
        stage[:, :1], stage[:, 1:2] = left, 1 - left
        stages.append(stage)
    return maps, stages


def test_sipe_seeds_and_prototypes_follow_what_looks_alike() -> None:
    torch.manual_seed(0)
    method = build_method(settings_of("sipe"))
    maps, stages = two_halves()
    cam = torch.cat([1 - maps.clamp(0, 1), maps.clamp(0, 1)], dim=1)
    seeds = method.seeds(cam, stages[-1])
    assert seeds.sum(dim=1).unique().tolist() == [1]
    assert seeds[0, 1, :, :4].min() == 1 and seeds[0, 1, :, 4:].max() == 0
    features = method.side_features(stages, (8, 8))
    assert features.shape == (1, 768, 8, 8)
    likeness = method.prototype_maps(features, method.prototypes(features, seeds))
    assert (likeness[0, 1] > likeness[0, 0])[:, :4].all()
    assert (likeness[0, 1] < likeness[0, 0])[:, 4:].all()


def test_sipe_consistency_falls_when_the_cam_covers_what_looks_alike() -> None:
    torch.manual_seed(0)
    method = build_method(settings_of("sipe"))
    maps, stages = two_halves()
    whole = torch.full((1, 1, 8, 8), -1.0)
    whole[..., :4] = 1
    present = torch.ones(1, 2)
    with torch.no_grad():
        assert method.consistency(whole, stages, present) < method.consistency(maps, stages, present)


@pytest.mark.parametrize("code", ["as_written", "as_released"])
def test_sipe_consistency_trains_the_sides_and_the_backbone_only_through_the_cam(code: str) -> None:
    torch.manual_seed(0)
    settings = settings_of("sipe", **{**PLAIN, "sipe": SipeSettings(code=code)})
    method = build_method(settings).train()
    stages = [s.detach().requires_grad_() for s in method.localizer.features(torch.rand(2, 3, SIDE, SIDE) * 255)]
    maps = torch.rand(2, 1, 4, 4)
    method.consistency(maps, stages, torch.ones(2, 2)).backward()
    assert all(float(side.weight.grad.abs().sum()) > 0 for side in method.sides)
    reached = [stage.grad is not None for stage in stages[1:]]
    assert reached == [code == "as_released"] * 4
    losses = method.zero_grad() or method.training_step({"image": torch.rand(2, 3, SIDE, SIDE) * 255,
                                                         "label": torch.ones(2)})  # fmt: skip
    sum(losses.values()).backward()
    network = method.localizer.backbone.network
    frozen = [network.conv_stem, *network.blocks[:3]]  # stem and the stages of strides 2, 4 and 8
    assert all(parameter.grad is None for module in frozen for parameter in module.parameters())


def test_sipe_leaves_negative_tiles_out_unless_as_released() -> None:
    torch.manual_seed(0)
    batch = {"image": torch.rand(2, 3, SIDE, SIDE) * 255, "label": torch.zeros(2)}
    for code, kept in (("as_written", False), ("as_released", True)):
        method = build_method(settings_of("sipe", sipe=SipeSettings(code=code))).train()
        assert (float(method.training_step(batch)["consistency"]) > 0) is kept


# FlipCAM


def test_flipcam_quarters_are_put_together_where_they_were() -> None:
    rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(12.0), indexing="ij")
    images = torch.stack([rows, columns, rows * columns])[None] * torch.tensor([1.0, 2.0]).view(2, 1, 1, 1)
    quarters = cut_quarters(images)
    assert quarters.shape == (8, 3, 4, 6)
    assert torch.equal(quarters[2], images[0, :, :4, 6:]), "second: the upper right one of the first tile"
    assert torch.equal(merge_quarters(quarters), images)


def test_flipcam_reference_equals_the_merged_map_of_a_network_that_sees_pixels_alone() -> None:
    method = build_method(settings_of("flipcam"))
    images = torch.rand(2, 3, SIDE, SIDE)
    labels = torch.tensor([1.0, 0.0])
    method.advance(1.0, 5)

    def difference(network: object) -> float:
        method.localizer.forward = network
        return float(method.training_step({"image": images, "label": labels})["consistency"])

    assert difference(lambda x: torch.nn.functional.avg_pool2d(x[:, :1], 8)) == pytest.approx(0, abs=1e-6)
    seeing_context = difference(lambda x: torch.nn.functional.avg_pool2d(x[:, :1], 8) - x.mean((1, 2, 3), True))
    assert seeing_context > 1e-4
    labels[0] = 0
    assert difference(lambda x: x[:, :1] - x.mean()) == 0, "on positive tiles alone"


@pytest.mark.parametrize(("side", "stride"), [(96, 32), (80, 16), (72, 16)])
def test_flipcam_takes_views_whose_quarters_round_up(side: int, stride: int) -> None:
    method = build_method(settings_of("flipcam", output_stride=stride)).train()
    method.advance(0.5, 0)
    images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0)) * 255
    losses = method.training_step({"image": images, "label": torch.tensor([0.0, 1.0])})
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_flipcam_weight_rises_over_the_first_half() -> None:
    method = build_method(settings_of("flipcam"))
    weights = []
    for share in (0, 0.25, 0.5, 1):
        method.advance(share, 0)
        weights.append(method.weight())
    assert weights == pytest.approx([0, 0.625, 1.25, 1.25])


# OC-CSE


def test_oc_cse_trains_the_network_and_not_the_classifier() -> None:
    torch.manual_seed(0)
    method = build_method(settings_of("oc_cse")).train()
    classifier = OrdinaryClassifier(settings_of("oc_cse"))
    torch.nn.init.normal_(classifier.localizer.head.linear.weight)
    method.set_classifier(classifier)
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    head = method.localizer.head.linear.weight.clone()
    batch = {"image": torch.rand(2, 3, SIDE, SIDE) * 255, "label": torch.tensor([1.0, 0.0])}
    optimizer = torch.optim.SGD(method.parameter_groups(method.settings.optimizer()), lr=0.1)
    method.training_step(batch)["erasing"].backward()
    optimizer.step()
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())
    assert not torch.equal(method.localizer.head.linear.weight, head)


def test_oc_cse_loss_is_lowest_if_only_the_landslide_is_erased(blobs: tuple, offline: dict[str, Path]) -> None:
    _, images, labels, masks = blobs
    method = build_method(settings_of("oc_cse", FAST))
    method.use_offline(offline["oc_cse"], 24)
    positive = torch.from_numpy(images[labels == 1]).float()
    disc = torch.from_numpy(masks[labels == 1]).float()[:, None]
    # A square over each disc: a hole of the landslides' own shape is still evidence, where all have the same.
    square = disc.amax(dim=2, keepdim=True) * disc.amax(dim=3, keepdim=True)
    with torch.no_grad():
        losses = {
            name: float(method.erasing(positive, maps))
            for name, maps in {
                "nothing": torch.full_like(square, -1),
                "landslide": square,
                "everything": torch.ones_like(square),
            }.items()
        }
    assert losses["landslide"] < 0.7 * losses["nothing"]
    assert losses["landslide"] < 0.7 * losses["everything"]


def test_oc_cse_erases_to_the_mean_colour_and_labels_visible_ground() -> None:
    backbone = build_method(UNTRAINED).localizer.backbone
    images = torch.rand(2, 3, SIDE, SIDE) * 255
    assert float(backbone.normalise(erase(images, torch.ones(2, 1, SIDE, SIDE), backbone)).abs().max()) < 1e-5
    assert torch.equal(erase(images, torch.zeros(2, 1, SIDE, SIDE), backbone), images)
    shares = torch.tensor([0.0, 0.3, 0.9, 1.0])
    parts = random_parts(shares, torch.Size((SIDE, SIDE)), torch.Generator().manual_seed(0))
    assert parts.mean(dim=(1, 2, 3)).tolist() == pytest.approx(shares.tolist(), abs=1e-3)
    classifier = OrdinaryClassifier(settings_of("oc_cse", augmentation=STILL))
    tiles = Tiles(torch.zeros(40, 3, 32, 32, dtype=torch.uint8), torch.arange(40) % 2.0, torch.arange(40))
    batch = classifier.views(tiles, torch.Generator().manual_seed(0))
    assert len(batch["image"]) == 60 and batch["label"][40:].sum() == 0
    assert 0 < batch["ground"][40:].mean() < 1 and batch["ground"][:40].min() == 1


def test_oc_cse_weight_and_file(offline: dict[str, Path], tmp_path: Path) -> None:
    method = OcCse(settings_of("oc_cse"))
    weights = []
    for share in (0, 0.5, 1):
        method.advance(share, 0)
        weights.append(method.weight())
    assert weights == pytest.approx([0.3, 0.65, 1.0])
    save_localizer(build_method(UNTRAINED), tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="contains apsam localizer, no ordinary classifier"):
        load_method(tmp_path / "w.safetensors", CLASSIFIER_KIND, OrdinaryClassifier)


# CDA


def red_objects(method: torch.nn.Module) -> None:
    """Red squares in the middle of red pictures."""
    pictures = torch.zeros(3, 3, SIDE, SIDE, dtype=torch.uint8)
    pictures[:, 0] = 255
    outlines = torch.zeros(3, SIDE, SIDE, dtype=torch.uint8)
    for row, half in enumerate((5, 10, 30)):
        outlines[row, 32 - half : 32 + half, 32 - half : 32 + half] = 1
    method.objects = pictures, outlines


def test_cda_pastes_landslides_and_controls() -> None:
    method = build_method(settings_of("cda"))
    red_objects(method)
    grey = torch.arange(100, 164.0).view(-1, 1, 1, 1).expand(64, 3, SIDE, SIDE).contiguous()
    labels = (torch.arange(64) % 4 == 0).float()
    pasted, after = method.paste(grey, labels, torch.Generator().manual_seed(0))
    reddened = (pasted[:, 0] - pasted[:, 1] > 100).flatten(1).any(1)
    changed = ((pasted - grey).abs().amax(1) > 0.5).flatten(1)
    assert changed.any(1).float().mean() > 0.9, "controls change their host too"
    negative = labels == 0
    assert torch.equal(after[negative], reddened[negative].float()), "positive where a landslide was pasted"
    assert 0.3 < float(after[negative].mean()) < 0.7
    assert (after[labels == 1] == 1).all()
    sizes = changed.float().sum(1)
    red, control = sizes[negative & reddened].mean(), sizes[negative & ~reddened & changed.any(1)].mean()
    assert float(red) == pytest.approx(float(control), rel=0.5), "the same outlines"
    assert float(sizes.max()) <= (0.7 * SIDE + 6) ** 2, "none is larger than 0.7 of the side"


def test_cda_as_written_makes_every_tile_positive_and_halves_go_apart() -> None:
    method = build_method(settings_of("cda", cda=CdaSettings(code="as_written")))
    red_objects(method)
    tiles = Tiles(torch.full((6, 3, SIDE, SIDE), 90, dtype=torch.uint8), torch.zeros(6), torch.arange(6))
    batch = method.views(tiles, torch.Generator().manual_seed(0))
    assert batch["label"].tolist() == [0] * 6 + [1] * 6
    assert batch["image"].shape[0] == 12
    assert method.training_step(batch).keys() == {"classification"}


def test_cda_cut_outs_are_the_main_region_moved_to_the_middle() -> None:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[3:11, 40:60] = 1
    mask[50:52, 5:7] = 1
    region = main_region(mask)
    assert region.sum() == 160 and not region[50:].any()
    image = np.broadcast_to(mask * 200, (3, SIDE, SIDE))
    picture, moved = to_the_middle(image, region)
    assert moved[28:36, 22:42].all() and moved.sum() == 160
    assert (picture[:, moved == 1] == 200).all()


# CPN


def test_cpn_halves_add_up_to_the_tile() -> None:
    method = build_method(settings_of("cpn"))
    backbone = method.localizer.backbone
    images = torch.rand(2, 3, SIDE, SIDE) * 255
    segments = (torch.arange(SIDE * SIDE).view(SIDE, SIDE) // 40).expand(2, -1, -1)
    hidden = draw_hidden(segments, torch.Generator().manual_seed(0))
    assert set(hidden.unique().tolist()) == {0, 1}
    for name in (0, 50, 102):
        assert len(hidden[0][segments[0] == name].unique()) == 1, "superpixels are hidden whole"
    first, second = complementary(images, hidden[:, None], backbone.pixel_mean)
    both = backbone.normalise(first) + backbone.normalise(second)
    torch.testing.assert_close(both, backbone.normalise(images), rtol=0, atol=1e-4)


def test_cpn_hides_two_fifths_on_average() -> None:
    segments = torch.arange(100).view(1, 10, 10).expand(200, -1, -1)
    hidden = draw_hidden(segments, torch.Generator().manual_seed(0))
    assert float(hidden.mean()) == pytest.approx(1 - (1 - 1 / 100) ** 50, abs=0.01)


@pytest.mark.parametrize("code", ["as_written", "as_released"])
def test_cpn_refinement_spreads_to_pixels_that_look_alike(code: str) -> None:
    torch.manual_seed(0)
    base = settings_of("cpn")
    method = build_method(base.model_copy(update={"cpn": base.cpn.model_copy(update={"code": code})}))
    maps = torch.full((1, 1, 16, 16), -1.0)
    maps[..., 4:8, 2:6] = 2
    pixels = torch.ones(1, 3, SIDE, SIDE)
    pixels[..., SIDE // 2 :] = -1
    stages = [torch.zeros(1, c, 16, 16) for c in method.localizer.backbone.channels]
    for stage in stages[-2:]:
        stage[:, ::2, :, :8], stage[:, 1::2, :, 8:] = 1, 1
    refined = method.refine(maps, stages, pixels)[0, 0]
    assert refined.shape == (16, 16) and refined.requires_grad
    assert float(refined[12:, :8].mean()) > 1.5 * float(refined[:, 8:].mean())
    answers = method._answers(torch.rand(1, 2, 16, 16), torch.rand(1, 195, 16, 16))
    torch.testing.assert_close(answers.sum(dim=(2, 3)), torch.ones(1, 2))
    bright = method._answers(torch.rand(1, 2, 16, 16), 5 * torch.rand(1, 195, 16, 16))
    assert float(bright.detach().max()) < 0.5, "no pixel takes it all"


def test_cpn_losses_between_maps_ignore_negative_tiles(offline: dict[str, Path]) -> None:
    torch.manual_seed(0)
    method = build_method(settings_of("cpn")).train()
    images, hidden = torch.rand(3, 3, SIDE, SIDE) * 255, (torch.rand(3, SIDE, SIDE) > 0.6).float()
    one = method.training_step({"image": images[:1], "label": torch.ones(1), "hidden": hidden[:1]})
    three = method.training_step({"image": images, "label": torch.tensor([1.0, 0, 0]), "hidden": hidden})
    for name in ("triple", "cross"):
        assert float(one[name]) == pytest.approx(float(three[name]), rel=1e-3) and float(one[name]) > 0


def test_cpn_small_definitions_by_hand() -> None:
    assert float(lowest_share(torch.tensor([[[[-4.0, 1.0], [2.0, 3.0]]]]))) == 0
    assert float(lowest_share(torch.tensor([[[[4.0, 1.0], [2.0, 3.0]]]]))) == 1
    channels = torch.tensor([0.3, 0.7]).view(1, 2, 1, 1)
    assert strongest_channel(channels).flatten().tolist() == pytest.approx([0, 0.7])


# S2C


def test_s2c_segment_loss_pulls_pixels_to_their_segment() -> None:
    segments = torch.zeros(1, 16, 16, dtype=torch.int32)
    segments[..., 4:12, :8], segments[..., 4:12, 8:] = 1, 2
    apart, alike = torch.zeros(1, 2, 4, 4), torch.ones(1, 2, 4, 4)
    apart[:, 0, :, :2], apart[:, 1, :, 2:] = 1, 1
    assert float(segment_loss(apart, segments)) == pytest.approx(np.log(1 + np.exp(-1)), abs=1e-5)
    assert float(segment_loss(alike, segments)) == pytest.approx(np.log(2), abs=1e-5)
    assert float(segment_loss(apart, torch.zeros_like(segments))) == 0, "uncovered pixels do not count"


def test_s2c_peaks_by_hand() -> None:
    maps = torch.zeros(2, 64, 64)
    maps[0, 10, 20], maps[0, 12, 22], maps[0, 50, 20], maps[0, 10, 60] = 1.0, 0.9, 0.6, 0.4
    maps[1, 5, 7] = 0.3
    first, second = find_peaks(maps, 0.5, 20)
    assert first.tolist() == [[20, 10], [20, 50]]
    assert second.tolist() == [[7, 5]], "the maximum, however low"
    points, labels = pad_points([first, second])
    assert points.shape == (2, 2, 2) and labels.tolist() == [[1, 1], [1, -1]]
    plateau = find_peaks(torch.ones(1, 30, 30), 0.5, 40)[0]
    assert len(plateau) == 1


def test_s2c_prompts_sam_at_peaks_of_positive_tiles(tmp_path: Path) -> None:
    sam = tiny_sam()
    images = torch.randint(0, 256, (3, 3, SIDE, SIDE), dtype=torch.uint8)
    embeddings = encode_tiles(sam, images.numpy())
    with TileStackWriter(tmp_path / "s.zarr.zip", {}, {"segment": ((SIDE, SIDE), "uint16"),
                         "embedding": (sam.embedding_shape, "float16")}) as writer:  # fmt: skip
        writer.append(segment=np.full((3, SIDE, SIDE), 7, np.uint16), embedding=embeddings)
    method = S2c(settings_of("s2c", augmentation=STILL))
    method.set_teacher(TileStack(tmp_path / "s.zarr.zip"), sam)
    tiles = Tiles(images, torch.tensor([1.0, 0.0, 1.0]), torch.arange(3))
    early = method.views(tiles, torch.Generator())
    assert early["mask"].max() == 0 and early["asked"].max() == 0 and (early["segment"] == 7).all()
    method.advance(0.5, 2)
    batch = method.views(tiles, torch.Generator())
    assert (batch["segment"] == 7).all() and batch["asked"].min() == 1
    assert batch["mask"][1].max() == 0, "a negative tile has no mask"
    assert torch.equal(batch["mask"], method.segment_peaks(tiles))
    assert batch["mask"].unique().tolist() == [0, 1]
    torch.testing.assert_close(batch["image"], images.float(), rtol=0, atol=1e-2)


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_s2c_encodes_every_tile_once_in_the_channels_of_the_settings(
    channels: str, blobs: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apsam.localizer.offline import s2c

    stack, images, labels, _ = blobs
    sam, encoded = tiny_sam(), []
    monkeypatch.setattr(s2c, "build_sam", lambda *_, **__: sam)
    encode = type(sam).encode
    monkeypatch.setattr(type(sam), "encode", lambda self, pixels: encoded.append(len(pixels)) or encode(self, pixels))
    settings = settings_of("s2c", s2c=S2cSettings(points_per_side=2, min_iou=0, min_stability=0))
    seen_by_sam = SamSettings(channels=channels, precision="fp32")
    make_offline([stack], settings, tmp_path / "s.zarr.zip", seen_by_sam, device="cpu")
    assert sum(encoded) == len(images)

    seen = images if channels == "rgb" else np.ascontiguousarray(images[:, ::-1])
    filters = EverythingSettings(points_per_side=2, min_iou=0, min_stability=0)
    with TileStack(tmp_path / "s.zarr.zip") as made:
        segments, embeddings = made.read("segment"), made.read("embedding")
    for tile in range(2):
        np.testing.assert_array_equal(segments[tile], segment_everything(sam, seen[tile], filters, "fp32").labels)
        expected = encode_tiles(sam, seen[tile : tile + 1], precision="fp32")[0] * labels[tile]
        np.testing.assert_array_equal(embeddings[tile], expected)
    assert set(labels[:2]) == {0, 1}


def test_s2c_loads_its_teacher_onto_the_device_of_the_training(
    blobs: tuple, offline: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must not choose one of its own, which on a machine with several GPUs also claims one."""
    from apsam import device
    from apsam.localizer.methods import s2c

    monkeypatch.setattr(device, "use_one_gpu", lambda: pytest.fail("claims a GPU"))
    seen, load = [], s2c.build_sam
    monkeypatch.setattr(s2c, "build_sam", lambda settings, **options: seen.append(options) or load(settings, **options))
    settings = settings_of("s2c", FAST, epochs=1)
    train_localizer([blobs[0]], settings, tmp_path / "w.safetensors", tmp_path / "h.json", 1, "cpu", offline["s2c"])
    assert seen == [{"device": torch.device("cpu")}]
    seen.clear()
    monkeypatch.setattr(s2c, "build_sam", lambda _, **options: seen.append(options) or SimpleNamespace(
        checkpoint_hash=TileStack(offline["s2c"]).attributes["checkpoint_hash"]))  # fmt: skip
    build_method(settings).use_offline(offline["s2c"], 24, torch.device("cuda", 1))
    assert seen == [{"device": torch.device("cuda", 1)}]


def test_s2c_peak_loss_pulls_the_cam_to_the_mask() -> None:
    mask = torch.zeros(1, 32, 32, dtype=torch.int32)
    mask[:, 8:16, 8:16] = 1
    right, wrong = torch.full((1, 1, 32, 32), -1.0), torch.full((1, 1, 32, 32), -1.0)
    right[..., 8:16, 8:16], wrong[..., 20:28, 20:28] = 1, 1
    assert float(S2c.peak_loss(right, mask)) < float(S2c.peak_loss(wrong, mask))


# LGAG (proxy)


def test_lgag_anchors_are_the_centres_of_what_was_seen_and_survive_the_file(tmp_path: Path) -> None:
    settings = settings_of("lgag_proxy", lgag=LgagSettings(anchors=2, queue=16, start_epoch=1))
    method = build_method(settings).train()
    width = method.queue.shape[2]
    directions = torch.eye(width)[:2]
    for _ in range(5):
        method.remember(torch.stack([directions, directions.flip(0)], dim=1) * 3)
    method.remember(torch.zeros(4, 2, width))
    assert method.filled.tolist() == [10, 10], "prototypes of channels without seeds are not remembered"
    method.advance(0.0, 0)
    assert not method.anchors.any()
    method.advance(0.5, 1)
    assert sorted(method.anchors[0].argmax(1).tolist()) == [0, 1]
    guided = method.guided(torch.nn.functional.normalize(torch.eye(width)[:1] + 0.3, dim=1)[None].expand(1, 2, width))
    cosine = torch.nn.functional.cosine_similarity(guided[0, 1], torch.eye(width)[0], dim=0)
    assert cosine > torch.nn.functional.cosine_similarity(torch.eye(width)[0] + 0.3, torch.eye(width)[0], dim=0)
    save_localizer(method, tmp_path / "w.safetensors")
    assert torch.equal(load_localizer(tmp_path / "w.safetensors").anchors, method.anchors)
    method.remember(torch.ones(10, 2, width))
    assert int((method.queue[0, :, 5] > 0).sum()) == 10 and method.filled.tolist() == [20, 20], "the oldest go first"


def test_lgag_k_means() -> None:
    points = torch.nn.functional.normalize(torch.tensor([[1.0, 0.1], [1.0, -0.1], [0.1, 1.0], [-0.1, 1.0]]), dim=1)
    torch.testing.assert_close(centres_of(points, 2), torch.eye(2), rtol=0, atol=1e-5)


def test_methods_get_the_progress_of_the_training(
    blobs: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    from apsam.localizer.methods.cam import PlainCam

    monkeypatch.setattr(PlainCam, "advance", lambda self, share, epoch: told.append((share, epoch)))
    settings = LocalizerSettings(weights="none", epochs=2, batch_size=12)
    train_localizer([blobs[0]], settings, tmp_path / "w.safetensors", tmp_path / "h.json", device="cpu")
    assert told == [(0.0, 0), (0.25, 0), (0.5, 1), (0.75, 1)]


@pytest.mark.parametrize("method", ["cda", "oc_cse"])
def test_a_stopped_training_of_an_offline_stage_is_resumed(
    method: str, blobs: tuple, offline: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result is that of an undisturbed training, to the byte, and nothing else is left behind."""
    settings = settings_of(method, FAST, s2c=S2cSettings(points_per_side=2), oc_cse=OcCseSettings(epochs=12))
    output, began, last = tmp_path / "out" / OFFLINE_FILES[method], [], {"cda": 3, "oc_cse": 11}[method]
    begin = LocalizerTask.on_train_epoch_start

    def stop(task: LocalizerTask) -> None:
        began.append(task.current_epoch)
        if len(began) == last + 1:
            os.kill(os.getpid(), signal.SIGTERM)
        begin(task)

    monkeypatch.setattr(LocalizerTask, "on_train_epoch_start", stop)
    with pytest.raises(Interrupted, match="run it again to resume"):
        make_offline([blobs[0]], settings, output, seed=1, device="cpu")
    assert not output.exists()
    make_offline([blobs[0]], settings, output, seed=1, device="cpu")
    assert began == [*range(last + 1), last]
    assert output.read_bytes() == offline[method].read_bytes()
    assert list(output.parent.iterdir()) == [output]


@pytest.mark.parametrize("method", ["cda", "oc_cse", "cpn", "s2c"])
def test_only_the_first_process_writes_the_offline_file(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = []

    def fit(network: object, *_: object) -> SimpleNamespace:
        trained.append(network)
        return SimpleNamespace(global_rank=1)

    for module in ("cda", "oc_cse"):
        monkeypatch.setattr(import_module(f"apsam.localizer.offline.{module}"), "fit", fit)
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    specs = {"image": ((3, 64, 64), "uint8"), "label": ((), "uint8"), "part": ((), "uint8")}
    with TileStackWriter(tmp_path / "t.zarr.zip", {"scene": "a"}, specs) as writer:
        writer.append(
            image=np.zeros((2, 3, 64, 64), np.uint8), label=np.array([0, 1], np.uint8), part=np.zeros(2, np.uint8)
        )
    output = tmp_path / "out" / OFFLINE_FILES[method]
    settings = LocalizerSettings(method=method, weights="none")
    make_offline([tmp_path / "t.zarr.zip"], settings, output, device="cpu")
    assert len(trained) == (method in ("cda", "oc_cse"))
    assert not output.parent.exists()
