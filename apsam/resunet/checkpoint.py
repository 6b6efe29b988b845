"""Weights file of a trained ResUNet: safetensors with all settings that are needed to rebuild the network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from apsam import __version__
from apsam.conditions import CONDITIONS, TrainingConditions
from apsam.errors import InputError
from apsam.files import atomic_path
from apsam.resunet.model import ResUNet, build_resunet
from apsam.resunet.settings import ResUNetSettings
from apsam.training.finite import check_finite

MODEL = "resunet"


def save_resunet(
    network: ResUNet,
    settings: ResUNetSettings,
    path: Path,
    facts: dict[str, Any],
    conditions: TrainingConditions | None = None,
) -> None:
    """Write weights; the metadata has the model, settings, `facts` on its training, and all settings for mapping."""
    description = {
        "model": MODEL,
        "settings": settings.model_dump(mode="json"),
        "facts": facts,
        CONDITIONS: conditions.model_dump(mode="json") if conditions else None,
        "apsam_version": __version__,
    }
    state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    with atomic_path(path) as partial:
        # One entry, because safetensors writes several in random order. As bytes, because its own files are private.
        partial.write_bytes(save(state, {"apsam": json.dumps(description, sort_keys=True)}))


def load_resunet(path: Path, device: torch.device) -> tuple[ResUNet, ResUNetSettings]:
    """Build the network of a weights file, on `device`, in evaluation mode. The file is read as data, never executed.

    Raises:
        InputError: The file is missing, is not a safetensors file, is of another model, or has weights that are NaN.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such weights; train the ResUNet first (scripts/resunet.py)")
    try:
        with safe_open(path, "pt") as file:
            metadata = json.loads((file.metadata() or {}).get("apsam", "{}"))
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: not a safetensors file ({error}); give weights that apsam wrote") from error
    model = metadata.get("model")
    if model != MODEL:
        held = f"the model '{model}'" if model else "another model"
        raise InputError(f"{path}: contains {held}, not a ResUNet of apsam")
    try:
        settings = ResUNetSettings.model_validate(metadata["settings"])
        network = build_resunet(settings, pretrained=False)
        network.load_state_dict(state)
    except (KeyError, ValidationError, RuntimeError) as error:
        raise InputError(
            f"{path}: its weights do not fit its settings ({str(error).splitlines()[0]}); written by apsam "
            f"{metadata.get('apsam_version', '?')}, this is {__version__}: train again"
        ) from error
    check_finite(state, path)
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's overloads leave memory_format out
    return network.eval(), settings
