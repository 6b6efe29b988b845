"""Training and evaluation of the light SAM; the entry point is `scripts/train_light_sam.py`.

`textures`, `shapes` and `scenes` draw training images, `prompts` draws prompts for them, `data` streams both;
`decoder`, `losses` and `step` are one optimiser step, `loop` the training; `evaluate` and `real_images` measure.
"""

from apsam import torchvision_ops  # noqa: F401  (before segment_anything, which imports torchvision)
