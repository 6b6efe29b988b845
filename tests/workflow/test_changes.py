"""params.yaml, into which DVC's experiments write their changes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from small_project import ROOT

from apsam.config import Config, parse_config
from apsam.errors import ConfigError
from workflow_support import changes


def test_params_yaml_has_every_key_and_changes_nothing() -> None:
    assert (ROOT / "params.yaml").read_text() == changes.render(), (
        "run: python -m workflow_support.changes > params.yaml"
    )
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    assert changes.with_changes(config, ROOT / "params.yaml") == (config, {})
    keys = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert keys["prompts"]["threshold"] == changes.UNCHANGED and "epochs" in keys["resunet"], (
        "also keys that a preset gives"
    )
    assert set(keys) | changes.NOT_CHANGED == set(Config.model_fields)


def test_params_override_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("prompts: {threshold: 90, min_area: unchanged}\nresunet: {epochs: unchanged}\nseed: 0\n")
    config = {"prompts": {"threshold": 120, "min_area": 5}, "resunet": {"preset": "demo"}}
    changed, named = changes.with_changes(config, file)
    assert changed["prompts"] == {"threshold": 90, "min_area": 5} and changed["seed"] == 0
    assert changed["resunet"] == {"preset": "demo"} and named == {"prompts.threshold": 90, "seed": 0}
    assert config["prompts"]["threshold"] == 120 and parse_config(changed).prompts.threshold == 90
    assert changes.with_changes(config, tmp_path / "none.yaml") == (config, {})


def test_invalid_params_are_reported(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    for text in ("- a list", "a: ["):
        file.write_text(text)
        with pytest.raises(ConfigError, match=r"params\.yaml"):
            changes.with_changes({}, file)
