"""Read columns of a vector layer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from apsam.errors import InputError
from apsam.vectors.formats import PARQUET_SUFFIXES, dataset_path, decoding, read_parquet
from apsam.vectors.layers import chosen_layers, split_layer

if TYPE_CHECKING:
    import numpy as np


def read_columns(path: Path | str, columns: list[str]) -> Any:
    """Read columns of the chosen layers as a `pandas.DataFrame` without geometry.

    Layers that are read together (folders of a KML) are concatenated; a column that one of them lacks is empty there.

    Args:
        path: The file, `file.gpkg|layername=landslides` if it has several layers.
        columns: Names of the columns.

    Raises:
        InputError: The layer cannot be read.
    """
    import pandas as pd
    import pyogrio

    file, _ = split_layer(path)
    layers = chosen_layers(path)
    if file.suffix.lower() in PARQUET_SUFFIXES:
        return read_parquet(file)[columns]
    parts = []
    for layer in layers:
        there = [column for column in columns if column in layer.fields]
        part = pd.DataFrame(index=range(layer.features))
        if there:
            with decoding(file):
                part = pyogrio.read_dataframe(dataset_path(file), layer=layer.index, columns=there, read_geometry=False)
        parts.append(part.reindex(columns=columns))
    return parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)


def read_numbers(path: Path | str, column: str) -> np.ndarray:
    """Read a column of numbers of the chosen layer, (n,) float64 with one value per feature, NaN if there is none.

    Args:
        path: The file, as in `read_columns`.
        column: Name of the column, in any case; text is converted.

    Raises:
        InputError: There is no such column, its type is neither number nor text, or no value is a number.
    """
    import numpy as np
    import pandas as pd
    import pyogrio

    file, _ = split_layer(path)
    layers = chosen_layers(path)
    known = {name.lower(): name for layer in layers for name in layer.fields}
    name = known.get(column.lower())
    if name is None:
        listed = ", ".join(known.values()) or "none"
        raise InputError(f"{path}: has no column '{column}' (labels.size_column); its columns: {listed}")
    if file.suffix.lower() in PARQUET_SUFFIXES:
        parts = [read_parquet(file)[name]]
    else:
        with decoding(file):
            parts = [
                pyogrio.read_dataframe(dataset_path(file), layer=layer.index, columns=[name], read_geometry=False)[name]
                if name in layer.fields
                else pd.Series(np.full(layer.features, np.nan))
                for layer in layers
            ]
    for part in parts:
        # Pandas would convert dates to milliseconds, and true to 1.
        if not (pd.api.types.is_numeric_dtype(part) or _is_text(part)) or _is_bool(part):
            raise InputError(f"{path}: its column '{name}' is of type {part.dtype}; sizes must be numbers")
    values = np.concatenate(
        [pd.to_numeric(part, errors="coerce").to_numpy(np.float64, na_value=np.nan) for part in parts]
    )
    if len(values) and not np.isfinite(values).any():
        example = next((str(value) for part in parts for value in part.dropna()), "empty")
        raise InputError(f"{path}: nothing in its column '{name}' is a number ('{example}'); write numbers, no units")
    return values


def _is_bool(column: Any) -> bool:
    """Whether a column is boolean; empty cells change its type to object."""
    import numpy as np
    import pandas as pd

    given = column.dropna()
    truths = [isinstance(value, bool | np.bool_) for value in given]
    return pd.api.types.is_bool_dtype(column) or (len(truths) > 0 and all(truths))


def _is_text(column: Any) -> bool:
    import pandas as pd

    return pd.api.types.is_object_dtype(column) or pd.api.types.is_string_dtype(column)
