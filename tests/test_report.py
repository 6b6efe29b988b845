"""The report: all its parts, no external files, missing files are named, and it works in a browser."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
from datetime import UTC, datetime
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from fake_run import RECIPES, make_fake_folder_run, make_fake_run
from pyproj import CRS

from apsam.errors import InputError
from apsam.files import sha256_file
from apsam.labelling.suggestions import Suggestion, Suggestions, write_suggestions
from apsam.maps.model import MASKS, weights_of_run
from apsam.maps.settings import MapSettings
from apsam.report.colours import AGREE, AGREE_NOT, FALSE_ALARM, MISSED, NO_DATA, compare
from apsam.report.experiments import read_experiments
from apsam.report.facts import describe_labels
from apsam.report.gallery import _agreement, make_gallery
from apsam.report.inputs import MASK_SOURCES, Notes, SceneFiles, scene_files
from apsam.report.mosaic import Mosaic, outlines
from apsam.report.page import make_report
from apsam.report.provenance import hashes
from apsam.report.scene_maps import _masks
from apsam.report.settings import ReportSettings
from apsam.report.tables import metrics_table
from apsam.report.times import elapsed, recipes_of, stage_times
from apsam.scenes import Scene
from apsam.stack import TileStack, TileStackWriter
from apsam.store.recipe import write_recipe
from apsam.tiles.parts import NEITHER

SETTINGS = ReportSettings(map_side=200, gallery_tiles=9)


class Page(HTMLParser):
    """Tags with their attributes, and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._pieces: list[str] = []
        self.feed(text)
        self.text = " ".join("".join(self._pieces).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self._pieces.append(data)

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


@pytest.fixture(scope="module")
def run(report_run):
    return report_run


@pytest.fixture(scope="module")
def page_file(report_page):
    return report_page


@pytest.fixture(scope="module")
def page(page_file):
    return Page(page_file.read_text())


def test_all_parts_are_there(page):
    headings = {attributes["id"] for tag, attributes in page.tags if tag in ("h1", "h2") and "id" in attributes}
    parts = ("summary", "maps", "tiles", "tables", "experiments", "training", "data", "left-out", "provenance")
    assert headings == {f"{part}-title" for part in parts}
    assert {"main", "header", "nav", "footer"} <= {tag for tag, _ in page.tags}
    targets = [link["href"] for link in page.all("a")]
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert targets and all(target[1:] in ids for target in targets)


def test_nothing_comes_from_outside_the_file(page, page_file):
    for _, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "srcset", "data", "action"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:")), (name, value)
    assert "url(http" not in page_file.read_text() and "@import" not in page_file.read_text()
    assert "default-src 'none'" in page_file.read_text()


def test_every_picture_has_words(page):
    pictures = page.all("img")
    assert pictures and all(picture.get("alt") for picture in pictures)
    for attributes in page.all("svg"):
        assert attributes.get("aria-hidden") == "true" or (attributes["role"] == "img" and attributes["aria-label"])
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_layers_of_every_scene(page):
    shown = [attributes["data-layer"] for attributes in page.all("g") if "data-layer" in attributes]
    expected = {
        "image", "cam", "probability", "truth", "prompts", "prediction-apsam", "prediction-cam", "masks-apsam",
        "masks-cam", "masks-grabcut", "positive",
    }  # fmt: skip
    assert set(shown) == expected and len(shown) == 2 * len(expected)
    assert [m["data-scene"] for m in page.all("div") if "data-scene" in m] == ["birch", "alder"]


def test_maps_that_are_left_of_another_sheet_are_not_shown(run, tmp_path):
    folder, scenes, config = run
    assert (folder / "maps/apsam/alder_mask.tif").is_file() and scenes[0].split == "train"
    make_report(folder, scenes, {**config, "maps": {"scenes": "held_out"}}, tmp_path / "index.html", SETTINGS)
    page = Page((tmp_path / "index.html").read_text())
    shown = [attributes["data-layer"] for attributes in page.all("g") if "data-layer" in attributes]
    assert [shown.count(layer) for layer in ("cam", "probability", "prediction-apsam", "prediction-cam")] == [
        2,
        1,
        1,
        1,
    ]
    assert "predictions of alder" in page.text and "training scenes are not mapped" in page.text
    assert "prediction of alder" not in page.text


def test_figures_are_those_of_the_metrics(run, page):
    rows = json.loads((run[0] / "metrics/resunet.json").read_text())["rows"]
    row = next(r for r in rows if r["source"] == "apsam" and r["part"] == "test")
    assert f"{row['f1']:.3f}" in page.text and f"{row['tp']:,}" in page.text
    assert "held_out" in page.text and "1 min 4 s" in page.text


def test_an_undefined_figure_is_not_the_best():
    rows = [
        {"source": source, "part": "test", "tp": 0, "fp": 0, "fn": 5, "tn": 5, "f1": f1, "precision": None}
        for source, f1 in (("apsam", 0.0), ("cam", 0.2))
    ]
    table = metrics_table("ResUNet", "Masks", "Maps.", {"protocol": "held_out", "rows": rows})
    f1, precision = table.columns.index("F1"), table.columns.index("Precision")
    assert [(line[f1].best, line[precision].text, line[precision].best) for line in table.rows] == [
        (False, "–", False),
        (True, "–", False),
    ]


def test_experiments_are_shown_as_they_are(run, page, page_file):
    sweep, prompts = (
        json.loads((run[0] / f"experiments/{name}.json").read_text()) for name in ("threshold_sweep", "prompt_ablation")
    )
    best = max(row["iou"] for row in prompts["rows"])
    assert f"<strong>{100 * best:.1f}</strong>" in page_file.read_text()
    # The curve has a point a threshold, the pick and the level selected tile by tile; a screen reader is told.
    chart = next(svg["aria-label"] for svg in page.all("svg") if "IoU over CAM" in svg.get("aria-label", ""))
    selected = next(row for row in sweep["rows"] if row["selected"])
    assert f"selected without labels: 130, {100 * selected['iou']:.1f} %" in chart and "selected tile by tile" in chart
    assert sum(circle["class"] == "dot dot-0" for circle in page.all("circle") if circle.get("class")) >= 13
    figure = next(image for image in page.all("img") if image.get("class") == "picture")
    assert figure["src"].startswith("data:image/") and "Prompts (paper, Table 2)" in figure["alt"]
    assert "report/config.yaml -- threshold_sweep" in page.text and "Made up for a test." in page.text


def test_dates_of_files_say_nothing_of_an_experiment(tmp_path):
    """A workflow shows only those of the run's very settings, and a checkout or a copy sets any date."""
    value = {"schema": 1, "title": "Seeds", "columns": [], "rows": []}
    for file in ("experiments/seeds.json", "masks/apsam/west.zarr.zip"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_text(json.dumps(value))
    os.utime(tmp_path / "experiments/seeds.json", (1e9, 1e9))
    notes = Notes()
    assert [one.title for one in read_experiments(tmp_path, 1000, notes)] == ["Seeds"] and notes.all() == []


def test_a_broken_experiment_is_named(run, tmp_path):
    folder = tmp_path / "tiny"
    shutil.copytree(run[0], folder)
    (folder / "experiments/sam_size.json").write_text('{"schema": 7, "rows": []}')
    (folder / "experiments/seeds.json").write_text("not JSON")
    make_report(folder, run[1], run[2], folder / "report/index.html", SETTINGS)
    page = Page((folder / "report/index.html").read_text())
    assert "experiment sam_size" in page.text and "not of schema 1" in page.text and "experiment seeds" in page.text


def test_unlabelled_tiles_are_not_compared_with_reference_masks(run, tmp_path):
    folder = tmp_path / "tiny"
    shutil.copytree(run[0], folder)
    covers = []
    for _ in range(2):
        covers.append(make_gallery(scene_files(folder, run[1], MapSettings()), SETTINGS, Notes()).covers)
        for path in (folder / "tiles").glob("*.zarr.zip"):
            with TileStack(path) as stack:
                arrays = {name: stack.read(name) for name in stack.arrays}
                attributes, specs = stack.attributes, stack.arrays
            arrays["label"], arrays["part"] = 0 * arrays["label"], np.full_like(arrays["part"], 255)
            with TileStackWriter(path, attributes, specs) as writer:
                writer.append(**arrays)
    assert sum(label for label, _ in covers[0]) > 0 and covers[1] == []


def test_labels_are_compared_with_reference_masks(run, page):
    covers = [(1, 0.0), (1, 0.004), (1, 0.3), (0, 0.0), (0, 0.2)]
    facts = describe_labels(covers)
    assert (facts.compared, facts.bare, facts.missed) == (5, 1, 1)
    assert "under 1 % of the tile: 1" in facts.chart and "25 to 50 % of the tile: 1" in facts.chart
    assert describe_labels([]) is None
    # Labels of the fake run are derived from the reference mask: none differ.
    assert "none in the reference mask0" in page.text and "landslide in the reference mask0" in page.text


def test_same_run_same_bytes(run, page_file, tmp_path, monkeypatch):
    folder, scenes, config = run
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    for name in ("a", "b"):
        make_report(folder, scenes, config, tmp_path / name / "index.html", SETTINGS, recipes=RECIPES)
    first, second = ({p.name: p.read_bytes() for p in (tmp_path / n).rglob("*.*") if p.is_file()} for n in "ab")
    assert first == second and "2023-11-14 22:13 UTC" in first["index.html"].decode()


def test_size_is_bounded(run, tmp_path):
    folder, scenes, config = run
    make_report(folder, scenes, config, tmp_path / "r.html", ReportSettings(max_mb=1, figures=False))
    assert (tmp_path / "r.html").stat().st_size < 1e6


def test_figures_and_configuration_are_next_to_the_page(page_file):
    figures = page_file.parent / "figures"
    for name in ("tiles", "localizer_loss", "resunet_loss"):
        for suffix in ("png", "svg", "csv"):
            assert (figures / f"{name}.{suffix}").stat().st_size > 50
    assert "map_side" not in (page_file.parent / "config.yaml").read_text().split("tiles:")[0]
    assert "run: tiny" in (page_file.parent / "config.yaml").read_text()


def test_missing_inputs_are_named_and_the_rest_is_shown(run, tmp_path):
    folder = tmp_path / "tiny"
    shutil.copytree(run[0], folder)
    shutil.rmtree(folder / "masks/grabcut")
    shutil.rmtree(folder / "metrics")
    (folder / "prompts/alder.json").unlink()
    (folder / "cams/birch.zarr.zip").write_bytes(b"broken")
    for mask in (folder / "scenes").glob("*_mask.tif"):
        mask.unlink()
    make_report(folder, run[1], run[2], folder / "report/index.html", SETTINGS)
    page = Page((folder / "report/index.html").read_text())
    for what in (
        "GrabCut of birch, alder",
        "figures of the ResUNet",
        "prompts of alder",
        "CAM of birch",
        "reference mask of",
    ):
        assert what in page.text
    layers = [g["data-layer"] for g in page.all("g") if "data-layer" in g]
    assert "truth" not in layers and "masks-grabcut" not in layers
    assert layers.count("cam") == 1 and layers.count("image") == 2
    assert "APSAM’s own score" in page.text


def test_warnings_and_landslides_are_shown(run, page, tmp_path):
    assert "Check before using these maps" not in page.text
    folder = tmp_path / "tiny"
    shutil.copytree(run[0], folder)
    warning = "birch: the map repeats at the step of the tiles <1.5>"
    (folder / "metrics/checks.json").write_text(json.dumps({"rows": [], "warnings": [warning]}))
    counts = {"reference": 7, "found": 4, "partly": 2, "missed": 1, "mapped": 9, "false": 3, "area_error": -0.25}
    row = {"source": "ground", "part": "test", "scene": "birch", **counts}
    objects = {"protocol": "held_out", "min_area_m2": 100, "rows": [row]}
    (folder / "metrics/objects.json").write_text(json.dumps(objects))
    make_report(folder, run[1], run[2], folder / "report/index.html", SETTINGS)
    shown = Page((folder / "report/index.html").read_text()).text
    assert "Check before using these maps" in shown and warning in shown
    assert re.search(r"birch\s*held out\s*Scene-wide\s*7\s*4\s*2\s*1\s*9\s*3\s*-25 %", shown)


def test_a_run_of_training_scenes_says_so(tmp_path):
    folder = tmp_path / "alone"
    scenes, config = make_fake_run(folder, held_out=False)
    counts = dict.fromkeys(("reference", "found", "partly", "missed", "mapped", "false"), 1)
    row = {"source": "apsam", "part": "train", "scene": "birch", **counts, "area_error": 0}
    (folder / "metrics/objects.json").write_text(
        json.dumps({"protocol": "held_out", "min_area_m2": 100, "rows": [row]})
    )
    shutil.rmtree(folder / "experiments")
    make_report(folder, scenes, config.model_dump(mode="json"), folder / "report/index.html", SETTINGS)
    text = Page((folder / "report/index.html").read_text()).text
    assert "No held-out scene was measured" in text and text.count("Training scenes only") == 3
    for words in ("Nothing was measured", "took no part in training", "Protocol held_out", "localizer.json"):
        assert words not in text


def test_a_run_without_figures_says_why(run, tmp_path):
    folder = tmp_path / "tiny"
    shutil.copytree(run[0], folder)
    undefined = {"source": "apsam", "part": "test", "tp": 0, "fp": 0, "fn": 0, "tn": 9, "f1": None, "iou": None}
    for rows, words in (([], "Nothing was measured"), ([undefined], "figures of held-out tiles are undefined")):
        for name in ("resunet", "pseudo_masks"):
            (folder / f"metrics/{name}.json").write_text(json.dumps({"protocol": "held_out", "rows": rows}))
        make_report(folder, run[1], run[2], folder / "report/index.html", SETTINGS)
        assert words in Page((folder / "report/index.html").read_text()).text


def test_ready_made_tiles_have_no_map(tmp_path):
    scenes, config = make_fake_folder_run(tmp_path / "crops-run")
    output = tmp_path / "index.html"
    make_report(tmp_path / "crops-run", scenes, config.model_dump(mode="json"), output, SETTINGS)
    page = Page(output.read_text())
    assert "map of crops" in page.text and not [m for m in page.all("div") if "data-scene" in m]
    # The masks lie 10 px next to the reference mask: 60 of 80 columns agree, up to the rounding of the squashed tiles.
    scores = [float(score) for score in re.findall(r"(\d\.\d{3}) IoU", page.text)]
    assert len(scores) == 3 and scores == pytest.approx([60 / 80] * 3, abs=0.02)


def test_a_run_without_tiles_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no tile stack"):
        make_report(tmp_path, [Scene("a", "synthetic", None, None, None, "test")], {}, tmp_path / "x.html")


def test_names_cannot_break_the_page(run, tmp_path):
    folder, scenes, config = run
    metrics = tmp_path / "tiny"
    shutil.copytree(folder, metrics)
    hostile = {"protocol": "<script>alert(1)</script>", "rows": [{"source": "<b>x</b>", "part": "test", "f1": 0.5}]}
    (metrics / "metrics/resunet.json").write_text(json.dumps(hostile))
    make_report(metrics, scenes, config, tmp_path / "x.html", SETTINGS)
    text = (tmp_path / "x.html").read_text()
    assert "<script>alert" not in text and "<b>x</b>" not in text and html.escape("<b>x</b>") in text


def test_mosaic_puts_tiles_where_they_were_cut(tmp_path):
    windows = np.array([[0, 0, 64, 64], [0, 36, 64, 64]], np.int32)
    mask = np.zeros((2, 64, 64), np.uint8)
    mask[0, :, 40:] = 1
    mask[1, :, :10] = 1
    with TileStackWriter(tmp_path / "m.zarr.zip", {}, {"mask": ((64, 64), "uint8")}) as writer:
        writer.append(mask=mask)
    with TileStack(tmp_path / "m.zarr.zip") as stack:
        mean = Mosaic(64, 100, 100).mean(stack, "mask", windows, np.array([True, True]))
        half = Mosaic(64, 100, 50).mean(stack, "mask", windows, np.array([True, False]))
    expected = np.zeros(100)
    expected[36:40], expected[40:46], expected[46:64] = 0.5, 1, 0.5
    assert np.allclose(mean, expected)
    assert half.shape == (32, 50) and half[0, 19] == 0 and half[0, 20] == 0.5 and half[0, 32] == 0


def test_weights_that_predict_takes_first_are_hashed(tmp_path):
    for source in MASKS:
        path = tmp_path / f"resunet/{source}/weights.safetensors"
        path.parent.mkdir(parents=True)
        path.write_text(source)
        found = [value for name, value in hashes(tmp_path, []) if name.startswith("ResUNet weights")]
        assert sha256_file(path) in found
    assert found[0] == sha256_file(weights_of_run(tmp_path, None))


def test_a_false_alarm_counts_no_missed_pixels():
    mask, reference = np.zeros((100, 100), np.uint8), np.zeros((100, 100), np.uint8)
    reference[:1, :90] = 1  # 0.9 % of the tile, all of it missed
    mask[50, :20] = 1
    assert _agreement(mask, reference) == (None, 0.002)
    reference[:2] = 1
    assert _agreement(mask, reference) == (0, 0.022)


def test_a_map_in_degrees_says_so(run, page, tmp_path):
    assert not any("data-geographic" in one for one in page.all("div"))
    folder = tmp_path / "tiny"
    shutil.copytree(run[0], folder)
    rewritten(folder / "tiles/birch.zarr.zip", {"crs": CRS.from_epsg(4326).to_wkt()})
    make_report(folder, run[1], run[2], folder / "report/index.html", SETTINGS)
    maps = [one for one in Page((folder / "report/index.html").read_text()).all("div") if "data-scene" in one]
    assert {one["data-scene"]: "data-geographic" in one for one in maps} == {"alder": False, "birch": True}


@pytest.mark.parametrize(
    ("changes", "said", "not_said"),
    [
        ({}, ["a localizer’s class activation maps"], ["scene-wide pseudo-mask", "In a second round"]),
        ({"self_training": {"rounds": 2}}, ["a localizer’s class", "In a second round"], ["scene-wide pseudo-mask"]),
        (
            {"ground": {"masks": "scene", "heat_maps": "labels"}},
            ["heat maps of whole scenes", "scene-wide pseudo-mask", "For comparison"],
            ["In a second round"],
        ),
    ],
)
def test_the_first_paragraph_is_that_of_the_method(run, tmp_path, changes, said, not_said):
    make_report(run[0], run[1], {**run[2], **changes}, tmp_path / "index.html", SETTINGS)
    text = (tmp_path / "index.html").read_text()
    lead = " ".join(re.search(r'<p class="lead">(.*?)</p>', text, re.DOTALL).group(1).split())
    assert all(one in lead for one in said) and not any(one in lead for one in not_said)
    assert lead.endswith(".") and " ." not in lead


def rewritten(path, attributes):
    """Write other attributes into a tile stack."""
    with TileStack(path) as stack:
        arrays = {name: stack.read(name) for name in stack.arrays}
        attributes, specs = {**stack.attributes, **attributes}, stack.arrays
    with TileStackWriter(path, attributes, specs) as writer:
        writer.append(**arrays)


def pseudo_masks(folder, windows, values, label, part):
    """CAM and masks of a scene whose tiles have the given mean values, on the grid of the map."""
    for stack, name in (("cams", "cam"), *((f"masks/{source}", "mask") for source in MASK_SOURCES)):
        full = 255 if name == "cam" else 1
        arrays = (np.ones((len(windows), 64, 64)) * np.reshape(values, (-1, 1, 1)) * full).astype(np.uint8)
        with TileStackWriter(folder / stack / "a.zarr.zip", {}, {name: ((64, 64), "uint8")}) as writer:
            writer.append(**{name: arrays})
    label, labelled = np.array(label, np.uint8), np.array(part) != NEITHER
    files = SceneFiles(folder, Scene("a", "raster", None, None, None, "train"), False)
    args = windows, label > 0, labelled, Notes()
    return dict(_masks(files, Mosaic(64, int(windows[:, 1].max()) + 64, 1280), *args))


def test_unlabelled_tiles_have_no_vote_on_the_map(tmp_path):
    windows = np.array([[0, 0, 64, 64], [0, 16, 64, 64], [0, 32, 64, 64], [0, 48, 64, 64]], np.int32)
    # One positive tile, one negative, two without a label.
    found = pseudo_masks(tmp_path, windows, [1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 255, 255])
    for key, values in found.items():
        assert values[0, [8, 40, 70, 100]].tolist() == [1, 0.5, 0, 0], key
    assert len(found) == 1 + len(MASK_SOURCES)


def test_without_the_label_gate_all_tiles_are_on_the_map(tmp_path):
    windows = np.array([[0, 0, 64, 64], [0, 64, 64, 64], [0, 128, 64, 64]], np.int32)
    found = pseudo_masks(tmp_path, windows, [1, 1, 1], [1, 0, 0], [0, 0, 255])
    assert all((values == 1).all() for values in found.values()) and len(found) == 1 + len(MASK_SOURCES)


def test_outlines_keep_place_area_and_holes():
    mask = np.zeros((40, 60), bool)
    mask[10:30, 20:50] = True
    mask[15:25, 30:40] = False
    rings = re.findall(r"M([\d. ]+)Z", outlines(mask))
    areas, lows = [], []
    for ring in rings:
        points = np.array(ring.split(), float).reshape(-1, 2) / 2 + 0.25
        x, y = points.T
        areas.append(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)
        lows.append(points.min(axis=0))
    assert len(rings) == 2
    assert max(areas) - min(areas) == pytest.approx(mask.sum(), rel=0.08)
    assert np.allclose(lows[int(np.argmax(areas))], (20, 10), atol=0.5)
    assert outlines(np.zeros((5, 5), bool)) == ""


def test_compare_names_every_case():
    mask = np.array([[1, 1, 0, 0, 255, 1]], np.uint8)
    reference = np.array([[1, 0, 1, 0, 1, 255]], np.uint8)
    assert compare(mask, reference).tolist() == [[AGREE, FALSE_ALARM, MISSED, AGREE_NOT, NO_DATA, NO_DATA]]
    assert compare(mask, None).tolist() == [[1, 1, 0, 0, NO_DATA, 1]]


def test_times_are_summed_by_stage():
    jobs = [("cams", 1.5, None), ("cams", 2.0, None), ("localizer", 9.0, 800.0)]
    recipes = [{"stage": stage, "seconds": seconds, "peak_mb": peak} for stage, seconds, peak in jobs]
    times = [(t.stage, t.jobs, t.seconds, t.peak_mb) for t in stage_times(recipes)]
    assert times == [("localizer", 1, 9.0, 800.0), ("cams", 2, 3.5, None)]


@pytest.mark.parametrize("cache", [False, True])
def test_recipes_are_those_of_the_runs_own_files(tmp_path, monkeypatch, cache):
    monkeypatch.chdir(tmp_path)
    for stage in ("cams", "experiments/seeds"):
        folder = tmp_path / f"results/store/{stage}/west.{'0' * 12}"
        folder.mkdir(parents=True)
        (folder / "west.json").write_text("")
        write_recipe(folder, {"stage": stage, "view": stage}, [], {"seconds": 1})
        link = tmp_path / f"files/{stage}/west.json"
        link.parent.mkdir(parents=True)
        link.symlink_to(folder / "west.json")
        if cache:  # of DVC, on another disk
            (folder / "west.json").rename(tmp_path / f"{folder.parent.name}.cached")
            (folder / "west.json").symlink_to(tmp_path / f"{folder.parent.name}.cached")
    assert [recipe["stage"] for recipe in recipes_of(tmp_path / "files")] == ["cams"]


def test_links_that_point_to_each_other_are_no_files_of_the_run(tmp_path):
    for here, there in ("ab", "ba"):
        (tmp_path / here).symlink_to(f"../{tmp_path.name}/{there}")
    assert recipes_of(tmp_path) == []


def test_time_from_the_first_job_to_the_last():
    def job(end, seconds):
        return {"seconds": seconds, "ended": datetime.fromtimestamp(end, UTC).isoformat()}

    assert elapsed([], 2) is None
    jobs = [job(1_000_100, 100), job(1_000_110, 50), job(1_000_200, 80)]
    assert elapsed(jobs, 2) == 200
    assert elapsed(jobs, 1) is None
    assert elapsed([*jobs, job(1_009_000, 10)], 2) is None


def test_a_large_scene_is_shrunk_from_some_of_its_pixels(tmp_path):
    y, x = np.mgrid[:512, :512]
    mask = ((y - 200) ** 2 + (x - 260) ** 2 < 150**2).astype(np.uint8)
    windows = np.array([[0, 0, 512, 512]], np.int32)
    with TileStackWriter(tmp_path / "m.zarr.zip", {}, {"mask": ((512, 512), "uint8")}) as writer:
        writer.append(mask=mask[None])
    mosaic = Mosaic(512, 512, 50)
    with TileStack(tmp_path / "m.zarr.zip") as stack:
        found = mosaic.mean(stack, "mask", windows, np.array([True]))
    whole = cv2.resize(mask.astype(np.float32), (50, 50), interpolation=cv2.INTER_AREA)
    assert found.shape == (50, 50) and abs(found.mean() - whole.mean()) < 0.002 and np.abs(found - whole).mean() < 0.01
    # Nothing is shifted: both lie around the same point, in pixels of the map.
    rows, cols = np.mgrid[:50, :50]
    centres = [[(one * axis).sum() / one.sum() for axis in (rows, cols)] for one in (found, whole)]
    assert np.allclose(*centres, atol=0.05)


def test_suggestions_are_shown_with_their_pictures(run, page, tmp_path):
    assert "What to label next" not in page.text
    folder = tmp_path / "tiny"
    shutil.copytree(run[0], folder)
    entries = [
        Suggestion(1, "look", "birch", "r0_c77", 1, None, 0.9, "undecided: localizer 48 %"),
        Suggestion(1, "check", "alder", "r0_c0", 0, 0, 0.8, "labelled none: <map> 97 %"),
        Suggestion(2, "check", "alder", "r0_c77", 1, 1, 0.2, "a label that looks right"),
    ]
    write_suggestions(Suggestions(entries), folder / "suggestions/suggestions.json")
    make_report(folder, run[1], run[2], folder / "report/index.html", SETTINGS)
    shown = Page((folder / "report/index.html").read_text())
    assert "undecided: localizer 48 %" in shown.text and "labelled none: <map> 97 %" in shown.text
    assert "a label that looks right" not in shown.text
    pictures = [image["alt"] for image in shown.all("img") if image.get("alt", "").startswith("Image of tile r")]
    assert pictures == ["Image of tile r0_c77 of birch", "Image of tile r0_c0 of alder"]
    buttons = [b for b in shown.all("button") if b.get("data-window") == "0,0,128,128"]
    assert any(button["data-show"] == "alder" for button in buttons)
    (folder / "suggestions/suggestions.json").write_text("{}")
    make_report(folder, run[1], run[2], folder / "report/index.html", SETTINGS)
    assert "has no suggestions" in Page((folder / "report/index.html").read_text()).text
