"""Compare the folded frozen EfficientNet-Lite0 (`apsam.backbones.folded`) with the original network.

Sizes as in use: 256 px and stride 16 in the localizer and its CAMs, 512 px and stride 32 in the light SAM.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from apsam.backbones.build import build_backbone
from apsam.sam.encode import arithmetic
from benchmarks.measuring import measure, ratio, set_up, write

USES = {"localizer, 256 px": (256, 16), "light SAM, 512 px": (512, 32)}


@torch.no_grad()
def main() -> None:
    sizes = {"batch": (16, 4, "tiles at a time"), "repeats": (7, 3, "rounds that count")}
    setup = set_up(__doc__, sam="light", sams=("light",), sizes=sizes)
    device, batch = setup.device, setup.options.batch
    candidates: dict[str, Callable[[], object]] = {}

    def candidate(run: Callable[[torch.Tensor], object], pixels: torch.Tensor) -> Callable[[], object]:
        def go() -> None:
            with arithmetic(device, "auto"):
                run(pixels)

        return go

    for use, (side, stride) in USES.items():
        backbone = build_backbone("efficientnet_lite0", "imagenet", stride).eval().to(device)
        backbone.to(memory_format=torch.channels_last)
        pixels = torch.randn(batch, 3, side, side, device=device).contiguous(memory_format=torch.channels_last)
        candidates[f"{use}, as built"] = candidate(backbone.network, pixels)
        candidates[f"{use}, folded"] = candidate(backbone, pixels)
    measured = measure(candidates, setup.repeats)
    for row in measured.values():
        row["tiles_a_second"] = round(batch / row["wall_s"]["median"], 3)
    pairs = {use: (f"{use}, as built", f"{use}, folded") for use in USES}
    faster = {f"{slow} / folded": ratio(measured, slow, fast) for slow, fast in pairs.values()}
    write("backbone", device, batch=batch, measured=measured, times_faster=faster)


if __name__ == "__main__":
    main()
