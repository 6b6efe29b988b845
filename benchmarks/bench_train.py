"""Seconds per training step of the localizer and of the ResUNet, with the settings of the demo and of the paper.

Tiles are random pixels with random masks, because speed does not depend on their content.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from apsam.device import bf16_pays
from apsam.localizer.data import Tiles
from apsam.localizer.methods import build_method
from apsam.localizer.settings import LocalizerSettings
from apsam.resunet.model import build_resunet
from apsam.resunet.settings import ResUNetSettings
from apsam.resunet.train import ResUNetTraining
from benchmarks.measuring import TILE, measure, set_up, write


def stepper(loss_of: Callable[[], Tensor], optimizer: torch.optim.Optimizer, device: torch.device, steps: int):
    """Return a function that runs some steps, in the number format of trainings on this device."""

    def run() -> None:
        for _ in range(steps):
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16_pays(device)):
                loss = loss_of()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return run


def localizer_step(device: torch.device, images: Tensor, steps: int) -> Callable[[], None]:
    method = build_method(LocalizerSettings())
    method.eval().prepare(images)
    method = method.train().to(device)
    tiles = Tiles(images.to(device), torch.arange(len(images), device=device) % 2.0, torch.arange(len(images)))
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.SGD([weight for weight in method.parameters() if weight.requires_grad], lr=0.001)

    def loss() -> Tensor:
        return sum(method.training_step(method.views(tiles, generator)).values())

    return stepper(loss, optimizer, device, steps)


def resunet_step(
    settings: ResUNetSettings, device: torch.device, images: Tensor, masks: Tensor, steps: int
) -> Callable[[], None]:
    network = build_resunet(settings).to(device, memory_format=torch.channels_last).train()
    task = ResUNetTraining(network, settings)
    optimizer = torch.optim.SGD([weight for weight in network.parameters() if weight.requires_grad], lr=0.001)
    batch = images.to(device), masks.to(device)
    return stepper(lambda: task.training_step(batch, 0), optimizer, device, steps)


def main() -> None:
    sizes = {"steps": (4, 1, "steps a round"), "batch": (16, 8, "tiles a step")}
    setup = set_up(__doc__, sam="light", sams=("light",), sizes=sizes)
    options, device = setup.options, setup.device
    images = torch.from_numpy(setup.images(options.batch))
    masks = (torch.rand(options.batch, TILE, TILE) > 0.5).to(torch.uint8)
    # In this order, because settings are cheap and networks are built once.
    candidates = {
        "localizer": localizer_step(device, images, options.steps),
        "ResUNet, demo": resunet_step(ResUNetSettings(), device, images, masks, options.steps),
    }
    if not setup.short:
        paper = ResUNetSettings(preset="paper")
        candidates["ResUNet, paper"] = resunet_step(paper, device, images, masks, options.steps)
    measured = measure(candidates, setup.repeats)
    for row in measured.values():
        row["tiles_a_second"] = round(options.steps * options.batch / row["wall_s"]["median"], 3)
    write("train", device, batch=options.batch, steps=options.steps, measured=measured)


if __name__ == "__main__":
    main()
