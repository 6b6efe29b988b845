"""SAMs by name: built, filled with weights, ready to encode and to decode."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from apsam import torchvision_ops, weights  # noqa: F401  (before segment_anything, which imports torchvision)
from apsam.device import pick_device
from apsam.errors import ConfigError, InputError
from apsam.sam.attention import use_fast_attention
from apsam.sam.light import LIGHT_WEIGHTS, build_light_sam
from apsam.sam.mobile import build_mobile_sam
from apsam.sam.settings import SamSettings

from segment_anything import build_sam_vit_b, build_sam_vit_h, build_sam_vit_l  # isort: skip
from segment_anything.modeling import Sam  # isort: skip

OFFICIAL: dict[str, Callable[[], Sam]] = {
    "vit_b": build_sam_vit_b,
    "vit_l": build_sam_vit_l,
    "vit_h": build_sam_vit_h,
    "mobile": build_mobile_sam,
}
NAMES = ("light", *OFFICIAL)

# segment_anything keeps these out of the state dict. MobileSAM has the same.
PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class LoadedSam:
    """A SAM with its weights, in evaluation mode, without gradients.

    Attributes:
        model: `segment_anything`'s own class; `SamPredictor(sam.model)` works on it.
        name: Its name in the configuration.
        checkpoint_hash: SHA-256 over names, shapes and values of the weights, whatever file they came in.
        fast_attention: Whether attention is computed our way, in the encoder and in decoding.
    """

    model: Sam
    name: str
    checkpoint_hash: str
    fast_attention: bool = True

    @property
    def image_size(self) -> int:
        """Side of the square the image encoder sees, pixels (official SAMs: 1024)."""
        return int(self.model.image_encoder.img_size)

    @property
    def embedding_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image embedding (official SAMs: 256, 64, 64; the light one: 384, 32, 32)."""
        prompt_encoder = self.model.prompt_encoder
        channels = getattr(self.model.image_encoder, "out_channels", prompt_encoder.embed_dim)
        return (int(channels), *map(int, prompt_encoder.image_embedding_size))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return torch.device(self.model.device)


def build_sam(
    settings: SamSettings | str, checkpoint: Path | None = None, device: torch.device | str = "auto"
) -> LoadedSam:
    """Build a SAM and load its weights.

    Args:
        settings: The section `sam` of the configuration, or a name alone.
        checkpoint: Weights file; overrides that of the settings. Without one, `light` takes the packaged
            weights and the others those of the cache, downloaded where they are not there yet.
        device: As `apsam.device.pick_device` takes it.

    Raises:
        ConfigError: The name is unknown.
        InputError: The file is missing, is no checkpoint, or is one of another SAM.
    """
    if isinstance(settings, str):
        if settings not in NAMES:
            raise ConfigError(f"sam: unknown name '{settings}'; known are {', '.join(NAMES)}")
        settings = SamSettings(name=settings)
    checkpoint = checkpoint or settings.checkpoint
    if settings.name == "light":
        model = build_light_sam(checkpoint or LIGHT_WEIGHTS)
    else:
        model = _load_official(settings.name, checkpoint or weights.fetch(f"sam_{settings.name}"))
    target = device if isinstance(device, torch.device) else pick_device(device)
    return wrap_sam(model.to(target), settings.name, fast_attention=settings.attention == "fast")


def wrap_sam(model: Sam, name: str, fast_attention: bool = True) -> LoadedSam:
    """Make a `LoadedSam` of any of `segment_anything`'s models, for instance a fine-tuned one."""
    model.eval().requires_grad_(False)
    if fast_attention:
        use_fast_attention(model)
    return LoadedSam(model, name, weights_hash(model), fast_attention)


def build_untrained(name: str) -> Sam:
    """A SAM with random weights (the light one keeps its backbone's), for tests and measurements of speed."""
    return build_light_sam(None) if name == "light" else OFFICIAL[name]()


def weights_hash(model: torch.nn.Module) -> str:
    """SHA-256 over the names, shapes, types and bytes of a state dict, in order of names. 64 hex digits."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}\n".encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read a state dict from `.safetensors`, or from a `.pth` without running any code in it.

    Raises:
        InputError: The file is missing, broken, or holds something else.
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
            f"{path}: holds {keys} instead of a flat state dict; save the SAM's own state dict "
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
    """Unless its keys and shapes are the model's, raise an `InputError` that says what the checkpoint is."""
    found = {key: tuple(value.shape) for key, value in state.items()}
    expected = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    if found == expected:
        return
    likely = identify(state)
    if likely and likely != name:
        advice = f"set sam.name: {likely}" if likely in NAMES else f"known are {', '.join(NAMES)}"
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
    """The SAM whose image encoder a state dict holds: one of `NAMES`, `SAM 2`, or None."""
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
