"""The report in headless Chromium: no errors, layers and keys work, text is legible on desktop and phone."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

CHECKS = r"""
<script>
window.addEventListener("load", () => {
  const found = {};
  const map = () => document.querySelector(".map:not([hidden])");
  const box = () => map().querySelector("svg").getAttribute("viewBox");
  const layer = (name) => map().querySelector(`[data-layer="${name}"]`).getAttribute("display");
  const press = (key) => map().dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
  const set = (id, value) => {
    document.getElementById(id).value = value;
    document.getElementById(id).dispatchEvent(new Event("change"));
  };
  found.maps = document.querySelectorAll(".map:not([hidden])").length;
  found.truth = layer("truth");
  document.querySelector('[data-toggle="truth"]').click();
  found.truthOff = layer("truth");
  press("t");
  found.truthByKey = layer("truth");
  const slider = document.querySelector('[data-opacity="truth"]');
  slider.value = 40;
  slider.dispatchEvent(new Event("input"));
  found.opacity = map().querySelector('[data-layer="truth"]').getAttribute("opacity");
  const whole = box();
  for (let times = 0; times < 3; times += 1) press("+");
  found.zoomed = box() !== whole;
  const before = box();
  press("ArrowRight");
  found.moved = box() !== before;
  press("0");
  found.back = box() === whole;
  set("scene", "alder");
  found.scene = map().dataset.scene;
  const show = document.querySelector("[data-show]");
  show.click();
  found.shown = map().dataset.scene === show.dataset.show;
  set("filter-group", "worst");
  found.worst = [...document.querySelectorAll(".tile:not([hidden])")].every((tile) => tile.dataset.group === "worst");
  set("filter-group", "");
  const alarms = () => [...document.querySelectorAll(".tile")].map((tile) => tile.dataset.group === "false-alarm");
  const last = (flags) => flags.includes(true) && flags.indexOf(true) === flags.length - flags.filter(Boolean).length;
  found.alarmsLast = last(alarms());
  set("filter-order", "best");
  found.alarmsLastOfBest = last(alarms());
  const shown = [...document.querySelectorAll(".tile:not([data-group=false-alarm]) .score")];
  const scores = shown.map((one) => Number(one.textContent));
  found.bestFirst = scores.every((score, index) => !index || score <= scores[index - 1]);
  // Where the pointer is: the middle of the map, in metres, and in degrees to a decimetre.
  const point = () => {
    const {left, top, width, height} = map().getBoundingClientRect();
    const at = {clientX: left + width / 2, clientY: top + height / 2, bubbles: true};
    map().dispatchEvent(new PointerEvent("pointermove", at));
    return document.getElementById("place").textContent;
  };
  found.metres = /^E \d+\.\d +N \d+\.\d$/.test(point());
  map().dataset.geographic = "";
  map().dataset.transform = "[0.00001, 0, 104.5, 0, -0.00001, 31.25]";
  found.degrees = /^Lon 104\.50\d{4}°  Lat 31\.24\d{4}°$/.test(point());
  // Contrast of text, WCAG 2: 4.5 to 1 at least.
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
  const contrast = () => {
    const texts = "p, dt, dd, th, td, h1, h2, h3, a, label, summary, code, button, li, kbd, small, span, pre";
    const skipped = ".absent, .wheel-hint, .stage";
    let worst = 21;
    for (const one of document.querySelectorAll(texts)) {
      if (!one.textContent.trim() || one.closest(skipped) || !one.getClientRects().length) continue;
      const pair = [light(colour(getComputedStyle(one).color)), light(ground(one))].sort((a, b) => b - a);
      worst = Math.min(worst, (pair[0] + 0.05) / (pair[1] + 0.05));
    }
    return worst >= 4.5;
  };
  found.contrast = contrast();
  const dark = getComputedStyle(document.body).backgroundColor;
  document.getElementById("theme").click();
  found.theme = getComputedStyle(document.body).backgroundColor !== dark;
  found.contrastOfTheOther = contrast();
  found.images = [...document.images].every((image) => image.complete && image.naturalWidth > 0);
  found.fits = document.documentElement.scrollWidth <= innerWidth;
  // Whatever can be operated can be reached and has a name.
  const operated = "a[href], button, input, select, summary, [tabindex]";
  const labels = (one) => [...(one.labels || [])].map((label) => label.textContent).join("");
  const name = (one) => one.getAttribute("aria-label") || one.textContent.trim() || labels(one);
  found.unnamed = [...document.querySelectorAll(operated)].filter((one) => !name(one).trim()).length;
  document.querySelector("summary").click();
  found.opened = document.querySelector("details[open]") !== null;
  found.headings = [...document.querySelectorAll("h1, h2, h3")].every(
    (one, index, all) => !index || Number(one.tagName[1]) <= Number(all[index - 1].tagName[1]) + 1,
  );
  const told = JSON.stringify(found);
  document.title = told;
  parent.postMessage(told, "*");
});
</script>
"""


# Chromium's windows are no narrower than 500 px; a frame is as narrow as a phone.
FRAME = """
<html><head><title></title></head><body style="margin:0">
<script>addEventListener("message", (event) => { document.title = event.data; });</script>
<iframe src="page.html" width="WIDTH" height="844" style="border:0"></iframe></body></html>
"""

EXPECTED = {
    "maps": 1, "truth": None, "truthOff": "none", "truthByKey": None, "opacity": "0.4", "zoomed": True, "moved": True,
    "back": True, "scene": "alder", "shown": True, "worst": True, "alarmsLast": True,
    "alarmsLastOfBest": True, "bestFirst": True, "metres": True, "degrees": True,
    "theme": True, "images": True, "fits": True,
    "contrast": True, "contrastOfTheOther": True, "unnamed": 0, "opened": True, "headings": True,
}  # fmt: skip


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open the report in (apt-get install chromium)")
@pytest.mark.parametrize("width", [1280, 390])
def test_the_report_works_in_a_browser(report_page: Path, tmp_path: Path, width: int) -> None:
    page = tmp_path / "page.html"
    page.write_text(report_page.read_text().replace("</body>", CHECKS + "</body>"))
    if width < 500:
        (tmp_path / "frame.html").write_text(FRAME.replace("WIDTH", str(width)))
        page = tmp_path / "frame.html"
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900", "--enable-logging=stderr",
        "--virtual-time-budget=3000", "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr
    title = re.search(r"<title>(.*?)</title>", done.stdout).group(1)
    assert json.loads(html.unescape(title)) == EXPECTED
