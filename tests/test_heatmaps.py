"""Heat maps from labels: log-odds of networks, calibrated threshold, grey maps, factor of the views."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ground_scenes import SIZE, TILES, make_scene, read_grid, relabel, write_grid

from apsam.errors import InputError
from apsam.ground.labels import TRAINING_LABELS, make_ground_labels
from apsam.ground.settings import ViewSettings
from apsam.ground.views import make_views
from apsam.heatmaps.calibrate import CANDIDATES, calibrate, read_decision, write_decision
from apsam.heatmaps.factor import choose_factor, read_factor, write_factor
from apsam.heatmaps.grey import make_heat_masks, make_heat_stack, to_grey
from apsam.heatmaps.logits import NO_DATA, STEP, log_odds, make_logits, to_steps
from apsam.heatmaps.settings import HeatMapSettings
from apsam.heatmaps.train import train_heat_network
from apsam.maps.settings import MapSettings
from apsam.prompts.files import make_prompts, read_prompts
from apsam.prompts.settings import PromptSettings
from apsam.resunet.predict import predict_raster
from apsam.scenes import Scene
from apsam.stack import TileStack
from apsam.tiles.parts import TEST
from apsam.tiles.settings import LabelSettings, SplitSettings
from apsam.tiles.tiling import tile_scene

pytestmark = pytest.mark.usefixtures("one_thread")

SETTINGS = HeatMapSettings(networks=2, epochs=1)


def heat_of(mask: np.ndarray, high: float, low: float, around: float = 0, reach: int = 0) -> np.ndarray:
    """Log-odds: `high` on landslides, `around` within `reach` pixels of them, else `low`."""
    near = np.zeros(mask.shape, bool)
    for row, col in np.argwhere(mask == 1)[::7]:
        near[max(row - reach, 0) : row + reach, max(col - reach, 0) : col + reach] = True
    return to_steps(np.where(mask == 1, high, np.where(near, around, low)).astype(float))


def test_networks_are_averaged_as_log_odds(tmp_path: Path) -> None:
    image, tiles, mask = make_scene(tmp_path, 560, 110)
    labels = tmp_path / "labels.tif"
    make_ground_labels(tiles, labels)
    networks = []
    for seed in (1, 2):
        networks.append(tmp_path / f"{seed}.safetensors")
        train_heat_network([image], tiles, [labels], SETTINGS, networks[-1], tmp_path / "h.json", seed, "cpu")
    make_logits(tiles[0], image, networks, SETTINGS, tmp_path / "logits.tif", "cpu")
    steps = read_grid(tmp_path / "logits.tif")
    assert (steps[:, -10:] == NO_DATA).all() and (steps[:, :-10] != NO_DATA).all()
    maps = MapSettings(overlap=SETTINGS.overlap, flips=False)
    logits = []
    for network in networks:
        probability = tmp_path / f"{network.stem}.tif"
        predict_raster(image, network, TILES, maps, probability, tmp_path / "mask.tif", "cpu")
        logits.append(log_odds(read_grid(probability)[:, :-10] / 250))
    middle = np.abs(np.array(logits)).max(axis=0) < 3  # maps hold probabilities in steps of 0.004
    assert middle.sum() > 1000
    difference = np.abs(np.mean(logits, axis=0) - steps[:, :-10] * STEP)[middle]
    assert difference.max() < 0.1


def test_log_odds_are_clipped_and_no_data_stays() -> None:
    assert to_steps(log_odds(np.array([0.5, 0.0, 1.0, np.nan]))).tolist() == [0, -1150, 1150, NO_DATA]


def test_the_threshold_is_where_labels_and_map_agree(tmp_path: Path) -> None:
    _, tiles, mask = make_scene(tmp_path, 300, 300)
    # Landslides at 4, what surrounds them for a tile's length at 1, the rest at -4.
    logits = write_grid(tmp_path / "logits.tif", tiles[0], heat_of(mask, 4, -4, 1, 60), NO_DATA)
    decision = calibrate(tiles, [logits], 0.005)
    assert decision.balanced_accuracy > 0.97
    assert 1 < decision.threshold <= 4
    assert abs(decision.threshold - 2.625) < 0.13, "the middle of the thresholds that are right on every tile"
    write_decision(decision, tmp_path / "threshold.json", {"present_share": 0.005})
    assert read_decision(tmp_path / "threshold.json") == decision.threshold
    assert len(decision.curve) == len(CANDIDATES)


def test_the_threshold_of_a_map_of_low_probabilities_is_low(tmp_path: Path) -> None:
    _, tiles, mask = make_scene(tmp_path, 300, 300)
    logits = write_grid(tmp_path / "logits.tif", tiles[0], heat_of(mask, -3.5, -7), NO_DATA)
    decision = calibrate(tiles, [logits], 0.005)
    assert decision.balanced_accuracy > 0.97 and -7 < decision.threshold <= -3.5


def test_labels_of_test_tiles_are_not_used_for_calibration(tmp_path: Path) -> None:
    _, tiles, mask = make_scene(tmp_path, 300, 300, "blocks")
    logits = write_grid(tmp_path / "logits.tif", tiles[0], heat_of(mask, 4, -4, 1, 60), NO_DATA)
    before = calibrate(tiles, [logits], 0.005)
    with TileStack(tiles[0]) as stack:
        tests, label = np.flatnonzero(stack.read("part") == TEST), stack.read("label")
    assert len(tests)
    relabel(tiles[0], label={int(index): 1 - int(label[index]) for index in tests})
    assert calibrate(tiles, [logits], 0.005) == before


def test_a_threshold_needs_both_labels(tmp_path: Path) -> None:
    _, tiles, mask = make_scene(tmp_path)
    logits = write_grid(tmp_path / "logits.tif", tiles[0], heat_of(mask, 4, -4), NO_DATA)
    with TileStack(tiles[0]) as stack:
        count = len(stack)
    relabel(tiles[0], label=dict.fromkeys(range(count), 1))
    with pytest.raises(InputError, match=f"{count} positive and 0 negative"):
        calibrate(tiles, [logits], 0.005)


def test_other_rasters_are_refused_as_heat_maps_and_label_maps(tmp_path: Path) -> None:
    _, tiles, mask = make_scene(tmp_path)
    labels, mask_file = tmp_path / "labels.tif", write_grid(tmp_path / "mask.tif", tiles[0], mask)
    make_ground_labels(tiles, labels)
    heat = write_grid(tmp_path / "heat.tif", tiles[0], heat_of(mask, 4, -4), NO_DATA)
    out = tmp_path / "out.tif"
    with pytest.raises(InputError, match="mask.tif: its values are uint8, not int16"):
        calibrate(tiles, [mask_file], 0.005)
    with pytest.raises(InputError, match="labels.tif: its values are uint8, not int16"):
        choose_factor(tiles, [labels], [heat], 0.0, ViewSettings())
    with pytest.raises(InputError, match="mask.tif: its values are uint8, not int16"):
        make_heat_masks(mask_file, labels, 0.0, tiles[0], out)
    with pytest.raises(InputError, match="mask.tif: has no band 2, so it is another kind of raster"):
        make_heat_masks(heat, mask_file, 0.0, tiles[0], out)
    assert not out.exists()


def test_other_files_are_refused_as_threshold_or_factor(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1]")
    with pytest.raises(InputError, match="not a calibrated threshold of schema 1"):
        read_decision(tmp_path / "a.json")
    with pytest.raises(InputError, match="not a factor of views of schema 1"):
        read_factor(tmp_path / "a.json")


@pytest.mark.parametrize("threshold", [-0.37, 0.0, 1.75])
def test_the_grey_value_120_is_the_threshold(threshold: float) -> None:
    steps = to_steps(np.array([threshold - STEP, threshold, threshold + 1, threshold - 10, np.nan]))
    grey = to_grey(steps, threshold, 40).tolist()
    assert grey[0] <= 120 < grey[1]
    assert grey[2] == grey[1] + 40 and grey[3:] == [0, 0]


@pytest.mark.parametrize("grey_per_logit", [5, 30, 40, 70])
def test_a_value_at_any_threshold_is_above_120(grey_per_logit: float) -> None:
    thresholds = [step * STEP for step in range(-300, 700)]
    assert all(to_grey(to_steps(np.array([t])), t, grey_per_logit)[0] == 121 for t in thresholds)


def test_heat_maps_of_tiles_become_prompts_where_labels_allow(tmp_path: Path) -> None:
    _, tiles, mask = make_scene(tmp_path)
    labels, cams = tmp_path / "labels.tif", tmp_path / "cams.zarr.zip"
    make_ground_labels(tiles, labels)
    everywhere = write_grid(tmp_path / "logits.tif", tiles[0], to_steps(np.full(mask.shape, 5.0)), NO_DATA)
    make_heat_stack(tiles[0], everywhere, labels, 1.0, SETTINGS, cams)
    ground = read_grid(labels)
    with TileStack(tiles[0]) as stack, TileStack(cams) as heat:
        for (row, col), cam in zip(stack.read("window")[:, :2], heat.read("cam"), strict=True):
            own = ground[row : row + SIZE, col : col + SIZE]
            assert ((cam > 120) == (own == 1)).all()
        negative = np.flatnonzero(stack.read("label") == 0)
    make_prompts(cams, PromptSettings(), tmp_path / "prompts.json")
    asked = {entry.tile for entry in read_prompts(tmp_path / "prompts.json").tiles}
    assert asked and not asked & set(negative.tolist())
    make_heat_masks(everywhere, labels, 1.0, tiles[0], tmp_path / "mask.tif")
    assert np.array_equal(read_grid(tmp_path / "mask.tif"), ground)
    make_heat_masks(everywhere, labels, 6.0, tiles[0], tmp_path / "mask.tif")
    assert np.array_equal(read_grid(tmp_path / "mask.tif"), np.where(ground == 1, 0, ground))


def test_the_view_grows_until_most_of_it_is_free(tmp_path: Path) -> None:
    _, tiles, _ = make_scene(tmp_path, 512, 512)
    labels = write_grid(tmp_path / "labels.tif", tiles[0], np.ones((2, 512, 512), np.uint8))
    settings = ViewSettings(size=64, step=64, factors=(4, 1, 2))

    def factor(side: int, given: ViewSettings = settings) -> float:
        mask = np.zeros((512, 512), np.uint8)
        mask[:side, :side] = 1
        mask[480:484, 480:484] = 1  # what is small does not outweigh what is large
        logits = write_grid(tmp_path / "logits.tif", tiles[0], heat_of(mask, 4, -4), NO_DATA)
        chosen = choose_factor(tiles, [logits], [labels], 0.0, given)
        write_factor(chosen, tmp_path / "factor.json")
        assert read_factor(tmp_path / "factor.json") == chosen.factor
        return chosen.factor

    # A square of 40 px covers 39.1 % of a view of 64 px, one of 41 px 41.0 %.
    assert [factor(side) for side in (20, 40, 41, 64, 128, 256)] == [1, 1, 2, 2, 4, 4]
    assert factor(20, ViewSettings(factor=3)) == 3


def test_ground_that_labels_exclude_does_not_count(tmp_path: Path) -> None:
    _, tiles, _ = make_scene(tmp_path, 256, 256)
    ground = np.zeros((2, 256, 256), np.uint8)
    ground[:, :20, :20] = 1
    labels = write_grid(tmp_path / "labels.tif", tiles[0], ground)
    logits = write_grid(tmp_path / "logits.tif", tiles[0], to_steps(np.full((256, 256), 5.0)), NO_DATA)
    chosen = choose_factor(tiles, [logits], [labels], 0.0, ViewSettings(size=64, step=64))
    assert chosen.factor == 1 and chosen.covered == {"1": round(400 / 4096, 4)}


def test_without_a_region_the_view_is_a_tile(tmp_path: Path) -> None:
    _, tiles, mask = make_scene(tmp_path)
    labels = write_grid(tmp_path / "labels.tif", tiles[0], np.ones((2, *mask.shape), np.uint8))
    logits = write_grid(tmp_path / "logits.tif", tiles[0], heat_of(mask, -4, -4), NO_DATA)
    assert choose_factor(tiles, [logits], [labels], 0.0, ViewSettings()).factor == 1


def test_labels_of_held_out_tiles_reach_no_view_and_no_mask(tmp_path: Path) -> None:
    image, tiles, mask = make_scene(tmp_path, 300, 300, "blocks")
    logits = write_grid(tmp_path / "logits.tif", tiles[0], to_steps(np.full(mask.shape, 5.0)), NO_DATA)
    with TileStack(tiles[0]) as stack:
        test, label = np.flatnonzero(stack.read("part") == TEST), stack.read("label")
    assert {0, 1} <= set(label[test].tolist())
    settings, found = ViewSettings(size=128, step=64, factors=(1, 2), multiples=(1,)), []
    for flipped in (False, True):
        labels, views, cams = (tmp_path / f"{flipped}{end}" for end in (".tif", "v.zarr.zip", "c.zarr.zip"))
        if flipped:
            relabel(tiles[0], label={index: 1 - label[index] for index in test.tolist()})
        make_ground_labels(tiles, labels)
        make_views(tiles, image, labels, settings, 1, views)
        make_heat_stack(views, logits, labels, 1.0, SETTINGS, cams)
        make_heat_masks(logits, labels, 1.0, tiles[0], tmp_path / "mask.tif")
        with TileStack(views) as one, TileStack(cams) as heat:
            windows, grey = one.read("window"), heat.read("cam")
        chosen = choose_factor(tiles, [logits], [labels], 1.0, settings)
        held_out = read_grid(labels, TRAINING_LABELS) == 255
        pseudo_mask = read_grid(tmp_path / "mask.tif")
        assert (pseudo_mask[held_out] == 255).all() and (pseudo_mask == 1).any()
        found.append((read_grid(labels), windows, grey, chosen, pseudo_mask))
    (all_labels, *one), (other_labels, *other) = found
    assert (all_labels != other_labels).any()
    for a, b in zip(one, other, strict=True):
        assert a == b if not isinstance(a, np.ndarray) else np.array_equal(a, b)


def test_networks_of_other_tiles_are_refused(tmp_path: Path) -> None:
    image, tiles, _ = make_scene(tmp_path, 110, 110)
    make_ground_labels(tiles, tmp_path / "labels.tif")
    network = tmp_path / "w.safetensors"
    train_heat_network([image], tiles, [tmp_path / "labels.tif"], SETTINGS, network, tmp_path / "h.json", 1, "cpu")
    other = tmp_path / "other.zarr.zip"
    scene = Scene("valley", "raster", image, None, tmp_path / "valley_mask.tif", "train")
    stretched = TILES.model_copy(update={"percentiles": (10.0, 90.0), "stretch": "percentiles"})
    tile_scene(scene, stretched, LabelSettings(), SplitSettings(), other)
    with pytest.raises(InputError, match="percentiles"):
        make_logits(other, image, [network], SETTINGS, tmp_path / "logits.tif", "cpu")
    assert not (tmp_path / "logits.tif").exists()
