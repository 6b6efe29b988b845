"""A scene in blocks gives the same tiles, labels, parts, prompts and maps as the whole scene."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from rasterio.transform import from_origin
from rasters import write_raster
from safetensors.numpy import save_file
from torch import nn

from apsam.errors import InputError
from apsam.localizer.cam import make_cams
from apsam.localizer.checkpoint import save_localizer
from apsam.localizer.methods import build_method
from apsam.localizer.settings import CamSettings, LocalizerSettings
from apsam.maps.bands import join_bands
from apsam.maps.settings import MapSettings
from apsam.masks.prompted import make_prompted_masks
from apsam.prompts.files import join_prompts, make_prompts, read_prompts, write_prompts_geojson
from apsam.prompts.settings import PromptSettings
from apsam.resunet import predict
from apsam.sam.encode_scene import encode_scene
from apsam.sam.settings import MasksSettings, SamSettings
from apsam.scenes import Scene
from apsam.stack import TileStack, TileStackWriter, join_stacks
from apsam.tiles.blocks import WHOLE, Block, block_count, block_names, block_of, window_count
from apsam.tiles.settings import LabelSettings, SplitSettings, TileSettings
from apsam.tiles.tiling import tile_scene
from apsam.tiles.windows import tile_windows

COUNT = 3
TILES = TileSettings(size=64, overlap=0.4, stretch="percentile")
PLACE = {"crs": "EPSG:32648", "transform": from_origin(500000, 3000000, 0.5, 0.5)}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """16-bit pixels that have to be stretched, a corner without data, landslides in the mask."""
    rng = np.random.default_rng(0)
    image = rng.integers(1, 4000, (3, 330, 250)).astype(np.uint16)
    image[:, :120, :130] = 0
    mask = np.zeros((1, 330, 250), np.uint8)
    mask[0, 200:230, 40:90] = mask[0, 290:300, 200:220] = 1
    for name, values in (("scene", image), ("mask", mask)):
        write_raster(tmp_path / f"{name}.tif", values, nodata=0)
    return Scene("valley", "raster", tmp_path / "scene.tif", None, tmp_path / "mask.tif", "blocks")


def in_blocks(folder: Path, make: Callable[[Block, Path], None]) -> Path:
    """Let `make(block, path)` write every block, and join them."""
    blocks = [folder / f"{name}.zarr.zip" for name in block_names("valley", COUNT)]
    for number, path in enumerate(blocks, 1):
        make(Block(number, COUNT), path)
    join_stacks(blocks, folder / "valley.zarr.zip")
    return folder / "valley.zarr.zip"


@pytest.fixture
def tiled(scene: Scene, tmp_path: Path) -> tuple[Path, Path]:
    """Tile stacks: of the whole scene, and of its blocks, joined."""
    split = SplitSettings(block=110)

    def make(block: Block, path: Path) -> None:
        tile_scene(scene, TILES, LabelSettings(), split, path, block)

    whole = tmp_path / "whole/valley.zarr.zip"
    tile_scene(scene, TILES, LabelSettings(), split, whole)
    return whole, in_blocks(tmp_path / "blocks", make)


@pytest.mark.parametrize(("things", "most"), [(1, 4), (4, 4), (5, 4), (421_201, 4096)])
def test_blocks_are_even_and_complete(things: int, most: int) -> None:
    count = block_count(things, most)
    ranges = [Block(number, count).range(things) for number in range(1, count + 1)]
    assert ranges[0].start == 0 and ranges[-1].stop == things
    assert all(one.stop == other.start for one, other in zip(ranges, ranges[1:], strict=False))
    sizes = {one.stop - one.start for one in ranges}
    assert max(sizes) <= most and max(sizes) - min(sizes) <= 1


def test_names() -> None:
    assert block_names("valley", 1) == ["valley"]
    assert block_names("valley", 2) == ["valley.b001", "valley.b002"]
    assert [block_of(name) for name in ("valley", "valley.b012")] == [("valley", 1), ("valley", 12)]
    assert window_count(330, 250, 64, 38) == len(tile_windows(330, 250, 64, 38))


def test_tiles_labels_and_parts_are_those_of_the_whole_scene(tiled: tuple[Path, Path]) -> None:
    with TileStack(tiled[0]) as whole, TileStack(tiled[1]) as blocks:
        assert len(blocks.lengths) == COUNT and len(whole.lengths) == 1
        assert len(whole) == len(blocks) > 2 * COUNT and whole.attributes == blocks.attributes
        assert {0, 1} <= set(whole.read("part").tolist()) and 0 < whole.read("label").mean() < 1
        order = np.random.default_rng(1).permutation(len(whole))
        for name in whole.arrays:
            assert np.array_equal(whole.read(name), blocks.read(name))
            assert np.array_equal(whole.read(name, 3, -2), blocks.read(name, 3, -2))
            assert np.array_equal(whole.read_at(name, order), blocks.read_at(name, order))
            assert blocks.read(name, 5, 5).shape == whole.read(name, 5, 5).shape
        pairs = zip(whole.batches(("label",), 7), blocks.batches(("label",), 7), strict=True)
        assert all(one[0] == other[0] and np.array_equal(one[1]["label"], other[1]["label"]) for one, other in pairs)


def test_a_block_without_valid_tiles_is_empty(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "block.zarr.zip"
    tile_scene(scene, TILES, LabelSettings(), SplitSettings(block=110), path, Block(1, 50))
    with TileStack(path) as stack:
        assert len(stack) == 0 and stack.read("image").shape == (0, 3, 64, 64)


def test_a_joined_stack_changes_with_its_blocks(tiled: tuple[Path, Path]) -> None:
    joined = tiled[1]
    before = joined.read_bytes()
    blocks = [joined.with_name(f"{name}.zarr.zip") for name in block_names("valley", COUNT)]
    blocks[1].write_bytes(blocks[0].read_bytes())
    join_stacks(blocks, joined)
    assert joined.read_bytes() != before
    blocks[1].unlink()
    with pytest.raises(InputError, match="b002"):
        TileStack(joined)


def test_numbers_of_tiles_count_through(tmp_path: Path) -> None:
    """Embeddings exist for some tiles only; those of a block name them by their number in the block."""

    def make(block: Block, path: Path) -> None:
        attributes = {"scene": "valley", "tiles": 10}
        with TileStackWriter(path, attributes, {"tile": ((), "int32")}) as writer:
            writer.append(tile=np.arange(block.number, dtype=np.int32))

    with TileStack(in_blocks(tmp_path, make)) as stack:
        assert stack.attributes["tiles"] == 30
        assert stack.read("tile").tolist() == [0, 10, 11, 20, 21, 22]
        assert stack.read_at("tile", [5, 2]).tolist() == [22, 11]
        assert stack.read("tile").dtype == np.int32


def test_prompts_are_those_of_the_whole_scene(tiled: tuple[Path, Path], tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    with TileStack(tiled[1]) as stack:
        lengths, label = stack.lengths, stack.read("label")
    cams = np.kron(rng.integers(0, 255, (len(label), 8, 8)), np.ones((8, 8))).astype(np.uint8) * label[:, None, None]
    starts = np.cumsum([0, *lengths])

    def make_cams(values: np.ndarray, path: Path) -> None:
        with TileStackWriter(path, {"scene": "valley"}, {"cam": ((64, 64), "uint8")}) as writer:
            writer.append(cam=values)

    files = []
    for number in range(COUNT):
        path = tmp_path / f"cams{number}.zarr.zip"
        make_cams(cams[starts[number] : starts[number + 1]], path)
        files.append(tmp_path / f"block{number}.json")
        make_prompts(path, PromptSettings(), files[-1])
    make_cams(cams, tmp_path / "cams.zarr.zip")
    make_prompts(tmp_path / "cams.zarr.zip", PromptSettings(), tmp_path / "whole.json")
    join_prompts(files, lengths, tmp_path / "joined.json")
    assert (tmp_path / "joined.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    assert len(read_prompts(tmp_path / "whole.json").tiles) > COUNT
    for tiles, name in zip(tiled, ("whole", "joined"), strict=True):
        write_prompts_geojson(read_prompts(tmp_path / "joined.json"), tiles, tmp_path / f"{name}.geojson")
    assert (tmp_path / "whole.geojson").read_bytes() == (tmp_path / "joined.geojson").read_bytes()


def test_every_stage_up_to_the_masks(scene: Scene, tmp_path: Path) -> None:
    """Divide into four blocks, of which one has no tile, and compare with the whole scene, array by array."""
    weights = tmp_path / "localizer.safetensors"
    torch.manual_seed(0)
    save_localizer(build_method(LocalizerSettings(weights="none")).eval(), weights)
    tiles = TileSettings(size=128, overlap=0.4)

    def make(folder: Path, name: str, block: Block) -> None:
        def file(stage: str, ending: str = "zarr.zip") -> Path:
            return folder / f"{stage}/{name}.{ending}"

        tile_scene(scene, tiles, LabelSettings(), SplitSettings(block=200), file("tiles"), block)
        make_cams(file("tiles"), weights, file("cams"), CamSettings(scales=(1.0,), flips="none"), "cpu")
        make_prompts(file("cams"), PromptSettings(), file("prompts", "json"))
        encode_scene(file("tiles"), file("embeddings"), SamSettings(), "cpu")
        inputs = file("tiles"), file("cams"), file("prompts", "json"), file("embeddings")
        make_prompted_masks(*inputs, SamSettings(), MasksSettings(), file("masks"), "cpu")

    make(tmp_path / "whole", "valley", WHOLE)
    names = block_names("valley", 12)
    for number, name in enumerate(names, 1):
        make(tmp_path / "blocks", name, Block(number, 12))
    for stage in ("tiles", "cams", "embeddings", "masks"):
        joined = tmp_path / f"blocks/{stage}/valley.zarr.zip"
        join_stacks([joined.with_name(f"{name}.zarr.zip") for name in names], joined)
        with TileStack(joined) as blocks, TileStack(tmp_path / f"whole/{stage}/valley.zarr.zip") as whole:
            assert len(blocks) == len(whole) > 0 in blocks.lengths
            for array in whole.arrays:
                found, there = (stack.read(array).astype(float) for stack in (blocks, whole))
                # Batches of other sizes differ in the last bits, and so do grey values that lie on the edge (AVX2).
                assert np.allclose(found, there, atol=1 if array == "cam" else 1e-5), (stage, array)
                assert np.mean(found != there) < 1e-3 or array != "cam"
                assert array != "mask" or (whole.read(array) == 1).any()


class Convolutions(nn.Module):
    """Depends on neighbours, so that a window's prediction depends on its position."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 9, padding=4), nn.ReLU(), nn.Conv2d(4, 1, 9, padding=4))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return 3 * self.layers(image)


@pytest.mark.parametrize(
    ("count", "overlap", "metres"), [(2, 0.4, None), (4, 0.7, None), (8, 0.0, None), (2, 0.4, 0.7)]
)
def test_a_map_in_bands_is_the_map(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, overlap: float, metres: float | None
) -> None:
    monkeypatch.setattr(predict, "load_resunet", lambda path, device: (Convolutions().eval(), None))
    weights = tmp_path / "weights"
    save_file({}, weights)  # stands for weights
    settings = MapSettings(overlap=overlap, batch_size=3)
    tiles = TILES.model_copy(update={"resolution_m": metres})
    whole = [tmp_path / f"whole_{kind}.tif" for kind in ("probability", "mask")]
    predict.predict_raster(scene.image, weights, tiles, settings, *whole, "cpu", "valley")
    count = min(count, len(range(0, round(330 * 0.5 / (metres or 0.5)), settings.stride(64))) - 1)
    bands = [tmp_path / f"band{number}.tif" for number in range(1, count + 1)]
    for number, path in enumerate(bands, 1):
        predict.predict_band(scene.image, weights, tiles, settings, Block(number, count), path, "cpu", "valley")
    joined = [tmp_path / f"joined_{kind}.tif" for kind in ("probability", "mask")]
    join_bands(scene.image, bands, settings, *joined, "valley", tiles)
    for one, other in zip(whole, joined, strict=True):
        assert one.read_bytes() == other.read_bytes()
    with rasterio.open(whole[0]) as raster:
        values = raster.read(1)
        assert len(np.unique(values)) > 20 and (values == 255).any()
    with pytest.raises(InputError, match="rows"):
        join_bands(scene.image, bands[1:], settings, *joined, "valley", tiles)
