"""One training step of the light SAM: embeddings of a few images, many prompts each, correction points."""

from __future__ import annotations

import copy

import torch
from segment_anything.modeling import Sam
from torch import Tensor, nn
from torch.nn import functional

from apsam.sam.cam_prompt import cam_to_mask_prompt
from apsam.sam.folded_decoder import add_shared, decode_folded, fold_detail, mask_logits, unfold_pixels
from apsam.sam.light import IMAGE_SIZE
from apsam.sam.training.data import Item
from apsam.sam.training.losses import promptable_loss
from apsam.sam.training.prompt_encoder import PromptTensors, encode_prompts
from apsam.sam.training.prompts import MASK_SIDE
from apsam.sam.training.scenes import SIZE

SKIP = ("index", "image")  # keys of an item that are not of its prompts
SCALE = IMAGE_SIZE / SIZE  # prompts are given in pixels of the tile, SAM takes those of its input


class Stepper:
    """Loss and gradients, in bfloat16 (where it pays) for float32 parameters.

    The modules that learn are copied in the number format of the step. That spares autocast's conversions between
    the float32 that its layer norms return and the bfloat16 of the products (26 -> 20 ms a prompt on one core), and
    steppers of one SAM can work in parallel in threads.

    Args:
        sam: The light SAM, on its device.
        dtype: torch.bfloat16 or torch.float32.
    """

    def __init__(self, sam: Sam, dtype: torch.dtype) -> None:
        self.sam, self.dtype = sam, dtype
        sam.image_encoder.to(memory_format=torch.channels_last)
        self.neck = copy.deepcopy(sam.image_encoder.neck).to(dtype)
        self.decoder = copy.deepcopy(sam.mask_decoder).to(dtype)
        self.prompt_encoder = copy.deepcopy(sam.prompt_encoder)  # small, and its sines want float32
        self.parameters = [p for module in self._modules() for p in module.parameters()]

    def _modules(self) -> tuple[nn.Module, ...]:
        return self.neck, self.prompt_encoder, self.decoder

    def gradients(
        self, features: list[Tensor], items: list[Item], generator: torch.Generator, correct: int
    ) -> tuple[float, list[Tensor]]:
        """Loss and its float32 gradients in the order of `learning_parameters`; arguments as for `loss`."""
        with torch.no_grad():
            for own, original in zip(self.parameters, learning_parameters(self.sam), strict=True):
                own.copy_(original)
        loss = self.loss(features, items, generator, correct)
        gradients = torch.autograd.grad(loss, self.parameters, materialize_grads=True)
        return float(loss.detach()), [gradient.float() for gradient in gradients]

    @torch.no_grad()
    def features(self, images: Tensor) -> list[Tensor]:
        """Backbone features of tiles (B, 3, 256, 256) uint8."""
        pixels = images.to(self.sam.device).float()
        pixels = functional.interpolate(pixels, (IMAGE_SIZE, IMAGE_SIZE), mode="bilinear", align_corners=False)
        pixels = ((pixels - self.sam.pixel_mean) / self.sam.pixel_std).contiguous(memory_format=torch.channels_last)
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            return [feature.to(self.dtype) for feature in self.sam.image_encoder.features(pixels)]

    def loss(self, features: list[Tensor], items: list[Item], generator: torch.Generator, correct: int) -> Tensor:
        """Mean loss over all prompts of the items.

        Args:
            features: Backbone features of the items' images.
            items: Slices of `make_item`'s prompts, the same number of each.
            generator: For the places of correction points.
            correct: So many prompts of every image are asked once more, with a correction point and the first
                answer's logits as mask prompt.
        """
        embeddings, detail = self.neck(features)
        images = embeddings.flatten(1, 2), fold_detail(detail)
        prompts = {key: torch.stack([i[key] for i in items]).to(detail.device) for key in items[0] if key not in SKIP}
        target = prompts["target"].float() / 255
        prompts_once = PromptTensors(
            prompts["kind"].flatten(),
            prompts["point"].flatten(0, 1).unsqueeze(1) * SCALE,
            prompts["box"].flatten(0, 1) * SCALE,
            cam_to_mask_prompt(prompts["map"].flatten(0, 1), MASK_SIDE),
            prompts["has_map"].flatten(),
        )
        loss, (vectors, pixels) = self.decode_loss(images, prompts_once, target.flatten(0, 1))
        if not correct:
            return loss
        count, each = prompts["kind"].shape
        some = torch.arange(count * each, device=target.device).view(count, each)[:, :correct].flatten()
        with torch.no_grad():
            logits = unfold_pixels(mask_logits(vectors[some, :1], pixels[some]).float(), MASK_SIDE)
        target = target[:, :correct].flatten(0, 1)
        place, label = correction_points(logits, target.unsqueeze(1), generator)
        again = PromptTensors(
            prompts_once.kind[some], prompts_once.points[some], prompts_once.boxes[some], logits.clamp(-32, 32),
            torch.ones_like(some, dtype=torch.bool), place * (IMAGE_SIZE / MASK_SIDE), label,
        )  # fmt: skip
        more, _ = self.decode_loss(images, again, target)
        return (loss * each + more * correct) / (each + correct)

    def decode_loss(
        self, images: tuple[Tensor, Tensor], prompts_once: PromptTensors, target: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Loss, and the vectors that give the masks, for prompts of images, the same number of each, image by image.

        Args:
            images: Embeddings (B, P, D) and details (B, P, 4, 4, D / 8).
            prompts_once: N prompts.
            target: (N, 4E, 4E) float32.

        Returns:
            Scalar; vectors of masks and of pixels as `decode_folded` returns them.
        """
        sparse, present, dense = encode_prompts(self.prompt_encoder, prompts_once, self.dtype)
        position = self.prompt_encoder.get_dense_pe().to(self.dtype).flatten(2)[0].T
        embeddings, detail = images
        pixels = add_shared(dense, embeddings)
        vectors, pixels, iou = decode_folded(self.decoder, pixels, detail, position, sparse, present)
        return promptable_loss(vectors, pixels, iou, fold_detail(target.unsqueeze(1)).flatten(1)), (vectors, pixels)


def learning_parameters(sam: Sam) -> list[nn.Parameter]:
    """Everything but the frozen backbone, in the order of `Stepper.gradients`."""
    modules = (sam.image_encoder.neck, sam.prompt_encoder, sam.mask_decoder)
    return [parameter for module in modules for parameter in module.parameters()]


def correction_points(logits: Tensor, target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A point in the error of each mask, as SAM trains.

    Args:
        logits, target: (N, 1, H, W).

    Returns:
        Points (N, 1, 2) float32 x, y in low-resolution pixels, and labels (N, 1): 1 where the object was missed,
        0 where ground was taken for it.
    """
    found, wanted = logits[:, 0] > 0, target[:, 0] > 0.5
    wrong = (found != wanted).flatten(1).float()
    wrong[wrong.sum(1) == 0] = 1  # nothing to correct: any pixel, with its true label
    place = torch.multinomial(wrong.cpu(), 1, generator=generator).to(wrong.device)
    width = logits.shape[-1]
    points = torch.stack([place % width, place // width], dim=2).float()
    return points, wanted.flatten(1).gather(1, place).float()
