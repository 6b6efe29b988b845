"""Interpretation of mask values: one rule for masks of scenes and of ready-made tiles.

A mask pixel is landslide, not landslide, or unknown. The values for these differ between programs: 1 or 255
for a landslide, a colour, a palette, grey specks around white in a JPEG, 255 for unknown. If the values are
ambiguous, `mask_values` is required; they are not guessed.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from apsam.errors import InputError
from apsam.tiles.mask_values_column import HOW_TO_SAY, MaskValues, in_order, parse_mask_values
from apsam.tiles.photometry import PERHAPS_LOSSY, Palette, is_real

log = logging.getLogger(__name__)

NO_DATA = 255

# Grey values of an 8-bit mask with compression losses above which a pixel is landslide: JPEG leaves specks.
LOSSY_LANDSLIDE = 127

# More different values or colours than this are not classes but shades: compression losses, or not a mask.
MOST_CLASSES = 16

# In a mask with shades, at least this share must be nearly black or nearly white, within so many values.
CLEAR_SHARE, CLEAR = 0.95, 48

# Of what is not nearly black in it, at least this share must be bright: else it is an image cut out, not a mask.
BRIGHT_SHARE = 0.5

# Different values of a mask that are counted one by one. Those of a type with more possible values are then rounded
# to so many significant digits, except values with at least this share of the pixels.
MOST_COUNTED, DIGITS, OFTEN = 4096, 3, 1e-3

# Scale and offset of a raster that declares none.
UNSCALED = (1.0, 0.0)

# Values that programs use for no data.
UNKNOWN_CODES = (-1, -99, -999, -9999, -32767, -32768, -2147483648)


@dataclass(frozen=True)
class MaskRule:
    """Rule for reading the values of a mask.

    Attributes:
        landslide: Values that are landslide; None: all values above `limit`.
        limit: See `landslide`; the value itself is landslide only if `from_limit`.
        from_limit: Whether the limit itself is landslide.
        unknown: Values of pixels that were not mapped.
        none: Values above the limit that are not landslide.
        known: All values that the rule was made for; None: it applies to any value.
        note: The interpretation in words, if it is not obvious.
    """

    landslide: frozenset[float] | None = None
    limit: float = 0
    from_limit: bool = False
    unknown: frozenset[float] = frozenset()
    none: frozenset[float] = frozenset()
    known: frozenset[float] | None = None
    note: str | None = None

    def apply(self, values: np.ndarray, missing: np.ndarray, path: Path) -> np.ndarray:
        """Read values.

        Args:
            values: (height, width), one number per pixel (`plane`).
            missing: (height, width) bool: no data.
            path: Named in the error.

        Returns:
            (height, width) uint8: 0 not, 1 landslide, 255 unknown.

        Raises:
            InputError: There is a value outside the rule, for example in a part of the mask that was not sampled.
        """
        if self.known is not None:
            strange = ~missing & ~np.isin(values, list(self.known))
            if strange.any():
                found = f"{values[strange][0]:g}"
                raise InputError(
                    f"{path}: contains the value {found} in addition to {in_order(self.known)}; {HOW_TO_SAY}"
                )
        if self.landslide is not None:
            there = np.isin(values, list(self.landslide))
        else:
            there = values >= self.limit if self.from_limit else values > self.limit
        if self.none:
            there &= ~np.isin(values, list(self.none))
        unknown = missing | np.isin(values, list(self.unknown)) if self.unknown else missing
        return np.where(unknown, NO_DATA, there).astype(np.uint8)


@dataclass
class Sample:
    """Values found in a mask.

    Attributes:
        counts: Value (of a palette: index; of several bands: brightest channel) -> pixels.
        colours: Colours (all channels, 0 where transparent) -> pixels; empty for a single band.
        dtype: Of the mask.
        compression: Name of its compression, if that changes values or may change them; else None.
        rounded: Whether the values in `counts` are rounded, because there are very many.
        opaque, transparent: Pixels that its alpha band shows, and hides; 0 without one.
        scaling: Scale and offset that the file declares: its values are stored x scale + offset.
    """

    counts: dict[float, int]
    colours: dict[tuple[float, ...], int]
    dtype: np.dtype
    compression: str | None = None
    rounded: bool = False
    opaque: int = 0
    transparent: int = 0
    scaling: tuple[float, float] = UNSCALED

    @classmethod
    def of(cls, dtype: np.dtype, compression: str | None = None) -> Sample:
        """Return an empty one."""
        return cls({}, {}, np.dtype(dtype), compression)

    @property
    def lossy(self) -> bool:
        """Whether the compression has changed values."""
        return self.compression is not None and has_losses(self.compression, len(self.counts))

    def add(self, bands: np.ndarray, missing: np.ndarray | None = None, transparent: np.ndarray | None = None) -> None:
        """Count the pixels of (bands, height, width) that are not `missing`; as 0 those that are `transparent`."""
        if transparent is not None:
            bands = np.where(transparent, 0, bands)
            hidden = int(np.count_nonzero(transparent))
            self.transparent += hidden
            self.opaque += transparent.size - hidden
        pixels = bands.reshape(len(bands), -1)
        if missing is not None:
            pixels = pixels[:, ~missing.ravel()]
        values, counts = np.unique(plane(pixels), return_counts=True)
        if self.dtype.itemsize > 2 and len(self.counts) + len(values) > MOST_COUNTED:
            values, counts = _rounded(values, counts)
            self.rounded = True
        for value, count in zip(values.tolist(), counts.tolist(), strict=True):
            self.counts[float(value)] = self.counts.get(float(value), 0) + count
        if len(bands) > 1 and len(self.colours) <= 4 * MOST_CLASSES and pixels.size:
            colours, of_colours = _unique_colours(pixels)
            for colour, count in zip(colours, of_colours, strict=True):
                self.colours[colour] = self.colours.get(colour, 0) + count

    def share(self, rule: MaskRule) -> float | None:
        """Share of landslide among the known pixels; None if there are none."""
        values = np.array(list(self.counts))
        counts = np.array(list(self.counts.values()))
        if not len(values):
            return None
        read = rule.apply(values[None], np.zeros((1, len(values)), bool), Path("mask"))[0]
        known = counts[read != NO_DATA].sum()
        return float(counts[read == 1].sum() / known) if known else None


def _rounded(values: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Round rare values to `DIGITS` significant digits, as float64, and add up the counts of equal ones."""
    exact = values.astype(np.float64)
    size = np.floor(np.log10(np.maximum(np.abs(exact), 1e-300)))
    step = 10.0 ** np.maximum(size - DIGITS + 1, -DIGITS)
    rounded = np.where(counts >= OFTEN * counts.sum(), exact, np.round(exact / step) * step)
    found, place = np.unique(rounded, return_inverse=True)
    return found, np.bincount(place.ravel(), weights=counts).astype(np.int64)


def has_losses(compression: str, values: int) -> bool:
    """Whether a compression (`lossy_compression`) has changed values, of which there are so many different ones."""
    return compression not in PERHAPS_LOSSY or values > MOST_CLASSES


def plane(bands: np.ndarray) -> np.ndarray:
    """Reduce a mask to one number per pixel: the brightest channel of several."""
    return bands[0] if len(bands) == 1 else bands.max(axis=0)


def check_mask_type(path: Path, dtype: str) -> None:
    """Raise InputError if the values of a mask are not real numbers."""
    if not is_real(dtype):
        raise InputError(f"{path}: a mask of type {dtype} cannot be read; export whole numbers, for example 0 and 1")


def find_rule(path: Path, sample: Sample, said: str | None = None, palette: Palette | None = None) -> MaskRule:
    """Select the rule for reading a mask's values.

    Args:
        path: The mask, for messages.
        sample: Its values.
        said: `mask_values` of the scene sheet.
        palette: Its colour table.

    Raises:
        InputError: Its values are ambiguous.
    """
    if said:
        return _as_said(path, parse_mask_values(said), sample)
    _check_not_alpha_alone(path, sample)
    if palette is not None:
        return _by_palette(path, sample, palette)
    if sample.lossy and sample.dtype == np.uint8:
        return _in_shades(path, sample, str(sample.compression))
    if len(sample.colours) > 1 and len(sample.colours) <= MOST_CLASSES:
        _check_background(path, sample.colours)
        return MaskRule()
    if sample.colours:
        return MaskRule() if len(sample.colours) == 1 else _in_shades(path, sample, "colours")
    return _by_numbers(path, sample)


def _as_said(path: Path, said: MaskValues, sample: Sample) -> MaskRule:
    said = _as_stored(said, sample)
    if said.landslide and sample.counts and not sample.rounded and not said.landslide & sample.counts.keys():
        log.warning(
            "%s: contains none of the values %s that are landslide by 'mask_values', but %s",
            path, in_order(said.landslide), in_order(list(sample.counts)[:5]),
        )  # fmt: skip
    note = "read by 'mask_values'"
    if sample.scaling != UNSCALED:
        scale, offset = sample.scaling
        note += f", of values = stored x {scale:.6g} + {offset:g}, as the file declares"
    if said.limit is not None:
        return MaskRule(None, said.limit, not said.above, said.unknown, said.none, note=note)
    if said.landslide:
        return MaskRule(said.landslide, unknown=said.unknown, note=note)
    # Only values that are not landslide are named: all others are, also those that were not sampled.
    return MaskRule(None, -np.inf, unknown=said.unknown, none=said.none | {0.0}, note=note)


def _as_stored(said: MaskValues, sample: Sample) -> MaskValues:
    """The same numbers as a mask stores them: without its scale and offset, and in its type.

    In 32 bit, 0.1 is a little more than 0.1.
    """
    (scale, offset), dtype = sample.scaling, sample.dtype
    if dtype.kind != "f" and sample.scaling == UNSCALED:
        return said

    def stored(value: float) -> float:
        value = (value - offset) / scale
        if dtype.kind == "f":
            return float(dtype.type(value))
        whole = round(value) if np.isfinite(value) else value
        return float(whole) if abs(value - whole) < 1e-6 * max(1, abs(value)) else value

    landslide, none, unknown = (frozenset(map(stored, some)) for some in (said.landslide, said.none, said.unknown))
    return MaskValues(landslide, none, unknown, None if said.limit is None else stored(said.limit), said.above)


def _check_not_alpha_alone(path: Path, sample: Sample) -> None:
    """Raise InputError where all that is shown is black, so that only the transparency draws a shape."""
    if not sample.transparent or not sample.opaque or max(sample.counts, default=0) > 0:
        return
    share = sample.opaque / (sample.opaque + sample.transparent)
    raise InputError(
        f"{path}: {share:.1%} of it is black and all else transparent: is black landslide? Then write the transparency "
        f"as the mask: gdal_translate -b mask OLD NEW.tif. If it shows no landslide, leave the transparency out: "
        f"gdal_translate -b 1 OLD NEW.tif"
    )


def _by_palette(path: Path, sample: Sample, palette: Palette) -> MaskRule:
    used = {number: palette.colours.get(int(number), (0, 0, 0, 0)) for number in sample.counts}
    colours: dict[tuple[float, ...], int] = {
        colour[:3] if colour[3] else (0, 0, 0): sample.counts[number] for number, colour in used.items()
    }
    if len(colours) == 1 and len(used) > 1:
        raise InputError(
            f"{path}: a palette mask of the numbers {in_order(used)}, all in one colour: which are landslide? "
            f"{HOW_TO_SAY}"
        )
    _check_background(path, colours)
    landslide = frozenset(number for number, colour in used.items() if colour[3] and max(colour[:3]) > 0)
    plain = all(number > 0 for number in landslide)
    note = None if plain else f"read by the colours of its palette: the number(s) {in_order(landslide)} are landslide"
    if sample.lossy or len(used) > MOST_CLASSES:
        landslide = frozenset(n for n, c in used.items() if c[3] and max(c[:3]) > LOSSY_LANDSLIDE)
    known = frozenset(float(number) for number in palette.colours) | frozenset(sample.counts)
    everywhere = frozenset(
        float(number) for number, colour in palette.colours.items() if colour[3] and max(colour[:3]) > 0
    )
    return MaskRule(landslide | (everywhere if len(used) <= MOST_CLASSES else frozenset()), known=known, note=note)


def _check_background(path: Path, colours: dict[tuple[float, ...], int]) -> None:
    """Raise InputError unless a mask in colours has a black or transparent background."""
    if len(colours) < 2:
        return
    drawn = [colour for colour in colours if max(colour) > 0]
    total = sum(colours.values())
    white = [colour for colour in drawn if min(colour) == max(colour)]
    if len(drawn) < len(colours) and not (white and len(drawn) > 1):
        if len(drawn) > 1:
            log.warning(
                "%s: %d colours on black count as landslide: %s. If some are other classes, draw the landslides alone, "
                "or name the landslides' numbers of a palette in 'mask_values'",
                path, len(drawn), _list_colours({colour: colours[colour] for colour in drawn}, total),
            )  # fmt: skip
        return
    listed = _list_colours(colours, total)
    raise InputError(
        f"{path}: a mask in the colours {listed}: any colour on black would be landslide, but here it is open which "
        f"is; draw landslides in one colour on black, or {HOW_TO_SAY}"
    )


def _list_colours(colours: dict[tuple[float, ...], int], total: int) -> str:
    """The most frequent colours with their share of `total` pixels."""
    return ", ".join(
        f"{tuple(int(v) for v in colour)} ({count / total:.1%})"
        for colour, count in sorted(colours.items(), key=lambda item: -item[1])[:4]
    )


def _in_shades(path: Path, sample: Sample, what: str) -> MaskRule:
    if sample.dtype != np.uint8:
        raise InputError(f"{path}: a mask in {what} must have 8 bits, but has {sample.dtype}; {HOW_TO_SAY}")
    brightest = max(sample.counts, default=0)
    if 0 < brightest <= LOSSY_LANDSLIDE:
        raise InputError(
            f"{path}: a mask in {what} must be black and white, but its brightest pixel is {brightest:g} of 255; "
            f"write masks as PNG or TIFF without losses, or {HOW_TO_SAY}"
        )
    total = sum(sample.counts.values())
    clear = sum(n for value, n in sample.counts.items() if value <= CLEAR or value >= 255 - CLEAR)
    # A coloured landslide in a JPEG is not white, but far from black.
    dark_or_bright = sum(n for value, n in sample.counts.items() if value <= CLEAR or value > LOSSY_LANDSLIDE)
    enough = dark_or_bright if sample.lossy else clear
    if total and enough < CLEAR_SHARE * total:
        raise InputError(
            f"{path}: has {len(sample.counts)} different values, of which {1 - enough / total:.0%} are neither black "
            f"nor white: is it a mask? {HOW_TO_SAY}"
        )
    drawn = sum(n for value, n in sample.counts.items() if value > CLEAR)
    bright = drawn - (total - enough)
    if bright < BRIGHT_SHARE * drawn:
        raise InputError(
            f"{path}: most of what is not black in it is not white either, but in shades, as in an image from which "
            f"all but the landslides was cut: is it a mask? {HOW_TO_SAY}"
        )
    note = f"in shades ({what}): brighter than {LOSSY_LANDSLIDE} of 255 is landslide"
    return MaskRule(limit=LOSSY_LANDSLIDE, note=note)


def _by_numbers(path: Path, sample: Sample) -> MaskRule:
    values, zero = set(sample.counts), 0.0 in sample.counts
    rest = values - {0.0}
    known = frozenset(values | {0.0})
    if not rest:
        return MaskRule(known=known, note="no landslide in it")
    codes = {value for value in rest if value in UNKNOWN_CODES or abs(value) > 1e30 or _is_lowest(value, sample.dtype)}
    positive = rest - codes
    if not positive and zero and rest != {-1.0}:
        return MaskRule(frozenset(), unknown=frozenset(codes), known=known, note=f"{in_order(codes)} taken for unknown")
    if len(positive) == 1 and min(positive) > 0 and (zero or not codes):
        note = f"{in_order(codes)} treated as 'unknown'" if codes else None
        if not zero:
            note = f"one value only ({in_order(positive)}): all that is known is landslide"
        return MaskRule(frozenset(positive), unknown=frozenset(codes), known=known, note=note)
    full = {255.0, float(np.iinfo(sample.dtype).max)} if sample.dtype.kind in "iu" else {255.0}
    if zero and 1.0 in positive and positive - full == {1.0}:
        unknown = frozenset(codes | (positive & full))
        return MaskRule(
            frozenset({1.0}), unknown=unknown, known=known,
            note=f"values 0, 1 and {in_order(unknown)}: {in_order(unknown)} treated as 'unknown'",
        )  # fmt: skip
    if len(values) > MOST_CLASSES and sample.dtype == np.uint8:
        return _in_shades(path, sample, "grey")
    total = sum(sample.counts.values())
    most = sorted(sample.counts.items(), key=lambda item: -item[1])[:5]
    listed = ", ".join(f"{value:g} ({count / total:.0%})" for value, count in most)
    more = f" and {len(values) - 5} more" if len(values) > 5 else ""
    if len(values) > 2 and min(values) >= 0 and max(values) <= 1:
        raise InputError(
            f"{path}: has values between 0 and 1, as a map of probabilities does; from which one on is it landslide? "
            f"{HOW_TO_SAY}"
        )
    raise InputError(f"{path}: a mask of the values {listed}{more}: which of them are landslide? {HOW_TO_SAY}")


def _is_lowest(value: float, dtype: np.dtype) -> bool:
    return dtype.kind == "i" and value == np.iinfo(dtype).min


def _unique_colours(pixels: np.ndarray) -> tuple[list[tuple[float, ...]], list[int]]:
    """Return the distinct columns of (bands, n)."""
    if pixels.dtype == np.uint8 and len(pixels) <= 4:
        packed = sum(pixels[band].astype(np.int64) << (8 * band) for band in range(len(pixels)))
        values, counts = np.unique(packed, return_counts=True)
        if len(values) > 4 * MOST_CLASSES:
            values, counts = values[: 4 * MOST_CLASSES], counts[: 4 * MOST_CLASSES]
        colours: list[tuple[float, ...]] = [
            tuple(int(v >> (8 * b)) & 255 for b in range(len(pixels))) for v in values.tolist()
        ]
        return colours, counts.tolist()
    values, counts = np.unique(pixels[:, : 1 << 20], axis=1, return_counts=True)
    return [tuple(column) for column in values.T[: 4 * MOST_CLASSES].tolist()], counts[: 4 * MOST_CLASSES].tolist()
