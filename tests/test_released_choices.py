"""The choices of the paper's released code: the effect of each setting, and all of them in one overlay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from test_experiments import metrics_file
from tiny_sam import tiny_sam

from apsam.config import Config, read_config
from apsam.experiments.released import ALL, CHOICES, DEFAULT, LATER_CHOICES, all_overrides, released_effects
from apsam.localizer.cam import make_cams, sum_of_views
from apsam.localizer.checkpoint import save_localizer
from apsam.localizer.methods import build_method
from apsam.localizer.settings import CamSettings, LocalizerSettings
from apsam.masks import prompted
from apsam.masks.prompted import make_prompted_masks
from apsam.metrics.pseudo_masks import as_released
from apsam.protocol import protocol_of
from apsam.sam.encode_scene import encode_scene
from apsam.sam.settings import MasksSettings, SamSettings
from apsam.stack import TileStack, TileStackWriter
from workflow_support.run import Run
from workflow_support.stages.ground import _excludes

ROOT = Path(__file__).parents[1]
SIZE = 64


@pytest.fixture(scope="module")
def sam():
    return tiny_sam()


@pytest.fixture
def tiles(tmp_path):
    """A positive and a negative tile of noise."""
    image = np.random.default_rng(0).integers(0, 256, (2, 3, SIZE, SIZE), np.uint8)
    specs = {"image": ((3, SIZE, SIZE), "uint8"), "valid": ((SIZE, SIZE), "uint8"), "label": ((), "uint8")}
    with TileStackWriter(tmp_path / "tiles.zarr.zip", {"scene": "a", "tile_size": SIZE}, specs) as writer:
        writer.append(image=image, valid=np.ones((2, SIZE, SIZE), np.uint8), label=np.array([1, 0], np.uint8))
    return tmp_path / "tiles.zarr.zip"


def run() -> Run:
    """The default run."""
    return Run({**Config().model_dump(mode="json"), "scenes": str(ROOT / "scenes.tsv")})


def test_the_overlay_is_all_choices_together():
    config = read_config(ROOT / "config.yaml", ROOT / "config/as_released.yaml")
    config = config.model_copy(update={"scenes": ROOT / "scenes.tsv"})
    together = run().variant(all_overrides()).config
    assert config == together
    paper = [ROOT / "config.yaml", ROOT / "config/paper.yaml"]
    assert read_config(*paper, ROOT / "config/as_released.yaml").run == read_config(*paper).run, "one for each data set"


def test_every_choice_changes_a_setting_and_the_protocol():
    default, protocols = run(), {}
    for choice in (*CHOICES, *LATER_CHOICES):
        variant = default.variant(choice.overrides)
        assert variant is not default, f"{choice.name} is the default"
        protocols[choice.name] = protocol_of(variant.config)
    assert {name for name, protocol in protocols.items() if protocol == "as_released"} == {"added_masks", "best_epoch"}
    assert protocol_of(Config()) == "held_out"
    assert protocol_of(read_config(ROOT / "config.yaml", ROOT / "config/as_released.yaml")) == "as_released"


def test_the_papers_setting_is_the_papers():
    config = read_config(ROOT / "config.yaml", ROOT / "config/paper.yaml")
    assert (config.localizer.backbone, config.sam.name, config.tiles.stride) == ("resnet50", "vit_h", 154)
    assert (config.prompts.thresholds(), config.masks.prompts, config.cams.gamma) == ((120,), "both", 1)
    assert (config.localizer.optimizer().momentum, config.localizer.optimizer().weight_decay) == (0.9, 1e-4)
    assert (config.resunet.epochs, config.resunet.batch_size, config.resunet.widths[-1]) == (100, 24, 512)
    assert protocol_of(config) == "held_out"
    turkey = read_config(ROOT / "config.yaml", ROOT / "config/paper.yaml", ROOT / "config/paper_turkey.yaml")
    assert turkey.run != config.run and turkey.scenes != config.scenes
    assert turkey.model_copy(update={"run": config.run, "scenes": config.scenes}) == config


def test_single_values_of_the_optimizer_replace_those_of_the_recipe():
    settings = LocalizerSettings(momentum=1e-4, decay="poly")
    assert settings.optimizer() == LocalizerSettings().optimizer()._replace(momentum=1e-4, decay="poly")


def test_views_are_added_before_negative_values_are_clipped():
    """Two views that cancel out: clipped first, the logits of one remain; added first, none remain."""
    images = torch.zeros(1, 3, SIZE, SIZE)
    signs = iter((1.0, -1.0) * 2)

    def cam(view):
        return torch.full((1, 1, 4, 4), next(signs))

    released = sum_of_views(cam, images, CamSettings(flips="horizontal", views_sum="as_released"))
    ours = sum_of_views(cam, images, CamSettings(flips="horizontal"))
    assert float(released.abs().max()) == 0 and float(ours.min()) == 1


def test_every_scale_counts_alike_as_released():
    values = {32: 1.0, 64: 100.0}
    settings = CamSettings(scales=(0.5, 1.0), flips="none", views_sum="as_released")
    total = sum_of_views(
        lambda view: torch.full((1, 1, 2, 2), values[view.shape[-1]]), torch.zeros(1, 3, SIZE, SIZE), settings
    )
    assert float(total.mean()) == pytest.approx(2, abs=1e-3)


@pytest.mark.parametrize("gate", [True, False])
def test_without_the_gate_negative_tiles_get_cams_and_embeddings(tiles, tmp_path, sam, gate):
    method = build_method(LocalizerSettings(weights="none"))
    save_localizer(method, tmp_path / "w.safetensors")
    cams, embeddings = tmp_path / "cams.zarr.zip", tmp_path / "embeddings.zarr.zip"
    settings = CamSettings(normalise="as_released", flips="none")
    make_cams(tiles, tmp_path / "w.safetensors", cams, settings, "cpu", label_gate=gate)
    encode_scene(tiles, embeddings, SamSettings(), sam=sam, label_gate=gate)
    with TileStack(cams) as stack, TileStack(embeddings) as store:
        assert stack.read("cam")[1].any() != gate
        assert store.read("tile").tolist() == ([0] if gate else [0, 1])


def test_bgr_channels(tiles, tmp_path, sam):
    made = {}
    for channels in ("rgb", "bgr"):
        encode_scene(tiles, tmp_path / f"{channels}.zarr.zip", SamSettings(channels=channels), sam=sam)
        with TileStack(tmp_path / f"{channels}.zarr.zip") as store:
            made[channels] = store.read("embedding")
    with TileStack(tiles) as stack:
        turned, attributes, arrays = stack.read("image")[:, ::-1], stack.attributes, stack.arrays
        others = {name: stack.read(name) for name in ("valid", "label")}
    with TileStackWriter(tmp_path / "turned.zarr.zip", {"scene": "a", "tile_size": SIZE}, arrays) as writer:
        writer.append(image=turned, **others)
    encode_scene(tmp_path / "turned.zarr.zip", tmp_path / "e.zarr.zip", SamSettings(), sam=sam)
    with TileStack(tmp_path / "e.zarr.zip") as store:
        np.testing.assert_array_equal(made["bgr"], store.read("embedding"))
    assert attributes["scene"] == "a" and (made["rgb"] != made["bgr"]).any()


def test_added_masks_have_union_and_overlap_count(tiles, tmp_path, sam, monkeypatch):
    monkeypatch.setattr(prompted, "build_sam", lambda *_, **__: sam)
    encode_scene(tiles, tmp_path / "e.zarr.zip", SamSettings(), sam=sam)
    cam = np.zeros((2, SIZE, SIZE), np.uint8)
    cam[0, 8:30, 8:30], cam[0, 34:60, 34:60] = 200, 200
    with TileStackWriter(tmp_path / "c.zarr.zip", {"scene": "a"}, {"cam": ((SIZE, SIZE), "uint8")}) as writer:
        writer.append(cam=cam)
    from apsam.prompts.files import make_prompts
    from apsam.prompts.settings import PromptSettings

    make_prompts(tmp_path / "c.zarr.zip", PromptSettings(), tmp_path / "p.json")
    stacks = {}
    for join in ("or", "add"):
        made = tmp_path / f"{join}.zarr.zip"
        files = (tmp_path / "c.zarr.zip", tmp_path / "p.json", tmp_path / "e.zarr.zip")
        make_prompted_masks(tiles, *files, SamSettings(), MasksSettings(join=join), made)
        stacks[join] = TileStack(made)
    assert "claims" not in stacks["or"].arrays
    mask, overlap_count = stacks["add"].read("mask"), stacks["add"].read("claims")
    np.testing.assert_array_equal(mask, stacks["or"].read("mask"))
    np.testing.assert_array_equal(overlap_count > 0, mask == 1)
    assert (overlap_count == 2).any(), "else the noise of this test overlaps nowhere"


def test_overlapping_pixels_are_not_counted():
    """Bytes as the released code adds them: 1 + 1 = 2, times 255 is 254, and only 0 and 255 are counted."""
    overlap_count = np.array([[0, 1, 2, 3]], np.uint8)
    added = (overlap_count.astype(np.uint8) * np.uint8(255)).tolist()
    assert added == [[0, 255, 254, 253]]
    mask = (overlap_count > 0).astype(np.uint8)
    assert as_released(mask, overlap_count).tolist() == [[0, 1, 255, 255]]


def test_effects_are_differences_to_the_default(tmp_path):
    files = {DEFAULT: metrics_file(tmp_path / "d.json", 0.5), "bgr": metrics_file(tmp_path / "b.json", 0.4)}
    files[ALL] = metrics_file(tmp_path / "a.json", 0.1, "as_released")
    experiment = released_effects(files)
    changes = {row["choice"]: row["mean_iou_change"] for row in experiment.rows if row["part"] == "test"}
    assert changes == {DEFAULT: 0, "bgr": pytest.approx(-0.1), ALL: pytest.approx(-0.4)}
    assert {row["choice"]: row["counted"] for row in experiment.rows}[ALL] == "as_released"


def test_the_notes_name_the_choice_that_changes_two_things(tmp_path):
    run = Run({**Config().model_dump(mode="json"), "scenes": str(ROOT / "scenes.tsv")})
    both = [choice.name for choice in CHOICES if _excludes(run.variant(choice.overrides)) != _excludes(run)]
    notes = released_effects({DEFAULT: metrics_file(tmp_path / "d.json", 0.5)}).notes
    assert [name for name in both if any(f"{name} changes a second thing" in note for note in notes)] == both
    assert notes[0].startswith(f"Each row but {', '.join(both)} changes one choice")
