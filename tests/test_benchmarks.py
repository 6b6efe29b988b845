"""Benchmarks: measurements are rendered in their place of the document, and ratios are those of the medians."""

from __future__ import annotations

import importlib
import json
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from tiny_sam import tiny_sam_model

from apsam.files import read_json
from apsam.sam import registry
from apsam.synthetic.scene import make_scene, write_scene
from apsam.synthetic.settings import SyntheticSettings
from benchmarks import bench_floor, bench_report, bench_sams, bench_windows, gpu, measuring, real_sizes
from benchmarks.__main__ import NAMES
from benchmarks.gpu import Run
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
    "sams": {
        "sam2.1_tiny": {
            "parameters_m": 38.9, "embedding": [1024, 64, 64], "store_mb": 8.39, "encode_s": 1.25, "decode_ms": 80.5,
            "peak_mb": 1500,
        }
    },
    "demo": {"configuration": "demo", "wall_s": 301.5, "stages_s": {"resunet": 180.5}},
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
    "sams": "| `sam2.1_tiny` | 38.9 | 1024x64x64 | 8.39 | 1.25 | 80.5 | 1500 |",
    "demo": "The demo run takes **301.5 s**. Its jobs together: resunet 180.5 s.",
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


def test_named_sizes_override_short_ones(monkeypatch):
    sizes = {"tiles": (300, 60, "tiles"), "prompts": (1000, 200, "prompts")}
    monkeypatch.setattr(sys, "argv", ["bench", "--short", "--prompts", "7", "--device", "cpu", "--threads", "1"])
    setup = set_up("What it is.", sizes=sizes)
    assert (setup.options.tiles, setup.options.prompts, setup.repeats) == (60, 7, 1)


def test_measurements_of_other_pages_are_left_alone(tmp_path):
    """`workflow.json` once had no `threads`, and ended every `python -m benchmarks` after hours of measuring."""
    document = tmp_path / "performance.md"
    document.write_text("# One\n")
    (tmp_path / "workflow.json").write_text(json.dumps({"command": "c", "machine": {"cores": 2}}))
    write_tables(document, tmp_path)
    assert document.read_text() == "# One\n"


# Every benchmark with `--short`, and sizes that take seconds.


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """ViT-B and ViT-H are small ones, transformers' too, nothing is compiled, results lie in a folder of the test."""
    for name in ("vit_b", "vit_h"):
        monkeypatch.setitem(registry.OFFICIAL, name, lambda: tiny_sam_model(128, depth=2))
        vit = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, global_attn_indexes=[0], image_size=1024)
        monkeypatch.setitem(real_sizes.VIT, name, vit)
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    monkeypatch.setattr(bench_floor, "PRODUCTS", {"cpu": (64, 64, 64), "cuda": (64, 64, 64)})
    for name, value in (("ROWS", 2), ("COLS", 3)):
        monkeypatch.setattr(bench_report, name, value)
    monkeypatch.setattr(measuring, "MEASURED", tmp_path / "measured")
    return tmp_path / "measured"


def places(measured):
    return "".join(f"<!-- {file.stem} -->\n<!-- end of {file.stem} -->\n" for file in sorted(measured.glob("*.json")))


def run_benchmark(name, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", [f"bench_{name}", "--short", "--device", "cpu", "--threads", "1", *arguments])
    importlib.import_module(f"benchmarks.bench_{name}").main()


TINY = {
    "encode": ["--tiles", "1"],
    "floor": [],
    "compile": [],
    "backbone": ["--batch", "2", "--repeats", "1"],
    "decode": ["--tiles", "2", "--prompts", "3"],
    "sweep": ["--tiles", "1"],
    "train": ["--batch", "2"],
    "store": ["--tiles", "2"],
    "memory": ["--fewest", "4", "--most", "4", "--every", "2"],
    "report": ["--scenes", "2"],
}


# Their processes import torch anew.
SLOW = ("memory",)


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in TINY])
def test_every_benchmark_runs_in_short_and_has_its_table(name, tiny, monkeypatch, tmp_path):
    run_benchmark(name, monkeypatch, *TINY[name])
    document = tmp_path / "page.md"
    document.write_text(places(tiny))
    write_tables(document, tiny)
    assert f"<!-- {name} -->\n`python -m benchmarks.bench_{name} --short" in document.read_text()


def test_the_benchmark_of_windows_runs_in_short(tiny, monkeypatch, tmp_path):
    made = make_scene("east", SyntheticSettings(size_px=384, no_data_share=0.0))
    write_scene(made, tmp_path / "east.tif", tmp_path / "east_mask.tif")
    header, row = "scene\timage\tlabels\tmask\tsplit", "east\teast.tif\tmask\teast_mask.tif\ttrain"
    (tmp_path / "scenes.tsv").write_text(f"{header}\n{row}\n")
    (tmp_path / "overlay.yaml").write_text(f"scenes: {tmp_path / 'scenes.tsv'}\n")
    monkeypatch.chdir(Path(measuring.__file__).parents[1])
    monkeypatch.setattr(bench_windows, "WAYS", {"tiles": None, "windows of 384 px": 384})
    run_benchmark("windows", monkeypatch, "--true-prompts", "--overlay", str(tmp_path / "overlay.yaml"))
    assert [file.name for file in tiny.glob("*.json")] == ["windows_demo_true_prompts.json"]


def test_no_benchmark_is_forgotten():
    assert set(NAMES) == {*TINY, "windows"}


@pytest.mark.slow
def test_each_sam_is_measured_in_a_separate_process(tiny, monkeypatch):
    monkeypatch.setattr(bench_sams, "write_all_tables", lambda: None)
    run_benchmark("sams", monkeypatch, "--tiles", "1", "--prompts", "2")
    row = read_json(tiny / "sams.json")["sams"]["light"]
    assert row["embedding"] == [384, 32, 32] and row["store_mb"] == 0.79 and row["peak_mb"] > 100


@pytest.mark.slow
def test_the_benchmarks_of_the_workflow_run_in_short(tiny, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["bench_workflow", "--short", "--plan", "4", "--run", "4"])
    importlib.import_module("benchmarks.bench_workflow").main()
    run_benchmark("demo", monkeypatch)
    assert read_json(tiny / "workflow.json")["machine"]["threads"]
    assert read_json(tiny / "demo.json")["demo"]["stages_s"]["resunet/apsam"] > 0


# The command for a GPU, with tiny sizes on the CPU.


def test_all_tables_of_a_gpu_are_measured_by_one_command(tiny, tmp_path):
    wanted = [run for run in gpu.RUNS if run.name != "demo"]
    small = {"encode": ("--tiles", "1"), "floor": ("--batch", "1"), "sweep": ("--tiles", "1")}
    runs = [Run(run.name, (*run.arguments, *small.get(run.name, TINY[run.name])), run.seconds) for run in wanted]
    outcome = gpu.measure_all(runs, 3600, "cpu", ["--short", "--threads", "1"])
    assert outcome == {run.name: "measured" for run in wanted}
    document = tmp_path / "page.md"
    document.write_text(places(tiny))
    write_tables(document, tiny)
    assert "python -m benchmarks.bench_encode --sam vit_h" in document.read_text()


def test_what_a_gpu_measures_has_its_place_in_the_document():
    text = (Path(measuring.__file__).parents[1] / "docs" / "performance.md").read_text()
    for run in gpu.RUNS:
        assert f"<!-- {run.name}_cuda -->" in text, run.name


def test_gpu_budget_is_kept_and_a_failure_does_not_stop_others(monkeypatch):
    now, done = [0.0], []

    def measure_one(run, *_):
        done.append(run.name)
        now[0] += run.seconds
        return "measured"

    monkeypatch.setattr(gpu, "_measure", measure_one)
    runs = [Run("a", (), 300), Run("b", (), 200), Run("c", (), 100)]
    outcome = gpu.measure_all(runs, 480, "cpu", clock=lambda: now[0])
    assert done == ["a", "c"] and outcome["b"] == "left out: it takes 200 s, 180 s are left"
    monkeypatch.undo()
    before = sys.argv
    outcome = gpu.measure_all([Run("floor", ("--no-such-option",), 1)], 60, "cpu")
    assert outcome["floor"].startswith("failed: SystemExit") and sys.argv is before


def test_the_usual_times_fit_into_eight_minutes():
    assert sum(run.seconds for run in gpu.RUNS) <= 480
