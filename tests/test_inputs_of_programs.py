"""Inputs as other programs and people write them, whose first reading by apsam was wrong without a word."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from given_inputs import Given, given, pixels, write

from apsam.errors import InputError
from apsam.tiles.mask_folder import MaskFolder

SIDE = 64


def slide(value: int = 1) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[10:30, 20:40] = value
    return mask


def tile_folder(folder: Path, masks: list[np.ndarray], labels: str = "mask") -> Given:
    """Ready-made tiles `t0.png`, ... and their masks, (h, w) or (h, w, channels of BGR)."""
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    for number, mask in enumerate(masks):
        image = pixels(side=SIDE, seed=number).transpose(1, 2, 0)
        cv2.imwrite(str(folder / "images" / f"t{number}.png"), image)
        cv2.imwrite(str(folder / "masks" / f"t{number}.png"), mask)
    return given(folder, image="images", labels=labels, mask="masks")


def test_masks_of_two_kinds_in_one_folder_are_not_guessed(tmp_path: Path) -> None:
    """Of 0/1 and 0/255 together, 255 was unknown, and tiles with such a landslide were labelled negative."""
    tiles = tile_folder(tmp_path, [slide(0), slide(1), slide(0), slide(255)])
    for reads in (tiles.check, tiles.tile):
        with pytest.raises(InputError, match=r"value 1 \(t1.png\), others 255 \(t3.png\)"):
            reads()
    tiles.head, tiles.rows = (*tiles.head, "mask_values"), [(*tiles.rows[0], "1,255")]
    assert tiles.check().scenes[0].positive == 2
    np.testing.assert_array_equal(tiles.tile()["label"], [0, 1, 0, 1])


def test_unknown_pixels_next_to_landslides_show_one_kind(tmp_path: Path) -> None:
    both = slide(1)
    both[:, 50:] = 255
    tile_folder(tmp_path, [slide(0), slide(1), both, slide(255)])
    masks = MaskFolder(tmp_path / "masks")
    assert masks.rule is not None and masks.rule.unknown == {255}


@pytest.mark.parametrize("by_alpha", [False, True])
def test_a_cut_out_of_the_image_is_no_mask(tmp_path: Path, by_alpha: bool) -> None:
    """Only pixels brighter than 127 counted as landslide."""
    photo = pixels(side=SIDE).transpose(1, 2, 0) // 2 + 30  # up to 129
    photo = np.dstack([photo, slide(255)]) if by_alpha else photo * slide(1)[..., None]
    tiles = tile_folder(tmp_path, [slide(0), photo, slide(0), photo])
    for reads in (tiles.check, tiles.tile):
        with pytest.raises(InputError, match="from which all but the landslides was cut"):
            reads()


def test_bands_of_all_ready_made_tiles_are_doubted(tmp_path: Path) -> None:
    """Only the first tile was looked at."""
    (tmp_path / "images").mkdir()
    for number, bands in enumerate((3, 3, 4, 4)):
        kind = {} if bands == 3 else {"photometric": "minisblack", "alpha": "no"}
        write(tmp_path / "images" / f"t{number}.tif", pixels(bands, SIDE), **kind)
    (tmp_path / "labels.csv").write_text("tile,label\n" + "".join(f"t{n}.tif,{n % 2}\n" for n in range(4)))
    report = given(tmp_path, image="images", labels="labels.csv").check()
    [warning] = [text for text in report.warnings if "4 bands" in text]
    assert "t2.tif" in warning and "1 other tile" in warning
    assert report.scenes[0].bands == "red, green, blue; of 2 tiles the first three"
