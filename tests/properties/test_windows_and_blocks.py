"""Windows cover a scene, blocks and bands divide it, and no pixel is both trained on and held out."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from apsam.maps.bands import band_rows
from apsam.tiles.blocks import Block, block_count, block_names, block_of, window_count
from apsam.tiles.parts import TEST, TRAIN, parts_by_blocks
from apsam.tiles.settings import SplitSettings
from apsam.tiles.windows import positions, tile_windows

SIZES = st.integers(1, 300)


@st.composite
def axes(draw: st.DrawFn) -> tuple[int, int, int]:
    """Length of an axis, side of the windows, and a stride that leaves no gap."""
    size = draw(st.integers(1, 128))
    return draw(st.integers(1, 2000)), size, draw(st.integers(1, size))


@given(axes())
def test_windows_cover_an_axis_without_gaps(axis: tuple[int, int, int]) -> None:
    length, size, stride = axis
    starts = positions(length, size, stride)
    assert starts[0] == 0 and starts == sorted(set(starts))
    assert starts[-1] + size >= length, "the end is covered"
    assert starts[-1] + size == length or starts == [0], "only a scene smaller than a window is stuck out of"
    assert all(0 < later - earlier <= stride for earlier, later in zip(starts, starts[1:], strict=False))


@given(axes(), st.integers(1, 400))
def test_tile_windows_are_counted_without_making_them(axis: tuple[int, int, int], width: int) -> None:
    height, size, stride = min(axis[0], 400), axis[1], max(axis[2], 8)
    windows = tile_windows(height, width, size, min(stride, size))
    assert len(windows) == window_count(height, width, size, min(stride, size))
    assert len({tuple(window) for window in windows.tolist()}) == len(windows)
    assert (windows[:, 2:] == size).all()


@given(st.integers(0, 10_000), st.integers(1, 300))
def test_blocks_share_out_evenly_and_in_order(length: int, count: int) -> None:
    shares = [Block(number, count).range(length) for number in range(1, count + 1)]
    assert [index for share in shares for index in range(share.start, share.stop)] == list(range(length))
    sizes = [share.stop - share.start for share in shares]
    assert max(sizes) - min(sizes) <= 1


@given(st.integers(1, 100_000), st.integers(1, 5000))
def test_no_block_is_larger_than_allowed(things: int, most: int) -> None:
    count = block_count(things, most)
    assert max(Block(n, count).range(things).stop - Block(n, count).range(things).start for n in (1, count)) <= most
    assert count == 1 or things > (count - 1) * most


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,20}", fullmatch=True), st.sampled_from([2, 3, 999, 1000, 1001]))
def test_names_of_blocks_are_read_back(scene: str, count: int) -> None:
    names = block_names(scene, count)
    assert len(set(names)) == count
    assert [block_of(name) for name in names] == [(scene, number) for number in range(1, count + 1)]
    assert block_of(block_names(scene, 1)[0]) == (scene, 1)


@given(axes(), st.data())
def test_bands_share_out_the_rows_of_a_scene(axis: tuple[int, int, int], data: st.DataObject) -> None:
    height, size, stride = axis
    count = data.draw(st.integers(1, min(len(positions(height, size, stride)), 40)))
    bands = [band_rows(height, size, stride, Block(number, count)) for number in range(1, count + 1)]
    assert bands[0][0] == 0 and bands[-1][1] == height
    assert all(first < last for first, last in bands)
    assert all(before[1] == after[0] for before, after in zip(bands, bands[1:], strict=False))


@given(
    st.integers(64, 500), st.integers(64, 500), st.integers(8, 64), st.integers(64, 200),
    st.floats(0.05, 0.95), st.integers(0, 5),
)  # fmt: skip
def test_no_pixel_is_trained_on_and_held_out(
    height: int, width: int, size: int, block: int, share: float, seed: int
) -> None:
    windows = tile_windows(height, width, size, max(1, round(size * 0.6)))
    parts = parts_by_blocks(windows, height, width, SplitSettings(block=block, test_share=share, seed=seed))
    covered = np.zeros((2, height, width), bool)
    for (row, col, tall, wide), part in zip(windows.tolist(), parts, strict=True):
        if part in (TRAIN, TEST):
            covered[part, row : row + tall, col : col + wide] = True
    assert not (covered[TRAIN] & covered[TEST]).any()
