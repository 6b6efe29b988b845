"""Native-resolution windows: which are encoded, their contents, and that masks of tiles are parts of theirs."""

import numpy as np
import pytest
from rasterio.transform import from_origin
from rasters import write_raster
from tiny_sam import tiny_sam, tiny_sam_model

from apsam.errors import ConfigError, InputError
from apsam.prompts.generate import Prompt, PromptSet, TilePrompts
from apsam.sam import segment
from apsam.sam.cam_prompt import cam_to_mask_prompt
from apsam.sam.decode import PromptBatch, decode_prompts
from apsam.sam.embeddings import EmbeddingStore
from apsam.sam.encode_scene import encode_scene
from apsam.sam.segment import segment_scene
from apsam.sam.settings import MasksSettings, SamSettings
from apsam.sam.windows import most_tiles, plan_windows, window_size
from apsam.scenes import Scene
from apsam.stack import TileStack, TileStackWriter, join_stacks
from apsam.tiles.blocks import Block
from apsam.tiles.labels import tile_name
from apsam.tiles.reader import SceneReader
from apsam.tiles.settings import LabelSettings, SplitSettings, TileSettings
from apsam.tiles.tiling import tile_scene
from apsam.tiles.windows import tile_windows

from segment_anything import SamPredictor  # isort: skip

TILE = 64
TILES = TileSettings(size=TILE, overlap=0.4)


@pytest.mark.parametrize("scene", [(1024, 1024), (1500, 2300), (300, 4000), (200, 180), (3001, 777), (64, 64)])
@pytest.mark.parametrize("side", [300, 512, 1024])
def test_every_wanted_tile_lies_in_one_window(scene, side):
    stride = 154
    tiles = tile_windows(*scene, 256, stride)
    wanted = np.flatnonzero(np.random.default_rng(0).random(len(tiles)) < 0.6)
    size = window_size(side, 256, *scene)
    plan = plan_windows(tiles, wanted, size, scene)
    assert sorted(np.concatenate([[], *plan.tiles]).astype(int)) == wanted.tolist()
    assert all(0 < len(members) <= most_tiles(size, 256, stride) for members in plan.tiles)
    for window, members, corners in zip(plan.windows, plan.tiles, plan.corners, strict=True):
        assert tuple(window[2:]) == size
        for axis, (length, extent) in enumerate(zip(size, scene, strict=True)):
            assert window[axis] >= 0 and window[axis] + length <= max(extent, 256)
            inside = corners[:, 1 - axis]
            assert (inside >= 0).all() and (inside + 256 <= length).all()
            np.testing.assert_array_equal(window[axis] + inside, tiles[members, axis])


def test_tile_is_assigned_to_the_most_central_window():
    tiles = tile_windows(1000, 2000, 256, 154)
    everything = np.arange(len(tiles))
    plan = plan_windows(tiles, everything, (1000, 1000), (1000, 2000))
    assert len(plan) == 3
    for tile in everything:
        begin = tiles[tile, 1] - plan.windows[:, 1]
        possible = (begin >= 0) & (begin + 256 <= 1000)
        off = np.where(possible, np.abs(begin + 128 - 500), 10**6)
        serving = next(row for row, members in enumerate(plan.tiles) if tile in members)
        assert off[serving] == off.min()


def test_windows_have_many_tiles_and_none_is_unused():
    tiles = tile_windows(3000, 3000, 256, 154)
    size = window_size(1024, 256, 3000, 3000)
    everything = plan_windows(tiles, np.arange(len(tiles)), size, (3000, 3000))
    assert len(tiles) == 361 and len(everything) == 16
    assert len(plan_windows(tiles, np.array([0]), size, (3000, 3000))) == 1
    assert len(plan_windows(tiles, np.zeros(0, int), size, (3000, 3000))) == 0


def test_windows_of_a_block_lie_around_its_tiles():
    tiles = tile_windows(5000, 5000, 256, 154)
    some = tiles[(tiles[:, 0] >= 2000) & (tiles[:, 0] < 2400) & (tiles[:, 1] >= 2000) & (tiles[:, 1] < 2400)]
    plan = plan_windows(some, np.arange(len(some)), (1024, 1024), (5000, 5000))
    assert len(plan) == 1
    middle = (some[:, :2].min(0) + some[:, :2].max(0) + 256) / 2
    assert np.abs(plan.windows[0, :2] + 512 - middle).max() <= 1


def test_a_window_smaller_than_a_tile_is_refused():
    with pytest.raises(ConfigError, match="sam.window: 200 is less than a tile's side, 256"):
        window_size(200, 256, 1000, 1000)


@pytest.fixture(scope="module")
def sam():
    return tiny_sam()


@pytest.fixture(scope="module")
def run(tmp_path_factory, sam):
    """A scene of 16 bits with no data on its right, its tiles, and the embeddings of windows of 128 px."""
    folder = tmp_path_factory.mktemp("windows")
    rng = np.random.default_rng(0)
    values = rng.integers(100, 3000, (3, 200, 260)).astype(np.uint16)
    values[:, :, 230:] = 0
    write_raster(folder / "a.tif", values, transform=from_origin(5e5, 3e6, 1, 1), nodata=0)
    labels = folder / "labels.csv"
    windows = tile_windows(200, 260, TILE, TILES.stride)
    rows = [f"{tile_name(row, col)},{int(index % 3 > 0)}" for index, (row, col, *_) in enumerate(windows.tolist())]
    labels.write_text("\n".join(["tile,label", *rows]))
    scene = Scene("a", "raster", folder / "a.tif", labels, None, "train")
    tile_scene(scene, TILES, LabelSettings(), SplitSettings(), folder / "tiles.zarr.zip")
    settings = SamSettings.model_construct(**{**SamSettings().model_dump(), "window": 128, "precision": "fp32"})
    encode_scene(folder / "tiles.zarr.zip", folder / "e.zarr.zip", settings, sam=sam, image=folder / "a.tif")
    return folder


def test_the_stack_names_the_tiles_of_its_windows(run, sam):
    with TileStack(run / "tiles.zarr.zip") as tiles, EmbeddingStore(run / "e.zarr.zip", sam) as store:
        assert store.tiles == np.flatnonzero(tiles.read("label")).tolist()
        found = store.read(store.tiles)
        assert len(found) == len(store.tiles) > len(found.values) == len(TileStack(run / "e.zarr.zip"))
        assert found.frame == (128, 128)
        windows = TileStack(run / "e.zarr.zip").read("window")
        place = windows[found.row, :2] + found.corners[:, ::-1]
        np.testing.assert_array_equal(place, tiles.read_at("window", store.tiles)[:, :2])
        with pytest.raises(InputError, match="no embedding of tile 999"):
            store.read([999])


def predictor_on(run, window):
    """The released predictor on a window, read as tiles are."""
    with SceneReader(run / "a.tif", TILES) as reader:
        pixels, valid = reader.read(*window)
    predictor = SamPredictor(tiny_sam_model())
    predictor.set_image(pixels.transpose(1, 2, 0))
    return predictor, pixels, valid


def test_embeddings_are_those_of_the_predictor_on_the_window(run):
    with TileStack(run / "e.zarr.zip") as stack:
        assert len(stack) > 1
        no_data = 0
        for row, window in enumerate(stack.read("window").tolist()):
            predictor, pixels, valid = predictor_on(run, window)
            no_data += (valid == 0).sum()
            assert not pixels[:, valid == 0].any()
            expected = predictor.get_image_embedding()[0].numpy()
            np.testing.assert_allclose(stack.read("embedding", row, row + 1)[0], expected, atol=4e-3)
        assert no_data > 0


def test_mask_of_a_tile_is_its_part_of_the_window(run, sam):
    with EmbeddingStore(run / "e.zarr.zip", sam) as store, TileStack(run / "e.zarr.zip") as stack:
        tiles = store.tiles
        found = store.read(tiles)
        rng = np.random.default_rng(1)
        low = rng.uniform(0, 30, (len(tiles), 2))
        prompts = PromptBatch(
            tile=np.arange(len(tiles)),
            boxes=np.concatenate([low, low + rng.uniform(10, 30, (len(tiles), 2))], 1),
            points=low + 8,
        )
        decoded = decode_prompts(sam, found, prompts, (TILE, TILE), batch=3)
        windows = stack.read("window").tolist()
    for place in range(len(tiles)):
        x, y = found.corners[place]
        predictor, *_ = predictor_on(run, windows[found.row[place]])
        expected, quality, _ = predictor.predict(
            point_coords=prompts.points[place][None] + [x, y],
            point_labels=np.ones(1),
            box=prompts.boxes[place] + [x, y, x, y],
            multimask_output=False,
            return_logits=True,
        )
        part = expected[:, y : y + TILE, x : x + TILE]
        # The store contains float16.
        assert np.abs(decoded.logits[place] - part).max() < 0.02 * max(1, np.abs(part).max())
        np.testing.assert_allclose(decoded.iou[place], quality, atol=5e-3)


@pytest.mark.parametrize("cam_mask", [False, True])
def test_masks_of_a_scene(run, sam, tmp_path, cam_mask, monkeypatch):
    with TileStack(run / "tiles.zarr.zip") as stack:
        count = len(stack)
    cams = np.random.default_rng(2).integers(0, 256, (count, TILE, TILE), np.uint8)
    with TileStackWriter(tmp_path / "c.zarr.zip", {"scene": "a"}, {"cam": ((TILE, TILE), "uint8")}) as writer:
        writer.append(cam=cams)
    tiles = [TilePrompts(1, (PromptSet(120, (Prompt((5, 8, 40, 50), (20, 30)),)),))]
    seen = []
    released = segment.decode_prompts
    monkeypatch.setattr(segment, "decode_prompts", lambda *given: seen.append(given) or released(*given))
    [mask] = segment_scene(sam, run / "e.zarr.zip", tmp_path / "c.zarr.zip", tiles, MasksSettings(cam_mask=cam_mask))
    assert mask.tile == 1 and mask.mask.shape == (TILE, TILE)
    _, embeddings, asked, *_ = seen[0]
    if cam_mask:
        framed = np.zeros((1, 128, 128), np.uint8)
        x, y = embeddings.corners[0]
        framed[0, y : y + TILE, x : x + TILE] = cams[1]
        np.testing.assert_array_equal(asked.mask_logits, cam_to_mask_prompt(framed, 32).numpy())
    else:
        assert asked.mask_logits is None


def test_ready_made_tiles_have_no_windows(sam, tmp_path):
    attributes = {"scene": "valley", "tile_size": TILE, "kind": "folder"}
    with TileStackWriter(tmp_path / "t.zarr.zip", attributes, {"label": ((), "uint8")}) as writer:
        writer.append(label=np.ones(2, np.uint8))
    with pytest.raises(ConfigError, match="'valley' is a folder of ready-made tiles.*sam.window: null"):
        encode_scene(tmp_path / "t.zarr.zip", tmp_path / "e.zarr.zip", SamSettings(window=256), sam=sam)


def test_the_image_must_be_that_of_the_tiles(run, sam, tmp_path):
    settings = SamSettings(window=256)
    with pytest.raises(ConfigError, match="--image"):
        encode_scene(run / "tiles.zarr.zip", tmp_path / "e.zarr.zip", settings, sam=sam)
    other = tmp_path / "other.tif"
    other.write_bytes((run / "a.tif").read_bytes() + b"more")
    with pytest.raises(InputError, match="not the image that .* was cut of"):
        encode_scene(run / "tiles.zarr.zip", tmp_path / "e.zarr.zip", settings, sam=sam, image=other)


def test_windows_of_blocks_are_read_as_one_scene(run, sam, tmp_path):
    labels = LabelSettings()
    scene = Scene("a", "raster", run / "a.tif", run / "labels.csv", None, "train")
    settings = SamSettings.model_construct(**{**SamSettings().model_dump(), "window": 128, "precision": "fp32"})
    paths = []
    for number in (1, 2):
        tiles = tmp_path / f"tiles{number}.zarr.zip"
        tile_scene(scene, TILES, labels, SplitSettings(), tiles, Block(number, 2))
        paths.append(tmp_path / f"e{number}.zarr.zip")
        encode_scene(tiles, paths[-1], settings, sam=sam, image=run / "a.tif")
    join_stacks(paths, tmp_path / "e.zarr.zip")
    with (
        EmbeddingStore(run / "e.zarr.zip", sam) as whole,
        EmbeddingStore(tmp_path / "e.zarr.zip", sam) as joined,
        TileStack(tmp_path / "e.zarr.zip") as stack,
        TileStack(run / "tiles.zarr.zip") as tiles,
    ):
        assert joined.tiles == whole.tiles
        found = joined.read(joined.tiles)
        place = stack.read("window")[found.row, :2] + found.corners[:, ::-1]
        np.testing.assert_array_equal(place, tiles.read_at("window", joined.tiles)[:, :2])
