"""Read vector layers of the user. Labels and masks are read here only, so that they are read in the same way.

GeoPandas is imported only to read a layer, because every job of the workflow checks whether a file is one.
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
