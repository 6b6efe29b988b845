"""Table 1 with real Snakemake, for one method with an offline stage: jobs, shared files, results."""

from __future__ import annotations

import json

import pytest
from small_project import Project

pytestmark = pytest.mark.slow

TARGET = ("--", "table1")


def test_table1_runs_a_method_once(project: Project) -> None:
    table = {"methods": ["cpn"], "seeds": [1], "bounds": False, "refined": False, "candidates": [120]}
    project.configure("experiments", table1=table)
    plan = project.plan(*TARGET)
    assert plan["localizer_offline_cpn"] == plan["localizer"] == 1 and plan["resunet"] == 2
    assert not {"synthesize", "tile", "encode"} & set(plan), "shared with the run"
    project.snakemake(*TARGET)
    table = json.loads((project.folder / "results/small/experiments/table1.json").read_text())
    assert table["schema"] == 1 and table["protocol"] == "held_out"
    rows = {(row["measured"], row["masks"]): row for row in table["rows"] if row["method"] == "CPN" and row["part"]}
    assert set(rows) == {
        (kind, masks) for kind in ("ResUNet", "pseudo-mask") for masks in ("own map", "APSAM with its prompts")
    }
    assert rows["ResUNet", "own map"]["part"] == "test" and rows["pseudo-mask", "own map"]["part"] == "train"
    assert rows["pseudo-mask", "own map"]["seconds"] > 0
    for kind, part in (("masks", "train"), ("maps", "test")):
        figure = json.loads((project.folder / f"results/small/experiments/table1_{kind}.json").read_text())
        assert {row["part"] for row in figure["rows"]} == {part}
        assert (project.folder / f"results/small/experiments/table1_{kind}.svg").is_file()
    assert project.plan(*TARGET) == {}
    assert project.plan() == {"report": 1}, "the report shows the table from now on"
    project.replace("apsam/localizer/methods/flipcam.py", "/ 2 - merged", "/ 2.5 - merged")
    assert project.plan(*TARGET) == {}, "another method's code is no concern"
    project.replace("apsam/localizer/methods/cpn.py", "LOWEST = 0.25", "LOWEST = 0.2")
    assert {"localizer", "cams"} <= set(project.plan(*TARGET)) and "localizer_offline_cpn" not in project.plan(*TARGET)
