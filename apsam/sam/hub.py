"""SAMs of the `transformers` library: SAM 2 and 2.1, SAM 3's promptable tracker, SAM-HQ, EdgeTAM, SAM and fine-tunes.

They use the library's image processor and model (extra `hub`); this module adapts them to the interface of stores,
windows and batches: one tensor per image. Weights are read from safetensors only; no code of a repository
is run, and nothing is downloaded (`apsam.sam.weights_files` finds the files).

To add an architecture: an entry in `FAMILIES`, and a class next to those below if its model is called differently.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from apsam import torchvision_ops  # noqa: F401  (before transformers, which imports torchvision)
from apsam.errors import ConfigError, InputError
from apsam.sam.attention import FastAttention
from apsam.sam.model import LoadedSam, weights_hash
from apsam.sam.weights_files import CONFIG, hub_files

INSTALL = "pip install 'apsam[hub]'"


@dataclass(frozen=True)
class HubSam(LoadedSam):
    """A SAM of the `transformers` library, used through its public methods only.

    Attributes:
        processor: The library's image processor, with the checkpoint's settings.
        shape: Shape of the embedding, determined once.
    """

    processor: Any = None
    shape: tuple[int, int, int] = field(default=(0, 0, 0))

    @property
    def image_size(self) -> int:
        """Side of the square the image encoder sees, pixels."""
        return int(self.model.config.prompt_encoder_config.image_size)

    @property
    def embedding_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an embedding, including features of higher resolution."""
        return self.shape

    @property
    def mask_input_size(self) -> int:
        """Side of a mask prompt, pixels."""
        return 4 * int(self.model.prompt_encoder.image_embedding_size[0])

    @property
    def preprocessing(self) -> str:
        """The image processor's settings."""
        return f"{type(self.processor).__name__} {json.dumps(processor_settings(self.processor), sort_keys=True)}"

    def prepare(self, images: np.ndarray) -> Tensor:
        """Preprocess (n, 3, h, w) uint8 with the library's processor: (n, 3, s, s) float32."""
        made = self.processor(
            images=list(torch.from_numpy(images)), input_data_format="channels_first", return_tensors="pt"
        )
        return made["pixel_values"]

    def encode(self, prepared: Tensor) -> Tensor:
        """Embed prepared images; all features for the decoder are in the channels of one tensor."""
        return self._pack(self.model.get_image_embeddings(prepared))

    def decode(
        self,
        embeddings: Tensor,
        image: Tensor,
        points: tuple[Tensor, Tensor] | None,
        boxes: Tensor | None,
        masks: Tensor | None,
        three: bool,
    ) -> tuple[Tensor, Tensor]:
        """Decode P prompts, each as a separate image with one object."""
        coordinates, labels = points if points is not None else (None, None)
        answer = self.model(
            **self._unpack(embeddings[image]),
            input_points=None if coordinates is None else coordinates[:, None],
            input_labels=None if labels is None else labels[:, None],
            input_boxes=None if boxes is None else boxes[:, None],
            input_masks=masks,
            multimask_output=three,
        )
        return answer.pred_masks[:, 0].float(), answer.iou_scores[:, 0].float()

    def _pack(self, embeddings: Any) -> Tensor:
        """Pack the result of `get_image_embeddings` into one tensor (n, D, E, E)."""
        return embeddings

    def _unpack(self, embeddings: Tensor) -> dict[str, Any]:
        """Unpack a tensor of `_pack` into arguments of the model's `forward`."""
        return {"image_embeddings": embeddings}


@dataclass(frozen=True)
class HubSam2(HubSam):
    """SAM 2, SAM 3's tracker, EdgeTAM: two feature maps of higher resolution, folded into channels."""

    stretches: ClassVar[bool] = True

    def _pack(self, embeddings: list[Tensor]) -> Tensor:
        *fine, coarse = embeddings
        folded = [F.pixel_unshuffle(each, each.shape[-1] // coarse.shape[-1]) for each in fine]
        return torch.cat([coarse, *folded], dim=1)

    def _unpack(self, embeddings: Tensor) -> dict[str, Any]:
        side, width = embeddings.shape[-1], self.model.config.mask_decoder_config.hidden_size
        # Shapes after the decoder's convolutions `conv_s0` and `conv_s1`, from fine to coarse.
        factors = [size[0] // side for size in self.model.backbone_feature_sizes[:-1]]
        channels = [width // 8 * factors[0] ** 2, width // 4 * factors[1] ** 2]
        coarse, *folded = embeddings.split([width, *channels], dim=1)
        fine = [F.pixel_shuffle(each, factor) for each, factor in zip(folded, factors, strict=True)]
        return {"image_embeddings": [*fine, coarse]}


@dataclass(frozen=True)
class HubSamHq(HubSam):
    """SAM-HQ: its decoder also needs the ViT's features after the first global block."""

    def _pack(self, embeddings: tuple[Tensor, list[Tensor]]) -> Tensor:
        image, of_global_blocks = embeddings
        return torch.cat([image, of_global_blocks[0].permute(0, 3, 1, 2)], dim=1)

    def _unpack(self, embeddings: Tensor) -> dict[str, Any]:
        width = self.model.config.mask_decoder_config.hidden_size
        vit = embeddings[:, width:].permute(0, 2, 3, 1)
        return {"image_embeddings": embeddings[:, :width], "intermediate_embeddings": [vit]}

    def decode(
        self,
        embeddings: Tensor,
        image: Tensor,
        points: tuple[Tensor, Tensor] | None,
        boxes: Tensor | None,
        masks: Tensor | None,
        three: bool,
    ) -> tuple[Tensor, Tensor]:
        """Decode P prompts, those of an image together: the part that depends on the image only is expensive."""
        if masks is not None:  # according to the library, one for all prompts of an image
            return super().decode(embeddings, image, points, boxes, masks, three)
        found = []
        for number in range(len(embeddings)):
            of_image = image == number
            coordinates, labels = (each[of_image][None] for each in points) if points is not None else (None, None)
            answer = self.model(
                **self._unpack(embeddings[number : number + 1]),
                input_points=coordinates,
                input_labels=labels,
                input_boxes=None if boxes is None else boxes[of_image][None],
                multimask_output=three,
            )
            found.append((answer.pred_masks[0].float(), answer.iou_scores[0].float()))
        logits, iou = (torch.cat(parts) for parts in zip(*found, strict=True))
        return logits, iou


class FastVitAttention(FastAttention):
    """Attention of the library's SAM and SAM-HQ encoders, computed by `apsam.sam.attention`.

    Args:
        attention: The library's module, whose parameters it takes under the same names.
    """

    def __init__(self, attention: nn.Module) -> None:
        nn.Module.__init__(self)  # the base class would create new parameters
        self.num_heads, self.scale = attention.num_attention_heads, attention.scale
        self.use_rel_pos = attention.use_rel_pos
        self.qkv, self.proj = attention.qkv, attention.proj
        if self.use_rel_pos:
            self.rel_pos_h, self.rel_pos_w = attention.rel_pos_h, attention.rel_pos_w

    def forward(self, hidden_states: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]  # transformers wants a pair
        """(B, H, W, C) -> (B, H, W, C), without attention weights."""
        return super().forward(hidden_states), None


# Model type in `config.json` -> the library's class that decodes prompts, and the adapter here. A video
# model's checkpoint contains the image model's weights.
FAMILIES: dict[str, tuple[str, type[HubSam]]] = {
    "sam": ("SamModel", HubSam),
    "sam_hq": ("SamHQModel", HubSamHq),
    "sam2": ("Sam2Model", HubSam2),
    "sam2_video": ("Sam2Model", HubSam2),
    "sam3_tracker": ("Sam3TrackerModel", HubSam2),
    "sam3_tracker_video": ("Sam3TrackerModel", HubSam2),
    "sam3_video": ("Sam3TrackerModel", HubSam2),
    "edgetam": ("EdgeTamModel", HubSam2),
    "edgetam_video": ("EdgeTamModel", HubSam2),
}


def load_hub_sam(folder: Path, name: str, device: torch.device, fast_attention: bool = True) -> HubSam:
    """Load a SAM from a folder with the files of a Hugging Face hub repository.

    Args:
        folder: Contains `config.json`, the image processor's settings and the weights as safetensors.
        name: Its name in the configuration.
        device: Device for computing.
        fast_attention: Ours for SAM's ViT, the library's scaled dot product attention for the others, instead of its
            plain one.

    Raises:
        ConfigError: The library is not installed.
        InputError: A file is missing, broken or not of a SAM.
    """
    hub_files(folder)
    kind, (class_name, ours) = _family(folder)
    transformers = _transformers()
    if not hasattr(transformers, class_name):
        raise ConfigError(
            f"{folder}: a model of type '{kind}', which transformers {transformers.__version__} does not have; "
            f"upgrade it: pip install --upgrade transformers"
        )
    try:
        model, loaded = getattr(transformers, class_name).from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            attn_implementation="sdpa" if fast_attention else "eager",
            output_loading_info=True,
        )
        processor = transformers.AutoImageProcessor.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # the library raises various exceptions for broken files
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"{folder}: not a SAM that can be read ({reason}); download it again") from error
    wrong = sorted(map(str, {*loaded["missing_keys"], *loaded["mismatched_keys"]}))
    if wrong:
        raise InputError(f"{folder}: its weights lack {len(wrong)} tensors of a {class_name} (first: {wrong[0]})")
    return wrap_hub_sam(model.to(device), processor, name, fast_attention, ours, str(folder))


def wrap_hub_sam(
    model: Any,
    processor: Any,
    name: str,
    fast_attention: bool = True,
    ours: type[HubSam] | None = None,
    source: str = "model",
) -> HubSam:
    """Make a `HubSam` of a model and an image processor of the library.

    Raises:
        InputError: They do not match, or the model predicts another number of masks than SAM.
    """
    ours = ours or FAMILIES[model.config.model_type][1]
    model.eval().requires_grad_(False)
    if fast_attention and not ours.stretches:  # those with SAM's ViT
        for layer in model.vision_encoder.layers:
            layer.attn = FastVitAttention(layer.attn)
    masks = model.config.mask_decoder_config.num_multimask_outputs
    if masks != 3:
        raise InputError(f"{source}: it predicts {masks} masks per prompt, SAMs predict 3")
    sam = ours(model, name, "", fast_attention, processor)
    made = sam.prepare(np.zeros((1, 3, sam.image_size, sam.image_size), np.uint8))
    if made.shape[-2:] != (sam.image_size, sam.image_size):
        raise InputError(
            f"{source}: its image processor makes images of {made.shape[-1]} x {made.shape[-2]} px, "
            f"its configuration says {sam.image_size}; take both files from one repository"
        )
    return ours(model, name, _hash(model, processor), fast_attention, processor, _embedding_shape(model, ours))


def _embedding_shape(model: Any, ours: type[HubSam]) -> tuple[int, int, int]:
    """Compute the shape from the settings, because running the encoder takes seconds."""
    side, width = model.prompt_encoder.image_embedding_size[0], model.config.mask_decoder_config.hidden_size
    if issubclass(ours, HubSamHq):
        width += model.config.vision_config.hidden_size
    elif issubclass(ours, HubSam2):
        fine = [size[0] // side for size in model.backbone_feature_sizes[:-1]]
        width += width // 8 * fine[0] ** 2 + width // 4 * fine[1] ** 2
    return int(width), int(side), int(side)


def _hash(model: Any, processor: Any) -> str:
    """Return the SHA-256 of the weights and of the preprocessing, which is not part of the weights."""

    settings = json.dumps(processor_settings(processor), sort_keys=True)
    return hashlib.sha256(f"{weights_hash(model)} {settings}".encode()).hexdigest()


def processor_settings(processor: Any) -> dict[str, Any]:
    """Return the preprocessing settings of an image processor."""
    keys = ("do_resize", "size", "resample", "do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std")
    known = processor.to_dict()
    return {key: known[key] for key in keys if known.get(key) is not None}


def _family(folder: Path) -> tuple[str, tuple[str, type[HubSam]]]:
    """Return the model type in a folder's `config.json`, and its entry in `FAMILIES`."""
    path = folder / CONFIG
    try:
        kind = json.loads(path.read_text())["model_type"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: no configuration of a model ({error}); download it again") from error
    if kind not in FAMILIES:
        raise InputError(f"{path}: a model of type '{kind}', which is not a SAM; known are {', '.join(FAMILIES)}")
    return kind, FAMILIES[kind]


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise ConfigError(f"SAMs of the Hugging Face hub need the transformers library: {INSTALL}") from error
    # The job's own log reports it.
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers
