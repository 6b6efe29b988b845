"""Weights file of a trained localizer: safetensors with all settings that are needed to rebuild the network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from apsam import __version__
from apsam.conditions import CONDITIONS, TrainingConditions
from apsam.errors import InputError
from apsam.files import atomic_path
from apsam.localizer.methods import Method, build_method
from apsam.localizer.settings import LocalizerSettings
from apsam.training.finite import check_finite

KIND = "apsam localizer"
M = TypeVar("M", bound=Method)


def save_localizer(method: Method, path: Path, kind: str = KIND, conditions: TrainingConditions | None = None) -> None:
    """Write weights, settings and conditions of the training. The same weights give the same bytes."""
    description = {
        "kind": kind,
        "settings": method.settings.model_dump(mode="json"),
        CONDITIONS: conditions.model_dump(mode="json") if conditions else None,
        "apsam_version": __version__,
    }
    state = {name: value.detach().cpu().contiguous() for name, value in sorted(method.state_dict().items())}
    with atomic_path(path) as partial:
        # One entry, because safetensors writes several in random order.
        save_file(state, partial, {"apsam": json.dumps(description, sort_keys=True)})


def load_localizer(path: Path) -> Method:
    """Read a localizer, in evaluation mode. Nothing in the file is executed.

    Raises:
        InputError: No such file, not a safetensors file, or weights of another network or that are NaN.
    """
    return load_method(path, KIND, build_method)


def load_method(path: Path, kind: str, build: Callable[..., M]) -> M:
    """Read a file written by `save_localizer` with `kind`; `build` makes the network from its settings."""
    path = Path(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {}).get("apsam", "{}"))
            state = {name: file.get_tensor(name) for name in file.keys()}
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; train a localizer first") from error
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: not a safetensors file ({error})") from error
    if metadata.get("kind") != kind:
        other = "a ResUNet" if metadata.get("model") == "resunet" else "weights without apsam's description"
        found = metadata.get("kind", other)
        wanted = kind.removeprefix("apsam ")
        raise InputError(f"{path}: contains {found}, no {wanted}; give the weights that its stage wrote")
    try:
        settings = LocalizerSettings.model_validate(metadata["settings"])
        method = build(settings, weights="none")
        method.load_state_dict(state)
    except (KeyError, ValidationError, RuntimeError) as error:
        raise InputError(
            f"{path}: a localizer of apsam {metadata.get('apsam_version', '?')} that this version cannot "
            f"rebuild ({str(error).splitlines()[0]}); train it again"
        ) from error
    check_finite(state, path)
    return method.eval()
