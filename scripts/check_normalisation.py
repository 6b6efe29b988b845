"""Find the input normalisation of the packaged EfficientNet-Lite0 weights, and print the measurements.

Compares activations before every batch norm with the running statistics stored in the weights, for three ways
to scale pixels, on photographs that come with scikit-image and, if given, on a folder of images.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from skimage import data
from torch import Tensor, nn

from apsam import torchvision_ops  # noqa: F401  (before timm)
from apsam.backbones.build import lite0_weights_path, read_state_dict, rename_lite0_keys

import timm  # isort: skip


def photographs() -> Tensor:
    """Four photographs of scikit-image, (4, 3, 224, 224) float, 0..255."""
    return _stack([data.astronaut(), data.chelsea(), data.coffee(), data.rocket()])


def folder(path: Path, count: int) -> Tensor:
    """`count` images spread over a folder, (count, 3, 224, 224) float, 0..255."""
    files = sorted(file for file in path.iterdir() if file.is_file())
    chosen = files[:: max(1, len(files) // count)]
    return _stack([cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB) for file in chosen])


def _stack(images: list[np.ndarray]) -> Tensor:
    resized = [cv2.resize(image[..., :3], (224, 224), interpolation=cv2.INTER_AREA) for image in images]
    return torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).float()


def deviations(network: nn.Module, images: Tensor) -> tuple[list[float], float]:
    """Mean |log(variance / stored variance)| before each batch norm, and the mean confidence."""
    found: list[float] = []

    def compare(norm: nn.BatchNorm2d, inputs: tuple[Tensor], _output: Tensor) -> None:
        variance = inputs[0].var((0, 2, 3))
        found.append(((variance + 1e-3) / (norm.running_var + 1e-3)).log().abs().mean().item())

    hooks = [m.register_forward_hook(compare) for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    with torch.no_grad():
        confidence = network(images).softmax(1).max(1).values.mean().item()
    for hook in hooks:
        hook.remove()
    return found, confidence


def main() -> None:
    """Read the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, help="a folder of images to look at besides the photographs")
    arguments = parser.parse_args()
    network = timm.create_model("tf_efficientnet_lite0").eval()
    network.load_state_dict(rename_lite0_keys(read_state_dict(lite0_weights_path())))
    mean = torch.tensor([123.675, 116.28, 103.53]).view(1, 3, 1, 1)
    std = torch.tensor([58.395, 57.12, 57.375]).view(1, 3, 1, 1)
    ways = {
        "(x - 127) / 128": lambda x: (x - 127) / 128,
        "(x - mean) / std": lambda x: (x - mean) / std,
        "x / 255": lambda x: x / 255,
    }
    sets = {"photographs": photographs()}
    if arguments.images:
        sets[str(arguments.images)] = folder(arguments.images, 64)
    for title, images in sets.items():
        print(title)
        for name, scale in ways.items():
            layers, confidence = deviations(network, scale(images))
            everywhere = np.mean(layers)
            print(f"  {name:18s} stem {layers[0]:.2f}  all {everywhere:.2f}  confidence {confidence:.2f}")


if __name__ == "__main__":
    main()
