"""Write measurements as tables into docs/performance.md and docs/sam.md."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from apsam.files import atomic_path, read_json
from benchmarks.measuring import MEASURED

DOCUMENTS = tuple(Path(__file__).parents[1] / "docs" / name for name in ("performance.md", "sam.md"))
PLACE = "<!-- {0} -->\n.*?<!-- end of {0} -->"


def write_all_tables() -> None:
    """Write the tables of all documents."""
    for document in DOCUMENTS:
        write_tables(document)


def write_tables(document: Path, measured: Path = MEASURED) -> None:
    """Replace the text of each measurement in a document, between its two comments.

    Measurements without such comments belong to other pages.
    """
    text = document.read_text()
    for path in sorted(measured.glob("*.json")):
        place = re.compile(PLACE.format(re.escape(path.stem)), re.DOTALL)
        if place.search(text):
            table = f"<!-- {path.stem} -->\n{render(read_json(path))}\n<!-- end of {path.stem} -->"
            text = place.sub(lambda _, table=table: table, text)
    with atomic_path(document) as partial:
        partial.write_text(text)


def render(content: dict[str, Any]) -> str:
    """Format one measurement as Markdown: command and machine, then its tables and single values."""
    machine = content["machine"]
    device = machine.get("gpu") or f"{machine['processor']}, {machine['threads']} thread(s)"
    features = "AMX" if machine["amx"] else "AVX512-BF16, no AMX" if machine["bf16_instructions"] else "no bf16"
    versions = ", ".join(f"{name} {machine[name]}" for name in ("torch", "transformers") if machine.get(name))
    lines = [
        f"`{content['command']}`  ",
        f"{device}, {features}; {versions}; load of the machine {machine['load_1min']}",
    ]
    for key, part in PARTS.items():
        if key in content:
            lines += ["", *part(content)]
    return "\n".join(lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    return [f"| {' | '.join(map(str, row))} |" for row in (head, ["---"] * len(head), *rows)]


def _times(content: dict[str, Any]) -> list[str]:
    measured = content["measured"]
    extra = {
        "relative_error": ("error to fp32", "{:.1e}"),
        "gpu_memory_gb": ("memory, GB", "{:.1f}"),
        "tiles_a_second": ("tiles a second", "{:.3g}"),
    }
    extra = {key: form for key, form in extra.items() if any(key in row for row in measured.values())}
    head = ["", "wall clock, s (lowest-highest)", "processor, s", *(title for title, _ in extra.values())]
    rows = []
    for name, row in measured.items():
        wall = row["wall_s"]
        rows.append(
            [
                name,
                f"{wall['median']:.2f} ({wall['lowest']:.2f}-{wall['highest']:.2f})",
                f"{row['processor_s']['median']:.2f}",
                *(form.format(row[key]) if key in row else "" for key, (_, form) in extra.items()),
            ]
        )
    return _table(head, rows)


def _faster(content: dict[str, Any]) -> list[str]:
    rows = [(name, both["wall_s"], both["processor_s"]) for name, both in content["times_faster"].items()]
    return _table(["times faster", "by wall clock", "by processor time"], rows)


def _as_long(content: dict[str, Any]) -> list[str]:
    both = content["times_as_long"]
    return [f"Times as long: **{both['wall_s']}** by wall clock, {both['processor_s']} by processor time."]


def _compile(content: dict[str, Any]) -> list[str]:
    tiles = content["pays_after_tiles"]
    return [f"Compiling takes {content['compile_s']} s; it pays {f'after {tiles} tiles' if tiles else 'never'}."]


def _floor(content: dict[str, Any]) -> list[str]:
    rates = ", ".join(f"{value} in {name}" for name, value in content["product_rate_gflop_s"].items())
    share = ", ".join(f"{key} {value:.0%}" for key, value in content["share_of_operations"].items())
    return [
        f"{content['sam']}: {content['encode_s']} s a tile. Its products are {content['products_gflop']} GFLOP; one "
        f"large product runs at {rates} GFLOP/s, so the floor is **{content['floor_s']} s** and the encoder reaches "
        f"{content['share_of_product_rate']:.0%} of that rate. Share of the time: {share}."
    ]


def _memory(content: dict[str, Any]) -> list[str]:
    rows = [
        [row["tiles"], row["encoded"], *(row[stage][key] for key in ("peak_mb", "seconds") for stage in STAGES)]
        for row in content["memory"]
    ]
    return _table(["tiles", "positive", "encode, MB", "masks, MB", "encode, s", "masks, s"], rows)


STAGES = ("encode", "masks")


def _windows(content: dict[str, Any]) -> list[str]:
    columns = {
        "encoded": "encoded",
        "encode_s": "encode, s",
        "encode_processor_s": "processor, s",
        "masks_s": "masks, s",
        "masks_processor_s": "processor, s",
        "megabytes": "store, MB",
        "iou": "IoU, pooled",
        "f1": "F1, pooled",
        "mean_iou": "mean IoU",
    }
    rows = [[way, *(f"{row[key]:.4g}" for key in columns)] for way, row in content["windows"].items()]
    tiles = next(iter(content["windows"].values()))["tiles"]
    lead = f"{content['sam']}, {len(content['scenes'])} scene(s), {tiles} positive tiles"
    return _table([lead, *columns.values()], rows)


def _store(content: dict[str, Any]) -> list[str]:
    rows = [
        [name, f"{row['share_of_size']:.0%}", row["write_ms_a_tile"], row["read_ms_a_tile"]]
        for name, row in content["compressors"].items()
    ]
    size, encode = content["bytes_a_tile"] / 1e6, content["encode_ms_a_tile"]
    return [
        f"{content['sam']}: {size:.2f} MB a tile as float16; encoding one takes {encode} ms.",
        "",
        *_table(["compression", "size", "write, ms a tile", "read, ms a tile"], rows),
    ]


def _report(content: dict[str, Any]) -> list[str]:
    facts = content["report"]
    return [
        f"The report of {facts['tiles']} tiles: {facts['wall_s']} s ({facts['processor_s']} s of the processor), "
        f"{facts['page_mb']} MB, at most {facts['peak_mb']} MB of memory."
    ]


def _sams(content: dict[str, Any]) -> list[str]:
    unit = "" if content["machine"].get("gpu") else " of a core"
    head = ["sam.name", "parameters, M", "embedding", "store, MB a tile"]
    head += [f"encode, s{unit} a tile", f"decode, ms{unit} a prompt"]
    rows = [
        [
            f"`{name}`", row["parameters_m"], "x".join(map(str, row["embedding"])), row["store_mb"], row["encode_s"],
            row["decode_ms"], row["peak_mb"],
        ]
        for name, row in content["sams"].items()
    ]  # fmt: skip
    return _table([*head, "memory, MB"], rows)


def _demo(content: dict[str, Any]) -> list[str]:
    facts = content["demo"]
    stages = ", ".join(f"{stage} {seconds} s" for stage, seconds in facts["stages_s"].items())
    return [f"The {facts['configuration']} run takes **{facts['wall_s']} s**. Its jobs together: {stages}."]


# Parts of a measurement, with their format.
PARTS = {
    "measured": _times,
    "times_faster": _faster,
    "times_as_long": _as_long,
    "compile_s": _compile,
    "floor_s": _floor,
    "memory": _memory,
    "windows": _windows,
    "compressors": _store,
    "report": _report,
    "sams": _sams,
    "demo": _demo,
}
