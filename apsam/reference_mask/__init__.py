"""Read the reference mask of a scene by windows, on the scene's pixel grid.

Used by metrics, experiments, report and products, and by the tile stage to derive image-level labels, as in the paper.
"""

from apsam.reference_mask.reader import ReferenceMaskReader
from apsam.tiles.mask_values import NO_DATA

__all__ = ["NO_DATA", "ReferenceMaskReader"]
