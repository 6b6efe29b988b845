"""The layers of the map view, from the bottom up."""

from __future__ import annotations

from dataclasses import dataclass

from apsam.report.colours import LAYER_COLOURS


@dataclass(frozen=True)
class Layer:
    """What can be switched on in a map.

    Attributes:
        key: Names it in the page.
        name: For people.
        kind: `image` (href), `outline` (path of filled regions), `prompts` (path of boxes, points).
        on: Whether it shows at first.
        opacity: 0..1 at first.
        colour: Of outlines and legend; None for images.
        dashed: Baselines have dashed outlines, so that colour is not the only difference.
        letter: Key that switches it.
        hollow: Outlines are not filled.
    """

    key: str
    name: str
    kind: str
    on: bool = False
    opacity: float = 1.0
    colour: str | None = None
    dashed: bool = False
    letter: str | None = None
    hollow: bool = False


LAYERS = (
    Layer("image", "Image", "image", on=True, letter="i"),
    Layer("cam", "CAM heat map", "image", opacity=0.75, letter="c"),
    Layer("probability", "Predicted probability", "image", opacity=0.75, letter="b"),
    Layer("masks-apsam", "Pseudo-mask, APSAM", "outline", colour=LAYER_COLOURS["masks-apsam"], letter="m"),
    Layer("masks-cam", "Pseudo-mask, CAM", "outline", colour=LAYER_COLOURS["masks-cam"], dashed=True),
    Layer("masks-self_training", "Pseudo-mask, second round", "outline", colour=LAYER_COLOURS["masks-self_training"]),
    Layer("masks-grabcut", "Pseudo-mask, GrabCut", "outline", colour=LAYER_COLOURS["masks-grabcut"], dashed=True),
    Layer("prediction-cam", "ResUNet from CAM masks", "outline", colour=LAYER_COLOURS["prediction-cam"], dashed=True),
    Layer("prediction-apsam", "ResUNet from APSAM masks", "outline", on=True, colour=LAYER_COLOURS["prediction-apsam"],
          letter="p"),
    Layer("prediction-ground", "ResUNet from scene-wide masks", "outline", on=True,
          colour=LAYER_COLOURS["prediction-ground"], letter="g"),
    Layer("prediction-self_training", "ResUNet of the second round", "outline", on=True,
          colour=LAYER_COLOURS["prediction-self_training"], letter="s"),
    Layer("truth", "Reference mask", "outline", on=True, colour=LAYER_COLOURS["truth"], letter="t", hollow=True),
    Layer("prompts", "Prompts, boxes and points", "prompts", colour=LAYER_COLOURS["prompts"], letter="o", hollow=True),
    Layer("positive", "Tiles labelled positive", "outline", colour=LAYER_COLOURS["positive"], dashed=True, letter="l",
          hollow=True),
    Layer("held-out", "Held-out tiles", "outline", colour=LAYER_COLOURS["held-out"], dashed=True, letter="h",
          hollow=True),
)  # fmt: skip
