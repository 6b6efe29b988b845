import hashlib

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tiny_sam import tiny_sam_model

from apsam.errors import ApsamError, ConfigError, InputError
from apsam.sam import registry
from apsam.sam.attention import FastAttention
from apsam.sam.names import KNOWN, KnownSam
from apsam.sam.registry import build_sam, build_untrained, read_state_dict, weights_hash, wrap_sam
from apsam.sam.settings import SamSettings

from segment_anything import SamPredictor  # isort: skip


@pytest.fixture
def tiny(monkeypatch):
    """The official names stand for tiny models of the same widths, so that tests need no gigabytes."""
    heads = {"vit_b": 12, "vit_l": 16, "vit_h": 20}
    builders = {name: lambda count=count: tiny_sam_model(64, heads=count, depth=1) for name, count in heads.items()}
    monkeypatch.setattr(registry, "OFFICIAL", builders)
    return builders


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_checkpoint_round_trip(tiny, tmp_path, suffix):
    state = tiny_sam_model(64, heads=12, depth=1, seed=7).state_dict()
    path = tmp_path / f"sam{suffix}"
    torch.save(state, path) if suffix == ".pth" else save_file(state, path)
    sam = build_sam("vit_b", path, "cpu")
    found = sam.model.state_dict()
    assert list(found) == list(state)
    assert all(torch.equal(found[name], value) for name, value in state.items())
    assert sam.name == "vit_b" and sam.image_size == 64 and sam.embedding_shape == (32, 4, 4)
    assert all(isinstance(block.attn, FastAttention) for block in sam.model.image_encoder.blocks)
    assert not any(parameter.requires_grad for parameter in sam.model.parameters())
    assert not sam.model.training

    predictor = SamPredictor(sam.model)
    predictor.set_image(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8))
    masks, _, _ = predictor.predict(np.array([[20, 20]]), np.array([1]))
    assert masks.shape == (3, 40, 60)
    # The normalisation is not in the checkpoint.
    assert sam.model.pixel_mean.flatten().tolist() == pytest.approx(registry.PIXEL_MEAN)


def test_the_hash_is_of_the_weights_not_of_the_file(tiny, tmp_path):
    state = tiny_sam_model(64, heads=12, depth=1).state_dict()
    torch.save(state, tmp_path / "a.pth")
    save_file(state, tmp_path / "b.safetensors")
    a, b = (build_sam("vit_b", tmp_path / name, "cpu") for name in ("a.pth", "b.safetensors"))
    assert a.checkpoint_hash == b.checkpoint_hash and len(a.checkpoint_hash) == 64
    state["mask_decoder.iou_token.weight"] += 1e-6
    torch.save(state, tmp_path / "c.pth")
    assert build_sam("vit_b", tmp_path / "c.pth", "cpu").checkpoint_hash != a.checkpoint_hash


def test_hash_by_hand():
    module = torch.nn.Linear(1, 2, bias=False)
    torch.nn.init.ones_(module.weight)
    expected = b"weight (2, 1) torch.float32\n" + np.ones(2, "<f4").tobytes()
    assert weights_hash(module) == hashlib.sha256(expected).hexdigest()


def test_original_attention_on_request(tiny, tmp_path):
    torch.save(tiny_sam_model(64, heads=12, depth=1).state_dict(), tmp_path / "sam.pth")
    sam = build_sam(SamSettings(name="vit_b", checkpoint=tmp_path / "sam.pth", attention="original"), device="cpu")
    assert not any(isinstance(block.attn, FastAttention) for block in sam.model.image_encoder.blocks)


def test_another_sams_checkpoint_is_named(tiny, tmp_path):
    torch.save(tiny["vit_l"]().state_dict(), tmp_path / "sam.pth")
    with pytest.raises(InputError, match="checkpoint of 'vit_l', not of 'vit_b'; set sam.name: vit_l"):
        build_sam("vit_b", tmp_path / "sam.pth", "cpu")


def test_damaged_checkpoint_error_lists_differences(tiny, tmp_path):
    state = tiny["vit_b"]().state_dict()
    del state["mask_decoder.iou_token.weight"]
    state["head.weight"] = torch.zeros(1)
    torch.save(state, tmp_path / "sam.pth")
    with pytest.raises(InputError, match=r"2 differences \(no mask_decoder.iou_token.weight; unknown head.weight\)"):
        build_sam("vit_b", tmp_path / "sam.pth", "cpu")


@pytest.mark.parametrize(
    ("key", "said", "name"),
    [
        ("image_encoder.layers.0.blocks.0.weight", "mobile", "mobile"),
        ("image_encoder.trunk.pos_embed", "SAM 2", "sam2.1_large"),
    ],
)
def test_other_families_are_told_apart(tiny, tmp_path, key, said, name):
    torch.save({key: torch.zeros(1)}, tmp_path / "sam.pth")
    with pytest.raises(InputError, match=f"'{said}', not of 'vit_b'; .*sam.name: {name}"):
        build_sam("vit_b", tmp_path / "sam.pth", "cpu")


def test_files_that_are_no_checkpoint(tmp_path):
    (tmp_path / "page.pth").write_text("<html>not found</html>")
    (tmp_path / "page.safetensors").write_text("<html>not found</html>")
    torch.save({"model": {"a": torch.zeros(1)}, "epoch": 3}, tmp_path / "training.pth")
    for name in ("page.pth", "page.safetensors"):
        with pytest.raises(InputError, match="not a checkpoint that can be read"):
            read_state_dict(tmp_path / name)
    with pytest.raises(InputError, match="contains model, epoch instead of a flat state dict"):
        read_state_dict(tmp_path / "training.pth")
    with pytest.raises(InputError, match="no such SAM checkpoint"):
        read_state_dict(tmp_path / "none.pth")


def test_a_checkpoint_cannot_run_code(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    torch.save({"weight": Trap()}, tmp_path / "sam.pth")
    with pytest.raises(InputError, match="not a checkpoint that can be read"):
        read_state_dict(tmp_path / "sam.pth")
    assert not (tmp_path / "sprung").exists()


def test_an_unknown_name():
    with pytest.raises(ConfigError, match="known are light, vit_b, vit_l, vit_h, mobile"):
        build_sam("vit_g")


def test_a_known_name_without_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(KNOWN, "other", KnownSam("other", "MIT"))
    with pytest.raises(ConfigError, match="no code builds SAM 'other'; add it to build_sam"):
        build_sam(SamSettings(name="other", checkpoint=tmp_path / "other.pth"))


def test_missing_checkpoint_error_names_the_download(monkeypatch, tmp_path):
    monkeypatch.setenv("APSAM_CACHE", str(tmp_path))
    monkeypatch.setenv("APSAM_OFFLINE", "1")
    with pytest.raises(ApsamError, match="sam_vit_b_01ec64.pth"):
        build_sam("vit_b")


def test_the_light_sam_works_like_the_others():
    sam = wrap_sam(build_untrained("light"), "light")
    predictor = SamPredictor(sam.model)
    predictor.set_image(np.zeros((256, 256, 3), np.uint8))
    masks, iou, _ = predictor.predict(box=np.array([20, 20, 90, 90]), multimask_output=False)
    assert masks.shape == (1, 256, 256) and iou.shape == (1,)
    assert predictor.get_image_embedding().shape[1:] == sam.embedding_shape
