"""Line charts as inline SVG that follow the page's colours; written by hand because they need no library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 480, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 14, 40


@dataclass(frozen=True)
class Line:
    """One line of a chart."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


def line_chart(lines: Sequence[Line], x_name: str, y_name: str, description: str) -> Markup:
    """A chart with a y axis from 0; its lines are told apart by colour and dashes.

    Args:
        lines: At least one point in all.
        x_name, y_name: Of the axes.
        description: What a screen reader says.
    """
    xs = [x for line in lines for x in line.x]
    top = _round_up(max(y for line in lines for y in line.y))
    low, high = min(xs), max(xs)
    span = (high - low) or 1

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - low) / span if high > low else 0.5
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - y / top * (HEIGHT - TOP - BOTTOM)

    parts = [f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(description)}">']
    for tick in (0, top / 4, top / 2, top * 3 / 4, top):
        _, y = place(low, tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:.3g}</text>')
    for tick in _whole_ticks(low, high):
        x, _ = place(tick, 0)
        parts.append(f'<text class="tick" x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{tick}</text>')
    for index, line in enumerate(lines):
        points = [place(x, y) for x, y in zip(line.x, line.y, strict=True)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline class="line line-{index % 4}" points="{path}"/>')
        if len(points) <= 40:
            parts += [f'<circle class="dot dot-{index % 4}" cx="{x:.1f}" cy="{y:.1f}" r="2.6"/>' for x, y in points]
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="axis" x="{middle}" y="{HEIGHT - 4}" text-anchor="middle">{escape(x_name)}</text>')
    centre = (TOP + HEIGHT - BOTTOM) / 2
    turn = f'transform="rotate(-90 12 {centre})"'
    parts.append(f'<text class="axis" x="12" y="{centre}" text-anchor="middle" {turn}>{escape(y_name)}</text></svg>')
    return Markup("".join(parts))


def _round_up(value: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    if not value > 0:
        return 1.0
    power = 10 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value * 0.999)


def _whole_ticks(low: float, high: float) -> list[int]:
    step = max(1, math.ceil((high - low) / 8))
    return list(range(math.ceil(low), math.floor(high) + 1, step))
