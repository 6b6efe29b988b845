"""Where the encoder's time goes, and the time below which it cannot go on this machine.

The floor is its products (linear layers, convolutions, attention) at the rate of one large matrix product,
measured in the same run.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from apsam.device import bf16_pays, pick_device, set_threads
from apsam.sam.attention import FastAttention
from apsam.sam.encode import arithmetic
from apsam.sam.registry import OFFICIAL, build_untrained, wrap_sam
from benchmarks.measuring import synchronise, write

TOP = 8


def count_products(encoder: nn.Module, pixels: torch.Tensor) -> int:
    """Floating-point operations of the encoder's products, by what passes through its modules."""
    total = 0

    def count(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Linear):
            total += 2 * output.numel() * module.in_features
        elif isinstance(module, nn.Conv2d):
            total += 2 * output.numel() * module.weight[0].numel()
        elif isinstance(module, FastAttention):
            batch, height, width, channels = output.shape
            total += 4 * batch * (height * width) ** 2 * channels

    hooks = [module.register_forward_hook(count) for module in encoder.modules()]
    encoder(pixels)
    for hook in hooks:
        hook.remove()
    return total


def product_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of one large matrix product, the best of five."""
    left, right = (torch.randn(shape, device=device).to(dtype) for shape in ((4096, 1024), (1024, 4096)))
    seconds = []
    for _ in range(5):
        synchronise()
        started = time.perf_counter()
        left @ right
        synchronise()
        seconds.append(time.perf_counter() - started)
    return 2 * 4096 * 1024 * 4096 / min(seconds)


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sam", choices=OFFICIAL, default="vit_b")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    set_threads(arguments.threads)
    torch.manual_seed(0)
    device = pick_device(arguments.device)
    encoder = wrap_sam(build_untrained(arguments.sam).to(device), arguments.sam).model.image_encoder
    pixels = torch.randn(1, 3, encoder.img_size, encoder.img_size, device=device)
    seconds = []
    with arithmetic(device, "auto"):
        operations = count_products(encoder, pixels)
        for _ in range(arguments.repeats):
            started = time.perf_counter()
            encoder(pixels)
            synchronise()
            seconds.append(time.perf_counter() - started)
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            encoder(pixels)
    events = profiled.key_averages()
    whole = sum(event.self_cpu_time_total for event in events)
    share = {event.key: event.self_cpu_time_total / whole for event in events}
    rate = product_rate(device, torch.bfloat16 if bf16_pays(device) else torch.float32)
    write(
        "floor",
        device,
        sam=arguments.sam,
        encode_s=round(min(seconds), 3),
        products_gflop=round(operations / 1e9, 1),
        product_rate_gflop_s=round(rate / 1e9, 1),
        floor_s=round(operations / rate, 3),
        share_of_operations={key: round(share[key], 3) for key in sorted(share, key=share.get, reverse=True)[:TOP]},
    )


if __name__ == "__main__":
    main()
