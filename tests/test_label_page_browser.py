"""The label page in headless Chromium: real keys and clicks, stored labels, and the table in the workflow."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from chromium import CHROMIUM, Browser
from labelling_scenes import SMALL, on_map, write_layer, write_scene
from own_scenes import write_tiles
from shapely import box

from apsam.inputs import check
from apsam.labelling.add import add_labels
from apsam.labelling.grid import write_grid
from apsam.labelling.page import PAGE, PageScene, make_label_page
from apsam.labelling.suggestions import Suggestion, Suggestions
from apsam.labelling.tables import read_table, write_table
from apsam.scenes import Scene, read_scene_sheet
from apsam.stack import TileStack
from apsam.tiles.settings import LabelSettings, SplitSettings
from apsam.tiles.tiling import tile_scene

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open the page in (apt-get install chromium)")

SHOWN = "document.documentElement.dataset.shown"

# Contrast of text by WCAG 2, names of what can be operated, and what lies outside the window.
LOOKS = r"""
(() => {
  const colour = (text) => (text.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const ground = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const found = colour(getComputedStyle(at).backgroundColor);
      if (found.length === 3 || found[3] === 1) return found;
    }
    return [255, 255, 255];
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => (v / 255 <= 0.04045 ? v / 3294.6 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const faint = [];
  const texts = "p, dt, dd, h1, h2, label, summary, button, li, b, span, strong, legend";
  for (const one of document.querySelectorAll(texts)) {
    if (!one.textContent.trim() || !one.getClientRects().length || one.closest(":disabled, .hidden, .scale")) continue;
    const pair = [light(colour(getComputedStyle(one).color)), light(ground(one))].sort((a, b) => b - a);
    if ((pair[0] + 0.05) / (pair[1] + 0.05) < 4.5) faint.push(one.id || one.textContent);
  }
  const operated = "a[href], button, input, select, summary, [tabindex]";
  const labels = (one) => [...(one.labels || [])].map((label) => label.textContent).join("");
  const given = (one) => one.getAttribute("aria-label") || one.getAttribute("aria-labelledby");
  const named = (one) => given(one) || one.textContent.trim() || labels(one);
  const unnamed = [...document.querySelectorAll(operated)].filter((one) => !named(one).trim()).map((one) => one.id);
  return {faint, unnamed, fits: document.documentElement.scrollWidth <= innerWidth};
})()
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a raster with polygons, and of a folder of ready-made tiles."""
    folder = tmp_path_factory.mktemp("label")
    image = write_scene(folder / "valley.tif")
    labels = write_layer(folder / "polygons.gpkg", box(*on_map(140, 200), *on_map(160, 190)))
    write_tiles(folder / "crops", 5, np.random.default_rng(0))
    scenes = [PageScene(image, labels=labels), PageScene(folder / "crops/images", "crops")]
    look = [Suggestion(1, "look", "crops", "3.png", 3, None, 0.9, "undecided: localizer 50%")]
    made = make_label_page(scenes, folder / "page", SMALL, Suggestions(look))
    assert [(scene.name, scene.tiles, scene.left_out) for scene in made] == [("valley", 62, 1), ("crops", 5, 0)]
    return folder / "page" / PAGE


def state(browser: Browser) -> dict:
    ids = ("count-positive", "count-negative", "count-empty", "count-doubtful", "tile-name", "tile-label", "saved")
    return browser.run(
        f"Object.fromEntries({json.dumps(ids)}.map((id) => [id, document.getElementById(id).textContent]))"
    )


def counts(browser: Browser) -> tuple[int, ...]:
    now = state(browser)
    return tuple(int(now[f"count-{kind}"]) for kind in ("positive", "negative", "empty", "doubtful"))


def download(browser: Browser, folder: Path, name: str) -> Path:
    (folder / name).unlink(missing_ok=True)
    browser.click("#download")
    path = folder / name
    for _ in range(200):
        browser.run("new Promise((done) => setTimeout(done, 20))")
        if path.exists():
            return path
    raise AssertionError(f"{name} was not downloaded")


def test_label_table_from_the_page_is_accepted_by_the_workflow(page: Path, tmp_path: Path) -> None:
    with Browser(tmp_path / "profile", tmp_path) as browser:
        browser.open(page)
        browser.wait(SHOWN)
        # What the polygon says is filled in; what it leaves in doubt is asked first.
        positive, negative, empty, doubtful = before = counts(browser)
        assert positive > 0 and negative > 0 and doubtful == empty > 3 and sum(before[:3]) == 62
        first = state(browser)["tile-name"]
        assert state(browser)["tile-label"] == "doubtful"
        assert "within 2 m of the edge of a landslide" in browser.run("document.getElementById('why').textContent")
        assert "32 m × 32 m, north up" in browser.run("document.getElementById('ground').textContent")
        browser.press("1")
        second = state(browser)["tile-name"]
        assert second != first and counts(browser) == (positive + 1, negative, empty - 1, doubtful - 1)
        browser.press("0")
        third = state(browser)["tile-name"]
        browser.press(" ")
        assert counts(browser) == (positive + 1, negative + 1, empty - 2, doubtful - 3), "left: no doubt any more"
        browser.press("ArrowLeft", "ArrowLeft")
        assert state(browser)["tile-name"] == second and state(browser)["tile-label"] == "no landslide"
        browser.press("u", "u")
        assert state(browser)["tile-name"] == second and counts(browser) == (
            positive + 1,
            negative,
            empty - 1,
            doubtful - 1,
        )
        browser.press("r")
        browser.press("z", control=True)
        assert counts(browser) == (positive + 1, negative, empty - 1, doubtful - 1)
        # The mouse; afterwards the space bar leaves a tile and does not press the button again.
        browser.click("#no")
        assert state(browser)["tile-name"] == third and counts(browser)[1] == negative + 1
        browser.press(" ")
        assert counts(browser)[:2] == (positive + 1, negative + 1)
        browser.press("ArrowLeft", "Delete")
        assert state(browser)["tile-label"] == "left empty"
        assert "stored in this browser" in state(browser)["saved"]
        kept = counts(browser)
    # Closed in the middle, opened again: nothing is lost.
    with Browser(tmp_path / "profile", tmp_path) as browser:
        browser.open(page)
        browser.wait(SHOWN)
        assert counts(browser) == kept
        table = read_table(download(browser, tmp_path, "valley_labels.csv"))
        assert (table.labels[first], table.labels[second], table.labels[third]) == (1, 0, 255)
        assert len(table.labels) == 63, "the tile without data is listed too"
        assert state(browser)["saved"] == ""
        # The list shows one kind; a click goes there.
        browser.choose("#filter", "positive")
        assert browser.run("document.getElementById('list-count').textContent") == f"{positive + 1} tiles"
        browser.wait("document.querySelectorAll('.thumb').length")
        browser.click(f"#list [aria-label='{first}, landslide']")
        assert state(browser)["tile-name"] == first
        # Opened from a table: the same labels in another browser.
        assert browser.problems() == []
    with Browser(tmp_path / "other profile", tmp_path) as browser:
        browser.open(page)
        browser.wait(SHOWN)
        # As a spreadsheet may save it.
        saved = table.path.read_text().replace("scene,grid,tile,label", "Scene,Grid,Tile,LABEL")
        saved = re.sub(r",0$", ",FALSE", re.sub(r",1$", ",1.0", saved, flags=re.MULTILINE), flags=re.MULTILINE)
        text = json.dumps(saved + ",,,\n")
        put = (
            "const data = new DataTransfer(); data.items.add(new File([{}], 'labels.csv')); "
            "const file = document.getElementById('file'); file.files = data.files; "
            "file.dispatchEvent(new Event('change'));"
        )
        browser.run(put.format(text))
        browser.wait(f"document.getElementById('count-positive').textContent === '{positive + 1}'")
        browser.run(f"(() => {{ {put.format(text + '.replaceAll(`valley`, `ridge`)')} }})()")
        browser.wait("!document.getElementById('problem').hidden")
        assert "is of the scene “ridge”, but this is “valley”" in browser.run(
            "document.getElementById('problem').textContent"
        )
        assert browser.problems() == []
    # Into a grid, and into the workflow.
    valley = page.parents[1] / "valley.tif"
    write_grid(valley, SMALL, tmp_path / "grid.gpkg")
    assert add_labels([table.path], tmp_path / "grid.gpkg").new == positive + 1 + negative + 1
    for number, labels in enumerate((table.path, tmp_path / "grid.gpkg")):
        sheet = tmp_path / "scenes.tsv"
        sheet.write_text(f"scene\timage\tlabels\tmask\tsplit\nvalley\t{valley}\t{labels}\t\ttrain\n")
        check(read_scene_sheet(sheet), SMALL, LabelSettings(), SplitSettings())
        stack = tmp_path / f"{number}.zarr.zip"
        tile_scene(
            Scene("valley", "raster", valley, labels, None, "train"), SMALL, LabelSettings(), SplitSettings(), stack
        )
        with TileStack(stack) as tiles:
            label, part = tiles.read("label"), tiles.read("part")
        assert (label[part == 0] == 1).sum() == positive + 1 and (label[part == 0] == 0).sum() == negative + 1


def test_dragging_labels_many_tiles_and_shift_selects_them(page: Path, tmp_path: Path) -> None:
    with Browser(tmp_path / "profile", tmp_path) as browser:
        browser.open(page)
        browser.wait(SHOWN)
        before = counts(browser)
        browser.click("[name=brush][value='1']")
        # The scene fills the height of the overview; the pointer jumps, and no tile on the way is passed over.
        browser.drag("#overview", (0.35, 0.5), (0.65, 0.5))
        dragged = counts(browser)
        assert dragged[0] >= before[0] + 3 and sum(dragged[:3]) == 62
        browser.press("Escape", "u")
        assert counts(browser) == before, "a drag is one step"
        browser.drag("#overview", (0.4, 0.3), (0.6, 0.7), shift=True)
        rectangle = counts(browser)
        assert rectangle[0] >= before[0] + 6 and sum(rectangle[:3]) == 62
        browser.press("u")
        assert counts(browser) == before
        browser.click("[name=brush][value='']")
        browser.click("#overview", 0.5, 0.5)
        here = state(browser)["tile-name"]
        browser.press("ArrowRight")
        row, col = (int(part) for part in here[1:].split("_c"))
        assert state(browser)["tile-name"] == f"r{row}_c{col + 32}"
        browser.press("ArrowDown", "ArrowRight", shift=True)
        browser.press("1")
        selected = counts(browser)
        browser.press("u")
        assert counts(browser) == before and selected != before
        browser.choose("#filter", "decided")
        assert browser.run("document.getElementById('list-count').textContent") == "0 tiles"
        assert browser.problems() == []


def test_page_is_usable_by_keyboard_alone(page: Path, tmp_path: Path) -> None:
    with Browser(tmp_path / "profile", tmp_path) as browser:
        browser.open(page)
        browser.wait(SHOWN)
        reached = []
        for _ in range(40):
            browser.press("Tab")
            reached.append(browser.run("document.activeElement.id || document.activeElement.name || ''"))
        wanted = {"picture", "overview", "list", "yes", "no", "leave", "undo", "next", "filter", "order", "download",
                  "open", "theme", "scene", "brush"}  # fmt: skip
        assert wanted - {"undo"} <= set(reached), wanted - set(reached)
        browser.run("document.getElementById('yes').focus()")
        before = counts(browser)
        browser.press("Enter")
        assert counts(browser)[0] == before[0] + 1
        browser.press("Escape")
        assert browser.run("document.activeElement.id") == "picture"
        assert "landslide" in browser.run("document.getElementById('said').textContent")


@pytest.mark.parametrize(("width", "height", "dark"), [(1280, 900, False), (820, 1180, True), (390, 844, False)])
def test_page_is_legible_and_fits_the_window(page: Path, tmp_path: Path, width: int, height: int, dark: bool) -> None:
    with Browser(tmp_path / "profile", tmp_path, width, height, dark) as browser:
        browser.open(page)
        browser.wait(SHOWN)
        browser.press("1", "0")
        browser.click("summary")
        assert browser.run(LOOKS) == {"faint": [], "unnamed": [], "fits": True}
        ground = "getComputedStyle(document.body).backgroundColor"
        first = browser.run(ground)
        browser.click("#theme")
        assert browser.run(ground) != first
        assert browser.run(LOOKS)["faint"] == []
        assert browser.problems() == []


def test_a_folder_of_tiles_is_labelled_too_and_suggestions_come_first(page: Path, tmp_path: Path) -> None:
    with Browser(tmp_path / "profile", tmp_path) as browser:
        browser.open(page)
        browser.wait(SHOWN)
        browser.choose("#scene", "1")
        browser.wait(f"{SHOWN} === '3.png'")
        assert browser.run("document.getElementById('why').textContent") == "undecided: localizer 50%"
        browser.press("1", "0")
        table = read_table(download(browser, tmp_path, "crops_labels.csv"))
        assert table.labels == {"0.png": 0, "1.png": 255, "2.png": 255, "3.png": 1, "4.png": 255}
        browser.choose("#scene", "0")
        assert counts(browser)[0] > 1, "each scene has its own labels"
        assert browser.problems() == []


def test_the_picture_is_the_tile_north_up(tmp_path: Path) -> None:
    """Of a raster whose rows run north, what is drawn is turned over: the corner without data lies below."""
    from affine import Affine

    image = write_scene(tmp_path / "upside.tif", Affine(0.5, 0, 500000, 0, 0.5, 3400000), empty=32)
    make_label_page([PageScene(image)], tmp_path / "page", SMALL)
    with Browser(tmp_path / "profile", tmp_path) as browser:
        browser.open(tmp_path / "page" / PAGE)
        browser.wait(f"{SHOWN} === 'r0_c0'")
        browser.run("document.getElementById('scale').style.visibility = 'hidden'")
        browser.screenshot(tmp_path / "page.png")
        left, top, width, height = browser.box("#picture")
    from PIL import Image

    pixels = np.asarray(Image.open(tmp_path / "page.png").convert("RGB")).astype(int)
    side = min(width, height) / 2

    def at(x: float, y: float) -> list[int]:
        """The picture's colour at a place in the tile, 0 to 1 from its upper left."""
        return pixels[round(top + height / 2 + (y - 0.5) * side), round(left + width / 2 + (x - 0.5) * side)].tolist()

    assert at(0.25, 0.75) == [128, 128, 128], "no data, in the lower left"
    assert at(0.25, 0.25) != [128, 128, 128] and at(0.75, 0.75) != [128, 128, 128]


def test_label_changed_in_the_file_is_shown_again(tmp_path: Path) -> None:
    image = write_scene(tmp_path / "valley.tif")
    make_label_page([PageScene(image)], tmp_path / "page", SMALL)
    with Browser(tmp_path / "profile", tmp_path) as browser:
        browser.open(tmp_path / "page" / PAGE)
        browser.wait(SHOWN)
        names = []
        for key in ("1", "1", "0", " "):
            names.append(state(browser)["tile-name"])
            browser.press(key)
        assert counts(browser) == (2, 1, 59, 0)
    write_grid(image, SMALL, tmp_path / "grid.csv")
    there = read_table(tmp_path / "grid.csv")
    labels = dict(zip(names, (1, 0, 255, 1), strict=True))
    write_table(tmp_path / "grid.csv", there.identity, names, [labels[name] for name in names])
    make_label_page([PageScene(image, labels=tmp_path / "grid.csv")], tmp_path / "page", SMALL)
    for time in range(2):
        with Browser(tmp_path / "profile", tmp_path) as browser:
            browser.open(tmp_path / "page" / PAGE)
            browser.wait(SHOWN)
            # Both say landslide; they contradict each other; only the page has a label; it was left and the file knows.
            assert counts(browser) == (2 + time, 1, 59 - time, 1)
            assert state(browser)["tile-name"] == names[1]
            why = browser.run("document.getElementById('why').textContent")
            assert why == "labelled landslide here, and no landslide in grid.csv since"
            browser.press("ArrowRight", "1")
    with Browser(tmp_path / "profile", tmp_path) as browser:
        browser.open(tmp_path / "page" / PAGE)
        browser.wait(SHOWN)
        browser.press("0")
        assert counts(browser) == (4, 2, 56, 0)


def test_only_visible_tiles_are_in_the_page(tmp_path: Path) -> None:
    image = write_scene(tmp_path / "many.tif")
    (made,) = make_label_page([PageScene(image)], tmp_path / "page", SMALL.model_copy(update={"overlap": 0.89}))
    assert made.tiles > 900
    with Browser(tmp_path / "profile", tmp_path) as browser:
        browser.open(tmp_path / "page" / PAGE)
        browser.wait(SHOWN)
        thumbs = "document.querySelectorAll('.thumb').length"
        browser.wait(thumbs)
        assert browser.run(thumbs) < 60
        browser.run("document.getElementById('list').scrollTop = document.getElementById('list').scrollHeight")
        last = f"#list [data-number='{made.tiles - 1}']"
        browser.wait(f'document.querySelector("{last}")')
        assert browser.run(thumbs) < 60
        browser.click(last)
        browser.press("1")
        assert counts(browser)[0] == 1
        assert "End of the list" in browser.run("document.getElementById('said').textContent")
        assert browser.problems() == []


def test_message_if_the_browser_cannot_store_labels(page: Path, tmp_path: Path) -> None:
    with Browser(tmp_path / "profile", tmp_path) as browser:
        script = "Object.defineProperty(window, 'localStorage', {get() { throw new Error('denied'); }})"
        browser.send("Page.addScriptToEvaluateOnNewDocument", source=script)
        browser.open(page)
        browser.wait(SHOWN)
        assert "cannot store labels" in state(browser)["saved"]
        browser.press("1")
        assert counts(browser)[0] > 0 and browser.problems() == []
