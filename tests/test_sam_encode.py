import json
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_sam import tiny_sam, tiny_sam_model

from apsam.errors import ApsamError
from apsam.sam import encode
from apsam.sam.encode import encode_tiles, read_ahead, write_behind
from apsam.sam.encode_scene import encode_scene
from apsam.sam.frame import resize_tiles
from apsam.sam.settings import SamSettings
from apsam.stack import TileStack, TileStackWriter

from segment_anything import SamPredictor  # isort: skip
from segment_anything.utils.transforms import ResizeLongestSide  # isort: skip


@pytest.fixture(scope="module")
def sam():
    return tiny_sam()


def pictures(count, *size, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 3, *size), np.uint8)


@pytest.mark.parametrize("size", [(256, 256), (64, 64), (128, 64), (512, 512), (100, 333), (700, 300), (255, 255)])
@pytest.mark.parametrize("side", [512, 1024])
def test_pixels_are_those_of_the_predictor(size, side):
    images = pictures(2, *size)
    found = resize_tiles(images, side).numpy()
    for image, resized in zip(images, found, strict=True):
        expected = ResizeLongestSide(side).apply_image(image.transpose(1, 2, 0))
        np.testing.assert_array_equal(resized.transpose(1, 2, 0), expected)


@pytest.mark.parametrize("size", [(128, 128), (64, 64), (50, 33), (200, 300)])
def test_embeddings_are_those_of_the_predictor(sam, size):
    images = pictures(3, *size)
    found = encode_tiles(sam, images, batch=2, precision="fp32", dtype=np.float32)
    predictor = SamPredictor(tiny_sam_model())
    for image, embedding in zip(images, found, strict=True):
        predictor.set_image(image.transpose(1, 2, 0))
        np.testing.assert_allclose(embedding, predictor.get_image_embedding()[0].numpy(), atol=1e-4)


def test_float16_by_default(sam):
    images = pictures(2, 64, 64)
    half = encode_tiles(sam, images, precision="fp32")
    assert half.dtype == np.float16 and half.shape == (2, *sam.embedding_shape)
    full = encode_tiles(sam, images, precision="fp32", dtype=np.float32)
    np.testing.assert_allclose(half, full, rtol=1e-3, atol=1e-3)


def test_bf16_is_close(sam):
    images = pictures(2, 64, 64)
    full = encode_tiles(sam, images, precision="fp32", dtype=np.float32)
    short = encode_tiles(sam, images, precision="bf16", dtype=np.float32)
    assert 0 < np.linalg.norm(short - full) / np.linalg.norm(full) < 0.03


def test_out_of_memory_halves_the_batch(sam, monkeypatch):
    images = pictures(5, 64, 64)
    expected = encode_tiles(sam, images, precision="fp32")
    released, seen = encode._encode, []

    def limited(sam, resized, precision):
        seen.append(len(resized))
        if len(resized) > 2:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate")
        return released(sam, resized, precision)

    monkeypatch.setattr(encode, "_encode", limited)
    np.testing.assert_allclose(encode_tiles(sam, images, batch=8, precision="fp32"), expected, atol=1e-3)
    assert seen == [5, 2, 2, 1]


def test_not_enough_memory_for_one_tile_is_an_error(sam, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(encode, "_encode", full)
    with pytest.raises(ApsamError, match="not enough memory to encode one tile.*smaller SAM"):
        encode_tiles(sam, pictures(3, 64, 64))


def test_other_errors_are_not_swallowed(sam, monkeypatch):
    def broken(*_):
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(encode, "_encode", broken)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        encode_tiles(sam, pictures(3, 64, 64))


def make_tiles(path, labels, size=64):
    images = pictures(len(labels), size, size)
    arrays = {"image": ((3, size, size), "uint8"), "label": ((), "uint8")}
    attributes = {"scene": "valley", "tile_size": size}
    with TileStackWriter(path, attributes, arrays) as writer:
        writer.append(image=images, label=np.array(labels, np.uint8))
    return images


def test_store_has_the_positive_tiles(sam, tmp_path):
    images = make_tiles(tmp_path / "tiles.zarr.zip", [0, 1, 1, 0, 1])
    settings = SamSettings(batch=2, precision="fp32")
    encode_scene(tmp_path / "tiles.zarr.zip", tmp_path / "a.zarr.zip", settings, sam=sam)
    with TileStack(tmp_path / "a.zarr.zip") as stack:
        assert stack.read("tile").tolist() == [1, 2, 4]
        expected = encode_tiles(sam, images[[1, 2, 4]], precision="fp32")
        np.testing.assert_allclose(stack.read("embedding"), expected, atol=2e-3)
        assert stack.attributes["checkpoint_hash"] == sam.checkpoint_hash
        assert stack.attributes["scene"] == "valley"
        assert stack.attributes["made_by"]["name"] == "light"
    encode_scene(tmp_path / "tiles.zarr.zip", tmp_path / "b.zarr.zip", settings, sam=sam)
    assert (tmp_path / "a.zarr.zip").read_bytes() == (tmp_path / "b.zarr.zip").read_bytes()


def test_a_scene_without_landslides(sam, tmp_path):
    make_tiles(tmp_path / "tiles.zarr.zip", [0, 0])
    encode_scene(tmp_path / "tiles.zarr.zip", tmp_path / "a.zarr.zip", SamSettings(), sam=sam)
    with TileStack(tmp_path / "a.zarr.zip") as stack:
        assert len(stack) == 0


def test_full_disk_is_detected_before_encoding(sam, tmp_path, monkeypatch):
    make_tiles(tmp_path / "tiles.zarr.zip", [1, 1])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=10, used=5, free=5))
    with pytest.raises(ApsamError, match="free disk space"):
        encode_scene(tmp_path / "tiles.zarr.zip", tmp_path / "a.zarr.zip", SamSettings(), sam=sam)
    assert not (tmp_path / "a.zarr.zip").exists()


def test_read_ahead_keeps_the_order_and_works_at_the_same_time():
    reading = []

    def slow():
        for number in range(4):
            reading.append((number, threading.current_thread() is threading.main_thread()))
            yield number

    seen = []
    for number in read_ahead(slow()):
        time.sleep(0.02)
        seen.append(number)
        # the next one is fetched while this one is worked on
        assert len(reading) >= min(4, number + 2)
    assert seen == [0, 1, 2, 3]
    assert not any(main for _, main in reading)


def test_read_ahead_passes_errors_on():
    def broken():
        yield 1
        raise ApsamError("no such tile")

    with pytest.raises(ApsamError, match="no such tile"):
        list(read_ahead(broken()))


def test_write_behind_keeps_the_order_and_works_at_the_same_time():
    written, here = [], threading.current_thread()

    def slow(number):
        time.sleep(0.02)
        written.append((number, threading.current_thread() is here))

    with write_behind(slow) as write:
        for number in range(3):
            write(number=number)
        assert len(written) < 3
    assert written == [(0, False), (1, False), (2, False)]


def test_write_behind_passes_errors_on():
    def full(**_):
        raise OSError("disk full")

    for calls in (1, 2):
        with pytest.raises(OSError, match="disk full"), write_behind(full) as write:
            for _ in range(calls):
                write(number=1)


def test_the_script_names_what_is_wrong(tmp_path):
    script = Path(__file__).parents[1] / "scripts" / "encode.py"
    settings = json.dumps({"name": "vit_b", "checkpoint": str(tmp_path / "none.pth")})
    done = subprocess.run(
        [sys.executable, script, "--tiles", "a", "--output", "b", "--settings", settings],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and "no such SAM checkpoint" in done.stderr
