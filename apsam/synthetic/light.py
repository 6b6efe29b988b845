"""Sun, shadows, air and sensor: from surface colours and heights to pixel values."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from apsam.synthetic.noise import Field2D, fractal_noise, random_stream, smooth_noise, smoothstep
from apsam.synthetic.settings import SyntheticSettings


@dataclass(frozen=True)
class Sun:
    """Where the light comes from: `azimuth` clockwise from north (up) and `elevation`, in radians."""

    azimuth: float
    elevation: float

    @property
    def direction(self) -> tuple[float, float, float]:
        """Unit vector to the sun: x right, y down the image, z up."""
        flat = np.cos(self.elevation)
        return flat * np.sin(self.azimuth), -flat * np.cos(self.azimuth), np.sin(self.elevation)


def make_sun(name: str, settings: SyntheticSettings) -> Sun:
    """The sun of a scene: from the east to the south-west, as in the northern hemisphere by day."""
    rng = random_stream(settings.seed, name, "sun")
    return Sun(np.deg2rad(rng.uniform(95, 230)), np.deg2rad(rng.uniform(42, 60)))


def hillshade(height: Field2D, sun: Sun, resolution: float) -> Field2D:
    """Lambert's cosine, 1 on flat ground; 0 where the ground turns away from the sun."""
    down, right = np.gradient(height, np.float32(resolution))
    x, y, z = (np.float32(part) for part in sun.direction)
    return np.maximum(z - x * right - y * down, 0) / np.sqrt(1 + right**2 + down**2) / z


def cast_shadow(tops: Field2D, sun: Sun, resolution: float, reach: float = 14.0) -> Field2D:
    """Share of direct light kept, 0 to 1, next to trees, houses and scarps up to `reach` metres off."""
    x, y, z = sun.direction
    flat = np.hypot(x, y)
    tallest = np.full_like(tops, -np.inf)
    step = max(resolution, 1.0)
    for distance in np.arange(step, reach, step):
        shift = np.array([[1, 0, distance * x / flat / resolution], [0, 1, distance * y / flat / resolution]])
        moved = cv2.warpAffine(
            tops,
            shift,
            tops.shape[::-1],
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        np.maximum(tallest, moved - np.float32(distance * z / flat), out=tallest)
    return 1 - smoothstep(tallest - tops, 0.0, 1.5)


def develop(
    name: str, settings: SyntheticSettings, colour: Field2D, ground: Field2D, canopy: Field2D, sun: Sun
) -> NDArray[np.uint8]:
    """The picture a sensor takes: `colour` (H, W, 3) reflectance, `ground` and `canopy` heights in metres.

    Light falls on the ground and on the flattened canopy, shadows are cast by the full canopy; then come
    uneven illumination, cloud shadow, haze, blur, and noise. Returns (H, W, 3) uint8 RGB, 1 to 255.
    """
    rng = random_stream(settings.seed, name, "light")
    shape = ground.shape
    metre = settings.resolution_m
    macro = cv2.GaussianBlur(ground, (0, 0), 3 / metre)
    # Leaves scatter and let light through: a canopy is shaded as if it were lower than it is.
    direct = hillshade(0.75 * macro + 0.25 * ground + 0.3 * canopy, sun, metre)
    detail = hillshade(ground - macro, sun, metre)
    direct = direct * (0.45 + 0.55 * detail) * (0.3 + 0.7 * cast_shadow(ground + canopy, sun, metre))
    if rng.uniform() < settings.cloud_shadow_share:
        blob = fractal_noise(rng, shape, 70 / metre, 4)
        level = np.quantile(blob[::8, ::8], rng.uniform(0.84, 0.92))
        direct *= 1 - np.float32(rng.uniform(0.55, 0.7)) * smoothstep(blob, level - 0.05, level + 0.12)
    ambient = np.float32(rng.uniform(0.36, 0.46))
    light = ambient + (1 - ambient) * np.minimum(direct, 1.6)
    light *= 1 + np.float32(0.05) * smooth_noise(rng, shape, 150 / metre)
    # Skylight is blue: what the sun does not reach turns bluish.
    tint = np.stack([light * (0.97 + 0.04 * direct), light, light * (1.06 - 0.08 * direct)], -1)
    picture = colour * tint * np.float32(rng.uniform(1.08, 1.3))
    haze = np.float32(rng.uniform(0.02, 0.12)) * (1 + 0.35 * smooth_noise(rng, shape, 120 / metre))[..., None]
    picture = picture * (1 - haze) + haze * np.array([0.66, 0.73, 0.78], np.float32)
    picture *= rng.normal(1, 0.012, 3).astype(np.float32)
    picture = cv2.GaussianBlur(picture, (0, 0), 0.55)
    picture += 0.008 * rng.standard_normal(picture.shape, dtype=np.float32)
    return np.clip(picture * 255 + 0.5, 1, 255).astype(np.uint8)
