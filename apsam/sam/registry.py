"""Build SAMs by name and load their weights."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from apsam import torchvision_ops, weights  # noqa: F401  (before segment_anything, which imports torchvision)
from apsam.device import pick_device
from apsam.errors import ConfigError, InputError
from apsam.sam.attention import use_fast_attention
from apsam.sam.light import LIGHT_WEIGHTS, build_light_sam
from apsam.sam.mobile import build_mobile_sam
from apsam.sam.model import LoadedSam, weights_hash
from apsam.sam.names import is_hub_sam
from apsam.sam.original import OriginalSam
from apsam.sam.settings import SamSettings
from apsam.sam.weights_files import hub_folder

from segment_anything import build_sam_vit_b, build_sam_vit_h, build_sam_vit_l  # isort: skip
from segment_anything.modeling import Sam  # isort: skip

OFFICIAL: dict[str, Callable[[], Sam]] = {
    "vit_b": build_sam_vit_b,
    "vit_l": build_sam_vit_l,
    "vit_h": build_sam_vit_h,
    "mobile": build_mobile_sam,
}
NAMES = ("light", *OFFICIAL)

# segment_anything does not save these in the state dict. MobileSAM has the same.
PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)


def build_sam(
    settings: SamSettings | str, checkpoint: Path | None = None, device: torch.device | str = "auto"
) -> LoadedSam:
    """Build a SAM and load its weights.

    Args:
        settings: The section `sam` of the configuration, or a name alone.
        checkpoint: Weights file, or the folder of a SAM of the Hugging Face hub; overrides that of the settings.
            Without one, `light` uses the packaged weights, the other SAMs of `segment_anything`'s classes those of
            the cache, which are downloaded if they are missing, and those of the hub the folder found by `hub_folder`.
        device: As `apsam.device.pick_device` takes it.

    Raises:
        ConfigError: The name is unknown, or has no code that builds it.
        InputError: The file is missing, is not a checkpoint, or is one of another SAM.
        ApsamError: The weights are not on this machine; the message names the download and its path.
    """
    if isinstance(settings, str):
        try:
            settings = SamSettings(name=settings)
        except ValidationError as error:
            raise ConfigError(f"sam: {error.errors()[0]['ctx']['error']}") from error
    checkpoint = checkpoint or settings.checkpoint
    name, fast = settings.name, settings.attention == "fast"
    target = device if isinstance(device, torch.device) else pick_device(device)
    if is_hub_sam(name):
        # Imported here, because transformers takes seconds to import.
        from apsam.sam.hub import load_hub_sam

        return load_hub_sam(hub_folder(name, checkpoint), name, target, fast)
    if name == "light":
        model = build_light_sam(checkpoint or LIGHT_WEIGHTS)
    elif name in OFFICIAL:
        model = _load_official(name, checkpoint or weights.fetch(f"sam_{name}"))
    else:
        raise ConfigError(f"sam.name: no code builds SAM '{name}'; add it to build_sam (docs/add-a-sam.md)")
    return wrap_sam(model.to(target), name, fast_attention=fast)


def wrap_sam(model: Sam, name: str, fast_attention: bool = True) -> OriginalSam:
    """Make a `LoadedSam` of any of `segment_anything`'s models, for instance a fine-tuned one."""
    model.eval().requires_grad_(False)
    if fast_attention:
        use_fast_attention(model)
    return OriginalSam(model, name, weights_hash(model), fast_attention)


def build_untrained(name: str) -> Sam:
    """Build a SAM with random weights (the light one keeps its backbone's), for tests and measurements of speed."""
    return build_light_sam(None) if name == "light" else OFFICIAL[name]()


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read a state dict from `.safetensors`, or from a `.pth` without running any code in it.

    Raises:
        InputError: The file is missing, broken, or has other content.
    """
    if not path.is_file():
        raise InputError(
            f"{path}: no such SAM checkpoint; correct sam.checkpoint, or leave it out to take weights by name"
        )
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise InputError(
            f"{path}: not a checkpoint that can be read ({weights.why_unreadable(error)}); download it again"
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        keys = ", ".join(map(str, list(state)[:5])) if isinstance(state, Mapping) else type(state).__name__
        raise InputError(
            f"{path}: contains {keys} instead of a flat state dict; save the SAM's own state dict "
            "(model.state_dict()) into a file of its own"
        )
    return dict(state)


def _load_official(name: str, path: Path) -> Sam:
    state = read_state_dict(path)
    with torch.device("meta"):
        model = OFFICIAL[name]()
    _check_fit(state, model, name, path)
    state = {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    model.load_state_dict(state, strict=True, assign=True)
    model.pixel_mean = torch.tensor(PIXEL_MEAN).view(-1, 1, 1)
    model.pixel_std = torch.tensor(PIXEL_STD).view(-1, 1, 1)
    return model


def _check_fit(state: Mapping[str, Tensor], model: Sam, name: str, path: Path) -> None:
    """Check keys and shapes of a checkpoint; the `InputError` for a mismatch names the checkpoint's own SAM."""
    found = {key: tuple(value.shape) for key, value in state.items()}
    expected = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    if found == expected:
        return
    likely = identify(state)
    if likely and likely != name:
        advice = f"set sam.name: {likely}"
        if likely == "SAM 2":
            advice = "take it as the Hugging Face hub has it, for instance sam.name: sam2.1_large (docs/sam.md)"
        raise InputError(f"{path}: this is a checkpoint of '{likely}', not of '{name}'; {advice}")
    wrong = [f"no {key}" for key in expected.keys() - found.keys()]
    wrong += [f"unknown {key}" for key in found.keys() - expected.keys()]
    wrong += [
        f"{key} is {found[key]}, not {expected[key]}"
        for key in expected.keys() & found.keys()
        if found[key] != expected[key]
    ]
    few = "; ".join(sorted(wrong)[:3])
    raise InputError(f"{path}: not a checkpoint of '{name}': {len(wrong)} differences ({few})")


def identify(state: Mapping[str, Tensor]) -> str | None:
    """Return the SAM whose image encoder is in a state dict: one of `NAMES`, `SAM 2`, or None."""
    patches = state.get("image_encoder.patch_embed.proj.weight")
    if patches is not None:
        return {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}.get(patches.shape[0])
    if any(key.startswith("image_encoder.layers.") for key in state):
        return "mobile"
    if any(key.startswith("image_encoder.trunk.") for key in state):
        return "SAM 2"
    if any(key.startswith("image_encoder.") for key in state):
        return "light"
    return None
