"""The mean of a ResUNet's map and the CAM, tile by tile, which the prompt stage reads like CAMs."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np

from apsam.conditions import check_tiles
from apsam.ground.gate import GroundGate
from apsam.heatmaps.grey import to_grey
from apsam.heatmaps.logits import log_odds, to_steps
from apsam.heatmaps.settings import HeatMapSettings
from apsam.maps.settings import MapSettings
from apsam.masks.stack import same_tiles
from apsam.progress import track
from apsam.resunet.predict import Predictor
from apsam.self_training.settings import SelfTrainingSettings
from apsam.stack import TileStack, TileStackWriter


def make_tile_heat_maps(
    tiles: Path,
    weights: Path,
    settings: MapSettings,
    output: Path,
    cams: Path | None = None,
    cam_share: float = SelfTrainingSettings().cam_share,
    grey_per_logit: float = HeatMapSettings().grey_per_logit,
    device: str = "auto",
    label_gate: bool = True,
    ground: Path | None = None,
) -> None:
    """Write a stack like a CAM stack: `cam` (n, size, size) uint8, the mean of CAM and map (`mean_heat_maps`).

    Pixels without data are 0, and those that a tile labelled negative covers, as in CAMs.

    Args:
        tiles: Tile stack.
        weights: ResUNet of the first round.
        settings: Flips and batch size.
        output: Stack to write.
        cams: CAM stack of the scene; None: the ResUNet's map alone.
        cam_share: Share of the CAM in the mean.
        grey_per_logit: Grey values per unit of log-odds.
        device: `auto`, `cpu`, `cuda`, `cuda:1`.
        label_gate: Tiles labelled negative are not mapped and stay 0.
        ground: Label map of the scene (`apsam.ground.labels`); None: each tile's label counts for that tile only.

    Raises:
        InputError: The weights cannot be used, were trained on tiles that were read in another way, or the CAMs are
            those of other tiles.
    """
    if cams is None:
        cam_share = 0.0
    predictor = Predictor(weights, settings, device)
    with ExitStack() as opened:
        stack = opened.enter_context(TileStack(tiles))
        possible = opened.enter_context(GroundGate(tiles, ground))
        others = opened.enter_context(same_tiles(tiles, cams)) if cams is not None else None
        if "made_by" in stack.attributes:
            check_tiles(predictor.conditions, stack.attributes["made_by"]["tiles"], weights)
        scene, labels, shape = stack.attributes["scene"], stack.read("label"), stack.arrays["valid"][0]
        made_by = {
            **settings.model_dump(mode="json", include={"flips", "batch_size"}),
            "network": predictor.name,
            "grey_per_logit": grey_per_logit,
            "cam_share": cam_share,
        }
        attributes = {"scene": scene, "made_by": made_by}
        with TileStackWriter(output, attributes, {"cam": (shape, "uint8")}) as writer:
            size = settings.batch_size
            for start in track(range(0, len(stack), size), f"heat maps of {scene}"):
                gate = np.flatnonzero((labels[start : start + size] == 1) | (not label_gate))
                grey = np.zeros((len(labels[start : start + size]), *shape), np.uint8)
                if len(gate):
                    probability = predictor.probabilities(stack.read("image", start, start + size)[gate])
                    valid = (stack.read("valid", start, start + size)[gate] > 0) & possible.of(start + gate)
                    cam = others.read("cam", start, start + size)[gate] if others is not None else None
                    grey[gate] = mean_heat_maps(probability, cam, cam_share, grey_per_logit) * valid
                writer.append(cam=grey)


def mean_heat_maps(
    probability: np.ndarray, cam: np.ndarray | None, cam_share: float, grey_per_logit: float
) -> np.ndarray:
    """Weighted mean of CAMs and a ResUNet's log-odds, as grey values.

    In the log-odds, a probability of 0.5 or more is above the grey value 120, at which the paper thresholds heat maps,
    as in `apsam.heatmaps`. A ResUNet also learns where in a tile landslides of the training tiles lie; CAMs do so less.

    Args:
        probability: (n, h, w) in [0, 1].
        cam: (n, h, w) uint8; None: the log-odds alone.
        cam_share: Weight of the CAM, 0 to 1.
        grey_per_logit: Grey values per unit of log-odds.

    Returns:
        (n, h, w) uint8.
    """
    grey = to_grey(to_steps(log_odds(probability)), 0.0, grey_per_logit)
    if cam is None:
        return grey
    return np.rint(cam_share * cam.astype(np.float32) + (1 - cam_share) * grey).astype(np.uint8)
