import numpy as np
import pytest
from tiny_sam import tiny_sam

from apsam.errors import InputError
from apsam.prompts.generate import Prompt, PromptSet, TilePrompts
from apsam.sam import segment
from apsam.sam.cam_prompt import cam_to_mask_prompt
from apsam.sam.decode import PromptBatch, decode_prompts
from apsam.sam.segment import segment_scene, segment_tile_prompts
from apsam.sam.select import agreement
from apsam.sam.settings import MasksSettings
from apsam.stack import TileStackWriter

SIZE = (64, 64)


@pytest.fixture(scope="module")
def sam():
    return tiny_sam()


def prompt(x0, y0, x1, y1):
    return Prompt((x0, y0, x1, y1), ((x0 + x1) / 2, (y0 + y1) / 2))


TILES = [
    TilePrompts(2, (PromptSet(120, (prompt(2, 3, 20, 30), prompt(30, 30, 60, 50))),)),
    TilePrompts(5, (PromptSet(120),)),
    TilePrompts(
        6,
        (
            PromptSet(90, (prompt(1, 1, 60, 60),)),
            PromptSet(120, (prompt(10, 5, 30, 30), prompt(33, 40, 50, 60))),
            PromptSet(150),
        ),
    ),
    TilePrompts(9),
]


@pytest.fixture(scope="module")
def embeddings(sam):
    return np.random.default_rng(0).normal(size=(len(TILES), *sam.embedding_shape)).astype(np.float16)


@pytest.fixture(scope="module")
def cams():
    return np.random.default_rng(1).integers(0, 256, (len(TILES), *SIZE), np.uint8)


def decode_one(sam, embedding, entry, choice="single"):
    batch = PromptBatch(
        tile=np.zeros(len(entry.prompts), int),
        boxes=np.array([each.box for each in entry.prompts]),
        points=np.array([each.point for each in entry.prompts]),
    )
    return decode_prompts(sam, embedding[None], batch, SIZE, choice)


def test_masks_are_joined_by_or(sam, embeddings, cams):
    first = segment_tile_prompts(sam, embeddings, TILES, cams, MasksSettings())[0]
    expected = decode_one(sam, embeddings[0], TILES[0].sets[0])
    np.testing.assert_array_equal(first.mask, (expected.logits > 0).any(axis=(0, 1)))
    assert first.mask.dtype == np.uint8 and first.tile == 2 and first.threshold == 120
    assert first.iou == pytest.approx(expected.iou.mean(), abs=1e-5)


def test_tiles_without_prompts_get_an_empty_mask(sam, embeddings, cams):
    masks = segment_tile_prompts(sam, embeddings, TILES, cams, MasksSettings())
    assert [mask.tile for mask in masks] == [2, 5, 6, 9]
    assert not masks[1].mask.any() and masks[1].score == 0
    assert not masks[3].mask.any() and masks[3].threshold is None


def test_prompt_set_with_the_best_agreement_is_selected(sam, embeddings, cams):
    scores = {}
    for entry in TILES[2].sets[:2]:
        decoded = decode_one(sam, embeddings[2], entry)
        probability = decoded.probabilities.max(axis=(0, 1))
        scores[entry.threshold] = float(agreement(probability, cams[2]) * np.clip(decoded.iou.mean(), 0, 1))
    chosen = segment_tile_prompts(sam, embeddings, TILES, cams, MasksSettings())[2]
    assert chosen.threshold == max(scores, key=scores.get)
    assert chosen.score == pytest.approx(max(scores.values()), abs=1e-4)


@pytest.mark.parametrize("threshold", [90, 120])
def test_cam_similar_to_a_mask_selects_its_set(sam, embeddings, cams, threshold, monkeypatch):
    """The other set cannot win when the CAM is its rival's mask, SAM's own estimate left aside."""
    monkeypatch.setattr(segment, "pick_set", lambda agreements, iou: int(agreements.argmax()))
    entry = next(each for each in TILES[2].sets if each.threshold == threshold)
    answer = decode_one(sam, embeddings[2], entry).probabilities.max(axis=(0, 1))
    cams = cams.copy()
    cams[2] = (answer * 255).round()
    assert segment_tile_prompts(sam, embeddings, TILES, cams, MasksSettings())[2].threshold == threshold


@pytest.mark.parametrize("kind", ["points", "boxes"])
def test_only_points_or_only_boxes(sam, embeddings, cams, kind, monkeypatch):
    seen = []
    released = segment.decode_prompts

    def spy(*given):
        seen.append(given[2])
        return released(*given)

    monkeypatch.setattr(segment, "decode_prompts", spy)
    segment_tile_prompts(sam, embeddings, TILES, cams, MasksSettings(prompts=kind))
    assert (seen[0].points is not None) == (kind == "points")
    assert (seen[0].boxes is not None) == (kind == "boxes")


def test_the_cam_as_mask_prompt(sam, embeddings, cams, monkeypatch):
    seen = []
    released = segment.decode_prompts

    def spy(*given):
        seen.append(given[2])
        return released(*given)

    monkeypatch.setattr(segment, "decode_prompts", spy)
    plain = segment_tile_prompts(sam, embeddings, TILES, cams, MasksSettings())
    with_cam = segment_tile_prompts(sam, embeddings, TILES, cams, MasksSettings(cam_mask=True))
    assert seen[0].mask_logits is None
    of_tiles = cam_to_mask_prompt(cams, 32).numpy()
    np.testing.assert_array_equal(seen[1].mask_logits, of_tiles[[0, 0, 2, 2, 2]])
    assert any((a.mask != b.mask).any() for a, b in zip(plain, with_cam, strict=True))


def test_mask_choice_reaches_the_decoder(sam, embeddings, cams):
    for choice, index in [("best_iou", 0), ("index", 2)]:
        settings = MasksSettings(mask_choice=choice, mask_index=index)
        mask = segment_tile_prompts(sam, embeddings[:1], TILES[:1], cams[:1], settings)[0].mask
        three = decode_one(sam, embeddings[0], TILES[0].sets[0], "all")
        which = three.iou.argmax(1) if choice == "best_iou" else [2, 2]
        expected = [three.logits[place, chosen] > 0 for place, chosen in enumerate(which)]
        np.testing.assert_array_equal(mask, np.any(expected, axis=0))


def write_scene(folder, sam, embeddings, cams, tiles=(2, 5, 6, 9)):
    attributes = {"scene": "valley", "sam": sam.name, "checkpoint_hash": sam.checkpoint_hash}
    arrays = {"embedding": (sam.embedding_shape, "float16"), "tile": ((), "int32")}
    with TileStackWriter(folder / "embeddings.zarr.zip", attributes, arrays) as writer:
        writer.append(embedding=embeddings[: len(tiles)], tile=np.array(tiles, np.int32))
    every = np.zeros((10, *SIZE), np.uint8)
    every[[2, 5, 6, 9]] = cams
    with TileStackWriter(folder / "cams.zarr.zip", {"scene": "valley"}, {"cam": (SIZE, "uint8")}) as writer:
        writer.append(cam=every)
    return folder / "embeddings.zarr.zip", folder / "cams.zarr.zip"


@pytest.mark.parametrize("held", [1, 3, 1000])
def test_masks_do_not_depend_on_the_batch_of_tiles(sam, embeddings, cams, tmp_path, held, monkeypatch):
    monkeypatch.setattr(segment, "PROMPTS_HELD", held)
    expected = segment_tile_prompts(sam, embeddings, TILES, cams, MasksSettings())
    paths = write_scene(tmp_path, sam, embeddings, cams)
    found = list(segment_scene(sam, *paths, TILES, MasksSettings()))
    assert [(each.tile, each.threshold) for each in found] == [(each.tile, each.threshold) for each in expected]
    for a, b in zip(found, expected, strict=True):
        assert (a.mask != b.mask).mean() < 1e-3


def test_embeddings_of_another_sam_are_refused(sam, embeddings, cams, tmp_path):
    paths = write_scene(tmp_path, sam, embeddings, cams)
    other = tiny_sam(seed=1)
    with pytest.raises(InputError, match="encode again with this SAM"):
        list(segment_scene(other, *paths, TILES, MasksSettings()))


def test_a_tile_without_embedding_is_named(sam, embeddings, cams, tmp_path):
    paths = write_scene(tmp_path, sam, embeddings, cams, tiles=(2, 5))
    with pytest.raises(InputError, match=r"no embedding of tile 6 \(2 in all\)"):
        list(segment_scene(sam, *paths, TILES, MasksSettings()))


def test_an_index_without_effect_is_refused():
    with pytest.raises(ValueError, match="has no effect"):
        MasksSettings(mask_choice="single", mask_index=1)


@pytest.mark.parametrize("count", [255, 256, 257, 512])
def test_overlap_count_has_no_limit(sam, embeddings, cams, count):
    """256 of them once gave an empty mask: the count was kept in a byte."""
    one = [TilePrompts(2, (PromptSet(120, (prompt(2, 3, 20, 30),)),))]
    many = [TilePrompts(2, (PromptSet(120, (prompt(2, 3, 20, 30),) * count),))]
    expected = segment_tile_prompts(sam, embeddings[:1], one, cams[:1], MasksSettings())[0]
    found = segment_tile_prompts(sam, embeddings[:1], many, cams[:1], MasksSettings())[0]
    assert expected.mask.any()
    np.testing.assert_array_equal(found.mask, expected.mask)
    np.testing.assert_array_equal(found.overlap_count, expected.overlap_count.astype(int) * count)
