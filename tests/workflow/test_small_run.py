"""The default pipeline with small settings, from the start to the report, and its outputs for users."""

from __future__ import annotations

import json
import re
import resource
import shutil
import zipfile
from pathlib import Path

import pytest
from small_project import ROOT, Project, copy_project

pytestmark = pytest.mark.slow

SCENES = ("north", "south", "west")
MAPS = ("_probability.tif", "_mask.tif", "_image.tif", ".gpkg", ".qgs", ".stac.json", "_probability.qml", "_mask.qml")


def test_every_stage_makes_its_outputs(finished: Project) -> None:
    results = finished.folder / "results/small"
    expected = [
        *(f"tiles/{scene}.zarr.zip" for scene in SCENES),
        "localizer/weights.safetensors",
        *(f"cams/{scene}.zarr.zip" for scene in SCENES),
        *(f"prompts/{scene}.{kind}" for scene in SCENES for kind in ("json", "geojson")),
        *(f"embeddings/{scene}.zarr.zip" for scene in SCENES),
        *(f"masks/{source}/{scene}.zarr.zip" for source in ("apsam", "cam", "grabcut") for scene in SCENES),
        *(f"resunet/{source}/weights.safetensors" for source in ("apsam", "cam")),
        *(f"maps/{source}/west{end}" for source in ("apsam", "cam") for end in MAPS),
        "metrics/localizer.json",
        "metrics/pseudo_masks.json",
        "metrics/resunet.json",
        "metrics/summary.json",
        "metrics/checks.json",
        "metrics/objects.json",
        "report/index.html",
        *(f"report/figures/{name}.png" for name in ("tiles", "localizer_loss", "resunet_loss")),
    ]
    missing = [name for name in expected if not (results / name).is_file()]
    assert not missing
    assert not list(results.parent.rglob(".partial-*")), "no half file is left"


def test_the_public_functions_use_the_run(finished: Project, tmp_path: Path) -> None:
    import apsam
    from apsam.ground.gate import GroundGate
    from apsam.prompts.files import read_prompts
    from apsam.stack import TileStack

    run = finished.folder / "results/small"
    stacks = [run / f"{stage}/north.zarr.zip" for stage in ("tiles", "masks/apsam")]
    with GroundGate(stacks[0], run / "ground/north.tif") as gate:
        # A tile whose ground no other tile excludes: the functions know nothing of other tiles.
        found = next(one for one in read_prompts(run / "prompts/north.json").tiles if gate.of([one.tile]).all())
    with TileStack(stacks[0]) as tiles, TileStack(stacks[1]) as masks:
        image = tiles.read_at("image", [found.tile])[0].transpose(1, 2, 0)
        expected = masks.read_at("mask", [found.tile])[0] == 1

    model = apsam.load(run)
    prompts = apsam.generate_prompts(model.cam(image), threshold=120)
    assert prompts == list(found.sets[0].prompts)
    assert (model.segment(image, prompts) != expected).mean() < 1e-3
    result = model.predict(run / "scenes/west.tif", tmp_path)
    assert result.mask.read_bytes() == (run / "maps/apsam/west_mask.tif").read_bytes()
    assert len(result.polygons) == result.landslides


def test_figures_are_counts(finished: Project) -> None:
    for name in ("pseudo_masks", "resunet"):
        figures = json.loads((finished.folder / f"results/small/metrics/{name}.json").read_text())
        assert figures["protocol"] == "held_out"
        assert {row["source"] for row in figures["rows"]} >= {"apsam", "cam"}
        assert all(isinstance(row[count], int) for row in figures["rows"] for count in ("tp", "fp", "fn", "tn"))


def test_every_job_has_a_quiet_log_and_a_recipe(finished: Project) -> None:
    texts = [file for file in (finished.folder / "logs").rglob("*.log") if file.parent.name != "view"]
    assert len(texts) == len(list((finished.folder / "results/store").rglob("recipe.json")))
    for file in texts:
        lines = file.read_text().splitlines()
        assert len(lines) <= 60, f"{file} has {len(lines)} lines"
        assert not any("Warning" in line for line in lines), file.read_text()


def test_no_private_name_of_snakemake_is_used() -> None:
    """Only documented names: `workflow.basedir`, `workflow.cores`, and the module `snakemake.utils`."""
    sources = [
        file for folder in ("rules", "workflow_support", "scripts", "apsam") for file in (ROOT / folder).rglob("*")
    ]
    for file in [ROOT / "Snakefile", *(f for f in sources if f.suffix in (".py", ".smk"))]:
        text = file.read_text()
        assert set(re.findall(r"\bworkflow\.(?!rst)(\w+)", text)) <= {"basedir", "cores"}, file
        assert set(re.findall(r"(?:from|import) (snakemake\S*)", text)) <= {"snakemake.utils"}, file
        assert set(re.findall(r"\.snakemake/\w+", text)) <= {".snakemake/apsam_memory"}, file


def test_apsam_predict_maps_a_scene_with_the_run(finished: Project, tmp_path: Path) -> None:
    scene = finished.folder / "results/small/scenes/west.tif"
    finished.run("apsam", "predict", str(scene), "-o", str(tmp_path), "--run", "results/small")
    made = {file.name for file in tmp_path.iterdir()}
    assert made == {f"west{end}" for end in MAPS}
    by_workflow = finished.folder / "results/small/maps/apsam/west_mask.tif"
    assert (tmp_path / "west_mask.tif").read_bytes() == by_workflow.read_bytes()


def test_suggestions_are_made_of_what_the_run_has(project: Project) -> None:
    project.configure("report", suggestions="all")
    assert project.plan("--", "all_suggestions") == {"localizer_scores": 3, "map_scores": 2, "suggestions": 1}
    project.snakemake("--", "all_suggestions")
    found = json.loads((project.folder / "results/small/suggestions/suggestions.json").read_text())["suggestions"]
    assert {entry["scene"] for entry in found} == set(SCENES) and {entry["kind"] for entry in found} == {"check"}
    assert all("localizer" in entry["why"] and "map" in entry["why"] for entry in found)
    assert project.plan("--", "all_reports") == {"report": 1}


def test_snakemakes_own_report_has_the_results_and_needs_no_network(finished: Project, tmp_path: Path) -> None:
    nowhere = {name: "http://127.0.0.1:9" for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")}
    finished.run("snakemake", "--cores", "1", "--report", str(tmp_path / "report.zip"), **nowhere)
    with zipfile.ZipFile(tmp_path / "report.zip") as archive:
        names = {Path(name).name for name in archive.namelist()}
        page = archive.read("report/report.html").decode()
    assert names >= {"index.html", "tiles.png", "pseudo_masks.json", "resunet.json", "west.gpkg"}
    assert "Metrics" in page and "Maps" in page and "in the layout of the paper" in page


def test_end_of_run_prints_the_paths_of_results(finished: Project) -> None:
    told = finished.printed.split("jobs made now")[-1]
    assert "results/small/report/index.html" in told and "results/small/maps/apsam/west.qgs" in told


def test_lint_is_clean(finished: Project) -> None:
    assert "good condition" in finished.snakemake("--lint")


def test_a_dry_run_is_quick_and_loads_no_torch(finished: Project) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    finished.snakemake("--dry-run")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert seconds < 6, "3 s on a machine that does nothing else"
    printed = finished.run("snakemake", "--dry-run", PYTHONPROFILEIMPORTTIME="1")
    loaded = {line.rsplit("|", 1)[-1].strip() for line in printed.splitlines() if line.startswith("import time:")}
    assert "apsam.config" in loaded
    assert not loaded & {"torch", "rasterio", "cv2", "zarr", "geopandas", "lightning", "timm"}


def test_snakemakes_own_report(finished: Project, tmp_path: Path) -> None:
    finished.snakemake("--report", str(tmp_path / "report.html"))
    text = (tmp_path / "report.html").read_text()
    assert "pseudo_masks.json" in text


def test_a_failing_stage_names_scene_file_and_remedy(finished: Project, tmp_path: Path) -> None:
    project = Project(tmp_path / "broken")
    shutil.copytree(finished.folder, project.folder)
    (cams,) = (project.folder / "results/store/cams").glob("south.*/south.zarr.zip")
    cams.write_bytes(b"not a stack")
    project.configure("cam_masks", threshold=90)
    printed = project.snakemake("--", "results/small/masks/cam/south.zarr.zip", check=False)
    log = printed.split("Logfile")[1]
    assert f"error: {cams.relative_to(project.folder)}: not a tile stack" in log
    assert "remove it and run again" in log
    assert "Traceback" not in log


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ("prompts: {treshold: 90}", "unknown key 'prompts.treshold'; did you mean 'threshold'?"),
        ("tiles: {overlap: 2}", "'tiles.overlap'"),
        ("scenes: none.tsv", "none.tsv: no such scene sheet"),
    ],
)
def test_wrong_configuration_stops_before_any_job(tmp_path: Path, overlay: str, message: str) -> None:
    project = Project(ROOT)
    (tmp_path / "wrong.yaml").write_text(overlay)
    printed = project.snakemake("--dry-run", "--configfile", str(tmp_path / "wrong.yaml"), check=False)
    assert message in printed
    assert "Traceback" not in printed
    assert "Job stats" not in printed


def test_missing_raster_stops_before_any_job(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    (project.folder / "config/small_scenes.tsv").write_text(
        "scene\timage\tlabels\tmask\tsplit\nvalley\tvalley.tif\tmask\tvalley_mask.tif\ttrain\n"
    )
    printed = project.snakemake("--dry-run", check=False)
    assert "valley.tif: no such file" in printed
    assert "Job stats" not in printed
