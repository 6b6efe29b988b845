"""What earlier settings made comes back with them: real Snakemake on a workflow of three rules that takes no time."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from small_project import ROOT, Project
from typer.testing import CliRunner

from apsam.cli import app
from apsam.shelf import Shelf

pytestmark = pytest.mark.slow

RESULTS = "results/toy"
SNAKEFILE = """
configfile: "config.yaml"
from snakemake_interface_executor_plugins.settings import ExecMode
from workflow_support.plan import Plan
from workflow_support.records import restore_records, store_records

plan = Plan("results/toy", config["shelf_gb"] * 1e9)
if workflow.exec_mode == ExecMode.DEFAULT:
    restore_records("results/toy")
    plan.attach(workflow)

onsuccess:
    store_records("results/toy", plan.parameters())
    plan.tidy()

onerror:
    store_records("results/toy", plan.parameters())
    plan.tidy()

NOTE = "echo {rule} >> ran.txt; if [ -e kill ]; then rm kill; kill -9 $PPID; sleep 1; exit 1; fi; "

rule all:
    input: "results/toy/variants/a=1/sum/sum.txt"
rule tile:
    input: "raw/{name}.txt"
    output: "results/toy/tiles/{name}.txt"
    params: size=config["size"]
    shell: NOTE + "sed s/^/{params.size}/ {input} > {output}"
rule prompts:
    input: "results/toy/tiles/{name}.txt"
    output: text="results/toy/prompts/{name}.txt", extra="results/toy/prompts/{name}.extra"
    params: settings=config["settings"]
    shell: NOTE + "cat {input} > {output.text}; echo '{params.settings}' >> {output.text}; touch {output.extra}"
rule sum:
    input: expand("results/toy/prompts/{name}.txt", name=["x", "y"])
    output: "results/toy/variants/a=1/sum/sum.txt"
    params: epochs=config["epochs"]
    shell: NOTE + "cat {input} > {output}; echo {params.epochs} >> {output}"
"""


class Toy(Project):
    """The workflow of three rules, with the scenes x and y."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        if folder.exists():
            return
        (folder / "raw").mkdir(parents=True)
        for name in ("x", "y"):
            (folder / "raw" / f"{name}.txt").write_text(f"{name}\n")
        (folder / "Snakefile").write_text(SNAKEFILE)
        self.set(threshold=120)

    def set(self, threshold: int, size: int = 1, epochs: int = 1, shelf_gb: float = 1) -> None:
        """Write the configuration."""
        settings = json.dumps({"threshold": threshold})
        values = {"settings": settings, "size": size, "epochs": epochs, "shelf_gb": shelf_gb}
        (self.folder / "config.yaml").write_text(json.dumps(values))

    def run_jobs(self, *arguments: str, check: bool = True) -> dict[str, int]:
        """Run Snakemake; returns how many jobs of each rule ran."""
        (self.folder / "ran.txt").unlink(missing_ok=True)
        profile = ("--workflow-profile", str(ROOT / "profiles/default"))
        self.printed = self.run("snakemake", "-c1", *profile, *arguments, check=check, PYTHONPATH=str(ROOT))
        ran = (self.folder / "ran.txt").read_text().split() if (self.folder / "ran.txt").exists() else []
        return {rule: ran.count(rule) for rule in dict.fromkeys(ran)}

    def planned(self, *arguments: str) -> dict[str, int]:
        """What a dry run says, which must not touch anything."""
        before = self.state()
        assert self.run_jobs("--dry-run", *arguments) == {}
        assert self.state() == before
        table = self.printed.split("Job stats:")[1].split("total")[0] if "Job stats:" in self.printed else ""
        counts = re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)
        return {rule: int(count) for rule, count in counts if rule != "all"}

    def state(self) -> dict[str, tuple[int, int, bytes]]:
        """Every file of the run: inode, date, content."""
        files = [file for file in (self.folder / RESULTS).rglob("*") if file.is_file()]
        return {str(file): (file.stat().st_ino, file.stat().st_mtime_ns, file.read_bytes()) for file in files}

    def sum(self) -> str:
        """What the last rule made, in one line."""
        return " ".join((self.folder / RESULTS / "variants/a=1/sum/sum.txt").read_text().split())

    def file(self, name: str) -> Path:
        """A file of the run."""
        return self.folder / RESULTS / name


@pytest.fixture(scope="module")
def run_twice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workflow run with 120, then with 90."""
    toy = Toy(tmp_path_factory.mktemp("shelf") / "toy")
    assert toy.run_jobs() == {"tile": 2, "prompts": 2, "sum": 1}
    toy.set(threshold=90)
    assert toy.planned() == toy.run_jobs() == {"prompts": 2, "sum": 1}
    return toy.folder


@pytest.fixture
def toy(run_twice: Path, tmp_path: Path) -> Toy:
    """A copy of it, hard links and dates as they are."""
    subprocess.run(["cp", "-a", run_twice, tmp_path / "toy"], check=True)
    return Toy(tmp_path / "toy")


def test_going_back_runs_nothing_and_stores_nothing_twice(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(toy.folder)
    ninety = toy.sum()
    toy.set(threshold=120)
    assert toy.planned() == {} and "Would restore 5 files" in toy.printed
    assert toy.run_jobs() == {} and "Nothing to be done" in toy.printed
    assert '"threshold": 120' in toy.sum() and toy.planned() == {}

    shelf = Shelf(RESULTS)
    assert sorted(version.rule for version in shelf.versions() if version.own_bytes) == ["prompts", "prompts", "sum"]
    listed = CliRunner().invoke(app, ["shelf", "list"], env={"COLUMNS": "160"}).output
    assert "settings.threshold: 90" in listed and "120" not in listed
    shown = CliRunner().invoke(app, ["provenance", f"{RESULTS}/prompts/x.txt", "--upstream", "--json"]).output
    tile, prompts = json.loads(shown)
    assert (tile["rule"], prompts["rule"]) == ("tile", "prompts")
    assert prompts["state"] == "as made" and prompts["parameters"] == {"settings": {"threshold": 120}}
    assert prompts["inputs"] == {tile["file"]: tile["sha256"]} and prompts["packages"]["numpy"]
    assert "cat results/toy/tiles/x.txt" in prompts["command"]

    toy.set(threshold=90, size=2)
    assert toy.planned() == toy.run_jobs() == {"tile": 2, "prompts": 2, "sum": 1}, "other inputs"
    toy.set(threshold=90)
    assert toy.run_jobs() == {} and toy.sum() == ninety
    assert "removed" in CliRunner().invoke(app, ["shelf", "clear", RESULTS]).output
    toy.set(threshold=120)
    assert toy.run_jobs() == {"prompts": 2, "sum": 1}
    toy.set(threshold=90, shelf_gb=0)
    assert toy.run_jobs() == {"prompts": 2, "sum": 1} and not shelf.folder.exists()


def test_content_decides_where_dates_lie(toy: Toy) -> None:
    toy.set(threshold=120)
    prompts = [f"{RESULTS}/prompts/{name}.txt" for name in ("x", "y")]
    assert toy.run_jobs(*prompts) == {}, "the prompts of 120 are back, with dates older than those of the sum"
    shutil.rmtree(toy.file(".shelf"))
    assert toy.planned() == {"sum": 1} and "Updated input files" in toy.printed
    assert toy.run_jobs() == {"sum": 1} and '"threshold": 120' in toy.sum()
    for number, file in enumerate([toy.file("tiles/x.txt"), *(toy.folder / name for name in prompts)]):
        os.utime(file, (2e9 - number, 2e9 - number))
    assert toy.planned() == {}


def test_nothing_is_lost_when_snakemake_is_killed(toy: Toy) -> None:
    old = toy.sum()
    toy.set(threshold=60)
    (toy.folder / "kill").touch()
    toy.run_jobs(check=False)
    assert not (toy.folder / "kill").exists(), "killed in the first job, which had removed its outputs"
    toy.run_jobs("--unlock")
    toy.set(threshold=90)
    assert toy.planned() == toy.run_jobs() == {} and toy.sum() == old and toy.file("prompts/x.extra").exists()

    # Stopped while files came back: after the description, and after the files.
    toy.set(threshold=120)
    noted = toy.file(".provenance/prompts.json")
    metadata = toy.folder / ".snakemake/metadata"
    shutil.copytree(metadata, toy.folder / "metadata_90")
    toy.run_jobs()
    shutil.copy(noted, toy.folder / "noted_120")
    toy.set(threshold=90)
    toy.run_jobs()
    shutil.copy(toy.folder / "noted_120", noted)
    toy.set(threshold=120)
    assert toy.run_jobs() == {} and '"threshold": 120' in toy.sum()
    shutil.rmtree(metadata)
    shutil.move(toy.folder / "metadata_90", metadata)
    assert toy.planned() == {}


def test_what_somebody_removed_is_made_again_what_was_edited_is_kept(toy: Toy) -> None:
    for name in ("x.txt", "x.extra"):
        toy.file(f"prompts/{name}").unlink()
    assert toy.run_jobs(f"{RESULTS}/prompts/x.txt") == {"prompts": 1}
    # DVC removes what a stage makes, with the note of it, before it runs the stage.
    shutil.rmtree(toy.file("prompts"))
    toy.file(".provenance/prompts.json").unlink()
    assert toy.run_jobs(f"{RESULTS}/prompts/x.txt") == {} and toy.file("prompts/x.extra").exists()

    toy.run_jobs("--forcerun", "prompts")
    edited = toy.file("prompts/y.txt")
    edited.unlink()
    edited.write_text("by hand\n")
    assert toy.run_jobs() == {"sum": 1} and "by hand" in toy.sum()
    assert toy.planned() == {} and "not what their jobs made" in toy.printed
    toy.set(threshold=120)
    assert toy.run_jobs() == {}
    kept = [version for version in Shelf(toy.file("")).versions() if version.key.startswith("changed-")]
    assert [version.path("prompts/y.txt").read_text() for version in kept] == ["by hand\n"]
    toy.set(threshold=90)
    assert toy.run_jobs() == {} and "by hand" not in toy.sum()


def test_an_active_run_keeps_its_files(toy: Toy) -> None:
    locks = toy.folder / ".snakemake/locks"
    locks.mkdir(exist_ok=True)
    (locks / "0.input.lock").write_text(f"{RESULTS}/prompts/x.txt\n")
    toy.set(threshold=120)
    before = toy.state()
    assert toy.run_jobs(check=False) == {} and "cannot be locked" in toy.printed
    assert toy.state() == before
    assert toy.planned() == {}


def test_links_into_a_cache_are_kept_as_links_and_never_written_through(toy: Toy) -> None:
    cache = toy.folder / "cache"
    cache.mkdir()
    for number, file in enumerate(sorted((toy.folder / RESULTS).rglob("prompts/*"))):
        if ".shelf" not in file.parts:
            shutil.move(file, cache / str(number))
            file.symlink_to(cache / str(number))
    contents = {file.name: file.read_bytes() for file in cache.iterdir()}
    assert toy.planned() == {}
    toy.set(threshold=60)
    toy.run_jobs()
    assert not toy.file("prompts/x.txt").is_symlink()
    toy.set(threshold=90)
    assert toy.run_jobs() == {}
    assert {file.name: file.read_bytes() for file in cache.iterdir()} == contents
