"""Make the data of docs/worked-example.md: a coarser scene, labels in place of a person's, a picture.

    python -m benchmarks.worked_example scene DATA/scene_B.tif DATA/scene_B_mask.tif valley
    python -m benchmarks.worked_example answer valley_labels.csv valley.tif valley_mask.tif --count 57
    python -m benchmarks.worked_example answer ... --count 28 --order suggestions.json
    python -m benchmarks.worked_example picture valley_labels.csv MAP.tif valley_mask.tif picture.png

The picture shows labels and map, not the image. The reference mask is used in place of a person, who would label a tile
positive if at least 0.5 % of it is landslide, and otherwise only for evaluation.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import Resampling

from apsam.figures import DPI, STYLE
from apsam.files import atomic_path
from apsam.labelling.simulate import look_at, random_order, suggested_order
from apsam.labelling.suggestions import read_suggestions
from apsam.labelling.tables import read_table, write_table
from apsam.metrics.counts import Counts
from apsam.tiles.labels import UNLABELLED
from apsam.tiles.settings import TileSettings

COARSER = 2
VISIBLE = 0.005
GREY, BLUE, ORANGE, RED = (225, 225, 225), (86, 130, 180), (230, 140, 30), (190, 30, 60)


def coarser(image: Path, mask: Path, output: Path) -> None:
    """Write a scene and its mask at half the resolution, `OUTPUT.tif` and `OUTPUT_mask.tif`."""
    for source, name, how in (
        (image, f"{output}.tif", Resampling.average),
        (mask, f"{output}_mask.tif", Resampling.mode),
    ):
        with rasterio.open(source) as raster:
            height, width = raster.height // COARSER, raster.width // COARSER
            values = raster.read(out_shape=(raster.count, height, width), resampling=how)
            valid = raster.dataset_mask(out_shape=(height, width), resampling=Resampling.nearest)
            transform = raster.transform @ rasterio.Affine.scale(raster.width / width, raster.height / height)
            profile = raster.profile | {"height": height, "width": width, "transform": transform}
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(name, "w", **profile) as raster:
            raster.write(values)
            if source == image and not valid.all():
                raster.write_mask(valid)


def answer(table: Path, image: Path, mask: Path, size: int, count: int, order: Path | None, seed: int) -> None:
    """Label the next tiles of a table, in the order of suggestions or in random order."""
    known = read_table(table)
    with rasterio.open(image) as raster, rasterio.open(mask) as reference:
        valid, reference_mask = raster.dataset_mask() > 0, reference.read(1)
    answers = {
        name: int(np.count_nonzero(reference_mask[place] == 1) >= VISIBLE * size**2)
        for name in known.labels
        if valid[place := window(name, size)].mean() >= TileSettings().min_valid
    }
    given = {name: label for name, label in known.labels.items() if label != UNLABELLED}
    todo = random_order(list(answers), seed) if order is None else suggested_order(read_suggestions(order))
    given = look_at(given, todo, answers, count)
    assert known.identity is not None
    names = list(known.labels)
    write_table(table, known.identity, names, [given.get(name, UNLABELLED) for name in names])
    print(f"{table}: {len(given)} of {len(answers)} tiles labelled, {sum(given.values())} of them landslide")


def window(name: str, size: int) -> tuple[slice, slice]:
    """Return row and column of the tile `r154_c308`."""
    row, col = (int(number) for number in re.findall(r"\d+", name))
    return slice(row, row + size), slice(col, col + size)


def picture(table: Path, mapped: Path, mask: Path, size: int, output: Path) -> None:
    """Draw labels next to the map and its errors, and print F1 and IoU of the map."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rasterio.open(mapped) as raster, rasterio.open(mask) as reference:
        found, reference_mask = raster.read(1), reference.read(1)
    known = (reference_mask != 255) & (found != 255)
    counts = Counts.of((found[known] == 1).astype(np.uint8), reference_mask[known])
    print(f"F1 {counts.f1:.3f}, IoU {counts.iou:.3f}; {counts.tp} px right, {counts.fp} false, {counts.fn} missed")
    labels = np.full((*reference_mask.shape, 3), 255, np.uint8)
    labels[reference_mask != 255] = GREY
    middle = size // 4
    for name, label in read_table(table).labels.items():
        if label != UNLABELLED:
            rows, cols = window(name, size)
            spot = slice(rows.start + middle, rows.stop - middle), slice(cols.start + middle, cols.stop - middle)
            labels[spot] = ORANGE if label else BLUE
    errors = np.full((*reference_mask.shape, 3), 255, np.uint8)
    for where, colour in (
        (known, GREY),
        (known & (found == 1) & (reference_mask == 1), ORANGE),
        (known & (found == 1) & (reference_mask == 0), RED),
        (known & (found != 1) & (reference_mask == 1), BLUE),
    ):
        errors[where] = colour
    titles = ("labels: landslide orange, none blue", "map: right orange, false red, missed blue")
    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.7), dpi=DPI, layout="constrained")
        for axis, pixels, title in zip(figure.subplots(1, 2), (labels, errors), titles, strict=True):
            axis.imshow(pixels[::2, ::2], interpolation="nearest")
            axis.set_title(title)
            axis.set_axis_off()
        with atomic_path(output) as partial:
            figure.savefig(partial, format="png")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the three steps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    steps = parser.add_subparsers(dest="step", required=True)
    files = {
        "scene": ("image", "mask", "output"),
        "answer": ("table", "image", "mask"),
        "picture": ("table", "mapped", "mask", "output"),
    }
    for step, names in files.items():
        one = steps.add_parser(step)
        for name in names:
            one.add_argument(name, type=Path)
        if step != "scene":
            one.add_argument("--size", type=int, default=128, help="of a tile, pixels")
        if step == "answer":
            one.add_argument("--count", type=int, required=True, help="tiles to look at")
            one.add_argument("--order", type=Path, help="suggestions.json of a run; random order without it")
            one.add_argument("--seed", type=int, default=1)
    given = vars(parser.parse_args(arguments))
    {"scene": coarser, "answer": answer, "picture": picture}[given.pop("step")](**given)


if __name__ == "__main__":
    main()
