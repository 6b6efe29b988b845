"""Shapes of single landslides: a scar that runs down the slope from its crown to its toe."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from apsam.synthetic.noise import Field2D, fractal_noise, scattered_cells, smooth_noise, smoothstep
from apsam.synthetic.surface import Soils, Surface
from apsam.synthetic.terrain import Terrain

# How much longer than wide, and widths (in mean widths) at places between crown (0) and toe (1).
FORMS = {
    "slide": ((1.4, 2.4), ((0, 0.75), (0.12, 1.0), (0.35, 1.15), (0.7, 1.0), (0.9, 0.95), (1, 0.7))),
    "flow": (
        (3.0, 5.5),
        ((0, 0.9), (0.1, 1.45), (0.28, 1.1), (0.45, 0.62), (0.7, 0.62), (0.88, 1.35), (1, 1.1)),
    ),
    "fall": ((1.1, 1.8), ((0, 0.45), (0.2, 0.7), (0.5, 0.95), (0.8, 1.3), (1, 1.15))),
}


@dataclass
class Landslide:
    """One landslide in its window of the scene. Fields (h, w) float32."""

    rows: slice
    cols: slice
    path: NDArray[np.float64]
    """Its middle line from crown to toe, (n, 2) of (x, y) pixels."""
    bare: Field2D
    """Share of a pixel that is bare: what the image shows."""
    mask: NDArray[np.bool_]
    """Reference mask: in the landslide and less than 60 % overgrown."""
    field: Field2D
    """Metres to the outline, positive within."""
    along: Field2D
    """Place between crown (0) and toe (1)."""
    across: Field2D
    """Signed metres from the middle line."""
    hollow: bool
    form: str


def shape_landslide(
    rng: np.random.Generator,
    terrain: Terrain,
    start: NDArray[np.float64],
    area_m2: float,
    hollow: bool,
    way_is_free: Callable[[NDArray[np.float64]], bool],
) -> Landslide | None:
    """Draw a landslide of about `area_m2` from its crown at `start` (x, y).

    None if the slope is too short or the path, (n, 2) of (x, y), is not free.
    """
    metre = terrain.resolution
    form = str(rng.choice(["slide", "flow", "fall"], p=[0.45, 0.33, 0.22]))
    aspect = rng.uniform(*FORMS[form][0])
    if area_m2 < 500:
        aspect = min(aspect, 2.6)
    length = np.sqrt(area_m2 * aspect * 1.12) / metre
    half_width = 0.5 * length / aspect * metre
    path = terrain.descend(rng, start, length)
    if len(path) < 0.75 * length / 2.0 or len(path) < 5 or not way_is_free(path):
        return None
    paths = [path]
    if area_m2 > 1200 and rng.uniform() < 0.4:
        # A second head that joins the first: coalescing scars have more than one crown.
        up = terrain.uphill(*start)
        beside = np.array([-up[1], up[0]]) * rng.choice([-1, 1]) * rng.uniform(0.9, 1.5) * half_width / metre
        second = terrain.descend(rng, start + beside - up * rng.uniform(-0.2, 0.35) * length, 0.7 * length)
        if len(second) > 5:
            # It bends towards the first one's middle line.
            pull = np.linspace(0, 0.75, len(second))[:, None] ** 1.5
            aim = path[np.linspace(len(path) * 0.35, len(path) - 1, len(second)).astype(int)]
            paths.append(second * (1 - pull) + aim * pull)

    reach = 2.2 * half_width / metre + 6
    corners = np.concatenate(paths)
    low = np.maximum(np.floor(corners.min(0) - reach), 0).astype(int)
    high = np.minimum(np.ceil(corners.max(0) + reach), terrain.shape[::-1]).astype(int)
    cols, rows = slice(low[0], high[0]), slice(low[1], high[1])
    shape = (high[1] - low[1], high[0] - low[0])
    if min(shape) < 12:
        return None
    field = np.full(shape, -1e3, np.float32)
    widths = np.array(FORMS[form][1]).T
    widths[1] *= rng.uniform(0.88, 1.12, widths.shape[1])
    for rank, line in enumerate(paths):
        scale = half_width * (1.0 if rank == 0 else rng.uniform(0.55, 0.85))
        parts = _distance_within(rng, line - low, shape, scale, widths, metre)
        np.maximum(field, parts[0], out=field)
        if rank == 0:
            along, across = parts[1:]

    rough = min(1.0, half_width / 8)
    field += rough * (1.3 * smooth_noise(rng, shape, 2.6 / metre) + 0.75 * smooth_noise(rng, shape, 1.0 / metre))
    field += 0.25 * smooth_noise(rng, shape, 0.5 / metre)

    if hollow:
        field = np.minimum(field, _islands(rng, shape, field, along, across, half_width, metre))
    # Plants come back from the sides and in patches: more on old scars than on fresh ones.
    age = rng.beta(1.3, 2.6)
    patches = fractal_noise(rng, shape, 4.0 / metre, 3, 0.6)
    edge = np.exp(-np.maximum(field, 0) / (0.3 * half_width))
    cover = smoothstep(patches + 2.2 * age - 2.4 + (0.4 + 1.2 * age) * edge, -0.35, 0.75)
    leaves = 0.5 + 0.29 * smooth_noise(rng, shape, 0.8 / metre)
    overgrown = smoothstep(cover * 1.15 - leaves, -0.08, 0.12)
    inside = smoothstep(field, -0.5 * metre, 0.5 * metre)
    bare = inside * (1 - overgrown)
    mask = (inside > 0.5) & (cover < 0.6)
    mask, cleared = _without_specks(mask, round(12 / metre**2), round(4 / metre**2))
    bare[cleared] = 0
    bare[mask & (cover < 0.05)] = np.maximum(bare, inside)[mask & (cover < 0.05)]
    if mask.sum() * metre**2 < 0.4 * area_m2:
        return None
    return Landslide(rows, cols, path, bare, mask, field, along, across, hollow, form)


def _distance_within(
    rng: np.random.Generator,
    line: NDArray[np.float64],
    shape: tuple[int, int],
    half_width: float,
    widths: NDArray[np.float64],
    metre: float,
) -> tuple[Field2D, Field2D, Field2D]:
    """Metres to the outline (positive within), place along 0 to 1, metres across; each of `shape`."""
    step = 3
    y, x = np.mgrid[0 : shape[0] : step, 0 : shape[1] : step].astype(np.float32)
    sway = 0.24 * half_width / metre
    warp = [sway * fractal_noise(rng, x.shape, 0.7 * half_width / metre / step, 3, 0.6) for _ in range(2)]
    tree = cKDTree(line)
    outline, _, _ = _line_coordinates(tree, line, x + warp[0], y + warp[1], half_width, widths, metre)
    # Texture follows a plain arc through the middle line: where the line bends, streaks would meet in a seam.
    place = np.linspace(0, 1, len(line))
    arc = np.stack([np.polyval(np.polyfit(place, values, 2), place) for values in line.T], -1)
    _, along, across = _line_coordinates(cKDTree(arc), arc, x, y, half_width, widths, metre)
    grid = np.array([[1 / step, 0, 0], [0, 1 / step, 0]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    full = [
        np.asarray(cv2.warpAffine(plane, grid, shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE), np.float32)
        for plane in (outline, along, across)
    ]
    return full[0], full[1], full[2]


def _line_coordinates(
    tree: cKDTree,
    line: NDArray[np.float64],
    x: Field2D,
    y: Field2D,
    half_width: float,
    widths: NDArray[np.float64],
    metre: float,
) -> tuple[Field2D, Field2D, Field2D]:
    """Metres to the even outline about `line`, place along and metres across, for the pixels (x, y)."""
    points = np.stack([x.ravel(), y.ravel()], -1)
    _, nearest = tree.query(points)
    tangent = np.gradient(line, axis=0)
    tangent /= np.hypot(*tangent.T)[:, None] + 1e-9
    offset = points - line[nearest]
    forward = (offset * tangent[nearest]).sum(1)
    across = (offset[:, 1] * tangent[nearest, 0] - offset[:, 0] * tangent[nearest, 1]) * metre
    place = np.arange(len(line)) * np.hypot(*np.diff(line[:2], axis=0)[0])
    total = place[-1]
    along = (place[nearest] + forward) / total
    half = np.interp(along, *widths) * half_width
    # Rounded ends: the crown is an arc, the toe a lobe.
    cap_crown, cap_toe = 0.9 * half_width / (total * metre), 0.7 * half_width / (total * metre)
    half *= np.sqrt(np.clip(along / cap_crown, 0, 1) * (2 - np.clip(along / cap_crown, 0, 1)))
    half *= np.sqrt(np.clip((1 - along) / cap_toe, 0, 1) * (2 - np.clip((1 - along) / cap_toe, 0, 1)))
    beyond = np.maximum(np.maximum(-along, along - 1), 0) * total * metre
    field = half - np.abs(across) - beyond
    planes = [plane.reshape(x.shape).astype(np.float32) for plane in (field, along, across)]
    return planes[0], planes[1], planes[2]


def _islands(
    rng: np.random.Generator,
    shape: tuple[int, int],
    field: Field2D,
    along: Field2D,
    across: Field2D,
    half_width: float,
    metre: float,
) -> Field2D:
    """Metres to an island of standing forest (negative within it), drawn out along the flow."""
    ragged = 0.12 * half_width * fractal_noise(rng, shape, 0.25 * half_width / metre, 3)
    outside = np.full(shape, 1e3, np.float32)
    for _ in range(rng.integers(1, 3)):
        middle, side = rng.uniform(0.32, 0.68), rng.uniform(-0.25, 0.25) * half_width
        long, wide = rng.uniform(0.13, 0.22), rng.uniform(0.22, 0.4) * half_width
        away = np.sqrt(((along - middle) / long) ** 2 + ((across - side) / wide) ** 2)
        outside = np.minimum(outside, (away - 1) * wide + ragged)
    return outside


def _without_specks(
    mask: NDArray[np.bool_], smallest: int, smallest_hole: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The mask without scattered specks and pinholes, and the pixels that were taken out of it."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    kept = stats[:, cv2.CC_STAT_AREA] >= smallest
    kept[0] = False
    cleaned = kept[labels]
    _, labels, stats, _ = cv2.connectedComponentsWithStats((~cleaned).astype(np.uint8), connectivity=8)
    pinhole = stats[:, cv2.CC_STAT_AREA] < smallest_hole
    pinhole[0] = False
    return cleaned | pinhole[labels], mask & ~cleaned


def lay_landslide(rng: np.random.Generator, terrain: Terrain, surface: Surface, soils: Soils, slide: Landslide) -> None:
    """Paints a landslide: soil that changes downslope, streaks along the flow, scarp, debris, boulders."""
    shape, metre = slide.field.shape, terrain.resolution
    along = np.clip(slide.along, 0, 1)
    depth = np.clip(slide.field, 0, None)
    extent = max(float(depth.max()), 1.0)
    upper, lower = soils.draw(rng), soils.draw(rng)
    lower = 0.6 * lower + 0.4 * upper
    upper = upper * np.float32(rng.uniform(0.95, 1.1))
    mix = smoothstep(along + 0.12 * fractal_noise(rng, shape, 6 / metre, 3), 0.25, 0.8)[..., None]
    colour = upper * (1 - mix) + lower * mix

    texture = fractal_noise(rng, (256, 256), 1.6, 4, 0.85)
    length = len(slide.path) * 2.0 * metre
    u, v = slide.across / (0.8 * metre) % 256, along * length / (2.2 * metre) % 256
    streaks = cv2.remap(texture, u, v, cv2.INTER_LINEAR, None, cv2.BORDER_WRAP)
    broad = cv2.remap(texture, (u / 4) % 256, (v / 3) % 256, cv2.INTER_LINEAR, None, cv2.BORDER_WRAP)
    grain = fractal_noise(rng, shape, 2.2 / metre, 4, 0.9)
    debris = smoothstep(along, 0.35, 0.85)
    tone = 1 + 0.07 * streaks + 0.07 * broad + (0.05 + 0.07 * debris) * grain
    scarp = np.exp(-((along / 0.1) ** 2)) * np.exp(-depth / 2.2)
    tone *= 1 - rng.uniform(0.25, 0.45) * scarp
    wet = smoothstep(broad + 0.6 * fractal_noise(rng, shape, 8 / metre, 2), 0.8, 1.8)
    tone *= 1 - 0.2 * wet
    surface.lay(colour * tone[..., None].astype(np.float32), slide.bare, slide.rows, slide.cols)

    # Where plants came back they are low: the forest fell with the slide.
    regrown = smoothstep(slide.field, -0.5, 0.5) * (1 - slide.bare)
    canopy = surface.canopy[slide.rows, slide.cols]
    canopy *= 1 - 0.8 * regrown
    window = surface.colour[slide.rows, slide.cols]
    grass = np.array((0.31, 0.35, 0.19), np.float32) * (1 + 0.12 * grain[..., None])
    window += (0.7 * regrown)[..., None] * (grass - window)
    canopy += 0.5 * regrown * np.clip(grain, 0, 1)

    # What was cut into the ground before, as by a track, is buried.
    ground = surface.ground[slide.rows, slide.cols]
    ground += smoothstep(slide.field, 0.0, 2.0) * (terrain.height[slide.rows, slide.cols] - ground)
    size = np.float32(np.clip(0.24 * extent, 1.2, 6.0))
    inside = smoothstep(depth, 0.0, 2.4)
    carve = -size * inside * smoothstep(along, 0.75, 0.25)
    heap = 0.6 * size * smoothstep(depth, 0.0, 0.6 * extent) * smoothstep(along, 0.55, 0.85)
    distance, cells, count = scattered_cells(rng, shape, 1.9 / metre)
    radius = (rng.gamma(2.0, 0.28, count) * (rng.uniform(0, 1, count) < rng.uniform(0.15, 0.7))).astype(np.float32)
    boulder = radius[cells] * np.sqrt(np.clip(1 - (distance * metre / (radius[cells] + 1e-3)) ** 2, 0, 1))
    blocks = 0.3 * np.clip(grain - 0.6, 0, 1.5) * (0.3 + debris) + 1.3 * boulder * debris
    gullies = 0.1 * streaks + 0.22 * broad
    bare = slide.bare * (slide.field > 0)
    ground += (carve + heap) * inside + bare * (blocks + gullies * inside)
    surface.decoy[slide.rows, slide.cols][slide.mask] = 0
