"""Vector layers given by the user: labels and masks are read here and nowhere else, so that all read them alike.

Nothing here imports GeoPandas before it reads a layer: whether a file is one, the workflow asks in every job.
"""

from apsam.vectors.layers import LayerInfo, chosen_layers, is_vector, layers_of, split_layer, with_layer
from apsam.vectors.place import read_features, read_placed, read_shapes
from apsam.vectors.read import read_layer

__all__ = [
    "LayerInfo",
    "chosen_layers",
    "is_vector",
    "layers_of",
    "read_features",
    "read_layer",
    "read_placed",
    "read_shapes",
    "split_layer",
    "with_layer",
]
