"""Benchmarks: what is measured is rendered into its place of the document, and ratios are those of the medians."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

from benchmarks import measuring
from benchmarks.__main__ import NAMES
from benchmarks.measuring import measure, ratio, set_up
from benchmarks.tables import PARTS, render, write_tables

MACHINE = {
    "processor": "a processor", "threads": 2, "load_1min": 0.4, "bf16_instructions": True, "amx": False,
    "torch": "2.13.0", "transformers": None,
}  # fmt: skip
BOTH = {"wall_s": 3.5, "processor_s": 3.25}
ROW = {
    "wall_s": {"median": 2.0, "lowest": 1.5, "highest": 2.5},
    "processor_s": {"median": 3.0, "lowest": 2.9, "highest": 3.1},
    "relative_error": 0.0123,
}
STAGE = {"peak_mb": 528, "seconds": 21.7}
CONTENT = {
    "measured": {"apsam, bf16": ROW},
    "times_faster": {"slow / fast": BOTH},
    "times_as_long": BOTH,
    "compile_s": 61.5,
    "pays_after_tiles": None,
    "encode_s": 8.1,
    "products_gflop": 970.5,
    "product_rate_gflop_s": {"bfloat16": 195.0, "float32": 82.0},
    "floor_s": 4.98,
    "share_of_product_rate": 0.61,
    "share_of_operations": {"aten::addmm": 0.47},
    "memory": [{"tiles": 15000, "encoded": 150, "encode": STAGE, "masks": STAGE}],
    "sam": "vit_b",
    "scenes": ["east"],
    "windows": {
        "tiles": {
            "encoded": 40, "encode_s": 9.5, "encode_processor_s": 9.25, "masks_s": 2.5, "masks_processor_s": 2.25,
            "megabytes": 7.7, "tiles": 38, "iou": 0.71, "f1": 0.83, "mean_iou": 0.66,
        }
    },
    "compressors": {"zstd": {"share_of_size": 0.77, "write_ms_a_tile": 1.5, "read_ms_a_tile": 1.3}},
    "report": {"tiles": 10000, "wall_s": 35.0, "processor_s": 33.5, "page_mb": 6.1, "peak_mb": 600},
    "bytes_a_tile": 2097152,
    "encode_ms_a_tile": 99.5,
}  # fmt: skip
SHOWN = {
    "measured": "| apsam, bf16 | 2.00 (1.50-2.50) | 3.00 | 1.2e-02 |",
    "times_faster": "| slow / fast | 3.5 | 3.25 |",
    "times_as_long": "**3.5** by wall clock, 3.25 by processor time",
    "compile_s": "Compiling takes 61.5 s; it pays never.",
    "floor_s": "at 195.0 in bfloat16, 82.0 in float32 GFLOP/s, so the floor is **4.98 s**",
    "memory": "| 15000 | 150 | 528 | 528 | 21.7 | 21.7 |",
    "windows": "| tiles | 40 | 9.5 | 9.25 | 2.5 | 2.25 | 7.7 | 0.71 | 0.83 | 0.66 |",
    "report": "The report of 10000 tiles: 35.0 s (33.5 s of the processor), 6.1 MB, at most 600 MB",
    "compressors": "| zstd | 77% | 1.5 | 1.3 |",
}


@pytest.mark.parametrize("part", PARTS)
def test_every_part_shows_its_figures(part):
    text = render({"command": "python -m benchmarks", "machine": MACHINE, **CONTENT})
    assert SHOWN[part] in text
    assert "`python -m benchmarks`" in text and "a processor, 2 thread(s), AVX512-BF16, no AMX; torch 2.13.0" in text


def test_tables_replace_their_own_place_only(tmp_path):
    document = tmp_path / "performance.md"
    document.write_text(
        "# One\n<!-- sweep -->\nold\n<!-- end of sweep -->\nkept\n"
        "<!-- sweep_cuda -->\nnot measured\n<!-- end of sweep_cuda -->\n"
    )
    content = {"command": "c", "machine": MACHINE, "times_as_long": BOTH}
    (tmp_path / "sweep.json").write_text(json.dumps(content))
    (tmp_path / "nowhere.json").write_text(json.dumps(content))
    write_tables(document, tmp_path)
    text = document.read_text()
    assert "old" not in text and "**3.5**" in text and "kept" in text and "not measured" in text
    write_tables(document, tmp_path)
    assert document.read_text() == text


def test_every_measurement_has_its_place_in_the_document():
    text = (Path(measuring.__file__).parents[1] / "docs" / "performance.md").read_text()
    for name in NAMES:
        assert f"<!-- {name}" in text, name


def test_ratios_are_those_of_the_medians():
    calls = []
    found = measure({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=2)
    assert calls == ["a", "b"] * 3, "one round that does not count, then two, in turns"
    assert set(found["a"]["wall_s"]) == {"median", "lowest", "highest"}
    found["a"]["wall_s"]["median"], found["b"]["wall_s"]["median"] = 6.0, 1.5
    found["a"]["processor_s"]["median"], found["b"]["processor_s"]["median"] = 4.0, 2.0
    assert ratio(found, "a", "b") == {"wall_s": 4.0, "processor_s": 2.0}


def test_short_sizes_give_way_to_those_named(monkeypatch):
    sizes = {"tiles": (300, 60, "tiles"), "prompts": (1000, 200, "prompts")}
    monkeypatch.setattr(sys, "argv", ["bench", "--short", "--prompts", "7", "--device", "cpu", "--threads", "1"])
    setup = set_up("What it is.", sizes=sizes)
    assert (setup.options.tiles, setup.options.prompts, setup.repeats) == (60, 7, 1)


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_can_be_imported(name):
    assert callable(importlib.import_module(f"benchmarks.bench_{name}").main)
