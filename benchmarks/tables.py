"""What was measured, as tables of docs/performance.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from apsam.files import atomic_path, read_json
from benchmarks.measuring import MEASURED

DOCUMENT = Path(__file__).parents[1] / "docs" / "performance.md"
START, END = "<!-- {} -->", "<!-- end of {} -->"


def write_tables() -> None:
    """Replace the part of each measurement in docs/performance.md, between its two comments."""
    text = DOCUMENT.read_text()
    for path in sorted(MEASURED.glob("*.json")):
        start, end = START.format(path.stem), END.format(path.stem)
        if start not in text:
            continue
        before, rest = text.split(start, 1)
        after = rest.split(end, 1)[1]
        text = f"{before}{start}\n{render(read_json(path))}\n{end}{after}"
    with atomic_path(DOCUMENT) as partial:
        partial.write_text(text)


def render(content: dict[str, Any]) -> str:
    """One measurement as Markdown: command and machine, the table of times, the ratios, then single figures."""
    machine = content["machine"]
    device = machine.get("gpu") or f"{machine['processor']}, {machine['threads']} thread(s)"
    features = "AMX" if machine["amx"] else "AVX512-BF16, no AMX" if machine["bf16_instructions"] else "no bf16"
    lines = [
        f"`{content['command']}`  ",
        f"{device}, {features}; torch {machine['torch']}; load of the machine {machine['load_1min']}",
    ]
    if measured := content.get("measured"):
        with_error = any("relative_error" in row for row in measured.values())
        head = ["", "wall clock, s (lowest-highest)", "processor, s"] + ["error to fp32"] * with_error
        lines += ["", "| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
        for name, row in measured.items():
            wall = row["wall_s"]
            cells = [
                name,
                f"{wall['median']:.2f} ({wall['lowest']:.2f}-{wall['highest']:.2f})",
                f"{row['processor_s']['median']:.2f}",
            ]
            cells += [f"{row['relative_error']:.1e}"] * with_error
            lines.append("| " + " | ".join(cells) + " |")
    for key in ("times_faster", "times_as_long"):
        ratios = content.get(key, {})
        for name, both in ratios.items() if "wall_s" not in ratios else [("", ratios)]:
            what = f"{key.replace('_', ' ')} {f'({name})' if name else ''}".strip()
            lines.append(f"\n{what}: **{both['processor_s']}** by processor time, {both['wall_s']} by wall clock")
    if "floor_s" in content:
        share = ", ".join(f"{key} {value:.0%}" for key, value in content["share_of_operations"].items())
        lines.append(
            f"\n{content['sam']}: {content['encode_s']} s a tile; its products are {content['products_gflop']} GFLOP, "
            f"one large product runs at {content['product_rate_gflop_s']} GFLOP/s, so the floor is "
            f"**{content['floor_s']} s**. Share of the time: {share}."
        )
    return "\n".join(lines)
