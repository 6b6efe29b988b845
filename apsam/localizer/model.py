"""The localizer network: a backbone, one 1 x 1 convolution to one foreground logit map, and its mean."""

from __future__ import annotations

from torch import Tensor, nn

from apsam.backbones import Backbone, build_backbone, lite0_weights_path, read_state_dict, rename_lite0_keys
from apsam.localizer.settings import LocalizerSettings

LITE0_LAST_CHANNELS = 1280


class Localizer(nn.Module):
    """Class activation mapping for one class (Zhou et al. 2016, equations 1 and 2).

    Averaging the map of a linear layer is applying the layer to the averaged features, so the tile's logit
    is the mean of its map. There is no bias: a constant would be evidence without a place.
    """

    def __init__(self, settings: LocalizerSettings, weights: str | None = None) -> None:
        """Build the network.

        Args:
            settings: Backbone, output stride, frozen stages.
            weights: The backbone's starting weights; None: those the settings name.
        """
        super().__init__()
        weights = settings.weights if weights is None else weights
        self.backbone = build_backbone(settings.backbone, weights, settings.output_stride)
        if not settings.dilation:
            _undilate(self.backbone)
        self.last = _last_features(self.backbone, weights)
        channels = (
            LITE0_LAST_CHANNELS if settings.backbone == "efficientnet_lite0" else self.backbone.channels[-1]
        )
        self.head = nn.Conv2d(channels, 1, kernel_size=1, bias=False)
        nn.init.zeros_(self.head.weight)
        self.backbone.freeze_norm_statistics()
        self.backbone.freeze_stages(settings.frozen_stages)
        self.output_stride = settings.output_stride

    def features(self, images: Tensor) -> list[Tensor]:
        """RGB tiles (B, 3, H, W) in 0..255 to the maps of all stages and of the last convolution."""
        stages = self.backbone(self.backbone.normalise(images))
        return [*stages, self.last(stages[-1])]

    def forward(self, images: Tensor) -> Tensor:
        """RGB tiles (B, 3, H, W) in 0..255 to logit maps (B, 1, H / stride, W / stride), float32."""
        return self.head(self.features(images)[-1]).float()

    def train(self, mode: bool = True) -> Localizer:
        """Like `nn.Module.train`, but batch norms keep their statistics: alike tiles would spoil them."""
        super().train(mode)
        for module in self.last.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


def tile_logits(maps: Tensor) -> Tensor:
    """Image-level logits (B,) of logit maps (B, 1, h, w): their mean."""
    return maps.mean(dim=(1, 2, 3))


def _last_features(backbone: Backbone, weights: str) -> nn.Module:
    """EfficientNet's last 1 x 1 convolution to 1280 channels, which feature extractors leave out.

    Its maps after ReLU6 are what the ImageNet classifier averages: sparse and not negative. ResNet-50's last
    stage is such a map already.
    """
    if backbone.name != "efficientnet_lite0":
        return nn.Identity()
    layers = nn.Sequential()
    layers.add_module(
        "conv", nn.Conv2d(backbone.channels[-1], LITE0_LAST_CHANNELS, kernel_size=1, bias=False)
    )
    layers.add_module("norm", nn.BatchNorm2d(LITE0_LAST_CHANNELS, eps=1e-3))
    layers.add_module("act", nn.ReLU6())
    if weights == "imagenet":
        state = rename_lite0_keys(read_state_dict(lite0_weights_path()))
        layers.conv.load_state_dict({"weight": state["conv_head.weight"]})
        names = ("weight", "bias", "running_mean", "running_var")
        layers.norm.load_state_dict({name: state[f"bn2.{name}"] for name in names}, strict=False)
    return layers


def _undilate(backbone: Backbone) -> None:
    """Give stages that lost their stride plain kernels again.

    Dilation keeps every kernel's reach in pixels as it was at stride 32. Without it the last stage sees
    half as far, and its evidence lies nearer to what caused it.
    """
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d) and module.dilation != (1, 1):
            module.dilation = (1, 1)
            if module.padding != (
                0,
                0,
            ):  # else the padding is computed at run time
                module.padding = (module.kernel_size[0] // 2, module.kernel_size[1] // 2)
