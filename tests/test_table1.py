"""Table 1: masks for comparison, oracle threshold, the table, and files that its variants share with the run."""

from __future__ import annotations

import csv
import json
import shlex
import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from apsam.config import Config
from apsam.errors import InputError
from apsam.experiments.cam_oracle import measure_cam_oracle
from apsam.experiments.figures import draw_methods
from apsam.experiments.published import PUBLISHED
from apsam.experiments.side_by_side import compare_methods, draw_side_by_side
from apsam.experiments.table import write_experiment
from apsam.experiments.table1 import Measured, read_seconds, table1
from apsam.maps.archive import add_mask
from apsam.masks.references import make_agreed_masks, make_box_masks, make_reference_masks
from apsam.metrics.counts import Counts
from apsam.metrics.scene import MeasuredScene
from apsam.report.colours import REFERENCE
from apsam.scenes import Scene
from apsam.stack import TileStack, TileStackWriter
from apsam.store.recipe import write_recipe
from apsam.tiles.settings import LabelSettings, SplitSettings, TileSettings
from apsam.tiles.tiling import tile_scene
from workflow_support.run import Run
from workflow_support.stages.table1 import changes
from workflow_support.stages.table1 import figures as figures_of

ROOT = Path(__file__).parents[1]

SIDE = 64


@pytest.fixture
def crops(tmp_path: Path) -> MeasuredScene:
    """Four ready-made tiles, two with a landslide each."""
    images, masks = tmp_path / "images", tmp_path / "masks"
    images.mkdir()
    masks.mkdir()
    rng = np.random.default_rng(0)
    rows = ["tile,label"]
    for number in range(4):
        mask = np.zeros((SIDE, SIDE), np.uint8)
        if number % 2:
            mask[8:24, 4 + number : 20] = 255
        cv2.imwrite(str(images / f"{number}.png"), rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8))
        cv2.imwrite(str(masks / f"{number}.png"), mask)
        rows.append(f"{number}.png,{number % 2}")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    scene = Scene("crops", "folder", images, tmp_path / "labels.csv", masks, "train")
    tiles = tmp_path / "tiles" / "crops.zarr.zip"
    tile_scene(scene, TileSettings(size=SIDE), LabelSettings(), SplitSettings(), tiles)
    return MeasuredScene(scene, tiles)


def write_cams(crops: MeasuredScene, path: Path) -> Path:
    """A bright core of 200 in a wide ring of 100, on positive tiles."""
    cams = np.zeros((4, SIDE, SIDE), np.uint8)
    cams[1::2, 2:30, 2:30] = 100
    cams[1::2, 8:24, 6:20] = 200
    with TileStackWriter(path, {"scene": "crops"}, {"cam": ((SIDE, SIDE), "uint8")}) as writer:
        writer.append(cam=cams)
    return path


def test_cam_uses_the_threshold_of_the_tiles_prompts(crops: MeasuredScene, tmp_path: Path) -> None:
    cams = write_cams(crops, tmp_path / "c.zarr.zip")
    specs = {"mask": ((SIDE, SIDE), "uint8"), "threshold": ((), "int16")}
    with TileStackWriter(tmp_path / "m.zarr.zip", {"scene": "crops"}, specs) as writer:
        writer.append(mask=np.zeros((4, SIDE, SIDE), np.uint8), threshold=np.array([-1, 60, -1, 150], np.int16))
    make_agreed_masks(crops.tiles, cams, tmp_path / "m.zarr.zip", tmp_path / "o.zarr.zip")
    with TileStack(tmp_path / "o.zarr.zip") as stack:
        assert stack.read("mask").sum(axis=(1, 2)).tolist() == [0, 28 * 28, 0, 16 * 14]


def test_bounds_are_box_and_reference_masks(crops: MeasuredScene, tmp_path: Path) -> None:
    make_box_masks(crops.tiles, tmp_path / "b.zarr.zip")
    make_reference_masks(crops, tmp_path / "t.zarr.zip")
    with TileStack(tmp_path / "b.zarr.zip") as stack:
        boxes = stack.read("mask")
    assert not boxes[::2].any() and boxes[1, 32, 32] == 1 and boxes[1].sum() == boxes[3].sum() < 0.15 * SIDE**2
    with TileStack(tmp_path / "t.zarr.zip") as stack:
        assert stack.read("mask").sum(axis=(1, 2)).tolist() == [0, 16 * 15, 0, 16 * 13]


def test_oracle_uses_the_best_threshold(crops: MeasuredScene, tmp_path: Path) -> None:
    cams = write_cams(crops, tmp_path / "c.zarr.zip")
    found = measure_cam_oracle([crops], [cams], (60, 150))
    (row,) = found["rows"]
    assert row["threshold"] == 150 and row["part"] == "train" and row["source"] == "cam_oracle"
    best = Counts(tp=16 * 14 + 16 * 13, fp=16 * 1, fn=16 * 1)
    assert row["iou"] == pytest.approx(best.iou)


def test_oracle_ignores_pixels_without_data_as_other_masks_do(crops: MeasuredScene, tmp_path: Path) -> None:
    cams, tiles = write_cams(crops, tmp_path / "c.zarr.zip"), tmp_path / "t.zarr.zip"
    with TileStack(crops.tiles) as stack:
        arrays = {name: stack.read(name) for name in stack.arrays}
        arrays["valid"][:, :, : SIDE // 2] = 0
        with TileStackWriter(tiles, stack.attributes, stack.arrays) as writer:
            writer.append(**arrays)
    whole, half = (
        measure_cam_oracle([replace(crops, tiles=t)], [cams], (60,))["rows"][0] for t in (crops.tiles, tiles)
    )
    assert sum(half[name] for name in ("tp", "fp", "fn", "tn")) * 2 == sum(whole[n] for n in ("tp", "fp", "fn", "tn"))


def write_masks(path: Path, masks: np.ndarray) -> Path:
    with TileStackWriter(path, {"scene": "crops"}, {"mask": ((SIDE, SIDE), "uint8")}) as writer:
        writer.append(mask=masks)
    return path


def write_map(path: Path, masks: np.ndarray) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for number, mask in enumerate(masks):
            add_mask(archive, f"{number}.png", mask)
    return path


@pytest.mark.parametrize("kind", ["masks", "maps"])
def test_tiles_by_all_methods_run_from_the_worst_to_the_best(crops: MeasuredScene, tmp_path: Path, kind: str) -> None:
    make_reference_masks(crops, tmp_path / "t.zarr.zip")
    with TileStack(tmp_path / "t.zarr.zip") as stack:
        right = stack.read("mask")
    half = right.copy()
    half[1, 16:] = 0
    write = write_masks if kind == "masks" else write_map
    files = {"cda": [write(tmp_path / "a", half)], "apsam:cam": [write(tmp_path / "b", right)]}
    experiment, tiles = compare_methods(kind, [crops], files)
    rows = [(row["tile"], row["part"], row["cda"], row["apsam:cam"]) for row in experiment.rows]
    assert rows == [(1, "train", 0.5, 1.0), (3, "train", 1.0, 1.0)], "negative tiles show nothing"
    assert (tiles[0].masks["cda"] == half[1]).all() and (tiles[0].reference == right[1]).all()
    draw_side_by_side(tiles, list(files), tmp_path / "f.json")
    write_experiment(experiment, tmp_path / "f.json")
    picture = cv2.imread(str(tmp_path / "f.png"))
    height, width = picture.shape[:2]
    missed = np.array([int(REFERENCE[i : i + 2], 16) for i in (5, 3, 1)])
    blue = (np.abs(picture.astype(int) - missed) < 4).all(axis=2)
    assert blue[: height // 2, width // 2 : width * 3 // 4].any(), "what CDA missed of the first tile"
    assert blue.sum() == blue[: height // 2 + 20, width // 2 : width * 3 // 4].sum(), "and nothing else is missed"
    titles = [column["title"] for column in json.loads((tmp_path / "f.json").read_text())["columns"]]
    assert titles[3:] == ["CDA: IoU", "APSAM: IoU"]


def test_masks_of_other_tiles_are_not_shown(crops: MeasuredScene, tmp_path: Path) -> None:
    other = write_masks(tmp_path / "a", np.zeros((3, SIDE, SIDE), np.uint8))
    with pytest.raises(InputError, match="not of the tiles"):
        compare_methods("masks", [crops], {"cda": [other]})
    with pytest.raises(InputError, match="predict again"):
        compare_methods("maps", [crops], {"cda": [tmp_path / "none.zip"]})


def test_figure_without_tiles_has_a_message(crops: MeasuredScene, tmp_path: Path) -> None:
    for mask in crops.scene.mask.iterdir():
        cv2.imwrite(str(mask), np.zeros((SIDE, SIDE), np.uint8))
    files = {"cda": [write_masks(tmp_path / "a", np.zeros((4, SIDE, SIDE), np.uint8))]}
    experiment, tiles = compare_methods("masks", [crops], files)
    draw_side_by_side(tiles, list(files), tmp_path / "f.json")
    assert experiment.rows == [] and "no tile shows" in (tmp_path / "f.svg").read_text()


def figures(source: str, iou: float, part: str = "train", **more: object) -> dict:
    keys = ("oa", "precision", "recall", "f1", "kappa", "mean_iou")
    return {"source": source, "part": part, "iou": iou, **dict.fromkeys(keys, iou), **more}


def write_figures(path: Path, *rows: dict, protocol: str = "held_out") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"protocol": protocol, "rows": list(rows)}))
    return path


@pytest.fixture
def measured(tmp_path: Path) -> list[Measured]:
    files = []
    for seed, gain in ((1, 0.0), (2, 0.1)):
        for method, base in (("cam", 0.3), ("cda", 0.2), ("lgag_proxy", 0.1)):
            where = tmp_path / f"{method}{seed}"
            one = write_figures(where / "a.json", figures("cam_agreed", base + gain))
            two = write_figures(where / "b.json", figures("apsam", base + gain + 0.2, "test"))
            oracle = write_figures(where / "o.json", figures("cam_oracle", base + 0.25, threshold=100))
            own = write_figures(where / "d.json", figures("cam_agreed", base + gain, "test"))
            files += [
                Measured("masks", "cam_agreed", method, seed, one),
                Measured("maps", "apsam", method, seed, two),
                Measured("maps", "cam_agreed", method, seed, own),
                Measured("oracle", "cam_oracle", method, seed, oracle),
            ]
        reference = write_figures(tmp_path / f"t{seed}.json", figures("truth", 0.9, "test"))
        files.append(Measured("maps", "truth", "none", seed, reference))
    return files


def test_rows_have_mean_spread_cost_and_published_figures_where_they_belong(measured: list[Measured]) -> None:
    seconds = {("cam", 1): 10.0, ("cam", 2): 20.0, ("cda", 1): 45.0, ("cda", 2): 45.0, ("lgag_proxy", 1): 9.0}
    table = table1(measured, seconds, "demo")
    rows = {(r["measured"], r["method"], r["masks"]): r for r in table.rows}
    mask = rows["pseudo-mask", "CDA", "own map"]
    assert mask["iou"] == pytest.approx(0.25) and mask["iou_std"] == pytest.approx(0.1 / np.sqrt(2))
    assert mask["oracle_iou"] == pytest.approx(0.45) and mask["oracle_threshold"] == 100 and mask["seeds"] == 2
    assert (mask["seconds"], mask["cost"]) == (45.0, 3.0)
    assert "cost" not in rows["pseudo-mask", "LGAG (proxy)", "own map"], "one seed's seconds are missing"
    fed = rows["ResUNet", "CAM", "APSAM with its prompts"]
    assert fed["published_hong_kong_iou"] == pytest.approx(0.6548), "the paper's own method"
    assert rows["ResUNet", "CDA", "own map"]["published_turkey_iou"] == pytest.approx(0.4196)
    for name in ("own map", "APSAM with its prompts"):
        assert "published_turkey_iou" not in rows["ResUNet", "LGAG (proxy)", name], "the proxy is not LGAGNet"
    assert rows["ResUNet", None, "reference masks"]["remark"].startswith("upper bound")
    assert "oracle_iou" not in fed
    printed = [r for r in table.rows if r["measured"] == "published, other data"]
    assert len(printed) == sum(map(len, PUBLISHED.values())) and all("not comparable" in r["remark"] for r in printed)
    assert any("proxy" in note for note in table.notes)


def test_a_method_that_loses_stays_in_the_table(measured: list[Measured]) -> None:
    rows = [r for r in table1(measured, {}, "demo").rows if r["measured"] == "ResUNet" and r["masks"] == "own map"]
    assert [(r["method"], round(r["iou"], 2)) for r in rows] == [("CAM", 0.35), ("CDA", 0.25), ("LGAG (proxy)", 0.15)]


def test_published_figures_are_what_follows_from_themselves() -> None:
    for methods in PUBLISHED.values():
        for name, (_, precision, recall, f1, iou) in methods.items():
            assert f1 == pytest.approx(2 * precision * recall / (precision + recall), abs=0.06), name
            assert iou == pytest.approx(100 * f1 / (200 - f1), abs=0.06), name


def test_files_of_the_table(measured: list[Measured], tmp_path: Path) -> None:
    write_experiment(table1(measured, {}, "demo"), tmp_path / "table1.json")
    value = json.loads((tmp_path / "table1.json").read_text())
    assert value["schema"] == 1 and value["protocol"] == "held_out" and value["notes"]
    with (tmp_path / "table1.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(value["rows"]) and {line["protocol"] for line in lines} == {"held_out"}


def test_the_figure_has_every_method_and_bound_and_nothing_published(measured: list[Measured], tmp_path: Path) -> None:
    draw_methods(table1(measured, {}, "demo"), tmp_path / "table1.json")
    shown = (tmp_path / "table1.svg").read_text()
    for text in (
        "CAM",
        "CDA",
        "LGAG (proxy)",
        "own map",
        "APSAM with its prompts",
        "reference masks",
        "ResUNet, held-out tiles",
    ):
        assert f">{text}</text>" in shown, text
    assert "Hong Kong" not in shown and (tmp_path / "table1.png").stat().st_size > 5000


def test_notes_describe_the_measurement(measured: list[Measured]) -> None:
    assert "same ResUNet; seeds 1, 2, mean and sample" in table1(measured, {}, "demo").notes[0]
    masks = [one for one in measured if one.seed == 1 and one.kind == "masks"]
    first = table1(masks, {}, "demo").notes[0]
    assert "ResUNet" not in first and first.endswith("one seed.")


def test_files_of_different_protocols_are_refused(measured: list[Measured], tmp_path: Path) -> None:
    other = write_figures(tmp_path / "x.json", figures("apsam", 0.5), protocol="as_released")
    with pytest.raises(InputError, match="different protocols"):
        table1([*measured, Measured("masks", "apsam", "cam", 1, other)], {}, "demo")
    empty = write_figures(tmp_path / "y.json")
    with pytest.raises(InputError, match="y.json: has no figures of 'apsam'"):
        table1([Measured("masks", "apsam", "cam", 1, empty)], {}, "demo")
    with pytest.raises(InputError, match="no scene has a reference mask"):
        table1([], {}, "demo")
    with pytest.raises(InputError, match="kind:source:method:seed"):
        Measured.parse("masks:apsam", "x.json")


def test_seconds_are_the_sum_of_the_recipes_or_unknown(tmp_path: Path) -> None:
    files = []
    for name, seconds in (("a", 1.5), ("b", 2.0)):
        folder = tmp_path / f"results/store/cams/{name}.{'0' * 12}"
        folder.mkdir(parents=True)
        write_recipe(folder, {"stage": "cams"}, [], {"seconds": seconds})
        files.append(folder / "cam.zarr.zip")
    assert read_seconds(files) == 3.5
    assert read_seconds([files[0], tmp_path / f"results/store/cams/c.{'0' * 12}/cam.zarr.zip"]) is None


def run(**settings: object) -> Run:
    """The default run with settings of Table 1."""
    values = Config().model_dump(mode="json")
    values["experiments"]["table1"] = settings
    return Run({**values, "scenes": str(ROOT / "scenes.tsv")})


def arguments(one: Run, option: str) -> dict[str, str]:
    """Name -> file of an option of the table's command."""
    words = shlex.split(one.recipe("experiments/table1").command(1))
    pairs = [words[n + 1] for n, word in enumerate(words) if word == f"--{option}"]
    return dict(pair.split("=", 1) for pair in pairs)


def test_variants_share_files_that_do_not_depend_on_the_method() -> None:
    own = run(methods=["cam", "sipe"], seeds=[1, 2], resunet_epochs=2)
    sipe = own.variant(changes(own, "sipe", 2))
    same = {
        stage: own.file(stage, "elk_terrace") == sipe.file(stage, "elk_terrace")
        for stage in ("tiles", "embeddings", "cams")
    }
    assert same == {"tiles": True, "embeddings": True, "cams": False}
    assert own.variant(changes(own, "cam", 1)).file("cams", "elk_terrace") == own.file("cams", "elk_terrace")
    assert (sipe.config.localizer.method, sipe.config.seed, sipe.config.prompts.threshold) == ("sipe", 2, "auto")
    assert sipe.config.resunet.epochs == 2
    sharpened = own.variant(changes(own, "cam_refined", 1))
    assert (sharpened.config.localizer.method, sharpened.config.cams.refine) == ("cam", "prototype")
    assert sharpened.file("localizer") == own.file("localizer"), "no training of its own"
    files = arguments(own, "measured")
    assert "maps:apsam:cam_refined:2" in files
    assert {f"maps:apsam:sipe:{seed}" for seed in (1, 2)} <= set(files) and "maps:truth:none:2" in files
    assert "masks:box:none:1" in files and not [name for name in files if name.startswith("masks:truth")]
    assert len(set(files.values())) == len(files)


def test_figures_show_the_first_seed_of_every_method_and_apsam() -> None:
    own = run(methods=["cam", "sipe"], seeds=[2, 1], refined=False)
    assert figures_of(own) == ["masks", "maps"]
    for kind in ("masks", "maps"):
        recipe = own.recipe(f"experiments/table1_{kind}")
        words = shlex.split(recipe.command(1))
        shown = [word.split("=", 1) for word in words if word.split("=")[0] in ("cam", "sipe", "apsam:cam")]
        assert [name for name, _ in shown[:: len(shown) // 3]] == ["cam", "sipe", "apsam:cam"]
        files = {file for _, file in shown}
        assert files <= set(recipe.inputs), "the files that Snakemake knows are those that are read"
        first, output = own.variant(changes(own, "sipe", 2)), "mask" if kind == "maps" else ""
        assert first.file(f"{kind}/cam_agreed", "elk_terrace", output) in files or kind == "masks"
    assert figures_of(run(methods=["cam"], seeds=[1], resunet=False)) == ["masks"]


def test_zhou_s_network_is_one_setting_for_all() -> None:
    own = run(methods=["cda"], seeds=[1], network="zhou", bounds=False)
    variant = own.variant(changes(own, "cda", 1))
    localizer = variant.config.localizer
    assert (localizer.head, localizer.pooling, localizer.frozen_stages) == ("plain", "mean", 1)
    assert variant.config.cams.gamma == 1.0
    assert variant.file("localizer/offline/cda").endswith("/objects.zarr.zip")
    assert variant.file("localizer/offline/cda") in variant.recipe("localizer").inputs
