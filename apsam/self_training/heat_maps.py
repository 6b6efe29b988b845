"""A ResUNet's probabilities as grey values of tiles, which the prompt stage reads like CAMs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from apsam.conditions import check_tiles
from apsam.ground.gate import GroundGate
from apsam.heatmaps.grey import to_grey
from apsam.heatmaps.logits import log_odds, to_steps
from apsam.heatmaps.settings import HeatMapSettings
from apsam.maps.settings import MapSettings
from apsam.progress import track
from apsam.resunet.predict import Predictor
from apsam.stack import TileStack, TileStackWriter


def make_tile_heat_maps(
    tiles: Path,
    weights: Path,
    settings: MapSettings,
    output: Path,
    grey_per_logit: float = HeatMapSettings().grey_per_logit,
    device: str = "auto",
    label_gate: bool = True,
    ground: Path | None = None,
) -> None:
    """Write a stack like a CAM stack: `cam` (n, size, size) uint8, the ResUNet's log-odds as grey values.

    A probability of 0.5 or more is above the grey value 120, at which the paper thresholds heat maps, as in the heat
    maps of `apsam.heatmaps`. Pixels without data are 0, and those that a tile labelled negative covers, as in CAMs.

    Args:
        tiles: Tile stack.
        weights: ResUNet of the first round.
        settings: Flips and batch size.
        output: Stack to write.
        grey_per_logit: Grey values per unit of log-odds.
        device: `auto`, `cpu`, `cuda`, `cuda:1`.
        label_gate: Tiles labelled negative are not mapped and stay 0.
        ground: Label map of the scene (`apsam.ground.labels`); None: each tile's label counts for that tile only.

    Raises:
        InputError: The weights cannot be used, or were trained on tiles that were read in another way.
    """
    predictor = Predictor(weights, settings, device)
    with TileStack(tiles) as stack, GroundGate(tiles, ground) as possible:
        if "made_by" in stack.attributes:
            check_tiles(predictor.conditions, stack.attributes["made_by"]["tiles"], weights)
        scene, labels, shape = stack.attributes["scene"], stack.read("label"), stack.arrays["valid"][0]
        made_by = {**settings.model_dump(mode="json"), "network": predictor.name, "grey_per_logit": grey_per_logit}
        attributes = {"scene": scene, "made_by": made_by}
        with TileStackWriter(output, attributes, {"cam": (shape, "uint8")}) as writer:
            size = settings.batch_size
            for start in track(range(0, len(stack), size), f"heat maps of {scene}"):
                gate = np.flatnonzero((labels[start : start + size] == 1) | (not label_gate))
                grey = np.zeros((len(labels[start : start + size]), *shape), np.uint8)
                if len(gate):
                    probability = predictor.probabilities(stack.read("image", start, start + size)[gate])
                    valid = (stack.read("valid", start, start + size)[gate] > 0) & possible.of(start + gate)
                    grey[gate] = to_grey(to_steps(log_odds(probability)), 0.0, grey_per_logit) * valid
                writer.append(cam=grey)
