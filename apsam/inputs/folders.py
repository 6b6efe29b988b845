"""A folder of ready-made tiles: headers of all, transparent pixels of some, labels and masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from apsam.inputs.labels import count_tiles
from apsam.inputs.masks import LEAST_AGREEMENT, MUCH_LANDSLIDE
from apsam.inputs.report import SceneReport
from apsam.inputs.state import CheckState
from apsam.labelling.identity import GridIdentity
from apsam.labelling.tables import check_same_tiles
from apsam.scenes import Scene, other_images, tile_files
from apsam.tiles.labels import UNLABELLED, labels_from_table, read_label_table
from apsam.tiles.mask_folder import MaskFolder
from apsam.tiles.ready_made import check_tile_header, doubtful_bands, hides_pixels, image_size, read_tile_image
from apsam.tiles.ready_made_masks import read_tile_mask
from apsam.tiles.settings import TileSettings
from apsam.tiles.sources import check_labels_and_mask
from apsam.tiles.tiling import folder_labels_from_masks

# Ready-made tiles, evenly spaced, whose pixels are looked at for those that are transparent.
SAMPLE_TILES = 20

# The same, whose sizes are compared; a tile is not square if it is longer than wide by this factor, and large if its
# side is that many times `tiles.size`.
SAMPLE_SIZES, LONG, LARGE = 50, 1.1, 4

# Masks, evenly spaced, that are compared with the labels of their tiles.
SAMPLE_COMPARED = 200


def check_folder(state: CheckState, scene: Scene, row: SceneReport) -> None:
    """Validate a folder of ready-made tiles, its labels and masks, and note what was understood.

    Raises:
        InputError: The first thing that is wrong.
    """
    assert scene.image is not None
    files = tile_files(scene.image)
    check_labels_and_mask(scene)
    _check_images(state, scene.image, files, row)
    known = None
    if scene.labels is not None:
        names = [file.name for file in files]
        table = read_label_table(scene.labels)
        check_same_tiles(scene.labels, GridIdentity(scene.name))
        labels = labels_from_table(scene.labels, names, table)
        known = dict(zip(names, labels.tolist(), strict=True))
        row.labels = f"{scene.labels.name} (table)"
        count_tiles(row, labels)
    if scene.mask is not None:
        _check_masks(state, scene, files, known, row)


def _check_images(state: CheckState, folder: Path, files: Sequence[Path], row: SceneReport) -> None:
    """Headers of all tiles, and of some their size and transparency."""
    row.size, row.bands, row.stretch = f"{len(files)} tiles", "red, green, blue", "as it is"
    state.stretched[row.name] = False
    read_tile_image(files[0])
    if unused := _unused_settings(state.tiles):
        state.warnings.append(
            f"{folder}: ready-made tiles are read as they are, without {', '.join(unused)}; where these are needed, "
            f"convert the tiles"
        )
    doubts: list[str] = []
    if left_out := other_images(folder):
        state.warnings.append(
            f"{folder}: {len(left_out)} image(s) of kinds that are not read ({left_out[0]}) are left out; convert them "
            f"to PNG or TIFF"
        )
    for number, file in enumerate(files, 1):
        check_tile_header(file)
        if doubt := doubtful_bands(file):
            doubts.append(f"{file}: {doubt}")
        if not state.in_time and number < len(files):
            row.notes.append(f"headers of {number} of {len(files)} tiles were looked at, to be done in time")
            break
    if doubts:
        only = f"{row.bands}; of {len(doubts)} tiles the first three"
        row.bands = "the first three" if len(doubts) == number else only
        others = f" ({len(doubts) - 1} other tile(s) likewise)" if len(doubts) > 1 else ""
        state.warnings.append(f"{doubts[0]}{others}")
    some = files[:: max(1, len(files) // SAMPLE_TILES)]
    hiding = [file for file in some if state.in_time and hides_pixels(file)]
    if hiding:
        state.warnings.append(
            f"{folder}: {len(hiding)} of the {len(some)} tiles that were looked at have transparent or "
            f"no-data pixels ({hiding[0].name}), which count as data in ready-made tiles; give the scene as one "
            f"raster, or leave such tiles out"
        )
    _note_sizes(state, folder, files, row)


def _unused_settings(tiles: TileSettings) -> list[str]:
    """Return the settings that differ from their defaults and concern rasters alone."""
    default = TileSettings()
    names = ("bands", "nodata", "resolution_m", "stretch")
    return [f"'tiles.{name}'" for name in names if getattr(tiles, name) not in (getattr(default, name), "none")]


def _note_sizes(state: CheckState, folder: Path, files: Sequence[Path], row: SceneReport) -> None:
    """Sizes of some tiles, and what becomes of them: every tile becomes a square of `tiles.size`."""
    sizes = [size for size in map(image_size, files[:: max(1, len(files) // SAMPLE_SIZES)]) if size]
    if not sizes:
        return
    sides = [max(size) for size in sizes]
    row.size += f" of {min(sides)} to {max(sides)} px" if min(sides) < max(sides) else f" of {max(sides)} px"
    long = sum(max(size) > LONG * min(size) for size in sizes)
    if long:
        row.notes.append(f"{long} of the {len(sizes)} tiles that were looked at are not square, and are made square")
    large = sum(side > LARGE * state.tiles.size for side in sides)
    if large:
        state.warnings.append(
            f"{folder}: {large} of the {len(sizes)} tiles that were looked at are large (up to {max(sides)} px), and "
            f"are reduced to {state.tiles.size} px (tiles.size) with one label each; sheets of a map are scenes of "
            f"their own: give each in a row of the scene sheet"
        )


def _check_masks(
    state: CheckState, scene: Scene, files: list[Path], known: dict[str, int] | None, row: SceneReport
) -> None:
    """The masks of the tiles, and labels where they are derived from them."""
    assert scene.mask is not None
    masks = MaskFolder(scene.mask, scene.mask_values)
    needed = masks.masks(files, known)
    without = len(files) - len(needed)
    if without:
        row.notes.append(f"{without} tile(s) not labelled positive have no mask, and need none")
    row.mask, row.mask_share = f"{scene.mask.name}/ ({len(needed)} masks)", masks.share
    if masks.share == 0 and row.positive:
        state.warnings.append(
            f"{scene.mask}: shows no landslide, but {row.positive} tiles are labelled positive; are these the "
            f"right masks?"
        )
    if (masks.share or 0) > MUCH_LANDSLIDE:
        state.warnings.append(
            f"{scene.mask}: {masks.share:.0%} of the masks that were looked at is landslide; are these the masks "
            f"of landslides, and not inverted?"
        )
    if masks.rule is not None and masks.rule.note:
        row.notes.append(f"{scene.mask}: {masks.rule.note}")
    if known is not None:
        _compare(state, scene.mask, masks, needed, known)
    if scene.labels is None:
        row.labels = "mask"
        if state.in_time:
            count_tiles(row, folder_labels_from_masks(masks, files, state.labels.min_pixels))
        else:
            state.without_pixels.append(scene.name)


def _compare(state: CheckState, folder: Path, masks: MaskFolder, files: Sequence[Path], labels: dict[str, int]) -> None:
    """Warn if few of the tiles whose masks show landslide are labelled positive, and few others negative."""
    pairs = [
        (labels[file.name] == 1, bool((read_tile_mask(masks.mask(file.name), masks.rule, masks.values) == 1).any()))
        for file in files[:: len(files) // SAMPLE_COMPARED + 1]
        if state.in_time and labels[file.name] != UNLABELLED
    ]
    positive, shown = (sum(some) for some in zip(*pairs, strict=True)) if pairs else (0, 0)
    both = sum(one and other for one, other in pairs)
    if both < LEAST_AGREEMENT * min(positive, shown):
        state.warnings.append(
            f"{folder}: of {len(pairs)} masks that were looked at, {shown} show landslide, of which {both} are among "
            f"the {positive} tiles labelled positive; are labels and masks of the same tiles, and is 1 landslide in "
            f"the labels?"
        )
