"""Snakemake and DVC on the same files: neither passes results of other settings off as current.

The three ways in which the obvious combination does (`outs` persisted, Snakemake's memory left behind) are tests here:
after a changed setting with a linking cache, after a checkout with a hand edit, and in a clone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from small_project import ROOT, Project

pytestmark = pytest.mark.slow

IDENTITY = {f"GIT_{who}_{what}": "apsam@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
PROMPTS = "results/small/prompts"


class VersionedProject(Project):
    """A finished run in git and DVC."""

    def git(self, *arguments: str) -> str:
        """Run git here."""
        return self.run("git", *arguments, **IDENTITY)

    def dvc(self, *arguments: str) -> str:
        """Run DVC here."""
        return self.run("dvc", *arguments, **IDENTITY)

    def record(self, message: str) -> None:
        """Commit everything that git keeps."""
        self.git("add", "-A")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)

    def thresholds(self) -> set[int]:
        """The thresholds that the prompts on disk were made with."""
        files = sorted((self.folder / PROMPTS).glob("*.json"))
        assert len(files) == 3
        return {json.loads(file.read_text())["settings"]["threshold"] for file in files}


@pytest.fixture
def versioned(copy_of_finished: Callable[[str], Project]) -> Callable[[str], VersionedProject]:
    """Makes finished runs whose DVC cache is of a kind: copy, hardlink, symlink."""

    def make(cache: str) -> VersionedProject:
        project = VersionedProject(copy_of_finished(f"versioned-{cache}").folder)
        project.git("init", "--quiet")
        project.dvc("config", "cache.type", cache)
        project.dvc("commit", "--force", "--quiet")
        project.dvc("checkout", "--relink", "--quiet")
        project.record("threshold 120")
        return project

    return make


@pytest.mark.parametrize("cache", ["hardlink", "symlink"])
def test_a_changed_setting_and_back_again(versioned: Callable[[str], VersionedProject], cache: str) -> None:
    project = versioned(cache)
    assert "up to date" in project.dvc("status")
    assert project.plan() == {}, "linking changes dates, not content"

    project.configure("prompts", threshold=90)
    project.dvc("repro", "prompts")
    assert project.thresholds() == {90}
    project.record("threshold 90")

    project.git("checkout", "--quiet", "HEAD~1")
    project.dvc("checkout", "--quiet")
    assert project.thresholds() == {120}
    assert project.plan() == {}, "what is checked out belongs together"

    project.configure("prompts", threshold=90)
    assert project.plan()["prompts"] == 3, "Snakemake's own memory still says 90, the files do not"
    project.snakemake("all_prompts")
    assert project.thresholds() == {90}
    project.git("checkout", "--quiet", "config.yaml")
    assert "restor" in (printed := project.dvc("repro", "prompts")) or "cached" in printed, "nothing is computed twice"
    assert project.thresholds() == {120}


def test_a_clone_pulls_everything_and_knows_what_made_it(
    versioned: Callable[[str], VersionedProject], tmp_path: Path
) -> None:
    project = versioned("copy")
    project.dvc("remote", "add", "--default", "store", str(tmp_path / "store"))
    project.record("a remote")
    project.dvc("push", "--quiet")
    project.git("clone", "--quiet", str(project.folder), str(tmp_path / "clone"))
    clone = VersionedProject(tmp_path / "clone")
    clone.dvc("pull", "--quiet")
    assert clone.plan() == {}
    clone.configure("tiles", overlap=0.3)
    assert clone.plan()["tile"] == 3, "a changed setting of the first stage is seen without any history"


def test_every_rule_belongs_to_a_stage() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    allowed = {word for stage in stages.values() for word in stage["cmd"].split(" -- ")[0].split()}
    rules = {
        line.split()[1].rstrip(":")
        for file in (ROOT / "rules").glob("*.smk")
        if file.stem not in ("experiments", "table1")  # tables over a run, asked for by name; no stage waits for them
        for line in file.read_text().splitlines()
        if line.startswith("rule ")
    }
    assert rules <= allowed
    for stage in stages.values():
        for dependency in stage["deps"]:
            assert dependency.startswith(("results/", "$")) or (ROOT / dependency).exists(), dependency
        assert not any(isinstance(out, dict) and out.get("persist") for out in stage.get("outs", []))
