"""Put the report together: one HTML file without anything outside it, and the figures next to it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from apsam.config import parse_config
from apsam.files import atomic_path
from apsam.protocol import HELD_OUT
from apsam.report import provenance
from apsam.report.colours import LAYER_COLOURS, PALETTE
from apsam.report.experiments import read_experiments
from apsam.report.facts import describe_dataset, describe_labels, describe_methods, headline
from apsam.report.figures import write_figures
from apsam.report.gallery import make_gallery
from apsam.report.inputs import Notes, load_json, scene_files
from apsam.report.layers import LAYERS
from apsam.report.mosaic import OUTLINE_TRANSFORM
from apsam.report.scene_maps import scene_maps
from apsam.report.settings import ReportSettings
from apsam.report.sizes import area_frequency_chart
from apsam.report.suggestions import suggestion_lists
from apsam.report.tables import (
    DEFINITIONS,
    PROTOCOLS,
    TRAINING_ONLY,
    metrics_table,
    objects_table,
    rows_of,
    scene_table,
    size_class_table,
    training_only,
)
from apsam.report.times import Recipe, elapsed, recipes_of, stage_times
from apsam.report.training import read_training
from apsam.report.views import tile_views
from apsam.scenes import Scene

# Of the page's size; maps take theirs (`apsam.report.scene_maps`).
GALLERY_SHARE, EXPERIMENTS_SHARE, SUGGESTIONS_SHARE = 0.22, 0.1, 0.05

# Title of a note of `read_training`: of a file that no run without held-out tiles has.
LOCALIZER_ACCURACY = "accuracy of the localizer"


def make_report(
    run: Path,
    scenes: Sequence[Scene],
    config: Mapping[str, Any],
    output: Path,
    settings: ReportSettings | None = None,
    name: str | None = None,
    recipes: Sequence[Recipe] | None = None,
) -> None:
    """Write the report of a run: `index.html`, next to it `config.yaml` and `figures/`.

    Whatever a run lacks is named in the report and left out; nothing stops it but a run without any tile stack.

    Args:
        run: `results/<run>`, or a folder of links to files of the store under the same names.
        scenes: The scene sheet.
        config: The whole configuration, checked.
        output: The page.
        settings: Sizes and how much is shown.
        name: Name of the run; by default that of its folder.
        recipes: What made its files, and how long that took; by default as found next to them.

    Raises:
        ConfigError: The configuration is not one.
        InputError: The run contains nothing that could be shown.
    """
    checked = parse_config(config)
    settings = settings or checked.report
    notes = Notes()
    files = scene_files(run, scenes, checked.maps)
    dataset = describe_dataset(files, notes)
    maps = scene_maps(files, settings, notes)
    gallery = make_gallery(files, settings, notes)
    views = tile_views(gallery, int(settings.max_mb * 1e6 * GALLERY_SHARE))
    training = read_training(run, notes)
    experiments = read_experiments(run, int(settings.max_mb * 1e6 * EXPERIMENTS_SHARE), notes)
    suggestions = suggestion_lists(run, files, int(settings.max_mb * 1e6 * SUGGESTIONS_SHARE), notes)
    metrics = {
        name: load_json(run / f"metrics/{name}.json", title, notes)
        for name, title in (("pseudo_masks", "figures of the pseudo-masks"), ("resunet", "figures of the ResUNet"))
    }
    # Not in runs of early versions, and of landslides only where there are rasters.
    checks, objects = (
        load_json(file, what, notes) if file.is_file() else None
        for file, what in (
            (run / "metrics/checks.json", "checks of the maps"),
            (run / "metrics/objects.json", "figures of single landslides"),
        )
    )
    plain = checked.model_dump(mode="json")
    with atomic_path(output.parent / "config.yaml") as partial:
        partial.write_text(provenance.as_yaml(plain), encoding="utf-8")
    figures = write_figures(gallery, training, output.parent / "figures") if settings.figures else []
    name = name or run.name
    jobs = recipes_of(run) if recipes is None else recipes
    times = stage_times(jobs)
    if not times:
        notes.add("times of the stages", f"{run}: no file of it has a recipe")
    page = (
        _environment()
        .get_template("index.html.j2")
        .render(
            run=name,
            notes=[note for note in notes.all() if dataset.test[0] or note.what != LOCALIZER_ACCURACY],
            dataset=dataset,
            labels=describe_labels(gallery.covers),
            suggestions=suggestions,
            experiments=experiments,
            experiment_protocols=sorted({(one.protocol, one.meaning) for one in experiments}),
            again=provenance.again(name),
            headline=headline(metrics),
            no_headline=_no_headline(metrics),
            warnings=[text for file in (checks, metrics["resunet"]) for text in (file or {}).get("warnings", [])],
            methods=describe_methods(checked),
            protocols=_protocols(metrics),
            maps=maps,
            layers=[layer for layer in LAYERS if any(layer.key in one.content for one in maps)],
            outline_transform=OUTLINE_TRANSFORM,
            views=views,
            gallery=gallery,
            columns=gallery.columns,
            tables=_tables(metrics),
            objects=objects_table(objects) if objects else None,
            size_classes=size_class_table(objects) if objects else None,
            sizes=area_frequency_chart(objects) if objects else None,
            definitions=DEFINITIONS,
            training=training,
            figures=figures,
            times=times,
            total_seconds=sum(time.seconds for time in times),
            elapsed=elapsed(jobs, os.cpu_count() or 1) if times else None,
            config_yaml=provenance.as_yaml(plain),
            versions=provenance.versions(),
            hashes=provenance.hashes(run, files),
            commands=provenance.commands(name),
            made_on=provenance.made_on(),
            colours=LAYER_COLOURS,
            palette=PALETTE,
            style=_static("report.css"),
            script=_static("theme.js") + _static("map.js") + _static("gallery.js"),
        )
    )
    with atomic_path(output) as partial:
        partial.write_text(page, encoding="utf-8")


def _tables(metrics: Mapping[str, dict[str, Any] | None]) -> list[Any]:
    tables = []
    if metrics["resunet"] and rows_of(metrics["resunet"]):
        what = "Maps of the ResUNet against the reference masks; a pixel of a scene counts once, all scenes together."
        tables.append(("ResUNet", "Trained on masks of", what, metrics["resunet"]))
    if metrics["pseudo_masks"] and rows_of(metrics["pseudo_masks"]):
        what = (
            "Pseudo-masks of all tiles, negative ones too, against the reference masks; a pixel counts in every tile."
        )
        tables.append(("Pseudo-masks", "Made by", what, metrics["pseudo_masks"]))
    return [
        (metrics_table(title, first, what, file), scene_table(title, first, file))
        for title, first, what, file in tables
    ]


def _no_headline(metrics: Mapping[str, dict[str, Any] | None]) -> str:
    """Say why there are no figures of held-out tiles."""
    measured = [one for one in metrics.values() if rows_of(one)]
    if not measured:
        return "Nothing was measured in this run: there are no figures of held-out tiles."
    if all(map(training_only, measured)):
        return TRAINING_ONLY
    return (
        "The figures of held-out tiles are undefined: there is no landslide in the reference masks, nor in the maps "
        "shown here."
    )


def _protocols(metrics: Mapping[str, dict[str, Any] | None]) -> list[tuple[str, str]]:
    measured = [m for m in metrics.values() if m and rows_of(m) and "protocol" in m]
    names = sorted({m["protocol"] for m in measured if m["protocol"] != HELD_OUT or not training_only(m)})
    return [(name, PROTOCOLS.get(name, "")) for name in names]


def _static(name: str) -> Markup:
    return Markup((package_files("apsam.report") / "static" / name).read_text(encoding="utf-8"))


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("apsam.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = _duration
    environment.filters["thousands"] = lambda value: f"{value:,}"
    return environment


def _duration(seconds: float) -> str:
    """`4 min 10 s`, `1 h 2 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
