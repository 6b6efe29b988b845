"""Changes that DVC's experiments make to the configuration: params.yaml over config.yaml.

`dvc exp run -S prompts.threshold=90` writes into params.yaml, the file that DVC reads, and only over an existing
key. So params.yaml has every key that affects a result, each with the word `unchanged`, which means the value of
config.yaml. Any other value overrides it, also null.

    python -m workflow_support.changes > params.yaml
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from apsam.config import Config
from apsam.config_values import read_values

FILE = Path("params.yaml")
UNCHANGED = "unchanged"
HEADER = """\
# What experiments of DVC change over config.yaml; unchanged: nothing. Written by `dvc exp run -S KEY=VALUE`
# (docs/dvc.md); the keys by `python -m workflow_support.changes`.
"""

# Names, paths, and retention of files; experiments do not change them.
NOT_CHANGED = {"run", "scenes", "data_dir", "device", "keep_embeddings"}


def with_changes(config: Mapping[str, Any], file: Path = FILE) -> tuple[dict[str, Any], dict[str, Any]]:
    """Apply the changes in params.yaml to the configuration.

    Returns:
        The changed configuration, and the changes as dotted key -> value.

    Raises:
        ConfigError: params.yaml is not YAML of keys and values, or has a duplicate key.
    """
    if not file.is_file():
        return dict(config), {}
    changes = {key: value for key, value in _flat(read_values(file)) if value != UNCHANGED}
    changed = dict(config)
    for key, value in changes.items():
        changed = _with(changed, key.split("."), value)
    return changed, changes


def render() -> str:
    """Return the text of params.yaml without changes."""
    return HEADER + yaml.safe_dump(_keys(Config, NOT_CHANGED), sort_keys=False)


def _keys(model: type[BaseModel], left_out: set[str] | None = None) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if name not in (left_out or ()):
            kind = field.annotation
            keys[name] = _keys(kind) if isinstance(kind, type) and issubclass(kind, BaseModel) else UNCHANGED
    return keys


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _with(config: Mapping[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    """Return a copy of the configuration with one key changed."""
    first, *rest = path
    below = config.get(first)
    changed = _with(below if isinstance(below, Mapping) else {}, rest, value) if rest else value
    return {**config, first: changed}


if __name__ == "__main__":
    print(render(), end="")
