"""Common interface of all SAMs: encode images to embeddings, and decode prompts on embeddings."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from apsam.sam.frame import input_size, resize_tiles


@dataclass(frozen=True)
class LoadedSam(ABC):
    """A SAM with its weights, in evaluation mode, without gradients.

    All other code (stores, windows, batches, sweeps) uses a SAM through this class. A subclass adapts its
    network: `apsam.sam.original` the classes of `segment_anything`, `apsam.sam.hub` those of `transformers`.

    Attributes:
        model: The network.
        name: Its name in the configuration.
        checkpoint_hash: SHA-256 over names, shapes and values of the weights, independent of the file.
        fast_attention: Whether memory-efficient attention is used (`sam.attention: fast`).
        stretches: Whether an image is stretched to the encoder's square, as in SAM 2 and 3. Otherwise its longer side
            is resized to the square's and the rest is padded, as in SAM.
        mask_threshold: Logit above which a pixel belongs to the mask.
    """

    model: Any
    name: str
    checkpoint_hash: str
    fast_attention: bool = True

    stretches: ClassVar[bool] = False
    mask_threshold: ClassVar[float] = 0.0

    @property
    @abstractmethod
    def image_size(self) -> int:
        """Side of the encoder's square, pixels (SAM and SAM 2: 1024, SAM 3: 1008)."""

    @property
    @abstractmethod
    def embedding_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an embedding, with all image features for the decoder.

        SAM: 256, 64, 64. SAM 2: 1024, 64, 64, of which 768 are features of higher resolution.
        """

    @property
    @abstractmethod
    def mask_input_size(self) -> int:
        """Side of a mask prompt, pixels."""

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return torch.device(self.model.device)

    @property
    def preprocessing(self) -> str:
        """Preprocessing of pixels before the encoder, in words, for the store."""
        return "longest side, bilinear as Pillow, mean and deviation of SAM, padded right and below"

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of an image in the encoder's square."""
        return (self.image_size, self.image_size) if self.stretches else input_size(height, width, self.image_size)

    def prepare(self, images: np.ndarray) -> Tensor:
        """Preprocess images (n, 3, h, w) uint8 for `encode`, on the CPU."""
        return resize_tiles(images, self.image_size)

    @abstractmethod
    def encode(self, prepared: Tensor) -> Tensor:
        """Embed prepared images, on the SAM's device. Returns (n, D, E, E), D x E x E being `embedding_shape`."""

    @abstractmethod
    def decode(
        self,
        embeddings: Tensor,
        image: Tensor,
        points: tuple[Tensor, Tensor] | None,
        boxes: Tensor | None,
        masks: Tensor | None,
        three: bool,
    ) -> tuple[Tensor, Tensor]:
        """Decode P prompts. All tensors are on the SAM's device, coordinates in pixels of the encoder's square.

        Args:
            embeddings: (n, D, E, E) float32 of n images.
            image: (P,) int64, the image of each prompt; sorted.
            points: Coordinates (P, K, 2) float32 x, y and labels (P, K) int32: 1 inside, 0 outside, -1 no point.
            boxes: (P, 4) float32 x0, y0, x1, y1.
            masks: (P, 1, s, s) float32 logits, s being `mask_input_size`.
            three: Return the three masks of a prompt instead of its single one.

        Returns:
            Mask logits (P, M, h, w) of the whole square at the decoder's own resolution, and the SAM's estimates of
            their IoU (P, M); M is 3 or 1.
        """


def weights_hash(model: nn.Module) -> str:
    """Return the SHA-256 over names, shapes, types and bytes of a state dict, in order of names. 64 hex digits."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}\n".encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
