"""The folder of the masks of ready-made tiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from apsam.errors import InputError
from apsam.scenes import image_files
from apsam.tiles.mask_values import NO_DATA, MaskRule, Sample, find_rule, plane
from apsam.tiles.mask_values_column import HOW_TO_SAY
from apsam.tiles.ready_made import JPEG_SUFFIXES, image_size
from apsam.tiles.ready_made_masks import read_mask_bands, read_tile_mask

# Masks of a folder, evenly spaced, that are sampled to interpret the values.
SAMPLE_MASKS = 400

# Values of which the first is landslide and the other unknown, or either is landslide: the highest of 8 and 16 bit.
ONE_AND_FULL = (1, 255, 65535)


class MaskFolder:
    """The masks of ready-made tiles: files with the tiles' stems, and any suffix of an image in any case.

    Args:
        folder: Their folder.
        values: Meaning of their values, if they are ambiguous (`mask_values` of the scene sheet).

    Raises:
        InputError: There is no such folder.
    """

    def __init__(self, folder: Path, values: str | None = None) -> None:
        self.folder = folder
        self.values = values
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder of masks")
        files = image_files(folder)
        # Of several with the same stem the lossless one is used: a JPEG may be the image itself.
        files.sort(key=lambda file: (file.suffix.lower() in JPEG_SUFFIXES, file.suffix.lower(), file.name))
        self._files: dict[str, Path] = {}
        for file in files:
            self._files.setdefault(file.stem, file)

    @cached_property
    def rule(self) -> MaskRule | None:
        """Return the rule for all their values together; None if all are JPEGs, which are read one by one.

        Raises:
            InputError: The values are ambiguous.
        """
        return self._sampled[0]

    @property
    def share(self) -> float | None:
        """Share of landslide in the sampled masks."""
        return self._sampled[1]

    @cached_property
    def _sampled(self) -> tuple[MaskRule | None, float | None]:
        files = sorted(self._files.values())
        sample, lossy = None, None
        found: dict[Path, set[int]] = {}
        for file in files[:: max(1, len(files) // SAMPLE_MASKS)]:
            bands, missing, transparent, compression = read_mask_bands(file, bool(self.values))
            if compression is not None and not self.values:
                lossy = lossy or Sample.of(bands.dtype, compression)
                lossy.add(bands, missing, transparent)
                continue
            if sample is None:
                sample = Sample.of(bands.dtype)
            sample.dtype = np.result_type(sample.dtype, bands.dtype)
            sample.add(bands, missing, transparent)
            found[file] = {value for value in ONE_AND_FULL if (plane(bands)[~missing] == value).any()}
        if sample is None:
            shades = None if lossy is None or not lossy.counts else find_rule(self.folder, lossy)
            return None, None if shades is None or lossy is None else lossy.share(shades)
        rule = find_rule(self.folder, sample, self.values)
        if not self.values:
            _check_one_kind(self.folder, rule, found)
        return rule, sample.share(rule)

    def has(self, image: str) -> bool:
        """Whether there is a mask of the tile with this file name."""
        return Path(image).stem in self._files

    def mask(self, image: str) -> Path:
        """Return the mask of the tile with this file name.

        Raises:
            InputError: There is none.
        """
        stem = Path(image).stem
        if stem not in self._files:
            raise InputError(
                f"{self.folder}: has no mask for the tile {image} (looked for {stem}.png, .tif, .jpg, in any case)"
            )
        return self._files[stem]

    def read(self, image: str, shape: tuple[int, int], label: int | None = None) -> np.ndarray:
        """Read the mask of the tile with this file name, (height, width) uint8 {0, 1, 255 unknown}.

        Args:
            image: Name of the tile.
            shape: Its height and width.
            label: Its image-level label: a tile labelled negative needs no mask; without a label
                (255) and without a mask, all pixels are unknown.

        Raises:
            InputError: There is none, it has another size, or cannot be read.
        """
        if label in (0, NO_DATA) and not self.has(image):
            return np.full(shape, label, np.uint8)
        path = self.mask(image)
        mask = read_tile_mask(path, self.rule, self.values)
        if mask.shape != shape:
            raise InputError(f"{path}: is {mask.shape[1]} x {mask.shape[0]} px, its image {shape[1]} x {shape[0]}")
        return mask

    def masks(self, images: Sequence[Path], labels: Mapping[str, int] | None = None) -> list[Path]:
        """List the masks of tiles, in their order; tiles whose label makes a mask unnecessary are left out.

        Args:
            images: The tiles.
            labels: Their labels by name, if available.

        Raises:
            InputError: One is missing, or is not of its tile's size.
        """
        needed = [
            image
            for image in images
            if self.has(image.name) or labels is None or labels.get(image.name, NO_DATA) not in (0, NO_DATA)
        ]
        found = [self.mask(image.name) for image in needed]
        for image, mask in zip(needed, found, strict=True):
            wanted, size = image_size(image), image_size(mask)
            if wanted and size and wanted != size:
                raise InputError(f"{mask}: is {size[0]} x {size[1]} px, its image {wanted[0]} x {wanted[1]}")
        return found


def _check_one_kind(folder: Path, rule: MaskRule, found: Mapping[Path, set[int]]) -> None:
    """Raise InputError if 1 and 255 are never in the same mask: then these may be masks of two kinds, 0/1 and 0/255.

    Args:
        folder: Their folder.
        rule: The rule for the values of all.
        found: Which of `ONE_AND_FULL` each mask contains.
    """
    full = rule.unknown.intersection(ONE_AND_FULL)
    if not full or any(1 in values and full & values for values in found.values()):
        return
    ones, others = (next(file for file, values in found.items() if some & values) for some in ({1}, full))
    high = f"{min(full):g}"
    raise InputError(
        f"{folder}: some masks contain the value 1 ({ones.name}), others {high} ({others.name}), none both: is {high} "
        f"landslide too ('1,{high}'), or unknown ('1=landslide 0=none {high}=unknown')? {HOW_TO_SAY}"
    )
