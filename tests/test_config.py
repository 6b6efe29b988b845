"""The configuration: every error in one message, with the nearest right key."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel

from apsam.config import Config, parse_config, read_config
from apsam.config_file import json_schema, render_config
from apsam.errors import ConfigError
from workflow_support import config_page

ROOT = Path(__file__).parents[1]


def test_defaults_are_the_papers_where_it_gives_them():
    config = Config()
    assert (config.tiles.size, config.tiles.stride) == (256, 154)
    assert config.prompts.thresholds() == (120,)
    assert config.masks.prompts == "both"


def test_misspelt_keys_name_the_nearest():
    with pytest.raises(ConfigError) as caught:
        parse_config({"promts": {}, "tiles": {"overlapp": 0.3, "size": 32}, "prompts": {"threshold": 300}})
    text = str(caught.value)
    assert "unknown key 'promts'; did you mean 'prompts'?" in text
    assert "unknown key 'tiles.overlapp'; did you mean 'overlap'?" in text
    assert "'tiles.size': input should be greater than or equal to 64 (it is 32)" in text
    assert "0..254" in text


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("prompts.threshold", r"write it below its section: prompts: \{threshold: \.\.\.\}"),
        ("prompts.treshold", "did you mean 'threshold'"),
        ("nothing.here", "known here"),
    ],
)
def test_a_key_with_full_stops_is_told_where_it_belongs(key, hint):
    with pytest.raises(ConfigError, match=f"unknown key '{key}'; {hint}"):
        parse_config({key: 90})


def test_paths_may_start_at_home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    config = parse_config({"data_dir": "~/data", "scenes": "~/s.tsv", "products": {"dem": "~/dem.tif"}})
    assert (str(config.data_dir), str(config.scenes)) == ("/home/ada/data", "/home/ada/s.tsv")
    assert str(config.dem) == "/home/ada/dem.tif"


def test_a_key_far_from_all_lists_the_known():
    with pytest.raises(ConfigError, match="known here: .*overlap"):
        parse_config({"tiles": {"zzzz": 1}})


@pytest.mark.parametrize(
    ("values", "lines"),
    [
        ({"resunet": {"preset": "papr"}}, ["'resunet.preset': input should be 'demo' or 'paper' (it is 'papr')"]),
        (
            {"resunet": {"preset": ["demo"], "epochs": 0, "epochz": 1}},
            [
                "'resunet.preset': input should be 'demo' or 'paper' (it is ['demo'])",
                "'resunet.epochs': input should be greater than or equal to 1 or 'auto' (it is 0)",
                "unknown key 'resunet.epochz'; did you mean 'epochs'?",
            ],
        ),
        ({"run": "store"}, ["'run': is a folder that results/ has anyway; choose another name (it is 'store')"]),
        ({"resunet": 3}, ["'resunet': is a section, which contains keys and values (it is 3)"]),
        (
            {"prompts": {"threshold": "ninety"}},
            ["'prompts.threshold': input should be a valid integer or 'auto' (it is 'ninety')"],
        ),
        (
            {"products": {"smooth_m": -1}},
            ["'products.smooth_m': input should be 'auto' or greater than or equal to 0 (it is -1)"],
        ),
        ({"prompts": {"threshold": 300}}, ["'prompts': prompts: thresholds must lie within 0..254, not (300,)"]),
        (
            {"tiles": {"nodata": True, "siez": 1}, "experiments": {"seeds": [1, False]}, "keep_embeddings": True},
            [
                "'tiles.nodata': should be a number, not true or false (YAML reads yes, no, on and off as these)",
                "'experiments.seeds': should be a number, not true or false (YAML reads yes, no, on and off as these)",
                "unknown key 'tiles.siez'; did you mean 'size'?",
            ],
        ),
        ({"tiles": {"bands": [1, 2]}}, ["'tiles.bands': contains too few values (it is [1, 2])"]),
        (
            {"experiments": {"seeds": ["a"]}},
            ["'experiments.seeds': input should be a valid integer, unable to parse string as an integer (it is 'a')"],
        ),
    ],
)
def test_every_wrong_key_is_one_line(values, lines):
    with pytest.raises(ConfigError) as caught:
        parse_config(values)
    assert str(caught.value).splitlines()[1:] == [f"  - {line}" for line in lines]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tiles: [", "not YAML"),
        ("- 1\n", "must hold keys"),
        (None, "no such configuration"),
        ("run: a\n".encode("utf-16"), "is not UTF-8 .*UTF-16"),
        ("tiles: {size: 64}\ntiles: {overlap: 0}\n", "the key 'tiles' occurs twice .lines 1 and 2."),
    ],
)
def test_files_that_cannot_be_read(tmp_path, text, message):
    path = tmp_path / "config.yaml"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=message):
        read_config(path)


def test_later_files_override_key_by_key(tmp_path):
    (tmp_path / "a.yaml").write_text("run: a\nprompts: {threshold: 90, min_area: 5}\n")
    (tmp_path / "b.yaml").write_text("prompts: {threshold: 100}\n")
    config = read_config(tmp_path / "a.yaml", tmp_path / "b.yaml")
    assert (config.run, config.prompts.threshold, config.prompts.min_area) == ("a", 100, 5)


@pytest.mark.parametrize("overlay", sorted(p.name for p in (ROOT / "config").glob("*.yaml")))
def test_shipped_configurations_are_valid(overlay):
    read_config(ROOT / "config.yaml", ROOT / "config" / overlay)


def test_the_default_file_is_short_and_changes_nothing():
    """What it shows are the defaults of the schema, so that docs/configuration.md is right for every run."""
    lines = (ROOT / "config.yaml").read_text().splitlines()
    assert len(lines) <= 60
    assert read_config(ROOT / "config.yaml") == Config()


def test_the_default_file_names_every_section():
    """dvc.yaml lists sections of config.yaml, and DVC fails on one that is absent."""
    assert set(yaml.safe_load((ROOT / "config.yaml").read_text())) == set(Config.model_fields)


def test_reading_the_configuration_does_not_import_torch():
    code = "import sys, apsam.config, apsam.scenes, apsam.stack; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_the_page_and_the_schema_are_those_of_the_code():
    assert (ROOT / "docs/configuration.md").read_text() == config_page.render(), "run: make config-docs"
    assert json.loads((ROOT / "config/schema.json").read_text()) == json_schema(), "run: make config-docs"


@pytest.mark.parametrize(
    "file", [ROOT / "config.yaml", *sorted((ROOT / "config").glob("*.yaml"))], ids=lambda f: f.name
)
def test_editors_find_the_schema_of_every_configuration(file):
    first = file.read_text().splitlines()[0]
    schema = first.removeprefix("# yaml-language-server: $schema=")
    assert (file.parent / schema).resolve() == ROOT / "config/schema.json"


def test_the_schema_agrees_with_the_parser_on_shipped_configurations():
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json_schema())
    for file in [ROOT / "config.yaml", *(ROOT / "config").glob("*.yaml")]:
        assert not list(validator.iter_errors(yaml.safe_load(file.read_text()))), file
    assert not validator.is_valid({"prompts": {"treshold": 1}})


def test_descriptions_are_sentences():
    texts = {key: text or "" for key, _, text, _ in choices(Config)}
    assert not {key for key, text in texts.items() if not text.endswith((".", ")."))}


def test_a_preset_named_in_an_overlay_wins_over_the_default_file(tmp_path):
    (tmp_path / "paper.yaml").write_text("resunet: {preset: paper}\n")
    config = read_config(ROOT / "config.yaml", tmp_path / "paper.yaml")
    assert config.resunet.widths == (32, 64, 128, 256, 512) and config.resunet.epochs == 100


def permitted(annotation):
    """The values that a key may have by name, however deep in its type."""
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    for part in get_args(annotation):
        yield from permitted(part)


def choices(model, place=""):
    """Key, default, description and permitted values of all keys."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from choices(field.annotation, f"{place}{name}.")
        else:
            yield f"{place}{name}", field.default, field.description, [str(v) for v in permitted(field.annotation)]


def test_descriptions_name_every_choice():
    unnamed = [
        (key, value)
        for key, default, text, values in choices(Config)
        for value in values
        # A list of names shows them itself.
        if value not in (default if isinstance(default, tuple) else (default, str(default)))
        and not re.search(rf"\b{value}\b", text)
    ]
    assert not unnamed


def test_rendered_configuration_reads_back():
    config = parse_config({"run": "x-1", "prompts": {"threshold": "auto"}, "data_dir": "/a b/c"})
    assert parse_config(yaml.safe_load(render_config(config))) == config


@pytest.mark.parametrize("run", ["No", "ON", "True", "Null", "off"])
def test_words_that_yaml_reads_as_other_values_are_quoted(run: str):
    config = parse_config({"run": run})
    assert parse_config(yaml.safe_load(render_config(config))) == config


@pytest.mark.parametrize("device", ["gpu", "cuda1", "cuda:", "CPU", ""])
def test_a_device_that_is_none_is_refused_before_any_job(device: str):
    with pytest.raises(ConfigError, match="'device': "):
        parse_config({"device": device})
    for known in ("auto", "cpu", "cuda", "cuda:1", "mps"):
        assert parse_config({"device": known}).device == known
