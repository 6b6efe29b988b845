"""The command line: output, exit codes, and that scripts are the same commands."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner

from apsam import __version__, cli, doctor
from apsam.code_hash import code_files
from apsam.commands.options import settings
from apsam.commands.run import run_app
from apsam.config import Config
from apsam.doctor import Finding
from apsam.errors import ApsamError, ConfigError
from apsam.prompts.settings import PromptSettings
from apsam.sam.settings import EverythingSettings, MasksSettings
from workflow_support.stages import STAGES

ROOT = Path(__file__).resolve().parents[1]
SECTIONS = {"prompts": PromptSettings, "masks": MasksSettings, "experiments.everything": EverythingSettings}


def invoke(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli.app, arguments, catch_exceptions=False, env={"COLUMNS": "200"})
    return result.exit_code, result.output


def main(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Return exit code and standard error."""
    monkeypatch.setattr(sys, "argv", ["apsam", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code, capsys.readouterr().err


def test_version() -> None:
    assert invoke("--version") == (0, f"apsam {__version__}\n")


def test_help_lists_every_stage_in_the_order_of_the_data() -> None:
    code, text = invoke("--help")
    assert code == 0
    places = [text.index(f" {stage.__name__.replace('_', '-')} ") for stage in cli.STAGES]
    assert places == sorted(places)


def test_config_show_is_a_configuration() -> None:
    code, text = invoke("config", "show", str(ROOT / "config.yaml"), str(ROOT / "config/small.yaml"))
    assert code == 0
    values = yaml.safe_load(text)
    assert values["run"] == "small"
    assert Config.model_validate(values)


def test_config_schema_is_a_json_schema() -> None:
    code, text = invoke("config", "schema")
    assert code == 0
    schema = json.loads(text)
    assert schema["properties"]["prompts"]
    assert schema["additionalProperties"] is False
    assert '"required"' not in text, "an overlay names only what differs"


def test_user_errors_are_one_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, text = main(monkeypatch, capsys, "config", "show", str(tmp_path / "none.yaml"))
    assert code == ApsamError.exit_code
    assert text == f"error: {tmp_path}/none.yaml: no such configuration file\n"


def test_any_other_error_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError):
        run_app(broken)


def test_settings_are_checked_with_their_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--tiles", "t", "--cams", "c", "--output", "o", "--geojson", "g"]
    code, text = main(monkeypatch, capsys, "prompts", *arguments, "--settings", '{"min_area": -1}')
    assert code == ApsamError.exit_code
    assert "prompts.min_area" in text
    code, text = main(monkeypatch, capsys, "prompts", *arguments, "--settings", "nowhere.yaml")
    assert code == ApsamError.exit_code
    assert "neither JSON nor a configuration file" in text


def test_settings_may_come_from_a_pipe(tmp_path: Path) -> None:
    """As of `--settings <(...)`."""
    os.mkfifo(tmp_path / "pipe")
    Thread(target=(tmp_path / "pipe").write_text, args=["prompts: {min_area: 7}"]).start()
    assert settings(PromptSettings, "prompts").parser(str(tmp_path / "pipe")).min_area == 7
    with pytest.raises(ConfigError, match="cannot be read .*directory"):
        settings(PromptSettings, "prompts").parser(str(tmp_path))


@pytest.mark.parametrize("command", ["resunet", "resunet-scenes", "localizer", "heatmap-network"])
def test_a_negative_seed_is_refused(command: str) -> None:
    code, text = invoke(command, "a", "--output", "o", "--history", "h", "--seed", "-1")
    assert code == 2 and "--seed" in text and "greater than or equal to 0" in text


def test_settings_may_come_from_a_configuration_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text("prompts: {treshold: 90}\n")
    arguments = ["--tiles", "t", "--cams", "c", "--output", "o", "--geojson", "g"]
    code, text = main(monkeypatch, capsys, "prompts", *arguments, "--settings", str(tmp_path / "mine.yaml"))
    assert code == ApsamError.exit_code
    assert "prompts.treshold" in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("threshold: 90\n", "mine.yaml: has no section 'prompts' (it has: threshold); leave it out for the defaults"),
        ("promts: {threshold: 90}\n", "mine.yaml: has no section 'prompts' (it has: promts)"),
        ("prompts: 90\n", "prompts: Input should be a valid dictionary"),
        ("- 1\n", "mine.yaml: must hold keys and values, not a list"),
        ("prompts: {threshold: 90}\nprompts: {min_area: 5}\n", "the key 'prompts' occurs twice"),
    ],
)
def test_a_configuration_file_with_other_sections_is_no_default(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    arguments = ["--tiles", "t", "--cams", "c", "--output", "o", "--geojson", "g"]
    code, error = main(monkeypatch, capsys, "prompts", *arguments, "--settings", str(tmp_path / "mine.yaml"))
    assert code == ApsamError.exit_code and said in error


def test_a_section_is_read_from_a_configuration_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("run: mine\nprompts: {threshold: 90}\nmasks:\nexperiments: {everything: {min_iou: 0.1}}\n")
    read = {section: settings(model, section).parser(str(file)) for section, model in SECTIONS.items()}
    assert read["prompts"].threshold == 90 and read["experiments.everything"].min_iou == 0.1
    assert read["masks"] == MasksSettings()


def test_the_key_of_a_job_does_not_contain_other_sections() -> None:
    """Otherwise a new setting of one stage would make the files of all stages again."""
    files = code_files(ROOT / "apsam/commands/prompts.py", definition="prompts")
    assert not [file for file in files if file.match("resunet/settings.py")]


def test_numbers_of_threads_are_positive() -> None:
    for number in ("0", "-3"):
        code, text = invoke("predict", "a.tif", "-o", "maps", "--weights", "w", "--threads", number)
        assert code == 2 and "Invalid value for '--threads'" in text


def test_every_option_for_settings_names_a_section_of_the_configuration() -> None:
    """Otherwise a configuration file given there would silently count for nothing."""
    commands = get_command(cli.app).commands.values()
    sections = {
        found[1]
        for command in commands
        for option in command.params
        if getattr(option, "metavar", None) == "JSON|FILE"
        and (found := re.match(r"section `([\w.]+)`", getattr(option, "help", None) or ""))
    }
    assert {"prompts", "experiments.everything"} <= sections
    for section in sections:
        value = Config()
        for name in section.split("."):
            value = getattr(value, name)


def test_predict_needs_trained_weights(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, text = main(monkeypatch, capsys, "predict", "a.tif", "-o", str(tmp_path), "--run", str(tmp_path / "run"))
    assert code == ApsamError.exit_code
    assert "has no trained ResUNet; train one: snakemake --cores all" in text


def test_doctor_lists_missing_packages_and_remedies(monkeypatch: pytest.MonkeyPatch) -> None:
    findings = [Finding("torch", "ok", "2"), Finding("SAM light", "missing", "is not there", "pip install -e '.[dvc]'")]
    monkeypatch.setattr(doctor, "examine", lambda: iter(findings))
    code, text = invoke("doctor")
    assert code == 1
    assert "pip install -e '.[dvc]'" in text
    assert "1 requirement(s) missing" in text


def test_doctor_reports_a_complete_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "examine", lambda: iter([Finding("torch", "ok", "2"), Finding("GPU", "note", "none")]))
    code, text = invoke("doctor")
    assert code == 0
    assert "Everything the default run needs is there." in text


def test_doctor_continues_after_a_broken_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Finding:
        raise OSError("libGL.so.1: cannot open shared object file")

    monkeypatch.setattr(doctor, "PACKAGES", (("no-such-package", "no_such_package", True),))
    monkeypatch.setattr(doctor, "_backbone", broken)
    found = {finding.subject: finding for finding in doctor.examine()}
    assert found["no-such-package"].state == "missing"
    assert "pip install" in found["no-such-package"].remedy
    assert any("libGL" in finding.detail and finding.state == "missing" for finding in found.values())
    assert f"GB free in {Path.cwd()}, room for " in found["disk"].detail


def test_doctor_lists_downloads_of_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("APSAM_CACHE", str(tmp_path))
    monkeypatch.setattr(doctor, "examine", lambda: iter([doctor._official_weights()]))
    text = invoke("doctor")[1].replace("\n", "").replace(" ", "")
    assert "https://dl.fbaipublicfiles.com/segment_anything/sam_vit_h_4b8939.pth" in text
    assert f"->{tmp_path}/sam_vit_h_4b8939.pth" in text


def test_every_script_of_a_stage_is_a_command() -> None:
    commands = {command.__name__ for command in (*cli.STAGES, *cli.EXPERIMENTS)}
    wanted = {stage.command for stage in STAGES.values() if not stage.command.startswith("table1:")}
    assert {command.rpartition(":")[2] for command in wanted} <= commands


def test_a_script_is_the_command_of_its_stage() -> None:
    printed = subprocess.run(
        [sys.executable, "scripts/masks.py", "masks-cam", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "thresholding a scene's CAMs" in printed


def test_help_and_configuration_load_no_torch() -> None:
    code = "import sys, apsam.cli, apsam.config; print(sorted({'torch', 'cv2', 'lightning'} & set(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed == "[]\n"
