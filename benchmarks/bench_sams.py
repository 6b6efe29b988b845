"""Compare SAMs: parameters, size of a stored embedding, seconds per tile, milliseconds per prompt, memory.

    python -m benchmarks.bench_sams --only light vit_b sam2.1_tiny

Each has its published size, random weights and a separate process, whose highest resident memory the system reports.
Seconds are processor time over all cores, or wall clock on a GPU. Writes the table of docs/sam.md.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np
import torch

from apsam.device import pick_device, set_threads
from apsam.sam.decode import decode_prompts
from apsam.sam.encode import encode_tiles
from apsam.sam.encode_scene import embedding_bytes
from benchmarks.bench_decode import SIZE, make_prompts
from benchmarks.measuring import TILE, synchronise, write
from benchmarks.real_sizes import SIZED, build_sized
from benchmarks.tables import write_all_tables

DEFAULT = ("light", "mobile", "vit_b", "sam2.1_tiny", "sam2.1_base_plus", "sam2.1_large", "sam_hq_vit_b", "sam3")


def measure_one(name: str, device: torch.device, tiles: int, prompts: int) -> dict[str, Any]:
    """Build one SAM, encode tiles and decode prompts on them; the faster of two rounds counts."""
    # Processor time excludes other processes; the time of a GPU is not part of it.
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    torch.manual_seed(0)
    sam = build_sized(name, device)
    images = np.random.default_rng(0).integers(0, 256, (tiles, 3, TILE, TILE), np.uint8)
    asked = make_prompts(prompts, tiles)
    encode_s, decode_s, embeddings = [], [], None
    for _ in range(2):
        started = clock()
        embeddings = encode_tiles(sam, images)
        synchronise()
        encode_s.append((clock() - started) / tiles)
        started = clock()
        decode_prompts(sam, embeddings, asked, SIZE)
        synchronise()
        decode_s.append((clock() - started) / prompts)
    peak = torch.cuda.max_memory_allocated() / 1e6 if device.type == "cuda" else 0
    return {
        "parameters_m": round(sum(weight.numel() for weight in sam.model.parameters()) / 1e6, 1),
        "embedding": list(sam.embedding_shape),
        "store_mb": round(embedding_bytes(sam.embedding_shape) / 1e6, 2),
        "encode_s": round(min(encode_s), 3),
        "decode_ms": round(1000 * min(decode_s), 1),
        "peak_mb": round(peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=SIZED, default=None, help="which SAMs")
    parser.add_argument("--one", choices=SIZED, help=argparse.SUPPRESS)
    parser.add_argument("--device", default="auto", help="cpu, cuda")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--tiles", type=int, default=2)
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--short", action="store_true", help="the light SAM alone")
    arguments = parser.parse_args()
    set_threads(arguments.threads)
    device = pick_device(arguments.device)
    if arguments.one:
        print(json.dumps(measure_one(arguments.one, device, arguments.tiles, arguments.prompts)))
        return
    sams = {}
    for name in arguments.only or (DEFAULT[:1] if arguments.short else DEFAULT):
        options = ["--one", name, "--device", str(device), "--threads", str(torch.get_num_threads())]
        sizes = ["--tiles", str(arguments.tiles), "--prompts", str(arguments.prompts)]
        command = [sys.executable, "-m", "benchmarks.bench_sams", *options, *sizes]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            print(f"{name}: failed, see above", file=sys.stderr)
            continue
        sams[name] = json.loads(done.stdout.splitlines()[-1])
        print(name, sams[name], file=sys.stderr, flush=True)
    write("sams", device, sams=sams)
    write_all_tables()


if __name__ == "__main__":
    main()
