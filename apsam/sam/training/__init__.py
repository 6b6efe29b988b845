"""How the light SAM is trained and measured: `scripts/train_light_sam.py` is the way in.

`textures`, `shapes` and `scenes` draw training images, `prompts` asks questions about them, `data` streams both;
`decoder`, `losses` and `step` are one optimiser step, `loop` the training; `evaluate` and `real_images` measure.
"""

from apsam import torchvision_ops  # noqa: F401  (before segment_anything, which imports torchvision)
