"""The true landslide mask of a scene, read window by window on the scene's own pixels.

Read by the metrics, the report, and, to derive image-level labels as the paper does, by the tile stage; by nothing
else.
"""

from apsam.reference_mask.reader import ReferenceMaskReader
from apsam.tiles.mask_values import NO_DATA

__all__ = ["NO_DATA", "ReferenceMaskReader"]
