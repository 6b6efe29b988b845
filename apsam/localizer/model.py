"""The localizer network: a backbone, a head that makes one foreground logit map, and its pooling to one score."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from apsam.backbones.build import Backbone, build_backbone, read_lite0_weights
from apsam.backbones.norms import norm_names
from apsam.localizer.settings import LocalizerSettings

log = logging.getLogger(__name__)

LITE0_LAST_CHANNELS = 1280
PIXEL_STAGES = (2, 3, 4)


class Localizer(nn.Module):
    """A tile classifier that scores every pixel, so that its logit map locates the class.

    With `head: plain` and `pooling: mean` this is class activation mapping for one class (Zhou et al. 2016,
    equations 1 and 2): the mean of a linear layer's map equals the layer applied to the mean features.
    """

    def __init__(self, settings: LocalizerSettings, weights: str | None = None) -> None:
        """Build the network.

        Args:
            settings: Backbone, output stride, head, pooling, frozen stages.
            weights: The backbone's initial weights; None: those named in the settings.
        """
        super().__init__()
        weights = settings.weights if weights is None else weights
        self.backbone = build_backbone(settings.backbone, weights, settings.output_stride)
        if not settings.dilation:
            _undilate(self.backbone)
        self.head = (
            PlainHead(self.backbone, weights)
            if settings.head == "plain"
            else PixelHead(self.backbone.channels, settings.hidden)
        )
        self.backbone.freeze_norm_statistics()
        self.backbone.freeze_stages(settings.frozen_stages)
        # 0.31 s for 16 tiles instead of 0.51, bf16, one core
        self.backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's overloads leave memory_format out
        self.share = settings.top_share if settings.pooling == "top" else 1.0

    def features(self, images: Tensor) -> list[Tensor]:
        """Compute the maps of all stages, shallow to deep, from RGB tiles (B, 3, H, W) in 0..255."""
        normalised = self.backbone.normalise(images)
        return self.backbone(normalised.contiguous(memory_format=torch.channels_last))

    def forward(self, images: Tensor) -> Tensor:
        """Compute logit maps (B, 1, H / stride, W / stride), float32, from RGB tiles (B, 3, H, W) in 0..255."""
        return self.head(self.features(images)).float()

    def pool(self, maps: Tensor) -> Tensor:
        """Pool logit maps (B, 1, h, w) to image-level logits (B,): the mean of the highest share, or of all."""
        values = maps.flatten(1)
        kept = max(1, round(values.shape[1] * self.share))
        if kept < values.shape[1]:
            values = values.topk(kept, dim=1).values
        return values.mean(dim=1)

    def calibrate(self, images: Tensor) -> None:
        """Set the scale of the features from some training tiles (B, 3, H, W), if the head needs it."""
        if isinstance(self.head, PixelHead):
            self.head.calibrate(self.features(images))


class PlainHead(nn.Module):
    """One linear layer on the last map, without a bias, which would add the same logit to all pixels.

    Attributes:
        last_is_new: Whether the convolution before the linear layer has random weights, the backbone pretrained ones.
    """

    def __init__(self, backbone: Backbone, weights: str) -> None:
        super().__init__()
        self.last = _last_features(backbone)
        self.last_is_new = not _load_last_features(self.last, weights)
        channels = LITE0_LAST_CHANNELS if backbone.name == "efficientnet_lite0" else backbone.channels[-1]
        self.linear = nn.Conv2d(channels, 1, kernel_size=1, bias=False)
        nn.init.zeros_(self.linear.weight)

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        """Compute logit maps (B, 1, h, w) from backbone maps."""
        return self.linear(self.embed(stages))

    def embed(self, stages: Sequence[Tensor]) -> Tensor:
        """Return the input of the last, linear layer: (B, D, h, w)."""
        return self.last(stages[-1])

    def train(self, mode: bool = True) -> PlainHead:
        """Like `nn.Module.train`, but batch norms keep their statistics: batches of similar tiles distort them."""
        super().train(mode)
        for name in norm_names(self.last):
            self.last.get_submodule(name).eval()
        return self


class PixelHead(nn.Module):
    """A network of two layers on the features of the middle and last stages, the same for every pixel of the grid.

    Deep features describe the class of a location, but are shifted and blurred; features of the middle stages are
    exactly located.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: Sequence[int], hidden: int) -> None:
        super().__init__()
        total = sum(channels[stage] for stage in PIXEL_STAGES)
        self.register_buffer("mean", torch.zeros(1, total, 1, 1))
        self.register_buffer("std", torch.ones(1, total, 1, 1))
        self.layers = nn.Sequential(
            nn.Conv2d(total, hidden, kernel_size=1), nn.ReLU(), nn.Conv2d(hidden, 1, kernel_size=1)
        )

    @property
    def linear(self) -> nn.Module:
        """Return the last layer."""
        return self.layers[-1]

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        """Compute logit maps (B, 1, h, w) on the grid of the last backbone map."""
        return self.linear(self.embed(stages))

    def embed(self, stages: Sequence[Tensor]) -> Tensor:
        """Return the input of the last, linear layer: (B, D, h, w)."""
        return self.layers[:-1]((self._gather(stages) - self.mean) / self.std)

    @torch.no_grad()
    def calibrate(self, stages: Sequence[Tensor]) -> None:
        """Set mean and standard deviation of every channel from backbone maps of some tiles."""
        features = self._gather(stages)
        self.mean.copy_(features.mean(dim=(0, 2, 3), keepdim=True))
        self.std.copy_(features.std(dim=(0, 2, 3), keepdim=True) + 1e-6)

    def _gather(self, stages: Sequence[Tensor]) -> Tensor:
        height, width = stages[-1].shape[-2:]
        pooled = [functional.adaptive_avg_pool2d(stages[i].float(), (height, width)) for i in PIXEL_STAGES]
        return torch.cat(pooled, dim=1)


def _last_features(backbone: Backbone) -> nn.Module:
    """EfficientNet's last 1 x 1 convolution to 1280 channels, which feature extractors omit.

    The ImageNet classifier averages its maps after ReLU6, which are sparse and not negative. ResNet-50's
    last stage already is such a map.
    """
    if backbone.name != "efficientnet_lite0":
        return nn.Identity()
    layers = nn.Sequential()
    conv = nn.Conv2d(backbone.channels[-1], LITE0_LAST_CHANNELS, kernel_size=1, bias=False)
    layers.add_module("conv", conv)
    norm = nn.BatchNorm2d(LITE0_LAST_CHANNELS, eps=1e-3)
    layers.add_module("norm", norm)
    layers.add_module("act", nn.ReLU6())
    return layers


def _load_last_features(layers: nn.Module, weights: str) -> bool:
    """Load EfficientNet's last convolution and batch norm; False if the file of the backbone's weights has none."""
    if weights == "none" or isinstance(layers, nn.Identity):
        return True
    state = read_lite0_weights(weights)
    keys = {"conv.weight": "conv_head.weight"}
    keys |= {f"norm.{name}": f"bn2.{name}" for name in ("weight", "bias", "running_mean", "running_var")}
    wanted = layers.state_dict()
    # Of another shape, a tensor is one of another network.
    missing = [
        theirs for ours, theirs in keys.items() if theirs not in state or state[theirs].shape != wanted[ours].shape
    ]
    if missing:
        log.warning(
            "%s: no %s, so the last convolution of localizer.head 'plain' starts from random weights and is trained "
            "with the learning rate of the head",
            weights,
            ", ".join(missing),
        )
        return False
    layers.load_state_dict({ours: state[theirs] for ours, theirs in keys.items()}, strict=False)
    return True


def _undilate(backbone: Backbone) -> None:
    """Replace dilated kernels by plain ones in stages that lost their stride.

    Dilation keeps every kernel's receptive field in pixels as at stride 32. Without it the last stage has
    half the receptive field, and its activations are closer to their cause.
    """
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d) and module.dilation != (1, 1):
            module.dilation = (1, 1)
            if module.padding != (0, 0):  # otherwise the padding is computed at run time
                module.padding = (module.kernel_size[0] // 2, module.kernel_size[1] // 2)
