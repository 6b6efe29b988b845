"""Validate all inputs of a run before any work, with the readers that the jobs use, and say what was understood."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
from pyproj import CRS
from pyproj.aoi import AreaOfUse

from apsam.datums import proj_crs
from apsam.errors import InputError
from apsam.geodesy import Geodesy
from apsam.inputs.ground import check_ground
from apsam.inputs.report import Report, SceneReport
from apsam.inputs.sizes import landslide_lengths, mask_lengths, median_and_longest, point_warnings, scale_warnings
from apsam.labelling.identity import GridIdentity
from apsam.labelling.tables import check_same_tiles
from apsam.reference_mask import ReferenceMaskReader
from apsam.reference_mask.location import check_mask_header
from apsam.scenes import Scene, tile_files
from apsam.tiles.georeference import degrees_of
from apsam.tiles.labels import UNLABELLED, labels_from_table, read_label_table
from apsam.tiles.layers import check_layer
from apsam.tiles.parts import check_blocks
from apsam.tiles.reader import SceneReader
from apsam.tiles.ready_made import MaskFolder, check_tile_header, hides_pixels, image_size, read_tile_image
from apsam.tiles.scene_labels import LayerLabels, tile_table
from apsam.tiles.settings import LabelSettings, SplitSettings, TileSettings
from apsam.tiles.sources import check_image, check_labels_and_mask
from apsam.tiles.tiling import check_size, folder_labels_from_masks
from apsam.tiles.windows import tile_windows
from apsam.vectors.layers import chosen_layers, is_vector, split_layer
from apsam.vectors.place import Bounds

log = logging.getLogger(__name__)

# Seconds that are spent on pixels: beyond, only headers, tables and layers are read, and the report says so.
PIXEL_SECONDS = 20.0

# Side of the decimated version of a scene that shares are estimated on.
SIDE = 512

# Of a mask with a larger share of landslide, and of a layer that makes a larger share of tiles positive, a word is
# said.
MUCH_LANDSLIDE, MANY_TILES = 0.5, 0.9

# Share of pixels that are black, or white, in all bands, from which on they may be no data.
LEAST_COLLAR = 0.05

# With as few different values, an image is a drawing.
LEAST_COLOURS = 16

# Ready-made tiles, evenly spaced, whose pixels are looked at for those that are transparent.
SAMPLE_TILES = 20

# Degrees beyond the area that a CRS is meant for at which nothing is said yet.
BESIDE = 1.0

# Scenes whose resolutions differ by a larger factor look different to a network.
RESOLUTIONS = 1.5


def check(
    scenes: Sequence[Scene],
    tiles: TileSettings,
    labels: LabelSettings,
    split: SplitSettings,
    dem: Path | None = None,
    pixel_seconds: float = PIXEL_SECONDS,
) -> Report:
    """Read all inputs as the jobs will: headers, tables and layers in full, pixels in a decimated version.

    Args:
        scenes: All scenes of the sheet.
        tiles: How rasters are read and cut.
        labels: When a tile is positive.
        split: Blocks, and what becomes of ground that training and test scenes share.
        dem: Raster of elevations, where one is given, as a path that can be opened.
        pixel_seconds: How long pixels are looked at.

    Returns:
        What was understood, with warnings.

    Raises:
        InputError: The first thing that is wrong.
    """
    report = Report()
    with _captured(report):
        work = _Check(tiles, labels, split, time.monotonic() + pixel_seconds)
        for scene in scenes:
            report.scenes.append(work.scene(scene))
        work.finish(scenes, report, dem)
    report.warnings = list(dict.fromkeys([*report.warnings, *work.warnings]))
    return report


class _Check:
    """State of one check: layers that several scenes use, places, counts of the training tiles."""

    def __init__(self, tiles: TileSettings, labels: LabelSettings, split: SplitSettings, until: float) -> None:
        self._tiles, self._labels, self._split, self._until = tiles, labels, split, until
        self.warnings: list[str] = []
        self._places: dict[str, Bounds | None] = {}
        self._grounds: list[tuple[object, Bounds]] = []
        self._layers: dict[tuple[Path, bool], list[Path]] = {}
        self._buffers: dict[Path, float] = {}
        self._resolutions: dict[str, float] = {}
        self._without_pixels: list[str] = []
        self._train = [0, 0]
        self._lengths: list[tuple[np.ndarray, float]] = []
        self._known_counts = self._only_tables = True

    def scene(self, scene: Scene) -> SceneReport:
        """One row of the sheet."""
        row = SceneReport(scene.name, scene.split, scene.kind)
        if scene.kind == "synthetic":
            row.size, row.labels, row.mask = "made by the run", "mask", "made by the run"
            self._known_counts = False
            return row
        labels = scene.labels_source
        self._only_tables &= labels is not None and not is_vector(labels)
        if scene.kind == "folder":
            self._folder(scene, row)
        else:
            self._raster(scene, row)
        if scene.split != "test":
            if row.positive is None or row.negative is None:
                self._known_counts = False
            else:
                self._train[0] += row.positive
                self._train[1] += row.negative
        return row

    def finish(self, scenes: Sequence[Scene], report: Report, dem: Path | None) -> None:
        """What concerns several scenes."""
        for (layer, is_labels), images in self._layers.items():
            check_layer(layer, images, self._buffers[layer] if is_labels else 0, may_be_empty=not is_labels)
        report.notes += check_ground(scenes, self._places, self._tiles, self._split)
        for number, kind in enumerate(("positive", "negative")):
            if not self._known_counts or self._train[number]:
                continue
            problem = f"no tile of the training scenes is labelled {kind}; a localizer needs both kinds"
            if self._only_tables:
                raise InputError(problem)
            self.warnings.append(problem)
        if dem is not None:
            from apsam.products.elevations import check_elevations

            notes, warnings = check_elevations(dem, self._grounds)
            report.notes += [f"{dem}: {note}" for note in notes]
            self.warnings += [f"{dem}: {warning}" for warning in warnings]
        if self._resolutions and max(self._resolutions.values()) > RESOLUTIONS * min(self._resolutions.values()):
            fine, coarse = (f(self._resolutions, key=self._resolutions.__getitem__) for f in (min, max))
            self.warnings.append(
                f"a pixel of '{coarse}' is {self._resolutions[coarse]:.3g} m wide, of '{fine}' "
                f"{self._resolutions[fine]:.3g} m; landslides look different at another resolution, so that one is "
                f"better resampled to the other's"
            )
        if self._lengths:
            self.warnings += scale_warnings(self._lengths, self._tiles)
        if self._without_pixels:
            count = len(self._without_pixels)
            report.notes.append(
                f"pixels of {count} scene(s) were not read, to finish in time, '{self._without_pixels[0]}' the "
                f"first: their valid shares and mask values are not known yet"
            )

    def _raster(self, scene: Scene, row: SceneReport) -> None:
        check_image(scene)
        assert scene.image is not None
        with SceneReader(scene.image, self._tiles) as reader:
            check_labels_and_mask(scene)
            if scene.split == "blocks":
                check_blocks(scene.image, reader.height, reader.width, self._split, self._tiles)
            check_size(scene.image, reader.height, reader.width, self._tiles)
            self._describe(scene, reader, row)
            if note := reader.resolution_note():
                (row.notes if reader.averaged else self.warnings).append(note)
            windows = tile_windows(reader.height, reader.width, self._tiles.size, self._tiles.stride)
            if scene.labels is not None:
                self._count_labels(scene, reader, windows, row)
            if scene.mask is not None:
                self._look_at_mask(scene, reader, windows, row)
            if time.monotonic() < self._until:
                self._look_at_pixels(scene, reader, row)
            else:
                self._without_pixels.append(scene.name)

    def _describe(self, scene: Scene, reader: SceneReader, row: SceneReport) -> None:
        crs = proj_crs(reader.crs.to_wkt())
        code = ":".join(crs.to_authority() or ()) if crs.to_authority(min_confidence=100) else ""
        geodesy = Geodesy(crs, reader.bounds)
        row.size = f"{reader.width} x {reader.height}"
        row.crs = f"{code} {crs.name}".strip()
        row.resolution_m = _pixel_metres(reader, geodesy)
        row.tile_m = row.resolution_m * self._tiles.size
        self._resolutions[scene.name] = row.resolution_m
        row.bands = f"{', '.join(map(str, reader.chosen.bands))} ({reader.chosen.why})"
        row.stretch = (
            f"{reader.dtype}, percentiles {self._tiles.percentiles[0]:g} to {self._tiles.percentiles[1]:g}"
            if reader.stretched
            else "as it is"
        )
        if reader.chosen.palette is not None:
            row.notes.append("the numbers of a colour table are read as its colours")
        if reader.chosen.why.endswith("red, green, blue") and reader.chosen.bands != (1, 2, 3):
            row.notes.append(f"bands {', '.join(map(str, reader.chosen.bands))} are red, green, blue, as it declares")
        named = ", ".join(reader.chosen.names)
        declared = reader.chosen.why.startswith("declared")
        if named and not declared:
            self.warnings.append(
                f"{scene.image}: its bands are named {named}, and bands {', '.join(map(str, reader.chosen.bands))} are "
                f"taken as red, green and blue; if others are, set 'tiles.bands'"
            )
        elif reader.undeclared_colours:
            self.warnings.append(
                f"{scene.image}: has {reader.count} bands, of which none is declared as red, green or blue; the first "
                f"three are taken. Many sensors begin with blue: then set 'tiles.bands: [3, 2, 1]'"
            )
        if named and declared:
            self.warnings.append(
                f"{scene.image}: declares bands {', '.join(map(str, reader.chosen.bands))} as red, green, blue, which "
                f"are taken, but its bands are named {named}; if the names are right, set "
                f"'tiles.bands'"
            )
        if reader.white is not None:
            row.notes.append("0 is white in it (WhiteIsZero): inverted")
        place = degrees_of(reader.crs, reader.bounds)
        if place is not None and _outside(place, crs):
            self.warnings.append(
                f"{scene.image}: lies at {place[0]:.4g} to {place[2]:.4g}, {place[1]:.4g} to {place[3]:.4g} degrees, "
                f"outside of the area that {crs.name} is made for; is it the coordinate reference system of its "
                f"coordinates?"
            )
        self._places[scene.name] = place
        self._grounds.append((reader.crs, reader.bounds))

    def _count_labels(self, scene: Scene, reader: SceneReader, windows: np.ndarray, row: SceneReport) -> None:
        source = scene.labels_source
        assert source is not None and scene.image is not None
        table = tile_table(scene, reader, windows)
        if table is not None:
            row.labels = f"{source.name} ({'tile grid' if is_vector(source) else 'table'})"
            _count(row, np.array(list(table.values())))
            return
        settings = scene.label_settings(self._labels)
        layer = LayerLabels(source, reader, settings)
        self._layers.setdefault((source, True), []).append(scene.image)
        self._buffers[source] = max(self._buffers.get(source, 0.0), layer.reach)
        labels = np.where(layer.near(windows), UNLABELLED, 0).astype(np.uint8)
        labels[layer.touching(windows)[0]] = 1
        _count(row, labels)
        row.about = True
        row.labels = f"{_named(source)} ({len(layer.shapes)} features near{_around_features(layer, settings)})"
        lengths = landslide_lengths(layer.features, Geodesy(proj_crs(reader.crs.to_wkt()), reader.bounds))
        lengths = np.where(np.isnan(lengths), layer.distances.length, lengths)
        row.lengths_m = median_and_longest(lengths)
        self._compare_scale(scene, row, lengths)
        if not layer.touches:
            self.warnings.append(f"{source}: no feature touches the scene '{scene.name}': all its tiles are negative")
        elif (labels == 1).sum() >= MANY_TILES * len(windows) and len(windows) > 8:
            self.warnings.append(
                f"{source}: makes {row.positive} of {len(windows)} tiles of '{scene.name}' positive; is it the layer "
                f"of landslides, and labels.buffer_m ({settings.buffer_m:g}) right?"
            )
        self.warnings += point_warnings(source, scene.name, layer, settings, windows, labels)
        if settings.buffer_m > (row.tile_m or np.inf):
            self.warnings.append(
                f"labels.buffer_m ({settings.buffer_m:g} m) is more than the side of a tile of '{scene.name}' "
                f"({row.tile_m:.0f} m)"
            )

    def _compare_scale(self, scene: Scene, row: SceneReport, lengths: np.ndarray) -> None:
        """Keep what is known of landslides' lengths in training scenes."""
        known = lengths[np.isfinite(lengths)]
        if scene.split != "test" and len(known) and row.tile_m:
            self._lengths.append((known, row.tile_m))

    def _look_at_mask(self, scene: Scene, reader: SceneReader, windows: np.ndarray, row: SceneReport) -> None:
        source = scene.mask_source
        assert source is not None and scene.image is not None and row.resolution_m is not None
        if is_vector(source):
            self._layers.setdefault((source, False), []).append(scene.image)
            row.mask = f"{_named(source)} (polygons)"
        else:
            row.mask = f"{source.name} (raster)"
            if time.monotonic() >= self._until:
                check_mask_header(source, reader)
                if scene.labels is None:
                    row.labels = "mask"
                return
        with ReferenceMaskReader(source, reader, scene.mask_values) as reference:
            overview = reference.overview(SIDE)
            if reference.note is not None:
                row.notes.append(f"{source}: {reference.note}")
        known = overview != UNLABELLED
        if not known.any():
            raise InputError(
                f"{source}: says nothing about the scene {scene.image}: it lies elsewhere, or is no-data where the "
                f"scene is; check its coordinate reference system and its no-data value"
            )
        row.mask_share = float((overview[known] == 1).mean())
        exact = overview.shape == (reader.height, reader.width)
        row.mask_sampled = not exact
        if not row.mask_share and scene.labels is not None and row.positive:
            self.warnings.append(
                f"{source}: shows no landslide in '{scene.name}', of which {row.positive} tiles are labelled positive; "
                f"is it the right mask, and the no-data value that it declares not landslide itself?"
            )
        declared = not is_vector(source) and reference.no_data is not None
        if not row.mask_share and scene.labels is None and declared and not known.all():
            self.warnings.append(
                f"{source}: shows no landslide in '{scene.name}', and {1 - known.mean():.1%} of it is "
                f"{reference.no_data:g}, which it declares as no data; if that value is landslide, unset it: "
                f"gdal_edit.py -unsetnodata {source}"
            )
        if scene.mask_values is not None and is_vector(source):
            self.warnings.append(
                f"{source}: is a layer of polygons, for which 'mask_values' ({scene.mask_values}) says nothing"
            )
        if row.mask_share > MUCH_LANDSLIDE:
            self.warnings.append(
                f"{source}: {row.mask_share:.0%} of '{scene.name}' is landslide by it; is it the mask of landslides, "
                f"and not inverted?"
            )
        if scene.labels is None:
            row.labels = "mask"
            positive = _touched(overview == 1, windows, reader.height, reader.width)
            row.positive, row.negative, row.about = int(positive.sum()), int((~positive).sum()), True
            lengths = mask_lengths(overview == 1, row.resolution_m * reader.height / overview.shape[0])
            row.lengths_m = median_and_longest(lengths)
            self._compare_scale(scene, row, lengths)
            if not exact and not positive.any():
                row.positive = None  # a small landslide may lie between the pixels that were looked at

    def _look_at_pixels(self, scene: Scene, reader: SceneReader, row: SceneReport) -> None:
        values, valid = reader.stored_overview(SIDE)
        row.valid = float(valid.mean())
        if not valid.any():
            raise InputError(f"{scene.image}: has no valid pixel; check its no-data value and 'tiles.nodata'")
        _ = reader.limits  # says where a band alone has no data
        for value in reader.undeclared:
            row.notes.append(f"{value:g} in all bands is taken for no data")
        seen = values[:, valid > 0]
        blank = {band: v[0] for band, v in zip(reader.chosen.bands, seen, strict=True) if (v == v[0]).all()}
        if blank and reader.chosen.palette is None:
            listed = ", ".join(f"band {band} is {value:g}" for band, value in blank.items())
            self.warnings.append(f"{scene.image}: {listed} everywhere; was it exported or merged without its pixels?")
        if len(np.unique(seen)) <= LEAST_COLOURS:
            return
        names = {0: "black (0)"} | ({255: "white (255)"} if reader.dtype == np.uint8 else {})
        for value in dict.fromkeys([0, *names, seen.min().item(), seen.max().item()]):
            name = names.get(value, f"{value:g}")
            share = float(((values == value).all(axis=0) & (valid > 0)).mean())
            if LEAST_COLLAR <= share < 1:
                self.warnings.append(
                    f"{scene.image}: {share:.0%} of its pixels are {name} in all bands and count as data; if nothing "
                    f"is shown there, set 'tiles.nodata: {value:g}'"
                )

    def _folder(self, scene: Scene, row: SceneReport) -> None:
        check_labels_and_mask(scene)
        assert scene.image is not None
        files = tile_files(scene.image)
        names = [file.name for file in files]
        row.size, row.bands, row.stretch = f"{len(files)} tiles", "red, green, blue", "as it is"
        read_tile_image(files[0])
        for number, file in enumerate(files, 1):
            check_tile_header(file)
            if time.monotonic() >= self._until and number < len(files):
                row.notes.append(f"headers of {number} of {len(files)} tiles were looked at, to be done in time")
                break
        some = files[:: max(1, len(files) // SAMPLE_TILES)]
        hiding = [file for file in some if time.monotonic() < self._until and hides_pixels(file)]
        if hiding:
            self.warnings.append(
                f"{scene.image}: {len(hiding)} of the {len(some)} tiles that were looked at have transparent or "
                f"no-data pixels ({hiding[0].name}), which count as data in ready-made tiles; give the scene as one "
                f"raster, or leave such tiles out"
            )
        known = None
        if scene.labels is not None:
            table = read_label_table(scene.labels)
            check_same_tiles(scene.labels, GridIdentity(scene.name))
            labels = labels_from_table(scene.labels, names, table)
            known = dict(zip(names, labels.tolist(), strict=True))
            row.labels = f"{scene.labels.name} (table)"
            _count(row, labels)
        if scene.mask is None:
            return
        masks = MaskFolder(scene.mask, scene.mask_values)
        needed = masks.masks(files, known)
        without = len(files) - len(needed)
        if without:
            row.notes.append(f"{without} tile(s) not labelled positive have no mask, and need none")
        row.mask, row.mask_share = f"{scene.mask.name}/ ({len(needed)} masks)", masks.share
        if masks.share == 0 and row.positive:
            self.warnings.append(
                f"{scene.mask}: shows no landslide, but {row.positive} tiles are labelled positive; are these the "
                f"right masks?"
            )
        if (masks.share or 0) > MUCH_LANDSLIDE:
            self.warnings.append(
                f"{scene.mask}: {masks.share:.0%} of the masks that were looked at is landslide; are these the masks "
                f"of landslides, and not inverted?"
            )
        if masks.rule is not None and masks.rule.note:
            row.notes.append(f"{scene.mask}: {masks.rule.note}")
        if scene.labels is None:
            row.labels = "mask"
            if time.monotonic() < self._until:
                _count(row, folder_labels_from_masks(masks, files, self._labels.min_pixels))
            else:
                self._without_pixels.append(scene.name)
        sizes = [size for size in map(image_size, files[:: max(1, len(files) // 50)]) if size]
        if sizes:
            sides = [max(size) for size in sizes]
            row.size += f" of {min(sides)} to {max(sides)} px" if min(sides) < max(sides) else f" of {max(sides)} px"


def _named(source: Path) -> str:
    """A vector file with the layers that are read."""
    return f"{split_layer(source)[0].name}: {', '.join(layer.name for layer in chosen_layers(source))}"


def _around_features(layer: LayerLabels, settings: LabelSettings) -> str:
    """How far around features tiles are positive, and how far not negative."""
    distances, parts = layer.distances, []
    sized = int(np.isfinite(distances.length).sum())
    if settings.buffer_m and sized < len(layer.features):
        parts.append(f"widened by {settings.buffer_m:g} m")
    if sized:
        parts.append(f"{sized} by their {settings.size_kind} in '{settings.size_column}'")
    if (distances.unknown > distances.positive).any():
        parts.append(f"not negative within {distances.unknown.max():.0f} m")
    return "".join(f", {part}" for part in parts)


def _count(row: SceneReport, labels: np.ndarray) -> None:
    row.positive, row.negative = int((labels == 1).sum()), int((labels == 0).sum())
    row.unlabelled = int((labels == UNLABELLED).sum())


def _pixel_metres(reader: SceneReader, geodesy: Geodesy) -> float:
    """Ground side of a pixel in the middle of the scene, metres."""
    a, b, _, d, e, _ = tuple(reader.transform)[:6]
    east, north = geodesy.metres_east, geodesy.metres_per_unit
    return float(abs(a * e - b * d) ** 0.5 * (east * north) ** 0.5)


def _outside(place: Bounds, crs: CRS) -> bool:
    """Whether a place in degrees lies wholly outside of the area that a CRS is meant for, and not just next to it."""
    area = _area_of_use(crs.to_wkt())
    if area is None or area.west > area.east or place[0] > place[2]:
        return False
    beyond = max(area.west - place[2], place[0] - area.east, area.south - place[3], place[1] - area.north)
    return beyond > BESIDE


@lru_cache(maxsize=256)
def _area_of_use(wkt: str) -> AreaOfUse | None:
    """West, south, east, north of the area that a CRS of the EPSG's is made for; files do not repeat it."""
    authority = proj_crs(wkt).to_authority(min_confidence=70)
    if authority is None:
        return None
    return CRS.from_authority(*authority).area_of_use  # type: ignore[return-value]  # pyproj's stubs know two classes of this name


def _touched(landslide: np.ndarray, windows: np.ndarray, height: int, width: int) -> np.ndarray:
    """Which windows (n, 4) hold any landslide pixel of a decimated mask (h, w) bool. (n,) bool."""
    down, across = landslide.shape[0] / height, landslide.shape[1] / width
    total = np.zeros((landslide.shape[0] + 1, landslide.shape[1] + 1), np.int64)
    total[1:, 1:] = landslide.cumsum(axis=0).cumsum(axis=1)
    row, col, tall, wide = windows.T.astype(float)
    top, bottom = np.floor(row * down).astype(int), np.ceil(np.minimum(row + tall, height) * down).astype(int)
    left, right = np.floor(col * across).astype(int), np.ceil(np.minimum(col + wide, width) * across).astype(int)
    return total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left] > 0


@contextmanager
def _captured(report: Report) -> Iterator[None]:
    """Take what readers log for the report instead of the screen."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            (report.warnings if record.levelno >= logging.WARNING else report.notes).append(record.getMessage())

    logger, handler = logging.getLogger("apsam"), Handler()
    before = logger.propagate, logger.level
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate, level = before
        logger.setLevel(level)
