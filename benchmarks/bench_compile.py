"""Measure `torch.compile` for the image encoder: seconds to compile, seconds per tile before and after."""

from __future__ import annotations

import time

import torch

from apsam.sam.encode import arithmetic
from apsam.sam.registry import OFFICIAL, build_untrained, wrap_sam
from benchmarks.measuring import measure, set_up, synchronise, write


@torch.no_grad()
def main() -> None:
    setup = set_up(__doc__, sams=tuple(OFFICIAL), sizes={"batch": (1, 1, "tiles at a time")})
    options, device = setup.options, setup.device
    encoder = wrap_sam(build_untrained(options.sam).to(device), options.sam).model.image_encoder
    pixels = torch.randn(options.batch, 3, encoder.img_size, encoder.img_size, device=device)
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    # Block by block: all blocks of a kind share compiled code; compiling the whole encoder would unroll it.
    blocks = list(encoder.blocks)
    compiled = [torch.compile(block) for block in blocks]

    def run(layers: list[torch.nn.Module]) -> None:
        encoder.blocks = torch.nn.ModuleList(layers)
        encoder(pixels)

    with arithmetic(device, "auto"):
        started = time.perf_counter()
        run(compiled)
        synchronise()
        first = time.perf_counter() - started
        measured = measure({"as it is": lambda: run(blocks), "compiled": lambda: run(compiled)}, setup.repeats)
    before, after = (measured[name]["wall_s"]["median"] for name in ("as it is", "compiled"))
    saved = before - after
    write(
        "compile",
        device,
        sam=options.sam,
        batch=options.batch,
        measured=measured,
        compile_s=round(first - after, 1),
        pays_after_tiles=round((first - after) / saved * options.batch) if saved > 0 else None,
    )


if __name__ == "__main__":
    main()
