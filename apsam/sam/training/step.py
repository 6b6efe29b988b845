"""One training step of the light SAM: embeddings of a few images, many prompts each, correction points."""

from __future__ import annotations

import copy

import torch
from segment_anything.modeling import Sam
from torch import Tensor, nn
from torch.nn import functional

from apsam.sam.cam_prompt import cam_to_mask_prompt
from apsam.sam.light import IMAGE_SIZE
from apsam.sam.training.data import Item
from apsam.sam.training.decoder import decode_prompts
from apsam.sam.training.losses import promptable_loss
from apsam.sam.training.prompts import KINDS, MASK_SIDE
from apsam.sam.training.scenes import SIZE

SKIP = ("index", "image")  # keys of an item that are not of its prompts
SCALE = IMAGE_SIZE / SIZE  # prompts are given in pixels of the tile, SAM takes those of its input


class Stepper:
    """Loss and gradients, in bfloat16 (where it pays) for float32 parameters.

    The modules that learn are copied in the number format of the step. That spares autocast's conversions between
    the float32 that its layer norms return and the bfloat16 of the products (26 -> 20 ms a prompt on one core), and
    steppers of one SAM can work side by side in threads.

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
        self, features: list[Tensor], items: list[Item], generator: torch.Generator, correct: bool
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

    def loss(self, features: list[Tensor], items: list[Item], generator: torch.Generator, correct: bool) -> Tensor:
        """Mean loss over all prompts of the items.

        Args:
            features: Backbone features of the items' images.
            items: Slices of `make_item`'s prompts.
            generator: For the places of correction points.
            correct: Add one round with a correction point and the first round's logits as mask prompt.
        """
        embeddings = self.neck(features)
        position = _tokens_last(self.prompt_encoder.get_dense_pe().to(self.dtype))
        owner = torch.repeat_interleave(torch.arange(len(items)), torch.tensor([len(i["kind"]) for i in items]))
        batch = {key: torch.cat([i[key] for i in items]).to(embeddings.device) for key in items[0] if key not in SKIP}
        total = embeddings.new_zeros((), dtype=torch.float32)
        for number, kind in enumerate(KINDS):
            chosen = batch["kind"] == number
            if not chosen.any():
                continue
            own = {key: value[chosen] for key, value in batch.items()}
            image = embeddings[owner.to(chosen.device)[chosen]]
            target = own["target"].unsqueeze(1).float() / 255
            points = None if kind == "box" else own["point"].unsqueeze(1) * SCALE
            labels = None if kind == "box" else torch.ones(len(image), 1, device=image.device)
            boxes = None if kind == "point" else own["box"] * SCALE
            masks, present = cam_to_mask_prompt(own["map"], MASK_SIDE), own["has_map"]

            def ask(points, labels, boxes, masks, present, image=image, target=target):  # noqa: ANN001, ANN202
                sparse, dense = self.encode_prompts(points, labels, boxes, masks, present)
                inputs = (_tokens_last(image), position, sparse.to(self.dtype), _tokens_last(dense.to(self.dtype)))
                logits, iou = decode_prompts(self.decoder, *inputs)
                logits = logits.float()
                return promptable_loss(logits, iou.float(), target), logits

            loss, logits = ask(points, labels, boxes, masks, present)
            if correct:
                with torch.no_grad():
                    place, label = correction_points(logits[:, :1], target, generator)
                earlier = logits[:, :1].detach().clamp(-32, 32)
                place = place * (IMAGE_SIZE / MASK_SIDE)
                points = place if points is None else torch.cat([points, place], 1)
                labels = label if labels is None else torch.cat([labels, label], 1)
                again, _ = ask(points, labels, boxes, earlier, torch.ones_like(present))
                loss = (loss + again) / 2
            total = total + loss * (len(image) / len(batch["kind"]))
        return total

    def encode_prompts(
        self, points: Tensor | None, labels: Tensor | None, boxes: Tensor | None, masks: Tensor, present: Tensor
    ) -> tuple[Tensor, Tensor]:
        """SAM's prompt encoder with a mask prompt for those prompts where `present` (N,) is true."""
        encoder = self.prompt_encoder
        pair = None if points is None else (points, labels)
        sparse, dense = encoder(pair, boxes, None)
        if present.any():
            dense = dense.clone()
            dense[present] = encoder._embed_masks(masks[present])
        return sparse, dense


def learning_parameters(sam: Sam) -> list[nn.Parameter]:
    """Everything but the frozen backbone, in the order of `Stepper.gradients`."""
    modules = (sam.image_encoder.neck, sam.prompt_encoder, sam.mask_decoder)
    return [parameter for module in modules for parameter in module.parameters()]


def _tokens_last(x: Tensor) -> Tensor:
    """The same tensor laid out so that the transformer's flattening needs no copy."""
    return x.contiguous(memory_format=torch.channels_last)


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
