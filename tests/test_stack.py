"""The tile stack: round trip, atomic appearance, the same bytes for the same data."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from apsam.errors import InputError
from apsam.files import sha256_file
from apsam.stack import TileStack, TileStackWriter, join_stacks

SPECS = {"image": ((3, 32, 32), "uint8"), "label": ((), "uint8")}


def write(path, images, labels, batch=4):
    with TileStackWriter(path, {"scene": "a", "names": ["x", "y"]}, SPECS) as writer:
        for start in range(0, len(images), batch):
            writer.append(image=images[start : start + batch], label=labels[start : start + batch])


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return rng.integers(0, 255, (10, 3, 32, 32), dtype=np.uint8), rng.integers(0, 2, 10).astype(np.uint8)


def test_round_trip(tmp_path, data):
    images, labels = data
    write(tmp_path / "a.zarr.zip", images, labels)
    with TileStack(tmp_path / "a.zarr.zip") as stack:
        assert len(stack) == 10
        assert stack.attributes["scene"] == "a" and stack.attributes["names"] == ["x", "y"]
        assert stack.arrays["image"] == ((3, 32, 32), "uint8")
        np.testing.assert_array_equal(stack.read("image"), images)
        np.testing.assert_array_equal(stack.read("label", 3, 7), labels[3:7])
        np.testing.assert_array_equal(stack.read_at("image", [9, 0, 5]), images[[9, 0, 5]])
        parts = [(start, batch["image"], batch["label"]) for start, batch in stack.batches(("image", "label"), 3)]
        assert [start for start, *_ in parts] == [0, 3, 6, 9]
        np.testing.assert_array_equal(np.concatenate([p[1] for p in parts]), images)
        np.testing.assert_array_equal(np.concatenate([p[2] for p in parts]), labels)


def test_same_data_gives_same_bytes_whatever_the_batches(tmp_path, data):
    write(tmp_path / "a.zarr.zip", *data)
    write(tmp_path / "b.zarr.zip", *data)
    write(tmp_path / "c.zarr.zip", *data, batch=10)
    hashes = {sha256_file(tmp_path / f"{name}.zarr.zip") for name in "abc"}
    assert len(hashes) == 1


def test_failed_write_leaves_no_file(tmp_path, data):
    images, labels = data
    with pytest.raises(RuntimeError, match="stop"):
        with TileStackWriter(tmp_path / "a.zarr.zip", {}, SPECS) as writer:
            writer.append(image=images, label=labels)
            raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []


def test_an_older_stack_survives_a_failed_write(tmp_path, data):
    images, labels = data
    write(tmp_path / "a.zarr.zip", images, labels)
    before = sha256_file(tmp_path / "a.zarr.zip")
    with pytest.raises(ValueError, match="different lengths"):
        with TileStackWriter(tmp_path / "a.zarr.zip", {}, SPECS) as writer:
            writer.append(image=images, label=labels[:3])
    assert sha256_file(tmp_path / "a.zarr.zip") == before


def test_wrong_batches_are_refused(tmp_path, data):
    images, labels = data
    with pytest.raises(ValueError, match="expected"):
        with TileStackWriter(tmp_path / "a.zarr.zip", {}, SPECS) as writer:
            writer.append(image=images.astype(np.float32), label=labels)
    with pytest.raises(ValueError, match="got arrays"):
        with TileStackWriter(tmp_path / "a.zarr.zip", {}, SPECS) as writer:
            writer.append(image=images)


def test_missing_and_invalid_stack_files(tmp_path):
    with pytest.raises(InputError, match="no such tile stack"):
        TileStack(tmp_path / "none.zarr.zip")
    (tmp_path / "text.zarr.zip").write_text("not a zip")
    with pytest.raises(InputError, match="not a tile stack"):
        TileStack(tmp_path / "text.zarr.zip")


def test_large_half_floats_come_back_and_give_the_same_bytes(tmp_path):
    """Embeddings of an official SAM, whose compressor works in blocks."""
    shape = (256, 64, 64)
    values = np.random.default_rng(0).normal(size=(5, *shape)).astype(np.float16)
    for name, size in (("a", 5), ("b", 2)):
        with TileStackWriter(tmp_path / name, {}, {"embedding": (shape, "float16")}) as writer:
            for start in range(0, 5, size):
                writer.append(embedding=values[start : start + size])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").stat().st_size < values.nbytes
    with TileStack(tmp_path / "a") as stack:
        np.testing.assert_array_equal(stack.read("embedding"), values)


def test_joined_blocks_are_found_where_all_files_are_links_into_a_cache(tmp_path: Path) -> None:
    """As of DVC with a cache on another disk; a job reads the joined file by a further link."""
    store, cache = tmp_path / "store/tiles", tmp_path / "cache"
    blocks = [store / f"v.b00{n}.{n:012x}/v.b00{n}.zarr.zip" for n in (1, 2)]
    for number, block in enumerate(blocks, 1):
        with TileStackWriter(block, {}, {"label": ((), "uint8")}) as writer:
            writer.append(label=np.array([number], np.uint8))
    joined = store / "joined/v.00000000000a/v.zarr.zip"
    join_stacks(blocks, joined)
    cache.mkdir()
    for number, file in enumerate([*blocks, joined]):
        file.rename(cache / str(number))
        file.symlink_to(os.path.relpath(cache / str(number), file.parent))
    plain = tmp_path / "files/v.zarr.zip"
    plain.parent.mkdir()
    plain.symlink_to(joined)
    for file in (joined, plain):
        with TileStack(file) as stack:
            assert stack.read("label").tolist() == [1, 2]
