"""Read the keys of a configuration file as they stand there. What they mean is checked by `apsam.config`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from apsam.errors import ConfigError, InputError
from apsam.files import read_text


class _Twice(ValueError):
    """A key occurs twice: of two sections of one name the first would be lost."""

    def __init__(self, key: str, where: str = "") -> None:
        super().__init__(f"the key '{key}' occurs twice{where}; put both into one, or remove one")


class _Loader(yaml.SafeLoader):
    """YAML loader that rejects duplicate keys: of two sections with the same name, the first would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping like PyYAML, but reject duplicate keys."""
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value == "<<":
                continue
            line = key.start_mark.line + 1
            if key.value in lines:
                raise _Twice(key.value, f" (lines {lines[key.value]} and {line})")
            lines[key.value] = line
        return super().construct_mapping(node, deep)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The keys of a JSON object, each of which may be there once only."""
    keys = [key for key, _ in pairs]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise _Twice(twice)
    return dict(pairs)


def read_values(file: Path) -> dict[str, Any]:
    """Read the keys of one YAML or JSON file, as they stand there.

    Raises:
        ConfigError: The file is missing, is not YAML of keys and values, or contains a key twice.
    """
    try:
        text = read_text(file)
        is_json = file.suffix.lower() == ".json"
        values = (json.loads(text, object_pairs_hook=_once) if is_json else yaml.load(text, _Loader)) or {}
    except FileNotFoundError as error:
        raise ConfigError(f"{file}: no such configuration file") from error
    except InputError as error:
        raise ConfigError(str(error)) from None
    except _Twice as error:
        raise ConfigError(f"{file}: {error}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{file}: not YAML ({' '.join(str(error).split())})") from error
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror})") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{file}: must hold keys and values, not a {type(values).__name__}")
    return values
