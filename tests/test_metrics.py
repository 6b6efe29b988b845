"""Counts and metrics compared with scikit-learn, and which pixels are counted."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
from rasters import write_raster
from sklearn import metrics as sklearn_metrics

from apsam.commands.metrics import metrics_maps, metrics_masks
from apsam.errors import InputError
from apsam.maps.archive import add_mask
from apsam.metrics.centred_box import centred_box
from apsam.metrics.counts import Counts
from apsam.metrics.maps import measure_maps, part_rows
from apsam.metrics.pseudo_masks import measure_pseudo_masks
from apsam.metrics.scene import MeasuredScene
from apsam.metrics.summary import summarise
from apsam.report.tables import metrics_table
from apsam.scenes import Scene
from apsam.stack import TileStack, TileStackWriter
from apsam.tiles.settings import LabelSettings, SplitSettings, TileSettings
from apsam.tiles.tiling import tile_scene

TILES = TileSettings(size=64, overlap=0.5)


def random_masks(seed: int, shape: tuple[int, ...] = (40, 50)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    reference = (rng.random(shape) < 0.2).astype(np.uint8)
    guess = np.where(rng.random(shape) < 0.8, reference, 1 - reference).astype(np.uint8)
    return guess, reference


@pytest.mark.parametrize("seed", range(5))
def test_figures_are_those_of_scikit_learn(seed: int) -> None:
    guess, reference = random_masks(seed)
    figures = Counts.of(guess, reference).figures()
    flat = reference.ravel(), guess.ravel()
    tn, fp, fn, tp = sklearn_metrics.confusion_matrix(*flat).ravel()
    assert (figures["tp"], figures["fp"], figures["fn"], figures["tn"]) == (tp, fp, fn, tn)
    expected = {
        "oa": sklearn_metrics.accuracy_score(*flat),
        "precision": sklearn_metrics.precision_score(*flat),
        "recall": sklearn_metrics.recall_score(*flat),
        "f1": sklearn_metrics.f1_score(*flat),
        "iou": sklearn_metrics.jaccard_score(*flat),
        "kappa": sklearn_metrics.cohen_kappa_score(*flat),
    }
    for name, value in expected.items():
        assert figures[name] == pytest.approx(value, abs=1e-12), name


def test_pixels_without_data_do_not_count() -> None:
    guess, reference = random_masks(1)
    whole = Counts.of(guess[:, 20:], reference[:, 20:])
    guess[:, :10] = 255
    reference[:, 10:20] = 255
    assert Counts.of(guess, reference) == whole


def test_counts_are_exact_beyond_32_bits() -> None:
    many = Counts(2**33, 2**33, 0, 0) + Counts(1, 0, 0, 0)
    assert many.tp == 2**33 + 1
    assert many.figures()["precision"] == pytest.approx(0.5)


def test_undefined_figures_are_null() -> None:
    nothing_there = Counts.of(np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8)).figures()
    assert nothing_there["oa"] == 1
    assert all(nothing_there[name] is None for name in ("precision", "recall", "f1", "iou", "kappa"))
    missed = Counts.of(np.zeros((4, 4), np.uint8), np.ones((4, 4), np.uint8)).figures()
    assert missed["precision"] is None and missed["recall"] == 0 and missed["f1"] == 0 and missed["iou"] == 0
    assert all(value is None for name, value in Counts().figures().items() if name not in ("tp", "fp", "fn", "tn"))
    assert "null" in json.dumps(nothing_there)


def test_training_pixels_are_never_held_out() -> None:
    window = np.array([[0, 0, 4, 4], [0, 2, 4, 4], [6, 0, 4, 4]])
    parts = part_rows(window, np.array([0, 1, 1]), 0, 10, 8)
    assert (parts[:4, :4] == 0).all()
    assert (parts[:4, 4:6] == 1).all()
    assert (parts[:4, 6:] == 255).all() and (parts[4:6] == 255).all()
    assert (parts[6:, :4] == 1).all()
    assert np.array_equal(part_rows(window, np.array([0, 1, 1]), 3, 5, 8), parts[3:8])


def raster_scene(folder: Path, split: str = "blocks") -> tuple[MeasuredScene, np.ndarray]:
    """A scene of 200 x 180 px with random landslides and a strip without data."""
    rng = np.random.default_rng(3)
    mask = cv2.resize((rng.random((9, 10)) < 0.3).astype(np.uint8), (200, 180), interpolation=cv2.INTER_NEAREST)
    reference = mask.copy()
    reference[:, :12] = 255
    write_raster(folder / "scene.tif", rng.integers(0, 200, (3, 180, 200)).astype(np.uint8), nodata=255)
    write_raster(folder / "scene_mask.tif", reference, nodata=255)
    scene = Scene("scene", "raster", folder / "scene.tif", None, folder / "scene_mask.tif", split)  # type: ignore[arg-type]
    tiles = folder / "tiles/scene.zarr.zip"
    tile_scene(scene, TILES, LabelSettings(), SplitSettings(block=90), tiles)
    return MeasuredScene(scene, tiles), reference


def write_masks(path: Path, masks: np.ndarray) -> Path:
    with TileStackWriter(path, {"scene": "scene"}, {"mask": (masks.shape[1:], "uint8")}) as writer:
        writer.append(mask=masks)
    return path


def test_pseudo_masks_are_counted_tile_by_tile(tmp_path: Path) -> None:
    measured, reference = raster_scene(tmp_path)
    with TileStack(measured.tiles) as stack:
        window, part = stack.read("window"), stack.read("part")
    there = np.stack([reference[r : r + h, c : c + w] for r, c, h, w in window.tolist()])
    guess = np.random.default_rng(5).integers(0, 2, there.shape).astype(np.uint8)
    path = write_masks(tmp_path / "masks.zarr.zip", guess)
    rows = measure_pseudo_masks([measured], {"apsam": [path]})["rows"]
    assert {row["part"] for row in rows} == {"train", "test"}
    for row in rows:
        chosen = part == {"train": 0, "test": 1}[row["part"]]
        known = there[chosen] != 255
        assert row["tp"] == int((guess[chosen] & there[chosen] & known).sum())
        assert row["tp"] + row["fp"] + row["fn"] + row["tn"] == int(known.sum())
        ious = [
            sklearn_metrics.jaccard_score(t[t != 255], g[t != 255])
            for t, g in zip(there[chosen], guess[chosen], strict=True)
            if (t == 1).any()
        ]
        assert row["mean_iou"] == pytest.approx(np.mean(ious))
    with pytest.raises(InputError, match="has 2 masks for"):
        measure_pseudo_masks([measured], {"apsam": [write_masks(tmp_path / "two.zarr.zip", guess[:2])]})


def test_maps_count_every_pixel_once(tmp_path: Path) -> None:
    measured, reference = raster_scene(tmp_path, "test")
    guess = np.random.default_rng(6).integers(0, 2, reference.shape).astype(np.uint8)
    guess[-5:] = 255
    made = write_raster(tmp_path / "maps/apsam/scene_mask.tif", guess, nodata=255)
    found = measure_maps([measured], {"apsam": [made]})
    rows = found["rows"]
    known = (guess != 255) & (reference != 255)
    for row in found["baselines"]:
        assert row["part"] == "test" and row["tp"] + row["fp"] + row["fn"] + row["tn"] == known.sum()
    beside = {row["source"]: row for row in found["baselines"] if "scene" not in row}
    assert beside["everything"]["recall"] == 1 and beside["everything"]["fp"] == (known & (reference == 0)).sum()
    assert beside["nothing"]["f1"] == 0 and beside["nothing"]["tn"] == (known & (reference == 0)).sum()
    # A map by chance is no better than one that is landslide everywhere.
    assert ["no more than calling everything" in text for text in found["warnings"]] == [True]
    assert [(row["part"], row.get("scene")) for row in rows] == [("test", None), ("test", "scene")]
    assert Counts(*(rows[0][name] for name in ("tp", "fp", "fn", "tn"))) == Counts.of(guess, reference)
    assert "mean_iou" not in rows[0]
    write_raster(tmp_path / "other.tif", guess[:100], nodata=255)
    with pytest.raises(InputError, match="not a map of a scene of 200 x 180"):
        measure_maps([measured], {"apsam": [tmp_path / "other.tif"]})


def test_ready_made_tiles_and_the_centred_box(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    sizes, references = [(80, 100), (61, 90), (128, 64)], []
    for index, (height, width) in enumerate(sizes):
        cv2.imwrite(str(tmp_path / f"images/t{index}.png"), rng.integers(0, 255, (height, width, 3)).astype(np.uint8))
        references.append(centred_box(height, width) * (index != 2))
        cv2.imwrite(str(tmp_path / f"masks/t{index}.png"), references[-1] * 255)
    (tmp_path / "sheet.tsv").write_text(
        "scene\timage\tlabels\tmask\tsplit\ncrops\timages\tmask\tmasks\ttest\nother\timages\tmask\tmasks\ttrain\n"
    )
    scene = Scene("crops", "folder", tmp_path / "images", None, tmp_path / "masks", "test")
    for name in ("crops", "other"):
        tile_scene(scene, TILES, LabelSettings(), SplitSettings(), tmp_path / f"run/tiles/{name}.zarr.zip")
        write_masks(tmp_path / f"run/masks/apsam/{name}.zarr.zip", np.zeros((3, 64, 64), np.uint8))
        (tmp_path / "run/maps/apsam").mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(tmp_path / f"run/maps/apsam/{name}.zip", "w") as archive:
            for index, reference in enumerate(references):
                add_mask(archive, f"t{index}.png", reference)
    run = tmp_path / "run"
    places = (tmp_path / "sheet.tsv", run / "tiles", run / "scenes")
    metrics_masks(*places, [f"apsam={run}/masks/apsam"], tmp_path / "masks.json")
    metrics_maps(*places, [f"apsam={run}/maps/apsam"], tmp_path / "maps.json")
    with pytest.raises(InputError, match="give NAME=VALUE"):
        metrics_maps(*places, ["apsam"], tmp_path / "maps.json")
    masks, maps = (
        {row["source"]: row for row in json.loads((tmp_path / f).read_text())["rows"] if "scene" not in row}
        for f in ("masks.json", "maps.json")
    )
    assert masks["apsam"]["mean_iou"] == 0 and masks["apsam"]["precision"] is None
    assert masks["centred_box"]["mean_iou"] > 0.9 and masks["centred_box"]["tiles"] == 6
    assert maps["apsam"]["f1"] == 1 and maps["apsam"]["mean_iou"] == 1
    assert maps["centred_box"]["mean_iou"] == 1 and maps["centred_box"]["precision"] < 1


def test_rasters_and_folders_have_baselines_over_the_same_pixels(tmp_path: Path) -> None:
    raster, reference = raster_scene(tmp_path, "test")
    guess = np.where(np.random.default_rng(1).random(reference.shape) < 0.7, reference, 1 - reference % 255)
    with rasterio.open(tmp_path / "scene.tif") as image:
        profile = image.profile | {"count": 1}
    with rasterio.open(tmp_path / "map.tif", "w", **profile) as written:
        written.write(guess.astype(np.uint8), 1)
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    box = centred_box(64, 64)
    with zipfile.ZipFile(tmp_path / "map.zip", "w") as archive:
        for index in range(3):
            cv2.imwrite(str(tmp_path / f"images/t{index}.png"), np.full((64, 64, 3), 40 + index, np.uint8))
            cv2.imwrite(str(tmp_path / f"masks/t{index}.png"), box * 255)
            add_mask(archive, f"t{index}.png", np.roll(box, 5, axis=0))
    crops = Scene("crops", "folder", tmp_path / "images", None, tmp_path / "masks", "test")
    tile_scene(crops, TILES, LabelSettings(), SplitSettings(), tmp_path / "tiles/crops.zarr.zip")
    scenes = [raster, MeasuredScene(crops, tmp_path / "tiles/crops.zarr.zip")]
    found = measure_maps(scenes, {"apsam": [tmp_path / "map.tif", tmp_path / "map.zip"]})
    pooled_rows = [row for row in [*found["rows"], *found["baselines"]] if "scene" not in row]
    known = int((reference != 255).sum()) + 3 * 64**2
    assert {row["source"] for row in pooled_rows} == {"apsam", "everything", "nothing", "centred_box"}
    assert [sum(row[key] for key in ("tp", "fp", "fn", "tn")) for row in pooled_rows] == [known] * 4
    assert {row["source"] for row in found["rows"]} == {"apsam"}
    by_scene = [row for row in found["baselines"] if row["source"] == "centred_box" and "scene" in row]
    pooled = sum((Counts(*(row[key] for key in ("tp", "fp", "fn", "tn"))) for row in by_scene), Counts())
    assert len(by_scene) == 2 and pooled.f1 < find_f1(found["rows"])
    # The box is perfect on the crops alone, which must not count against a map of all scenes.
    assert next(row for row in by_scene if row["scene"] == "crops")["f1"] == 1 and not found["warnings"]
    assert not any(cell.bad for line in metrics_table("ResUNet", "Masks", "Maps.", found).rows for cell in line)
    with TileStack(raster.tiles) as stack:
        count = len(stack)
    masks = [write_masks(tmp_path / f"{n}.zarr.zip", np.zeros((n, 64, 64), np.uint8)) for n in (count, 3)]
    rows = [row for row in measure_pseudo_masks(scenes, {"apsam": masks})["rows"] if "scene" not in row]
    assert [row["tiles"] for row in rows] == [count + 3] * 2


def find_f1(rows: list[dict]) -> float:
    return next(row["f1"] for row in rows if "scene" not in row)


def test_the_summary_is_a_flat_table_of_rates() -> None:
    row = {"part": "test", "source": "apsam", "iou": 0.5, "f1": 2 / 3, "tp": 1}
    rows = [row, {**row, "source": "cam", "iou": None}, {**row, "scene": "west", "iou": 0.1}, {**row, "part": "train"}]
    table = summarise({"masks": {"protocol": "held_out", "rows": rows}})
    assert table["masks"]["held_out"] == {"apsam": {"iou": 0.5, "f1": 2 / 3}, "cam": {"iou": None, "f1": 2 / 3}}
    assert set(table["masks"]) == {"held_out", "training"}
