"""The canvas of a scene, onto which cover, decoys and landslides are laid, and the soils they share."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from apsam.synthetic.noise import Field2D, fractal_noise, random_stream
from apsam.synthetic.settings import SyntheticSettings

DECOYS = (
    "water",
    "river bar",
    "field",
    "track",
    "road cut",
    "quarry",
    "house",
    "yard",
    "outcrop",
    "clearing",
)
SOILS = np.array(
    [
        (0.53, 0.42, 0.30),  # brown
        (0.60, 0.49, 0.33),  # ochre
        (0.55, 0.53, 0.47),  # grey
        (0.52, 0.39, 0.29),  # red-brown
        (0.67, 0.61, 0.51),  # pale
    ],
    np.float32,
)


_ALL = slice(None)


@dataclass
class Surface:
    """Colour (H, W, 3) reflectance; ground and canopy (H, W) metres; what is built, tilled or water."""

    colour: Field2D
    ground: Field2D
    canopy: Field2D
    """Height of plants and houses above the ground."""
    decoy: NDArray[np.uint8]
    """0, or the number of the decoy (its place in `DECOYS`, from 1) that a pixel shows."""

    def lay(self, colour: NDArray[np.floating], alpha: Field2D, rows: slice = _ALL, cols: slice = _ALL) -> None:
        """Covers the window with `colour` (h, w, 3) where `alpha` (h, w) says, and clears what grew there."""
        weight = alpha[..., None]
        window = self.colour[rows, cols]
        window += weight * (colour - window)
        self.canopy[rows, cols] *= 1 - alpha

    def mark(self, kind: str, where: NDArray[np.bool_], rows: slice = _ALL, cols: slice = _ALL) -> None:
        """Notes that the pixels `where` of the window show a decoy of this kind."""
        self.decoy[rows, cols][where] = DECOYS.index(kind) + 1

    def shows(self, kinds: tuple[str, ...], rows: slice = _ALL, cols: slice = _ALL) -> NDArray[np.bool_]:
        """Where the window shows one of these decoys."""
        return np.isin(self.decoy[rows, cols], [DECOYS.index(kind) + 1 for kind in kinds])


@dataclass(frozen=True)
class Soils:
    """The two or three soils of a scene: landslides, tracks, fields, bars and quarries all draw from them."""

    colours: NDArray[np.float32]

    def draw(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """A mixture of the scene's soils, a little lighter or darker: (3,)."""
        weights = rng.dirichlet(np.full(len(self.colours), 0.7)).astype(np.float32)
        return (weights @ self.colours * rng.uniform(0.86, 1.14) * rng.normal(1, 0.012, 3)).astype(np.float32)


def make_soils(name: str, settings: SyntheticSettings) -> Soils:
    """Chooses the scene's soils among five."""
    rng = random_stream(settings.seed, name, "soils")
    return Soils(SOILS[rng.choice(len(SOILS), rng.integers(2, 4), replace=False)])


def soil_texture(rng: np.random.Generator, shape: tuple[int, int], soil: Field2D, metre: float) -> Field2D:
    """A soil (3,) with blotches and grain: (H, W, 3). `metre` is the size of a pixel."""
    grain = 1 + 0.08 * fractal_noise(rng, shape, 6 / metre, 4, 0.75)
    return grain[..., None] * soil


def distance_to_line(shape: tuple[int, int], points: NDArray[np.float64]) -> tuple[Field2D, NDArray[np.int32]]:
    """Distance in pixels of every pixel to a polyline (n, 2) of (x, y), and the flat index of the nearest."""
    empty = np.ones(shape, np.uint8)
    cv2.polylines(empty, [np.rint(points).astype(np.int32)], False, 0, 1)
    distance, labels = cv2.distanceTransformWithLabels(empty, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    flat = np.flatnonzero(empty == 0)
    nearest = np.zeros(int(labels.max()) + 1, np.int32)
    nearest[labels.ravel()[flat]] = flat
    return np.asarray(distance, np.float32), nearest[labels]
