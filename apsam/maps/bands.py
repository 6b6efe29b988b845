"""Maps of large scenes: bands of rows are predicted in separate jobs, then mosaicked."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.transform import Affine
from rasterio.windows import Window

from apsam.errors import InputError
from apsam.files import atomic_path
from apsam.maps.cog import MapWriter, apply_threshold, map_profile, map_tags, to_steps
from apsam.maps.settings import MapSettings
from apsam.tiles.blocks import Block
from apsam.tiles.reader import SceneReader
from apsam.tiles.settings import TileSettings
from apsam.tiles.windows import positions

ROWS_AT_ONCE = 256


def band_rows(height: int, size: int, stride: int, band: Block) -> tuple[int, int]:
    """Return the first row, and the row after the last, of a band: an even share of the rows of windows."""
    rows = positions(height, size, stride)
    own = band.range(len(rows))
    return rows[own.start], rows[own.stop] if own.stop < len(rows) else height


class BandWriter:
    """Write probabilities and mask of a band, row by row; the file is complete when the `with` block ends.

    The mask is written too, because the threshold is applied to probabilities before they are stored in steps.

    Args:
        path: GeoTIFF to make.
        height, width: Size of the band, pixels.
        crs: Coordinate reference system.
        transform: Pixel of the band to map.
        model: Name of the network, stored for the map.
        threshold: Probability from which on a pixel is landslide.
    """

    def __init__(
        self, path: Path, height: int, width: int, crs: CRS, transform: Affine, model: str, threshold: float = 0.5
    ) -> None:
        self._path = path
        self._model, self._threshold = model, threshold
        self._profile = {**map_profile(height, width, crs, transform), "count": 2, "compress": "DEFLATE"}

    def __enter__(self) -> BandWriter:
        with ExitStack() as opening:
            partial = opening.enter_context(atomic_path(self._path))
            self._raster = opening.enter_context(rasterio.open(partial, "w", **self._profile))
            self._raster.update_tags(APSAM_MODEL=self._model, APSAM_THRESHOLD=f"{self._threshold:g}")
            self._open = opening.pop_all()
        return self

    def write(self, row: int, values: np.ndarray) -> None:
        """Write probabilities (rows, width) float32 from row `row` of the band on."""
        pair = np.stack([to_steps(values), apply_threshold(values, self._threshold)])
        self._raster.write(pair, window=Window(0, row, values.shape[1], values.shape[0]))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)


def join_bands(
    image: Path,
    bands: Sequence[Path],
    settings: MapSettings,
    probability: Path,
    mask: Path,
    name: str | None = None,
    tiles: TileSettings | None = None,
) -> None:
    """Mosaic the bands of a scene to the maps that `predict_raster` makes. Only some rows are in memory at a time.

    Args:
        image: The scene; only its header is read.
        bands: Files written by `predict_band`, from the top down.
        settings: Settings with the threshold of the prediction.
        probability, mask: COGs to write.
        name: The scene's name; the image's by default.
        tiles: Settings of reading the scene; None: the defaults.

    Raises:
        InputError: The bands are of another scene, of different networks, of another threshold, or damaged.
    """
    with SceneReader(image, tiles or TileSettings()) as scene:
        place = (scene.height, scene.width, scene.crs, scene.transform)
    tags = map_tags(name or image.stem, image, _model(bands, settings), settings)
    first = 0
    with (
        MapWriter(probability, "probability", *place, tags) as probability_map,
        MapWriter(mask, "mask", *place, tags) as mask_map,
    ):
        for path in bands:
            with rasterio.open(path) as band:
                for row in range(0, band.height, ROWS_AT_ONCE):
                    try:
                        steps, known = band.read(
                            (1, 2), window=Window(0, row, band.width, min(ROWS_AT_ONCE, band.height - row))
                        )
                    except RasterioError as error:
                        raise InputError(
                            f"{path}: rows from {row} on cannot be read ({error}); predict it again"
                        ) from error
                    probability_map.write(first + row, steps)
                    mask_map.write(first + row, known)
                first += band.height
        if first != place[0]:
            raise InputError(f"{image}: has {place[0]} rows, its {len(bands)} bands {first}; predict them again")


def _model(bands: Sequence[Path], settings: MapSettings) -> str:
    """Return the network that predicted all bands, with the threshold of `settings`."""
    models = set()
    for path in bands:
        try:
            with rasterio.open(path) as band:
                models.add(band.tags().get("APSAM_MODEL"))
                threshold, wanted = band.tags().get("APSAM_THRESHOLD"), f"{settings.threshold:g}"
                if band.count != 2:
                    raise InputError(f"{path}: contains no mask, as bands of early versions; predict it again")
                if threshold != wanted:
                    raise InputError(f"{path}: predicted at threshold {threshold}, not {wanted}; predict it again")
        except RasterioError as error:
            raise InputError(f"{path}: not a band of a map ({error}); predict it again") from error
    if len(models) != 1:
        raise InputError(f"{bands[0].parent}: bands of different networks {sorted(map(str, models))}; predict again")
    return str(models.pop())
