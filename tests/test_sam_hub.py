"""SAMs of the transformers library: results equal those of the library's own processor and model."""

import json
from functools import cache

import numpy as np
import pytest
import torch

pytest.importorskip("transformers", reason="the extra `hub` is not installed")

from safetensors.torch import load_file, save_file
from tiny_hub_sam import CONFIGS, save_hub_sam, tiny_hub_model, tiny_hub_sam, tiny_processor
from tiny_sam import tiny_sam

from apsam.errors import ApsamError, ConfigError, InputError
from apsam.prompts.generate import Prompt, PromptSet, TilePrompts
from apsam.sam import encode, weights_files
from apsam.sam.cam_prompt import cam_to_mask_prompt
from apsam.sam.decode import PromptBatch, decode_prompts
from apsam.sam.embeddings import Embeddings, EmbeddingStore
from apsam.sam.encode import encode_tiles
from apsam.sam.encode_scene import embedding_bytes, encode_scene
from apsam.sam.everything import segment_everything
from apsam.sam.hub import FAMILIES, FastVitAttention
from apsam.sam.registry import build_sam
from apsam.sam.segment import segment_scene
from apsam.sam.settings import EverythingSettings, MasksSettings, SamSettings
from apsam.stack import TileStackWriter

PROMPTS = ["points", "boxes", "both", "mask", "both and mask", "two points"]


@pytest.fixture(scope="module", params=CONFIGS)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def sam(family):
    return tiny_hub_sam(family)


def pictures(count, height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 3, height, width), np.uint8)


def make_prompts(kind, tiles, size, mask_side, seed=1):
    """Prompts of `kind` for tiles by number, in pixels of the tile."""
    draw = np.random.default_rng(seed)
    count, (height, width) = len(tiles), size
    side = np.array([width, height])
    corner = draw.uniform(0, 0.5, (count, 2)) * side
    boxes = np.concatenate([corner, corner + draw.uniform(0.2, 0.45, (count, 2)) * side], axis=1)
    points, labels = draw.uniform(0, 1, (count, 2)) * side, np.ones(count, int)
    if kind == "two points":
        points, labels = draw.uniform(0, 1, (count, 2, 2)) * side, np.tile([1, 0], (count, 1))
    masks = draw.normal(0, 4, (count, 1, mask_side, mask_side)).astype(np.float32)
    with_points = kind in ("points", "two points") or "both" in kind
    return PromptBatch(
        tile=np.array(tiles),
        boxes=boxes if "box" in kind or "both" in kind else None,
        points=points if with_points else None,
        point_labels=labels if with_points else None,
        mask_logits=masks if "mask" in kind else None,
    )


@cache
def the_librarys(family):
    return tiny_hub_model(family), tiny_processor(family)


def by_the_library(family, images, prompts, three):
    """One prompt after the other: processor, model and post-processing of the library; logits and IoU estimates."""
    model, processor = the_librarys(family)
    logits, iou = [], []
    for number in range(len(prompts)):
        asked = {}
        if prompts.boxes is not None:
            asked["input_boxes"] = [[prompts.boxes[number].tolist()]]
        if prompts.points is not None:
            points, labels = np.atleast_2d(prompts.points[number]), np.atleast_1d(prompts.point_labels[number])
            asked |= {"input_points": [[points.tolist()]], "input_labels": [[labels.tolist()]]}
        image = images[prompts.tile[number]].transpose(1, 2, 0)
        inputs = processor(images=image, **asked, return_tensors="pt")
        sizes = [inputs.pop(key) for key in ("original_sizes", "reshaped_input_sizes") if key in inputs]
        for key in ("input_points", "input_boxes"):
            if key in inputs:
                inputs[key] = inputs[key].float()
        if prompts.mask_logits is not None:
            inputs["input_masks"] = torch.from_numpy(prompts.mask_logits[number][None])
        with torch.no_grad():
            answer = model(**inputs, multimask_output=three)
        masks = processor.post_process_masks(answer.pred_masks, *sizes, binarize=False)
        logits.append(masks[0][0].numpy())
        iou.append(answer.iou_scores[0, 0].numpy())
    return np.stack(logits), np.stack(iou)


@pytest.mark.parametrize("three", [False, True])
@pytest.mark.parametrize("kind", PROMPTS)
def test_masks_are_those_of_the_library(sam, family, kind, three):
    # EdgeTAM's backbone has its real size: one size, and the oblong one, because it is stretched.
    for size in [(50, 80)] if family == "edgetam" else [(64, 64), (50, 80), (300, 200), (128, 128)]:
        images = pictures(3, *size)
        prompts = make_prompts(kind, [2, 0, 2, 1], size, sam.mask_input_size)
        expected, quality = by_the_library(family, images, prompts, three)
        embeddings = encode_tiles(sam, images, precision="fp32", dtype=np.float32)
        found = decode_prompts(sam, embeddings, prompts, size, "all" if three else "single", batch=3)
        assert found.logits.shape == expected.shape == (4, 3 if three else 1, *size)
        assert expected.std() > 0.3 and expected.std(axis=(1, 2, 3)).min() > 0.05
        np.testing.assert_allclose(found.logits, expected, atol=2e-4 * np.abs(expected).max())
        np.testing.assert_allclose(found.iou, quality, atol=1e-4)


@pytest.mark.parametrize("batch", [1, 2, 5, "auto"])
def test_batches_do_not_matter(sam, batch):
    images = pictures(5, 64, 64)
    embeddings = encode_tiles(sam, images, batch=batch, precision="fp32", dtype=np.float32)
    assert embeddings.shape == (5, *sam.embedding_shape)
    np.testing.assert_allclose(
        embeddings, encode_tiles(sam, images, batch=3, precision="fp32", dtype=np.float32), atol=1e-4
    )
    prompts = make_prompts("both", [4, 0, 0, 3, 1, 2, 4], (64, 64), sam.mask_input_size)
    one_by_one = decode_prompts(sam, embeddings, prompts, (64, 64), batch=1)
    found = decode_prompts(sam, embeddings, prompts, (64, 64), batch=batch)
    np.testing.assert_allclose(found.logits, one_by_one.logits, atol=1e-3)
    np.testing.assert_allclose(found.iou, one_by_one.iou, atol=1e-4)


def test_every_prompt_uses_its_own_tile(sam):
    images = pictures(2, 64, 64)
    images[1] = images[1] // 4
    embeddings = encode_tiles(sam, images, precision="fp32", dtype=np.float32)
    same = make_prompts("both", [0, 0], (64, 64), sam.mask_input_size)
    same.boxes[1], same.points[1] = same.boxes[0], same.points[0]
    asked = PromptBatch(np.array([0, 1]), same.boxes, same.points, same.point_labels)
    found = decode_prompts(sam, embeddings, asked, (64, 64)).logits
    assert np.abs(found[0] - found[1]).max() > 0.05


def test_half_floats_of_the_store_keep_the_mask(sam):
    images = pictures(3, 64, 64)
    prompts = make_prompts("both", [0, 1, 2], (64, 64), sam.mask_input_size)
    exact, stored = (
        decode_prompts(sam, encode_tiles(sam, images, precision="fp32", dtype=dtype), prompts, (64, 64)).logits
        for dtype in (np.float32, np.float16)
    )
    assert ((exact > 0) != (stored > 0)).mean() < 0.005


def test_bf16_is_close(sam):
    images = pictures(2, 64, 64)
    full, short = (encode_tiles(sam, images, precision=each, dtype=np.float32) for each in ("fp32", "bf16"))
    assert 0 < np.linalg.norm(short - full) / np.linalg.norm(full) < 0.05


def test_a_tile_in_a_window_is_cut_out_of_the_windows_mask(sam):
    """The frame may be oblong; SAM 2 and 3 stretch it."""
    windows, corners = pictures(1, 96, 160), np.array([[0, 0], [90, 20]])
    values = encode_tiles(sam, windows, precision="fp32", dtype=np.float32)
    prompts = make_prompts("both", [0, 1], (64, 64), sam.mask_input_size)
    found = decode_prompts(sam, Embeddings(values, np.array([0, 0]), corners, (96, 160)), prompts, (64, 64))
    shift = corners.astype(float)
    moved = PromptBatch(
        np.array([0, 0]), prompts.boxes + np.tile(shift, 2), prompts.points + shift, prompts.point_labels
    )
    whole = decode_prompts(sam, values, moved, (96, 160))
    for number, (x, y) in enumerate(corners):
        np.testing.assert_allclose(found.logits[number], whole.logits[number][:, y : y + 64, x : x + 64], atol=1e-3)


def make_scene(folder, count=4, size=64):
    arrays = {"image": ((3, size, size), "uint8"), "label": ((), "uint8")}
    images, labels = pictures(count, size, size), np.array([1, 0, 1, 1][:count], np.uint8)
    with TileStackWriter(folder / "tiles.zarr.zip", {"scene": "valley", "tile_size": size}, arrays) as writer:
        writer.append(image=images, label=labels)
    cams = np.zeros((count, size, size), np.uint8)
    cams[:, 16:40, 20:50] = 200
    with TileStackWriter(folder / "cams.zarr.zip", {"scene": "valley"}, {"cam": ((size, size), "uint8")}) as writer:
        writer.append(cam=cams)
    prompt, other = Prompt((20, 16, 50, 40), (35, 28)), Prompt((22, 18, 40, 30), (30, 20))
    sets = (PromptSet(100, (prompt, other)), PromptSet(150, (other,)))
    return images, cams, [TilePrompts(number, sets) for number in (0, 2, 3)]


@pytest.mark.parametrize("kind", ["both", "points", "boxes"])
@pytest.mark.parametrize("cam_mask", [False, True])
def test_a_scene_from_store_to_masks(sam, tmp_path, kind, cam_mask):
    images, cams, prompts = make_scene(tmp_path)
    encode_scene(tmp_path / "tiles.zarr.zip", tmp_path / "a.zarr.zip", SamSettings(precision="fp32"), sam=sam)
    with EmbeddingStore(tmp_path / "a.zarr.zip", sam) as store:
        assert store.tiles == [0, 2, 3]
        assert store.read([3]).values.shape[1:] == sam.embedding_shape
    settings = MasksSettings(prompts=kind, cam_mask=cam_mask)
    masks = list(segment_scene(sam, tmp_path / "a.zarr.zip", tmp_path / "cams.zarr.zip", prompts, settings))
    assert [mask.tile for mask in masks] == [0, 2, 3]
    entry = next(each for each in prompts[1].sets if each.threshold == masks[1].threshold).prompts
    asked = PromptBatch(
        np.zeros(len(entry), int),
        boxes=np.array([each.box for each in entry], float) if kind != "points" else None,
        points=np.array([each.point for each in entry], float) if kind != "boxes" else None,
        mask_logits=cam_to_mask_prompt(cams[[2] * len(entry)], sam.mask_input_size, sam.stretches).numpy()
        if cam_mask
        else None,
    )
    expected = (decode_prompts(sam, encode_tiles(sam, images[[2]], precision="fp32"), asked, (64, 64)).logits > 0).any(
        0
    )
    assert (masks[1].mask != expected[0]).mean() < 0.002


def test_a_cam_fills_the_square_of_sams_that_stretch():
    cam = np.zeros((1, 20, 40), np.uint8)
    cam[:, 10:] = 255
    found = cam_to_mask_prompt(cam, 32, stretched=True)
    assert found.shape == (1, 1, 32, 32) and (found[0, 0, :15] < -7).all() and (found[0, 0, 17:] > 7).all()


def test_the_size_check_counts_all_features():
    """SAM 2: 256 x 64 x 64, 64 x 128 x 128 and 32 x 256 x 256 half floats."""
    assert embedding_bytes((1024, 64, 64)) == 2 * (256 * 64**2 + 64 * 128**2 + 32 * 256**2)
    sam = tiny_hub_sam("sam2")
    assert sam.embedding_shape == (64 + 16 * 4 + 8 * 16, 8, 8)


def test_full_image_mode(sam):
    found = segment_everything(
        sam, pictures(1, 64, 64)[0], EverythingSettings(points_per_side=3, min_iou=0, min_stability=0), "fp32"
    )
    assert found.labels.shape == (64, 64) and len(found.iou)


def test_a_store_of_another_sam_is_refused(tmp_path):
    make_scene(tmp_path)
    sam, other = tiny_hub_sam("sam2"), tiny_hub_sam("sam2", seed=1)
    encode_scene(tmp_path / "tiles.zarr.zip", tmp_path / "a.zarr.zip", SamSettings(), sam=sam)
    for stranger in (other, tiny_sam()):
        with pytest.raises(InputError, match="encode again with this SAM"):
            EmbeddingStore(tmp_path / "a.zarr.zip", stranger)


def test_other_pixels_are_another_sam():
    """Mean and deviation are no weights, but decide the embedding."""
    from apsam.sam.hub import wrap_hub_sam

    processor = tiny_processor("sam2").image_processor
    known = tiny_hub_sam("sam2").checkpoint_hash
    assert wrap_hub_sam(tiny_hub_model("sam2"), processor, "sam2").checkpoint_hash == known
    processor.image_mean = [0.5, 0.5, 0.5]
    assert wrap_hub_sam(tiny_hub_model("sam2"), processor, "sam2").checkpoint_hash != known


# Loading.


def test_a_folder_comes_through(family, tmp_path):
    model = save_hub_sam(tmp_path, family, seed=3)
    sam = build_sam(str(tmp_path), device="cpu")
    found = sam.model.state_dict()
    assert found.keys() == model.state_dict().keys()
    assert all(torch.equal(found[key], value) for key, value in model.state_dict().items())
    assert sam.checkpoint_hash == tiny_hub_sam(family, seed=3).checkpoint_hash
    assert not any(parameter.requires_grad for parameter in sam.model.parameters()) and not sam.model.training


def test_original_attention_gives_the_same(family, tmp_path):
    save_hub_sam(tmp_path, family)
    fast, plain = (
        build_sam(SamSettings(name=str(tmp_path), attention=way), device="cpu") for way in ("fast", "original")
    )
    images = pictures(1, 64, 64)
    a, b = (encode_tiles(each, images, precision="fp32", dtype=np.float32) for each in (fast, plain))
    np.testing.assert_allclose(a, b, atol=1e-4)
    assert fast.checkpoint_hash == plain.checkpoint_hash
    ours = [module for module in fast.model.modules() if isinstance(module, FastVitAttention)]
    assert len(ours) == (3 if family in ("sam", "sam_hq") else 0)
    assert not any(isinstance(module, FastVitAttention) for module in plain.model.modules())


def test_weights_of_the_video_models_are_the_image_models(tmp_path):
    """`facebook/sam2.1-*` and `facebook/sam3` are published as video models."""
    from transformers import Sam2VideoConfig, Sam2VideoModel

    image = CONFIGS["sam2"]()
    config = Sam2VideoConfig(
        vision_config=image.vision_config,
        prompt_encoder_config=image.prompt_encoder_config.to_dict(),
        mask_decoder_config=image.mask_decoder_config.to_dict(),
        memory_attention_hidden_size=64, memory_attention_num_layers=1, memory_attention_feed_forward_hidden_size=64,
        memory_attention_rope_feat_sizes=[8, 8], memory_encoder_hidden_size=64, memory_encoder_output_channels=16,
        mask_downsampler_embed_dim=64, memory_fuser_embed_dim=64, memory_fuser_intermediate_dim=64,
    )  # fmt: skip
    torch.manual_seed(0)
    video = Sam2VideoModel(config)
    video.save_pretrained(tmp_path)
    tiny_processor("sam2").save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "sam2_video"
    sam = build_sam(str(tmp_path), device="cpu")
    theirs = video.state_dict()
    assert all(torch.equal(value, theirs[key]) for key, value in sam.model.state_dict().items())


def test_the_tracker_is_found_in_sam3s_video_model(tmp_path):
    """`facebook/sam3` contains a detector, whose backbone the tracker shares, under names of its own."""
    model = save_hub_sam(tmp_path, "sam3")
    prefixes = {
        "vision_encoder.backbone.": "detector_model.vision_encoder.backbone.",
        "vision_encoder.neck.": "tracker_neck.",
    }
    published = {"detector_model.text_encoder.x": torch.zeros(1), "tracker_model.memory_attention.x": torch.zeros(1)}
    for key, value in model.state_dict().items():
        old, new = next((pair for pair in prefixes.items() if key.startswith(pair[0])), ("", "tracker_model."))
        published[new + key.removeprefix(old)] = value
    save_file(published, tmp_path / "model.safetensors", metadata={"format": "pt"})
    path = tmp_path / "config.json"
    tracker = {**json.loads(path.read_text()), "model_type": "sam3_tracker_video"}
    path.write_text(json.dumps({"model_type": "sam3_video", "tracker_config": tracker, "detector_config": {}}))
    sam = build_sam(str(tmp_path), device="cpu")
    assert all(torch.equal(sam.model.state_dict()[key], value) for key, value in model.state_dict().items())


def test_a_name_is_found_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("APSAM_CACHE", str(tmp_path))
    save_hub_sam(tmp_path / "hub" / "facebook" / "sam2.1-hiera-tiny", "sam2")
    for name in ("sam2.1_tiny", "facebook/sam2.1-hiera-tiny"):
        assert build_sam(name, device="cpu").name == name


def test_missing_weights_error_names_download_and_path(tmp_path, monkeypatch):
    monkeypatch.setenv("APSAM_CACHE", str(tmp_path))
    monkeypatch.setattr(weights_files, "_in_hub_cache", lambda _: None)  # that of whoever runs the tests
    for name, repository in [("sam3", "facebook/sam3"), ("someone/sam2-landslides", "someone/sam2-landslides")]:
        with pytest.raises(ApsamError) as said:
            build_sam(name, device="cpu")
        folder = tmp_path / "hub" / repository
        assert f"hf download {repository} " in str(said.value) and f"--local-dir {folder}" in str(said.value)
        assert ("accept the terms" in str(said.value)) == (name == "sam3")
    assert not list(tmp_path.iterdir())


def test_unknown_name_is_an_error():
    with pytest.raises(
        ConfigError, match="unknown SAM 'sam4'; known are light, .*sam2.1_tiny.*organisation/repository"
    ):
        build_sam("sam4")


def test_files_of_other_models(tmp_path):
    save_hub_sam(tmp_path, "sam2")

    def broken(match, name=str(tmp_path), checkpoint=None):
        with pytest.raises(InputError, match=match):
            build_sam(SamSettings(name=name, checkpoint=checkpoint), device="cpu")

    broken("no such folder .sam.name.", str(tmp_path / "none"))
    broken("no such folder .sam.checkpoint.", "sam2.1_tiny", tmp_path / "none")
    weights, state = tmp_path / "model.safetensors", load_file(tmp_path / "model.safetensors")
    partial = {key: value for key, value in state.items() if "obj_score_token" not in key}
    save_file(partial, weights, metadata={"format": "pt"})
    broken("lack 1 tensors of a Sam2Model .first: mask_decoder.obj_score_token.weight.")
    weights.write_bytes(b"<html>not found</html>")
    broken("not a SAM that can be read")
    weights.unlink()
    broken("no model.safetensors$")
    torch.save(state, tmp_path / "pytorch_model.bin")
    broken("no model.safetensors; pytorch_model.bin is not read, since it may run code")
    save_file(state, weights, metadata={"format": "pt"})
    (tmp_path / "processor_config.json").rename(tmp_path / "elsewhere.json")
    broken("neither preprocessor_config.json nor processor_config.json")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "preprocessor_config.json").write_text("{}")
    broken("a model of type 'bert', which is not a SAM; known are sam, ")


def test_an_image_processor_of_another_model_is_refused(tmp_path):
    save_hub_sam(tmp_path, "sam2")
    path = tmp_path / "processor_config.json"
    settings = json.loads(path.read_text())
    settings["image_processor"]["size"] = {"height": 64, "width": 64}
    path.write_text(json.dumps(settings))
    with pytest.raises(InputError, match="makes images of 64 x 64 px, its configuration says 128"):
        build_sam(str(tmp_path), device="cpu")


def test_embeddings_beyond_float16_are_an_error(monkeypatch):
    sam = tiny_hub_sam("sam2")
    monkeypatch.setattr(encode, "_encode", lambda sam, part, _: np.full((len(part), *sam.embedding_shape), 1e5))
    with pytest.raises(ApsamError, match="exceed float16"):
        encode_tiles(sam, pictures(1, 64, 64))


def test_the_library_has_every_family():
    import transformers

    assert all(hasattr(transformers, name) for name, _ in FAMILIES.values())
