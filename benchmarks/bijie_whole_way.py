"""The complete method on Bijie's validation crops, centred and off-centre: localizer, CAM, prompts, SAM, mask.

    python -m benchmarks.bijie_whole_way --weights results/bijie/localizer/weights.safetensors

Mean IoU per tile of the fixed centred box, of the CAM thresholded where SAM agrees best with it, and of APSAM's masks,
with the fixed threshold and with the one selected per tile. Masks are read only for evaluation.
Off-centre views are those of `benchmarks.bijie_cams`.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

from apsam.files import write_json
from apsam.heatmaps.settings import HeatMapSettings
from apsam.localizer.checkpoint import load_localizer
from apsam.localizer.settings import CamSettings
from apsam.maps.settings import MapSettings
from apsam.metrics.centred_box import centred_box
from apsam.prompts.generate import PromptSet, TilePrompts, generate_prompts
from apsam.prompts.settings import PromptSettings
from apsam.resunet.predict import Predictor
from apsam.sam.encode import encode_tiles
from apsam.sam.registry import LoadedSam, build_sam
from apsam.sam.segment import TileMask, segment_tile_prompts
from apsam.sam.settings import MasksSettings, SamSettings
from apsam.self_training.heat_maps import mean_heat_maps
from apsam.self_training.settings import SelfTrainingSettings
from benchmarks.bijie_cams import SIDE, make_cams, mean_iou, off_centre, read_positives

TILES_AT_ONCE = 16


def prompts_of(tile: int, cam: np.ndarray, thresholds: tuple[int, ...]) -> TilePrompts:
    """Return a tile's prompts, without thresholds that give none."""
    sets = (PromptSet(threshold, tuple(generate_prompts(cam, threshold))) for threshold in thresholds)
    return TilePrompts(tile, tuple(one for one in sets if one.prompts))


def segment(
    sam: LoadedSam, images: np.ndarray, cams: np.ndarray, thresholds: tuple[int, ...], masks: MasksSettings
) -> list[TileMask]:
    """Return APSAM's mask of every tile."""
    found: list[TileMask] = []
    for start in range(0, len(images), TILES_AT_ONCE):
        part = slice(start, start + TILES_AT_ONCE)
        entries = [prompts_of(start + i, cam, thresholds) for i, cam in enumerate(cams[part])]
        found += segment_tile_prompts(sam, encode_tiles(sam, images[part]), entries, cams[part], masks)
    return found


def second_round(
    sam: LoadedSam, arguments: argparse.Namespace, images: np.ndarray, cams: np.ndarray, reference: np.ndarray
) -> dict[str, float]:
    """Mean IoU of a ResUNet's map, and of SAM's masks from the mean of CAM and map (`apsam.self_training`)."""
    probability = Predictor(arguments.resunet, MapSettings()).probabilities(images)
    heat = mean_heat_maps(probability, cams, arguments.cam_share, HeatMapSettings().grey_per_logit)
    asked = arguments.masks.model_copy(update={"cam_mask": True})
    choices = {
        "second, 120": (PromptSettings().threshold,),
        "second, selected": PromptSettings(threshold="auto").thresholds(),
    }
    figures = {"ResUNet's map": mean_iou(probability >= 0.5, reference)}
    for name, thresholds in choices.items():
        found = segment(sam, images, heat, thresholds, asked)
        figures[name] = mean_iou(np.stack([one.mask == 1 for one in found]), reference)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True, help="weights of a localizer trained on bijie/train")
    parser.add_argument("--resunet", type=Path, help="weights of a ResUNet of the first round, to measure a second one")
    parser.add_argument("--cam-share", type=float, default=SelfTrainingSettings().cam_share, help="of its heat maps")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("APSAM_DATA", "data")))
    parser.add_argument("--cams", type=CamSettings.model_validate_json, default=CamSettings())
    parser.add_argument("--prompts", type=PromptSettings.model_validate_json, default=PromptSettings())
    parser.add_argument("--sam", type=SamSettings.model_validate_json, default=SamSettings())
    parser.add_argument("--masks", type=MasksSettings.model_validate_json, default=MasksSettings())
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args()
    method, sam = load_localizer(arguments.weights), build_sam(arguments.sam)
    fixed = PromptSettings().threshold
    images, reference = read_positives(arguments.data / "bijie" / "val")
    sets = {"crops": (images, reference), "off-centre views": off_centre(images, reference)}
    figures: dict[str, dict[str, float]] = {}
    for name, (views, masks) in sets.items():
        cams = make_cams(method, views, arguments.cams)
        selected = segment(sam, views, cams, arguments.prompts.model_copy(update={"threshold": "auto"}).thresholds(),
                         arguments.masks)  # fmt: skip
        levels = np.array([255 if one.threshold is None else one.threshold for one in selected])
        at_fixed = segment(sam, views, cams, (fixed,), arguments.masks)
        figures[name] = {
            "tiles": len(views),
            "centred box": mean_iou(np.stack([centred_box(SIDE, SIDE)] * len(views)), masks),
            f"CAM > {fixed}": mean_iou(cams > fixed, masks),
            "CAM, cut selected": mean_iou(cams > levels[:, None, None], masks),
            f"APSAM, {fixed}": mean_iou(np.stack([one.mask == 1 for one in at_fixed]), masks),
            "APSAM, selected": mean_iou(np.stack([one.mask == 1 for one in selected]), masks),
        }
        if arguments.resunet:
            figures[name] |= second_round(sam, arguments, views, cams, masks)
    names = list(next(iter(figures.values())))
    print(method.settings.method.ljust(18), *(name.rjust(16) for name in names))
    for name, row in figures.items():
        print(name.ljust(18), *(f"{row[key]:16.3f}" if key != "tiles" else str(row[key]).rjust(16) for key in names))
    if arguments.json:
        write_json(arguments.json, {"method": method.settings.method, "figures": figures})


if __name__ == "__main__":
    main()
