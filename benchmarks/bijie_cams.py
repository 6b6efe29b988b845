"""Mean IoU of the localizer's CAMs on Bijie's validation crops, compared with a fixed centred box without a model.

    python -m benchmarks.bijie_cams --weights results/bijie/localizer/weights.safetensors

The masks are read only for evaluation. Off-centre views are the four corners of each
crop, 70 % of its side, that keep at least half of the landslide: there a centre bias does not help.
"""

from __future__ import annotations

import argparse
import csv
import os
from pathlib import Path

import cv2
import numpy as np
import torch

from apsam.localizer.cam import tile_cams, to_bytes
from apsam.localizer.checkpoint import load_localizer
from apsam.localizer.methods import Method
from apsam.localizer.settings import CamSettings
from apsam.metrics.centred_box import centred_box
from apsam.tiles.ready_made import read_tile_image, resize_tile

SIDE = 256
THRESHOLDS = range(60, 211, 30)
CORNER = 0.70  # of each side


def read_positives(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read crops labelled positive, resized to 256 px: images (n, 3, 256, 256) uint8, masks (n, 256, 256) bool."""
    images, masks = [], []
    with (folder / "labels.csv").open(newline="") as file:
        names = [row["image"] for row in csv.DictReader(file) if row["landslide"] == "1"]
    for name in names:
        images.append(resize_tile(read_tile_image(folder / "images" / name), SIDE).transpose(2, 0, 1))
        mask = cv2.imread(str(folder / "masks" / f"{Path(name).stem}.png"), cv2.IMREAD_GRAYSCALE)
        masks.append(cv2.resize(mask, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST) > 127)
    return np.stack(images), np.stack(masks)


def off_centre(images: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return corner views, enlarged to 256 px, that keep at least half of the landslide."""
    side = round(SIDE * CORNER)
    chosen: list[tuple[np.ndarray, np.ndarray]] = []
    for image, mask in zip(images, masks, strict=True):
        for top in (0, SIDE - side):
            for left in (0, SIDE - side):
                window = (slice(top, top + side), slice(left, left + side))
                if 2 * mask[window].sum() >= mask.sum() > 0:
                    view = cv2.resize(image.transpose(1, 2, 0)[window], (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
                    part = cv2.resize(mask[window].astype(np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
                    chosen.append((view.transpose(2, 0, 1), part == 1))
    views, parts = zip(*chosen, strict=True)
    return np.stack(views), np.stack(parts)


def make_cams(method: Method, images: np.ndarray, settings: CamSettings) -> np.ndarray:
    """Return CAMs (n, 256, 256) uint8."""
    cams = []
    for start in range(0, len(images), settings.batch_size):
        batch = torch.from_numpy(images[start : start + settings.batch_size].copy())
        cams.append(to_bytes(tile_cams(method, batch, torch.ones(len(batch), SIDE, SIDE), settings), settings))
    return np.concatenate(cams)


def mean_iou(found: np.ndarray, reference: np.ndarray) -> float:
    """Return the mean over tiles of intersection over union; both (n, 256, 256) bool."""
    both = (found & reference).sum(axis=(1, 2))
    either = (found | reference).sum(axis=(1, 2))
    return float((both / np.maximum(either, 1)).mean())


def otsu(cams: np.ndarray) -> np.ndarray:
    """Threshold each CAM by Otsu's method on its own grey values, which needs no label."""
    return np.stack([cam > cv2.threshold(cam, 0, 255, cv2.THRESH_OTSU)[0] for cam in cams])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True, help="weights of a localizer trained on bijie/train")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("APSAM_DATA", "data")))
    parser.add_argument("--settings", type=CamSettings.model_validate_json, default=CamSettings())
    parser.add_argument("--cams", type=Path, help="where to write the CAMs of the crops, .npy")
    arguments = parser.parse_args()
    method = load_localizer(arguments.weights)
    images, masks = read_positives(arguments.data / "bijie" / "val")
    print("tiles".ljust(18), "n".rjust(4), "box".rjust(6), *(f">{t}".rjust(6) for t in THRESHOLDS), "otsu".rjust(6))
    for name, (views, reference) in {"crops": (images, masks), "off-centre views": off_centre(images, masks)}.items():
        cams = make_cams(method, views, arguments.settings)
        if name == "crops" and arguments.cams:
            np.save(arguments.cams, cams)
        figures = [mean_iou(np.stack([centred_box(SIDE, SIDE)] * len(cams)), reference)]
        figures += [mean_iou(cams > threshold, reference) for threshold in THRESHOLDS]
        figures.append(mean_iou(otsu(cams), reference))
        print(name.ljust(18), str(len(cams)).rjust(4), *(f"{figure:6.3f}" for figure in figures))


if __name__ == "__main__":
    main()
