"""Profile the encoder, and estimate its minimum time on this machine.

The floor is its products (linear layers, convolutions, attention) at the rate of one large matrix product,
measured in the same run. On a GPU: python -m benchmarks.bench_floor --device cuda --sam vit_h --batch 8
"""

from __future__ import annotations

import time

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from apsam.device import bf16_pays
from apsam.sam.attention import FastAttention
from apsam.sam.encode import arithmetic
from apsam.sam.registry import OFFICIAL, build_untrained, wrap_sam
from benchmarks.measuring import set_up, synchronise, write

TOP = 8
# Rows, inner side and columns of the large product.
PRODUCTS = {"cpu": (4096, 1024, 4096), "cuda": (8192, 8192, 8192)}


def count_products(encoder: nn.Module, pixels: torch.Tensor) -> int:
    """Count floating-point operations of the encoder's products, by the inputs of its modules."""
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
    """Return operations per second of one large matrix product, the best of five."""
    shape = PRODUCTS[device.type]
    left = torch.randn(shape[:2], device=device).to(dtype)
    right = torch.randn(shape[1:], device=device).to(dtype)
    seconds = []
    for _ in range(5):
        synchronise()
        started = time.perf_counter()
        left @ right
        synchronise()
        seconds.append(time.perf_counter() - started)
    return 2 * shape[0] * shape[1] * shape[2] / min(seconds)


def profile_shares(encoder: nn.Module, pixels: torch.Tensor) -> dict[str, float]:
    """Return the most expensive operations of one pass, with their share of its time."""
    on_gpu = pixels.device.type == "cuda"
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * on_gpu
    with profile(activities=activities) as profiled:
        encoder(pixels)
        synchronise()
    spent = {
        event.key: event.self_device_time_total if on_gpu else event.self_cpu_time_total
        for event in profiled.key_averages()
    }
    whole = sum(spent.values())
    return {key: round(spent[key] / whole, 3) for key in sorted(spent, key=spent.get, reverse=True)[:TOP]}


@torch.no_grad()
def main() -> None:
    setup = set_up(__doc__, sams=tuple(OFFICIAL), sizes={"batch": (1, 1, "tiles at a time")})
    options, device = setup.options, setup.device
    encoder = wrap_sam(build_untrained(options.sam).to(device), options.sam).model.image_encoder
    pixels = torch.randn(options.batch, 3, encoder.img_size, encoder.img_size, device=device)
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    seconds = []
    with arithmetic(device, "auto"):
        operations = count_products(encoder, pixels)
        for _ in range(setup.repeats):
            started = time.perf_counter()
            encoder(pixels)
            synchronise()
            seconds.append(time.perf_counter() - started)
        shares = profile_shares(encoder, pixels)
    rates = {
        str(dtype).removeprefix("torch."): product_rate(device, dtype) for dtype in (torch.bfloat16, torch.float32)
    }
    rate = rates["bfloat16" if bf16_pays(device) else "float32"]
    write(
        "floor",
        device,
        sam=options.sam,
        batch=options.batch,
        encode_s=round(min(seconds) / options.batch, 4),
        products_gflop=round(operations / options.batch / 1e9, 1),
        product_rate_gflop_s={name: round(value / 1e9, 1) for name, value in rates.items()},
        floor_s=round(operations / options.batch / rate, 4),
        share_of_product_rate=round(operations / rate / min(seconds), 3),
        share_of_operations=shares,
    )


if __name__ == "__main__":
    main()
