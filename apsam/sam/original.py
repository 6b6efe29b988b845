"""The SAMs of `segment_anything`'s classes: ViT-B, -L, -H, MobileSAM, the light one, and fine-tuned ones.

With `sam.attention: fast`, the encoder's attention is that of `apsam.sam.attention` and prompts are decoded by
`apsam.sam.folded_decoder`; otherwise both are as released.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from apsam import torchvision_ops  # noqa: F401  (before segment_anything, which imports torchvision)
from apsam.sam.folded_decoder import decode_folded, fold_detail, mask_logits, unfold_pixels
from apsam.sam.model import LoadedSam

from segment_anything.modeling import Sam  # isort: skip


@dataclass(frozen=True)
class OriginalSam(LoadedSam):
    """A SAM of `segment_anything`'s own class; `SamPredictor(sam.model)` works on it."""

    @property
    def image_size(self) -> int:
        """Side of the encoder's square, pixels (official SAMs: 1024)."""
        return int(self.model.image_encoder.img_size)

    @property
    def embedding_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image embedding (official SAMs: 256, 64, 64; the light one: 384, 32, 32)."""
        prompt_encoder = self.model.prompt_encoder
        channels = getattr(self.model.image_encoder, "out_channels", prompt_encoder.embed_dim)
        height, width = map(int, prompt_encoder.image_embedding_size)
        return int(channels), height, width

    @property
    def mask_input_size(self) -> int:
        """Side of a mask prompt, pixels: four times that of the embedding."""
        return 4 * self.embedding_shape[-1]

    def encode(self, prepared: Tensor) -> Tensor:
        """Embed resized images, (n, 3, h', w') uint8."""
        pixels = self.model.preprocess(prepared.float())
        # Convolutions are up to twice as fast with channels last; a ViT, with a single convolution, is not slower.
        return self.model.image_encoder(pixels.contiguous(memory_format=torch.channels_last))

    def decode(
        self,
        embeddings: Tensor,
        image: Tensor,
        points: tuple[Tensor, Tensor] | None,
        boxes: Tensor | None,
        masks: Tensor | None,
        three: bool,
    ) -> tuple[Tensor, Tensor]:
        """Decode P prompts, see `LoadedSam.decode`."""
        sparse, dense = self.model.prompt_encoder(points=points, boxes=boxes, masks=masks)
        answer = _folded if self.fast_attention else _released
        return answer(self.model, embeddings, image, sparse, dense if masks is not None else dense[:1], three)


def _folded(
    model: Sam, images: Tensor, image: Tensor, sparse: Tensor, dense: Tensor, three: bool
) -> tuple[Tensor, Tensor]:
    """Decode P prompts.

    Args:
        images: (n, D, E, E) embeddings.
        image: (P,) index of each prompt's image.
        sparse: (P, T, D) point and box tokens.
        dense: (P, D, E, E) mask prompts, or (1, D, E, E) if there are none.
        three: Return SAM's three masks instead of its single one.

    Returns:
        Masks (P, M, 4E, 4E) and IoU estimates (P, M).
    """
    decoder, side = model.mask_decoder, images.shape[-1]
    width = decoder.transformer_dim
    pixels, ground = (maps.flatten(2).transpose(1, 2) for maps in (images[:, :width], dense))
    pixels = (pixels + ground)[image] if len(ground) == 1 else pixels[image] + ground
    # The light SAM's embedding has more channels than prompts.
    detail = fold_detail(F.pixel_shuffle(images[:, width:], 4))[image] if images.shape[1] > width else None
    position = model.prompt_encoder.get_dense_pe().flatten(2)[0].T.contiguous()
    masks = slice(1, None) if three else slice(0, 1)
    vectors, pixels, quality = decode_folded(decoder, pixels, detail, position, sparse, masks=masks)
    return unfold_pixels(mask_logits(vectors, pixels), 4 * side), quality


def _released(
    model: Sam, images: Tensor, image: Tensor, sparse: Tensor, dense: Tensor, three: bool
) -> tuple[Tensor, Tensor]:
    """Decode P prompts with the released decoder.

    It repeats one image's embedding for all prompts and then adds the dense prompts. With zeros as image and each
    prompt's own image in the dense prompts, the sum is the same, and one call decodes prompts of many tiles.
    """
    images = images[image]
    dense = images + F.pad(dense, (0, 0, 0, 0, 0, images.shape[1] - dense.shape[1]))
    return model.mask_decoder(
        image_embeddings=torch.zeros_like(dense[:1]),
        image_pe=model.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=three,
    )
