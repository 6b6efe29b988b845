"""What every SAM can do here: encode images to embeddings, and answer prompts on embeddings."""

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

    Everything else (stores, windows, batches, sweeps) knows a SAM by this class. A subclass says how its network is
    called: `apsam.sam.original` for the classes of `segment_anything`, `apsam.sam.hub` for those of `transformers`.

    Attributes:
        model: The network.
        name: Its name in the configuration.
        checkpoint_hash: SHA-256 over names, shapes and values of the weights, whatever file they came in.
        fast_attention: Whether attention is computed the memory-efficient way (`sam.attention: fast`).
        stretches: Whether an image is stretched to the encoder's square, as SAM 2 and 3 do. Otherwise its longer side
            is brought to the square's and the rest is padded, as SAM does.
        mask_threshold: Logit above which a pixel is in the mask.
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
        """Side of the square the image encoder sees, pixels (SAM and SAM 2: 1024, SAM 3: 1008)."""

    @property
    @abstractmethod
    def embedding_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an embedding, with all that the decoder needs of the image.

        SAM: 256, 64, 64. SAM 2: 1024, 64, 64, of which 768 are features of higher resolution.
        """

    @property
    @abstractmethod
    def mask_input_size(self) -> int:
        """Side of a mask prompt, pixels."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return torch.device(self.model.device)

    @property
    def preprocessing(self) -> str:
        """What is done to pixels before the encoder sees them, in words, for the store."""
        return "longest side, bilinear as Pillow, mean and deviation of SAM, padded right and below"

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width that an image takes in the encoder's square."""
        return (self.image_size, self.image_size) if self.stretches else input_size(height, width, self.image_size)

    def prepare(self, images: np.ndarray) -> Tensor:
        """Bring images (n, 3, h, w) uint8 to what `encode` takes, on the CPU."""
        return resize_tiles(images, self.image_size)

    @abstractmethod
    def encode(self, prepared: Tensor) -> Tensor:
        """Embed what `prepare` made, on the SAM's device. Returns (n, D, E, E), D x E x E being `embedding_shape`."""

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
        """Answer P prompts. All tensors are on the SAM's device, coordinates in pixels of the encoder's square.

        Args:
            embeddings: (n, D, E, E) float32 of n images.
            image: (P,) int64, the image each prompt is of; sorted.
            points: Coordinates (P, K, 2) float32 x, y and labels (P, K) int32: 1 inside, 0 outside, -1 no point.
            boxes: (P, 4) float32 x0, y0, x1, y1.
            masks: (P, 1, s, s) float32 logits, s being `mask_input_size`.
            three: The three masks of a prompt instead of its single one.

        Returns:
            Mask logits (P, M, h, w) of the whole square at the decoder's own resolution, and the SAM's estimates of
            their IoU (P, M); M is 3 or 1.
        """


def weights_hash(model: nn.Module) -> str:
    """SHA-256 over the names, shapes, types and bytes of a state dict, in order of names. 64 hex digits."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}\n".encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
