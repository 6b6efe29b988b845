"""A sweep of 13 thresholds (50 to 170), compared with the SAM stage at one threshold; embeddings are stored."""

from __future__ import annotations

from apsam.sam.decode import decode_prompts
from apsam.sam.encode import encode_tiles
from apsam.sam.registry import build_untrained, wrap_sam
from benchmarks.bench_decode import SIZE, make_prompts
from benchmarks.measuring import measure, ratio, set_up, write

THRESHOLDS = range(50, 171, 10)


def main() -> None:
    sizes = {"tiles": (2, 1, "tiles"), "prompts_per_tile": (2, 2, "prompts on each, at each threshold")}
    setup = set_up(__doc__, sizes=sizes)
    options, device = setup.options, setup.device
    images = setup.images(options.tiles)
    sam = wrap_sam(build_untrained(options.sam).to(device), options.sam)
    count = options.tiles * options.prompts_per_tile

    def stage(thresholds: int) -> None:
        embeddings = encode_tiles(sam, images)
        for seed in range(thresholds):
            decode_prompts(sam, embeddings, make_prompts(count, options.tiles, seed), SIZE)

    one, sweep = "one threshold", f"{len(THRESHOLDS)} thresholds"
    candidates = {one: lambda: stage(1), sweep: lambda: stage(len(THRESHOLDS))}
    measured = measure(candidates, setup.repeats, warm=device.type == "cuda")
    write(
        "sweep",
        device,
        sam=options.sam,
        tiles=options.tiles,
        prompts_per_tile=options.prompts_per_tile,
        measured=measured,
        times_as_long=ratio(measured, sweep, one),
    )


if __name__ == "__main__":
    main()
