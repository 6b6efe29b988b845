"""Lossless compression of stored embeddings (float16): size and time.

Embeddings of synthetic scenes by the light SAM with its weights; compressors available in Zarr.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec, ZstdCodec
from zarr.storage import LocalStore

from apsam.sam.encode import encode_tiles
from apsam.sam.registry import build_sam
from apsam.synthetic.scene import make_scene
from apsam.synthetic.settings import SyntheticSettings
from benchmarks.measuring import TILE, set_up, write

COMPRESSORS: dict[str, Any] = {
    "none": None,
    "zstd, level 1": ZstdCodec(level=1),
    "zstd, level 9": ZstdCodec(level=9),
    "bytes shuffled, zstd 1": BloscCodec(cname="zstd", clevel=1, shuffle="shuffle", typesize=2),
    "bits shuffled, zstd 1": BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle", typesize=2),
    "bits shuffled, lz4": BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle", typesize=2),
}


def scenery(count: int) -> np.ndarray:
    """Tiles of a synthetic scene, (count, 3, 256, 256) uint8."""
    side = TILE * int(np.ceil(count**0.5))
    image = make_scene("bench", SyntheticSettings(size_px=side)).image
    tiles = image.reshape(side // TILE, TILE, side // TILE, TILE, 3).transpose(0, 2, 4, 1, 3)
    return tiles.reshape(-1, 3, TILE, TILE)[:count]


def store(folder: Path, embeddings: np.ndarray, compressor: Any) -> dict[str, float]:
    """Write embeddings as the pipeline does, a chunk per tile, and read them again."""
    shutil.rmtree(folder, ignore_errors=True)
    started = time.process_time()
    array = zarr.create_group(LocalStore(folder)).create_array(
        "embedding", shape=embeddings.shape, chunks=(1, *embeddings.shape[1:]), dtype="float16",
        compressors=compressor if compressor else (),
    )  # fmt: skip
    array[:] = embeddings
    written = time.process_time()
    found = np.stack([array[index] for index in range(len(embeddings))])
    read = time.process_time()
    if not np.array_equal(found, embeddings):
        raise RuntimeError("not what was written")
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return {
        "share_of_size": round(size / embeddings.nbytes, 3),
        "write_ms_a_tile": round(1000 * (written - started) / len(embeddings), 2),
        "read_ms_a_tile": round(1000 * (read - written) / len(embeddings), 2),
    }


def main() -> None:
    setup = set_up(__doc__, sam="light", sizes={"tiles": (64, 16, "tiles")})
    sam = build_sam(setup.options.sam, device=setup.device)
    encode_tiles(sam, scenery(2))  # the first call also starts threads and allocates memory
    started = time.process_time()
    embeddings = encode_tiles(sam, scenery(setup.options.tiles))
    encode_ms = 1000 * (time.process_time() - started) / len(embeddings)
    with tempfile.TemporaryDirectory() as folder:
        rows = {name: store(Path(folder) / "a", embeddings, one) for name, one in COMPRESSORS.items()}
    write(
        "store",
        setup.device,
        sam=setup.options.sam,
        tiles=len(embeddings),
        bytes_a_tile=int(embeddings.nbytes / len(embeddings)),
        encode_ms_a_tile=round(encode_ms, 1),
        compressors=rows,
    )


if __name__ == "__main__":
    main()
