"""Recipes: all that decides what a job makes, as one key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

KEY_DIGITS = 20


def recipe_key(
    outputs: Iterable[str], code: str | None, params: Iterable[str], inputs: Mapping[str, str], software: str | None
) -> str:
    """Hash of all that decides what a job makes."""
    return digest([sorted(outputs), code, sorted(params), sorted(inputs.items()), software])


def same_recipe(record: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two of Snakemake's records tell of the same recipe."""
    keys = ("code", "params", "input", "input_checksums", "software_stack_hash")
    return all(record.get(key) == other.get(key) for key in keys)


def digest(value: Any) -> str:
    """Hash of JSON values."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:KEY_DIGITS]
