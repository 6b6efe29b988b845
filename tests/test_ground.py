"""Scene-wide stages: label map, exclusion, views for SAM, votes of overlapping masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from ground_scenes import SIZE, TILES, make_scene, read_grid, relabel, write_grid
from rasters import TRANSFORM, write_raster

from apsam.errors import InputError
from apsam.ground.gate import GroundGate
from apsam.ground.labels import ALL_LABELS, TRAINING_LABELS, make_ground_labels
from apsam.ground.raster import GridReader
from apsam.ground.ready_made import make_tile_ground_labels
from apsam.ground.settings import ViewSettings
from apsam.ground.views import make_views
from apsam.ground.votes import make_ground_masks
from apsam.masks.settings import CamMaskSettings
from apsam.masks.thresholded import make_cam_masks
from apsam.scenes import Scene
from apsam.stack import TileStack, TileStackWriter, join_stacks
from apsam.tiles.blocks import Block
from apsam.tiles.parts import NEITHER, TEST, TRAIN
from apsam.tiles.settings import LabelSettings, SplitSettings
from apsam.tiles.tiling import tile_scene


def expected(tiles: list[Path], parts: tuple[int, ...], height: int, width: int) -> np.ndarray:
    """The label map, pixel by pixel as the rule says it."""
    values = np.full((height, width), 255, np.uint8)
    for label in (1, 0):
        for path in tiles:
            with TileStack(path) as stack:
                for index in range(len(stack)):
                    row, col = stack.read("window")[index, :2]
                    if stack.read("label")[index] == label and stack.read("part")[index] in parts:
                        seen = stack.read_at("valid", [index])[0][: height - row, : width - col] > 0
                        values[row : row + SIZE, col : col + SIZE][seen] = label
    return values


@pytest.mark.parametrize("split", ["train", "test", "blocks"])
def test_label_map(tmp_path: Path, split: str) -> None:
    _, tiles, mask = make_scene(tmp_path, 600, 200, split)
    make_ground_labels(tiles, tmp_path / "labels.tif")
    everyone = read_grid(tmp_path / "labels.tif", ALL_LABELS)
    trained = read_grid(tmp_path / "labels.tif", TRAINING_LABELS)
    assert np.array_equal(everyone, expected(tiles, (TRAIN, TEST), *mask.shape))
    assert np.array_equal(trained, expected(tiles, (TRAIN,), *mask.shape))
    assert (everyone[:, -10:] == 255).all(), "no data is not known"
    assert set(np.unique(everyone)) == {0, 1, 255}
    if split != "test":
        assert (mask[trained == 0] == 0).all(), "no landslide lies where a negative tile is"
    else:
        assert (trained == 255).all(), "labels of a test scene train nothing"


def test_unlabelled_tiles_are_unknown_in_the_label_map(tmp_path: Path) -> None:
    _, tiles, mask = make_scene(tmp_path)
    with TileStack(tiles[0]) as stack:
        negative = np.flatnonzero(stack.read("label") == 0)
    relabel(tiles[0], part=dict.fromkeys(negative.tolist(), NEITHER))
    make_ground_labels(tiles, tmp_path / "labels.tif")
    assert 0 not in read_grid(tmp_path / "labels.tif")
    relabel(tiles[0], part=dict.fromkeys(negative.tolist(), TRAIN), label=dict.fromkeys(negative.tolist(), 255))
    make_ground_labels(tiles, tmp_path / "labels.tif")
    assert 0 not in read_grid(tmp_path / "labels.tif")


def test_blocks_count_as_one_scene(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    _, whole, _ = make_scene(tmp_path / "whole")
    _, blocks, _ = make_scene(tmp_path, blocks=3)
    join_stacks(blocks, tmp_path / "joined.zarr.zip")
    for name, tiles in (("whole", whole), ("blocks", blocks), ("joined", [tmp_path / "joined.zarr.zip"])):
        make_ground_labels(tiles, tmp_path / f"{name}.tif")
    for band in (ALL_LABELS, TRAINING_LABELS):
        for name in ("blocks", "joined"):
            assert np.array_equal(read_grid(tmp_path / f"{name}.tif", band), read_grid(tmp_path / "whole.tif", band))


def test_a_stack_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, blocks, _ = make_scene(tmp_path, 1200, 100, blocks=3)
    opened = []

    class Counted(TileStack):
        def __init__(self, path: Path) -> None:
            opened.append(path)
            super().__init__(path)

    monkeypatch.setattr("apsam.ground.labels.TileStack", Counted)
    make_ground_labels(blocks, tmp_path / "labels.tif")
    assert opened == blocks, "not once in each band of rows"


def test_stacks_of_two_scenes_are_refused(tmp_path: Path) -> None:
    _, one, _ = make_scene(tmp_path)
    _, other, _ = make_scene(tmp_path, name="ridge")
    with pytest.raises(InputError, match="different scenes, 'valley' and 'ridge'"):
        make_ground_labels([*one, *other], tmp_path / "labels.tif")
    with pytest.raises(InputError, match="no tile stack"):
        make_ground_labels([], tmp_path / "labels.tif")
    assert not (tmp_path / "labels.tif").exists()


def test_a_map_of_another_scene_is_refused(tmp_path: Path) -> None:
    _, tiles, _ = make_scene(tmp_path)
    _, other, _ = make_scene(tmp_path, 200, 200, name="ridge")
    make_ground_labels(other, tmp_path / "labels.tif")
    with pytest.raises(InputError, match="another pixel grid"), GroundGate(tiles[0], tmp_path / "labels.tif"):
        pass


def test_negative_tiles_of_another_block_empty_a_mask(tmp_path: Path) -> None:
    _, blocks, mask = make_scene(tmp_path, blocks=2)
    labels = tmp_path / "labels.tif"
    make_ground_labels(blocks, labels)
    reference = read_grid(labels)
    for number, tiles in enumerate(blocks):
        with TileStack(tiles) as stack:
            windows, label = stack.read("window"), stack.read("label")
            valid = stack.read("valid")
        cams, masks = tmp_path / "cams.zarr.zip", tmp_path / f"masks{number}.zarr.zip"
        with TileStackWriter(cams, {"scene": "valley"}, {"cam": ((SIZE, SIZE), "uint8")}) as writer:
            writer.append(cam=np.full((len(label), SIZE, SIZE), 255, np.uint8) * label[:, None, None])
        make_cam_masks(tiles, cams, CamMaskSettings(), masks, labels)
        with TileStack(masks) as stack:
            found = stack.read("mask")
        for index in np.flatnonzero(label == 1):
            row, col = windows[index, :2]
            ground = reference[row : row + SIZE, col : col + SIZE]
            seen = valid[index] > 0
            assert (found[index][seen] == (ground[seen] != 0)).all()
            assert (found[index][~seen] == 255).all()


def ready_made(folder: Path, mask: np.ndarray, placed: bool = True) -> Path:
    """A scene of random pixels cut into overlapping GeoTIFFs; the stack of them. Files lie in `folder`/tiles."""
    (folder / "tiles").mkdir()
    corners = [(row, col) for row in range(0, mask.shape[0] - SIZE + 1, 40) for col in (0, 40, 80)]
    rows = ["tile,label"]
    for row, col in corners:
        name = f"r{row}_c{col}.tif"
        pixels = np.full((3, SIZE, SIZE), 90, np.uint8)
        place = TRANSFORM @ Affine.translation(col, row)
        where = {} if placed else {"crs": None, "transform": None}
        write_raster(folder / "tiles" / name, pixels, **{"transform": place, **where})
        rows.append(f"{name},{int(mask[row : row + SIZE, col : col + SIZE].any())}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    scene = Scene("crops", "folder", folder / "tiles", folder / "labels.csv", None, "train")
    stack = folder / "crops.zarr.zip"
    tile_scene(scene, TILES, LabelSettings(), SplitSettings(), stack)
    return stack


def test_georeferenced_ready_made_tiles(tmp_path: Path) -> None:
    mask = np.zeros((224, 144), np.uint8)
    mask[100:110, 30:50] = 1
    tiles = ready_made(tmp_path, mask)
    output = tmp_path / "ground.zarr.zip"
    make_tile_ground_labels(tiles, tmp_path / "tiles", output)
    free = np.zeros(mask.shape, bool)
    with TileStack(tiles) as stack, TileStack(output) as ground, GroundGate(tiles, output) as gate:
        label, names = stack.read("label"), stack.attributes["names"]
        corners = [tuple(int(part[1:]) for part in Path(name).stem.split("_")) for name in names]
        for (row, col), positive in zip(corners, label, strict=True):
            if not positive:
                free[row : row + SIZE, col : col + SIZE] = True
        assert free.any() and label.any() and not free[mask == 1].any()
        for index, (row, col) in enumerate(corners):
            own = free[row : row + SIZE, col : col + SIZE]
            assert np.array_equal(ground.read("ground")[index], np.where(own, 0, 1))
            assert np.array_equal(gate.of([index])[0], ~own)


def test_blocks_of_ready_made_tiles_heed_negative_tiles_of_others(tmp_path: Path) -> None:
    mask = np.zeros((224, 144), np.uint8)
    mask[100:110, 30:50] = 1
    whole = ready_made(tmp_path, mask)
    scene = Scene("crops", "folder", tmp_path / "tiles", tmp_path / "labels.csv", None, "train")
    blocks = [tmp_path / f"crops.b00{number}.zarr.zip" for number in (1, 2)]
    for number, path in enumerate(blocks, 1):
        tile_scene(scene, TILES, LabelSettings(), SplitSettings(), path, Block(number, 2))
    joined, output, other = (tmp_path / name for name in ("joined.zarr.zip", "ground.zarr.zip", "one.zarr.zip"))
    join_stacks(blocks, joined)
    make_tile_ground_labels(joined, tmp_path / "tiles", output)
    with GroundGate(whole, output) as gate, TileStack(whole) as stack:
        expected = gate.of(range(len(stack)))
    found = []
    for path in blocks:
        with GroundGate(path, output) as gate, TileStack(path) as stack:
            found.append(gate.of(range(len(stack))))
    assert np.array_equal(np.concatenate(found), expected) and not expected.all()
    make_tile_ground_labels(blocks[0], tmp_path / "tiles", other)
    with pytest.raises(InputError, match=r"one\.zarr\.zip: has no tile '.*' of .*b002"):
        GroundGate(blocks[1], other)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_ready_made_tiles_without_georeference_are_independent(tmp_path: Path) -> None:
    mask = np.zeros((104, 144), np.uint8)
    mask[70:80, 10:20] = 1
    tiles = ready_made(tmp_path, mask, placed=False)
    output = tmp_path / "ground.zarr.zip"
    make_tile_ground_labels(tiles, tmp_path / "tiles", output)
    with TileStack(tiles) as stack, TileStack(output) as ground:
        expected = np.broadcast_to(stack.read("label")[:, None, None], (len(stack), SIZE, SIZE))
        assert np.array_equal(ground.read("ground"), expected)


def test_views_average_the_scene(tmp_path: Path) -> None:
    image, tiles, _ = make_scene(tmp_path)
    labels, output = tmp_path / "labels.tif", tmp_path / "views.zarr.zip"
    make_ground_labels(tiles, labels)
    make_views(tiles, image, labels, ViewSettings(size=64, step=38, multiples=(1,)), 2, output)
    with GridReader(labels) as ground, TileStack(output) as stack:
        windows, pixels, valid = (stack.read(name) for name in ("window", "image", "valid"))
        assert (windows[:, 2:] == 128).all() and set(stack.read("part")) == {NEITHER}
        assert all((ground.read(*window) == 1).any() for window in windows.tolist())
        with GridReader(image) as scene:
            red = scene.read(*windows[0].tolist()).astype(float)
    blocks = red.reshape(64, 2, 64, 2).mean((1, 3))
    assert np.abs(pixels[0, 0].astype(float) - blocks)[valid[0] > 0].max() <= 0.51


def test_views_at_several_multiples_cover_the_scene_at_each(tmp_path: Path) -> None:
    image, tiles, _ = make_scene(tmp_path)
    labels, output = tmp_path / "labels.tif", tmp_path / "views.zarr.zip"
    make_ground_labels(tiles, labels)
    found = {}
    for multiples in ((1,), (2,), (1, 2)):
        make_views(tiles, image, labels, ViewSettings(size=64, step=38, multiples=multiples), 1.5, output)
        with TileStack(output) as stack:
            found[multiples] = stack.read("window"), stack.read("image")
    for array, (fine, coarse, both) in enumerate(zip(*found.values(), strict=True)):
        assert np.array_equal(both, np.concatenate([fine, coarse])), array
    assert set(found[1, 2][0][:, 2].tolist()) == {96, 192}


def test_a_view_larger_than_the_scene_keeps_it_whole(tmp_path: Path) -> None:
    image, tiles, _ = make_scene(tmp_path, 100, 90)
    labels, output = tmp_path / "labels.tif", tmp_path / "views.zarr.zip"
    make_ground_labels(tiles, labels)
    make_views(tiles, image, labels, ViewSettings(size=64, step=38, multiples=(1,)), 4, output)
    with TileStack(output) as stack:
        assert stack.read("window").tolist() == [[0, 0, 256, 256]]
        assert stack.read("valid")[0].sum() == 25 * 20, "100 x 80 px hold data"


def test_pseudo_mask_by_votes_and_labels(tmp_path: Path) -> None:
    _, tiles, _ = make_scene(tmp_path, 64, 102)
    with TileStack(tiles[0]) as stack:
        assert stack.read("window")[:, 1].tolist() == [0, 38]
    ground = np.ones((64, 102), np.uint8)
    ground[:10], ground[-10:] = 0, 255
    labels = write_grid(tmp_path / "labels.tif", tiles[0], np.stack([ground, ground]))
    masks = tmp_path / "masks.zarr.zip"
    specs = {"mask": ((SIZE, SIZE), "uint8"), "threshold": ((), "int16")}

    def joined(first: int, second: int, thresholds: list[int], votes: float) -> np.ndarray:
        with TileStackWriter(masks, {"scene": "valley"}, specs) as writer:
            mask = np.stack([np.full((SIZE, SIZE), value, np.uint8) for value in (first, second)])
            writer.append(mask=mask, threshold=np.array(thresholds, np.int16))
        make_ground_masks([tiles[0]], [masks], labels, tmp_path / "mask.tif", votes)
        return read_grid(tmp_path / "mask.tif")

    half = joined(1, 0, [120, 120], 0.5)
    assert (half[:10] == 0).all() and (half[-10:] == 255).all()
    assert (half[10:-10, :64] == 1).all() and (half[10:-10, 64:] == 0).all()
    most = joined(1, 0, [120, 120], 0.6)
    assert (most[10:-10, :38] == 1).all() and (most[10:-10, 38:] == 0).all()
    assert (joined(1, 0, [120, -1], 0.6)[10:-10, :64] == 1).all(), "a tile that was not asked about has no vote"
    assert (joined(0, 0, [-1, -1], 0.5)[10:-10] == 0).all()


def test_masks_of_other_tiles_are_refused(tmp_path: Path) -> None:
    _, tiles, _ = make_scene(tmp_path)
    make_ground_labels(tiles, tmp_path / "labels.tif")
    with TileStackWriter(tmp_path / "masks.zarr.zip", {"scene": "valley"}, {"mask": ((64, 64), "uint8")}) as writer:
        writer.append(mask=np.zeros((2, 64, 64), np.uint8))
    with pytest.raises(InputError, match="different runs"):
        make_ground_masks(tiles, [tmp_path / "masks.zarr.zip"], tmp_path / "labels.tif", tmp_path / "mask.tif")


def test_views_of_another_image_are_refused(tmp_path: Path) -> None:
    _, tiles, _ = make_scene(tmp_path)
    make_ground_labels(tiles, tmp_path / "labels.tif")
    other = write_raster(tmp_path / "other.tif", np.ones((3, 300, 200), np.uint8))
    with pytest.raises(InputError, match="not the image"):
        make_views(tiles, other, tmp_path / "labels.tif", ViewSettings(), 2, tmp_path / "views.zarr.zip")
