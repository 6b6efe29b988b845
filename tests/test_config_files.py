"""Configuration files, as the workflow finds them on Snakemake's command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from apsam.config import read_config
from apsam.errors import ConfigError
from workflow_support.changes import with_changes
from workflow_support.config_files import VIEW_FILE, check_config_files, check_forced, files_of_command_line

TWICE = "tiles: {size: 64}\ntiles: {overlap: 0}\n"


@pytest.mark.parametrize(
    ("line", "files"),
    [
        ("--cores all --configfile a.yaml b.yaml --config data_dir=/d run=x -- all", "a.yaml b.yaml"),
        ("--configfiles a.yaml --cores 2", "a.yaml"),
        ("-n --configfile=a.yaml threshold_sweep", "a.yaml"),
        ("--cores 1 -C run=x -- all", ""),
        ("--cores 1 --configfile", ""),
        ("--cores 1 -- --configfile", ""),
    ],
)
def test_files_of_the_command_line(line: str, files: str) -> None:
    assert [str(file) for file in files_of_command_line(line.split())] == files.split()


@pytest.mark.parametrize("name", ["config.yaml", "mine.yaml"])
def test_a_key_that_occurs_twice_is_refused_before_snakemake_merges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("config.yaml", "mine.yaml"):
        Path(file).write_text(TWICE if file == name else "run: mine\n")
    with pytest.raises(ConfigError, match=rf"{name}: .*'tiles' occurs twice .lines 1 and 2."):
        check_config_files(["--cores", "1", "--configfile", "mine.yaml"])
    Path(name).write_text("run: mine\n")
    check_config_files(["--cores", "1", "--configfile", "mine.yaml"])


def test_params_and_json_are_read_by_the_same_rule(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("prompts: {threshold: 90, threshold: 100}\n")
    with pytest.raises(ConfigError, match="'threshold' occurs twice"):
        with_changes({}, tmp_path / "params.yaml")
    (tmp_path / "c.json").write_text('{\n\t"run": "a",\n\t"prompts": {"threshold": 90}\n}')
    assert read_config(tmp_path / "c.json").prompts.threshold == 90
    (tmp_path / "c.json").write_text('{"prompts": {"threshold": 90, "threshold": 100}}')
    with pytest.raises(ConfigError, match="'threshold' occurs twice"):
        read_config(tmp_path / "c.json")


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("--cores 1 --forcerun tile -- results/demo/prompts/a.json", True),
        ("--cores 1 -R tile --cores 1 results/demo/prompts/a.json", True),
        ("--cores 1 --forcerun -- results/demo/prompts/a.json", True),
        ("--cores 1 --forcerun tile view_file -- results/demo/prompts/a.json", False),
        ("--cores 1 -R results/demo/prompts/a.json -- results/demo/prompts/a.json", False),
        ("--cores 1 -R results/demo/b.json -- results/demo/b.json results/demo/prompts/a.json", True),
        ("--cores 1 -F -R tile -- results/demo/prompts/a.json", False),
        ("--cores 1 --forceall -- results/demo/prompts/a.json", False),
        ("--cores 1 --forcerun tile -- all_prompts results/demo2/a.json", False),
        ("--cores 1 -- results/demo/prompts/a.json", False),
    ],
)
def test_a_plain_name_that_would_not_be_updated_is_refused(line: str, refused: bool) -> None:
    """Snakemake would end with success, and the file of another configuration would stay."""
    assert f"forcerun: [{VIEW_FILE}]" in Path("profiles/default/config.yaml").read_text()
    if refused:
        with pytest.raises(ConfigError, match="results/demo/prompts/a.json: would stay.*add view_file to --forcerun"):
            check_forced(line.split(), "results/demo")
    else:
        check_forced(line.split(), "results/demo")
