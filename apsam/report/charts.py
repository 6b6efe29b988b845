"""Line and bar charts as inline SVG that follow the page's colours; written by hand because they need no library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 480, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 14, 40
BAR_LEFT, BAR_ROW = 132, 26


@dataclass(frozen=True)
class Line:
    """One line of a chart."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True)
class Mark:
    """A point of a chart that is pointed out."""

    name: str
    x: float
    y: float


@dataclass(frozen=True)
class Level:
    """A value that holds for every x."""

    name: str
    y: float


def line_chart(
    lines: Sequence[Line],
    x_name: str,
    y_name: str,
    description: str,
    marks: Sequence[Mark] = (),
    levels: Sequence[Level] = (),
) -> Markup:
    """A chart with a y axis from 0; its lines are distinguished by colour and dashes.

    Args:
        lines: At least one point in all.
        x_name, y_name: Of the axes.
        description: What a screen reader says.
        marks: Points with their names.
        levels: Dotted lines across, with their names.
    """
    xs = [x for line in lines for x in line.x]
    top = _round_up(max([y for line in lines for y in line.y] + [level.y for level in levels]))
    low, high = min(xs), max(xs)
    span = (high - low) or 1

    def to_pixels(x: float, y: float) -> tuple[float, float]:
        across = (x - low) / span if high > low else 0.5
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - y / top * (HEIGHT - TOP - BOTTOM)

    parts = [_start(HEIGHT, description)]
    for tick in (0, top / 4, top / 2, top * 3 / 4, top):
        _, y = to_pixels(low, tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:.3g}</text>')
    for tick in _whole_ticks(low, high):
        x, _ = to_pixels(tick, 0)
        parts.append(f'<text class="tick" x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{tick}</text>')
    for level in levels:
        _, y = to_pixels(low, level.y)
        parts.append(f'<line class="level" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_name(WIDTH - RIGHT - 4, y - 6, "end", f"{level.name}: {level.y:.1f}"))
    for index, line in enumerate(lines):
        points = [to_pixels(x, y) for x, y in zip(line.x, line.y, strict=True)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline class="line line-{index % 4}" points="{path}"/>')
        if len(points) <= 40:
            parts += [f'<circle class="dot dot-{index % 4}" cx="{x:.1f}" cy="{y:.1f}" r="2.6"/>' for x, y in points]
    for mark in marks:
        x, y = to_pixels(mark.x, mark.y)
        anchor = "end" if x > WIDTH * 0.7 else "start" if x < WIDTH * 0.3 else "middle"
        parts.append(f'<line class="drop" x1="{x:.1f}" x2="{x:.1f}" y1="{y + 7:.1f}" y2="{HEIGHT - BOTTOM - 22}"/>')
        parts.append(f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="7"/>')
        # At the foot, where a curve that starts at zero leaves room.
        parts.append(_name(x, HEIGHT - BOTTOM - 8, anchor, f"{mark.name}: {mark.x:g}, {mark.y:.1f}"))
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="axis" x="{middle}" y="{HEIGHT - 4}" text-anchor="middle">{escape(x_name)}</text>')
    centre = (TOP + HEIGHT - BOTTOM) / 2
    turn = f'transform="rotate(-90 12 {centre})"'
    parts.append(f'<text class="axis" x="12" y="{centre}" text-anchor="middle" {turn}>{escape(y_name)}</text></svg>')
    return Markup("".join(parts))


def bar_chart(bars: Sequence[tuple[str, int]], x_name: str, description: str) -> Markup:
    """Counts as bars from left to right, each with its name and number.

    Args:
        bars: Name and count; at least one.
        x_name: What is counted.
        description: What a screen reader says.
    """
    most = max(1, max(count for _, count in bars))
    height = TOP + BAR_ROW * len(bars) + 24
    parts = [_start(height, description)]
    for index, (name, count) in enumerate(bars):
        y = TOP + index * BAR_ROW
        width = (WIDTH - BAR_LEFT - 60) * count / most
        parts.append(f'<text class="tick" x="{BAR_LEFT - 8}" y="{y + 15}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<rect class="count-bar" x="{BAR_LEFT}" y="{y + 3}" width="{width:.1f}" height="{BAR_ROW - 8}"/>')
        parts.append(f'<text class="tick" x="{BAR_LEFT + width + 6:.1f}" y="{y + 15}">{count:,}</text>')
    middle = (BAR_LEFT + WIDTH - 60) / 2
    parts.append(f'<text class="axis" x="{middle}" y="{height - 6}" text-anchor="middle">{escape(x_name)}</text></svg>')
    return Markup("".join(parts))


def _start(height: int, description: str) -> str:
    return f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(description)}">'


def _name(x: float, y: float, anchor: str, text: str) -> str:
    return f'<text class="named" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _round_up(value: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    if not value > 0:
        return 1.0
    power = 10 ** math.floor(math.log10(value))
    return float(next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value * 0.999))


def _whole_ticks(low: float, high: float) -> list[int]:
    """At most nine whole numbers at round steps."""
    least = (high - low) / 8
    power = 10 ** max(0, math.floor(math.log10(least))) if least > 0 else 1
    step = next(int(s * power) for s in (1, 2, 5, 10) if s * power >= least)
    return list(range(math.ceil(low / step) * step, math.floor(high) + 1, step))
