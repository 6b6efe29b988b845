"""Terrain of a synthetic scene: a valley with spurs and gullies, its slope and the ways down it."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from apsam.synthetic.noise import Field2D, random_stream, smooth_noise
from apsam.synthetic.settings import SyntheticSettings


@dataclass
class Terrain:
    """Heights and what follows from them. All fields (H, W) float32, lengths in metres."""

    height: Field2D
    resolution: float
    river_offset: Field2D
    """Signed distance from the valley's axis."""
    river_along: Field2D
    floor_width: float
    """Half width of the valley floor."""
    slope: Field2D = field(init=False)
    """Rise over run of the terrain smoothed over 6 m."""
    gradient: tuple[Field2D, Field2D] = field(init=False)
    """(d/dx, d/dy) of the smoothed terrain, rise over run; points up the slope."""

    def __post_init__(self) -> None:
        smooth = cv2.GaussianBlur(self.height, (0, 0), 6.0 / self.resolution)
        down, right = np.gradient(smooth, np.float32(self.resolution))
        self.gradient = right.astype(np.float32), down.astype(np.float32)
        self.slope = np.hypot(*self.gradient)

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return self.height.shape

    def uphill(self, x: float, y: float) -> NDArray[np.float64]:
        """Unit vector (x, y) up the slope at a pixel; zeros on the flat or outside the scene."""
        col, row = int(x), int(y)
        if not (0 <= row < self.shape[0] and 0 <= col < self.shape[1]):
            return np.zeros(2)
        vector = np.array([self.gradient[0][row, col], self.gradient[1][row, col]], float)
        norm = np.hypot(*vector)
        return vector / norm if norm > 0.03 else np.zeros(2)

    def descend(
        self, rng: np.random.Generator, start: NDArray[np.float64], length: float, step: float = 2.0
    ) -> NDArray[np.float64]:
        """Way of steepest descent from `start` (x, y): points (n, 2), `step` pixels apart, `length` at most.

        A little inertia and wander keep it from kinking; it ends on the flat or outside the scene.
        """
        points = [np.asarray(start, float)]
        heading = -self.uphill(*points[0])
        for _ in range(int(length / step)):
            down = -self.uphill(*points[-1])
            if not down.any():
                break
            heading = 0.85 * heading + 0.15 * down + rng.normal(0, 0.02, 2)
            heading /= np.hypot(*heading)
            points.append(points[-1] + step * heading)
        return np.array(points)

    def follow_contour(
        self,
        rng: np.random.Generator,
        start: NDArray[np.float64],
        heading: NDArray[np.float64],
        climb: float = 0.1,
    ) -> NDArray[np.float64]:
        """Way of a road from `start` along `heading` that keeps near its contour: (n, 2) until the border."""
        step = 6.0
        points = [np.asarray(start, float)]
        heading = heading / np.hypot(*heading)
        course = heading.copy()
        margin = 40.0
        for _ in range(int(4 * max(self.shape) / step)):
            up = self.uphill(*points[-1])
            along = np.array([-up[1], up[0]])
            along *= 1.0 if along @ heading >= 0 else -1.0
            wanted = along + 0.45 * course + climb * up
            heading = 0.9 * heading + 0.1 * wanted + rng.normal(0, 0.015, 2)
            heading /= np.hypot(*heading)
            points.append(points[-1] + step * heading)
            x, y = points[-1]
            if not (-margin < x < self.shape[1] + margin and -margin < y < self.shape[0] + margin):
                break
        return np.array(points)


def make_terrain(name: str, settings: SyntheticSettings) -> Terrain:
    """A valley that winds through the scene, with spurs and gullies on its flanks."""
    rng = random_stream(settings.seed, name, "terrain")
    coarse = 4
    side = -(-settings.size_px // coarse)
    metre = settings.resolution_m * coarse
    rows, cols = np.mgrid[:side, :side].astype(np.float32) * np.float32(metre)
    extent = side * metre
    angle = rng.uniform(0, np.pi)
    cos, sin = np.cos(angle), np.sin(angle)
    centre_x, centre_y = extent * rng.uniform(0.3, 0.7, 2)
    along = (cols - centre_x) * cos + (rows - centre_y) * sin
    across = -(cols - centre_x) * sin + (rows - centre_y) * cos
    for wavelength, amplitude in ((420, 34), (190, 13)):
        phase = rng.uniform(0, 2 * np.pi)
        across = across + amplitude * rng.uniform(0.6, 1.3) * np.sin(2 * np.pi * along / wavelength + phase)
    across = across + 3 * smooth_noise(rng, (side, side), 25 / metre)

    floor = rng.uniform(14, 26)
    away = np.maximum(np.abs(across) - floor, 0)
    relief, reach = rng.uniform(120, 190), rng.uniform(170, 260)
    height = relief * np.tanh(away / reach)
    shift_x, shift_y = (22 / metre * smooth_noise(rng, (side, side), 45 / metre) for _ in range(2))
    grid = np.mgrid[:side, :side].astype(np.float32)
    flank = np.clip(away / 60, 0, 1)
    for sigma, amplitude in ((52, 30), (21, 9)):
        noise = smooth_noise(rng, (side, side), sigma / metre)
        spurs = cv2.remap(noise, grid[1] + shift_x, grid[0] + shift_y, cv2.INTER_LINEAR, None, cv2.BORDER_REFLECT)
        # |noise|, a little rounded, has narrow valleys where the noise changes sign and round ridges between.
        height = height + amplitude * rng.uniform(0.8, 1.2) * np.sqrt(spurs**2 + 0.02) * flank
    height = height + 0.9 * smooth_noise(rng, (side, side), 9 / metre)

    size = (settings.size_px, settings.size_px)
    full = [
        cv2.resize(plane.astype(np.float32), size, interpolation=cv2.INTER_CUBIC) for plane in (height, across, along)
    ]
    full[0] = cv2.GaussianBlur(full[0], (0, 0), 1.2 / settings.resolution_m)
    return Terrain(full[0], settings.resolution_m, full[1], full[2], floor)
