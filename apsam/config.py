"""The configuration: the keys of all sections with their types, ranges and defaults.

Each stage defines its section next to its code (`apsam/<stage>/settings.py`); this module combines them and converts
errors to readable messages. It does not import torch, because the workflow reads the configuration in every job.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from apsam.config_values import read_values
from apsam.errors import ConfigError
from apsam.experiments.settings import ExperimentSettings
from apsam.files import from_home
from apsam.ground.settings import GroundSettings, ViewSettings
from apsam.heatmaps.settings import HeatMapSettings
from apsam.localizer.settings import CamSettings, LocalizerSettings
from apsam.maps.settings import MapSettings
from apsam.masks.settings import CamMaskSettings, GrabCutSettings
from apsam.products.settings import ProductSettings
from apsam.prompts.settings import PromptSettings
from apsam.report.settings import ReportSettings
from apsam.resunet.settings import ResUNetSettings
from apsam.sam.settings import MasksSettings, SamSettings
from apsam.self_training.settings import SelfTrainingSettings
from apsam.synthetic.settings import SyntheticSettings
from apsam.tiles.settings import LabelSettings, SplitSettings, TileSettings

# Folders of results/ that are not runs.
RESERVED_RUNS = ("store", "edited")

# Keys of earlier versions.
MOVED = {"ground.rounds": "self_training.rounds"}

# First words of pydantic's messages on expected values.
WANTED = "Input should be "


class Config(BaseModel):
    """A run: its scenes and the settings of every stage, in the order of the data."""

    model_config = ConfigDict(extra="forbid")

    run: str = Field(
        "demo",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="Name of the run: its results are shown in results/<run>/.",
    )
    scenes: Path = Field(
        Path("scenes.tsv"),
        description="Scene sheet: a tab-separated table with the columns scene, image, labels, mask, split.",
    )
    data_dir: Path | None = Field(
        None, description="Folder that relative paths of the scene sheet start from. null: the folder of the sheet."
    )
    seed: int = Field(1, ge=0, le=2**31 - 1, description="Random seed of all trainings.")
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
        description="auto (a GPU if there is one), cpu, cuda or cuda:1.",
    )
    keep_embeddings: bool = Field(
        True,
        description="Keep SAM's image embeddings (2 MB per tile with an official SAM), so that other thresholds and "
        "prompts need no encoding. false: delete them once the run has its masks (without effect under "
        "DVC, which tracks them).",
    )
    label_gate: bool = Field(
        True,
        description="A tile labelled negative yields no CAM, no prompt and an empty mask. false: treat all tiles "
        "alike.",
    )
    synthetic: SyntheticSettings = Field(default_factory=SyntheticSettings)
    tiles: TileSettings = Field(default_factory=TileSettings)
    labels: LabelSettings = Field(default_factory=LabelSettings)
    split: SplitSettings = Field(default_factory=SplitSettings)
    ground: GroundSettings = Field(default_factory=GroundSettings)
    heatmaps: HeatMapSettings = Field(default_factory=HeatMapSettings)
    views: ViewSettings = Field(default_factory=ViewSettings)
    localizer: LocalizerSettings = Field(default_factory=LocalizerSettings)
    cams: CamSettings = Field(default_factory=CamSettings)
    prompts: PromptSettings = Field(default_factory=PromptSettings)
    sam: SamSettings = Field(default_factory=SamSettings)
    masks: MasksSettings = Field(default_factory=MasksSettings)
    cam_masks: CamMaskSettings = Field(default_factory=CamMaskSettings)
    grabcut: GrabCutSettings = Field(default_factory=GrabCutSettings)
    resunet: ResUNetSettings = Field(default_factory=ResUNetSettings)
    self_training: SelfTrainingSettings = Field(default_factory=SelfTrainingSettings)
    maps: MapSettings = Field(default_factory=MapSettings)
    experiments: ExperimentSettings = Field(default_factory=ExperimentSettings)
    products: ProductSettings = Field(default_factory=ProductSettings)
    report: ReportSettings = Field(default_factory=ReportSettings)

    @field_validator("run")
    @classmethod
    def _no_other_folder(cls, run: str) -> str:
        if run in RESERVED_RUNS:
            raise ValueError("is a folder that results/ has anyway; choose another name")
        return run

    @field_validator("scenes", "data_dir")
    @classmethod
    def _at_home(cls, path: Path | None) -> Path | None:
        return None if path is None else from_home(path)

    @property
    def dem(self) -> Path | None:
        """Path of the elevation raster, resolved like the paths of the scene sheet."""
        dem = self.products.dem
        return None if dem is None else (self.data_dir or self.scenes.parent) / from_home(dem)

    def product_settings(self) -> ProductSettings:
        """The section `products` with the resolved path of the elevations."""
        return self.products.model_copy(update={"dem": self.dem})


def parse_config(values: Mapping[str, Any], origin: str = "configuration") -> Config:
    """Check a configuration.

    Args:
        values: The merged keys, as read by Snakemake or from YAML.
        origin: Name for error messages, for example the file's name.

    Raises:
        ConfigError: Names every wrong key and value, each with a remedy.
    """
    wrong = list(_reference_values(values, Config))
    try:
        config = Config.model_validate(_with_numbers(values, Config))
    except ValidationError as error:
        said = {line.partition(":")[0] for line in wrong}
        wrong += [line for line in _explain(error) if line.partition(":")[0] not in said]
    if wrong:
        raise ConfigError(f"{origin}:\n" + "\n".join(f"  - {line}" for line in wrong)) from None
    return config


def _reference_values(values: Mapping[str, Any], model: type[BaseModel], place: str = "") -> Iterator[str]:
    """Return one line for every number that is a boolean, which pydantic would read as 1 or 0."""
    for key, value in values.items():
        field = model.model_fields.get(key)
        if field is None:
            continue
        within = field.annotation
        if isinstance(value, Mapping) and isinstance(within, type) and issubclass(within, BaseModel):
            yield from _reference_values(value, within, f"{place}{key}.")
        elif any(isinstance(one, bool) for one in (value if isinstance(value, list | tuple) else [value])):
            kinds = set(_kinds(within))
            if kinds & {int, float} and bool not in kinds:
                yield f"'{place}{key}': should be a number, not true or false (YAML reads yes, no, on and off as these)"


def _with_numbers(values: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Return the keys with whole numbers in place of their text where a key is a choice of whole numbers.

    Snakemake hands on values of `--config` as text, which pydantic accepts for an int but not for a Literal of ints.
    """
    converted = dict(values)
    for key, value in values.items():
        field = model.model_fields.get(key)
        within = field.annotation if field is not None else None
        if isinstance(value, Mapping) and isinstance(within, type) and issubclass(within, BaseModel):
            converted[key] = _with_numbers(value, within)
        elif isinstance(value, str) and value in {str(one) for one in _kinds(within) if type(one) is int}:
            converted[key] = int(value)
    return converted


def _kinds(annotation: Any) -> Iterator[Any]:
    """Return the types that an annotation consists of."""
    yield annotation
    for part in get_args(annotation):
        yield from _kinds(part)


def read_config(*files: Path, base: Mapping[str, Any] | None = None) -> Config:
    """Read one or more YAML files; later files override earlier ones, key by key.

    Args:
        files: Configurations.
        base: Values that all files override.

    Raises:
        ConfigError: A file is missing, is not YAML, or has a wrong key or value.
    """
    merged: dict[str, Any] = {}
    _merge(merged, base or {})
    for file in files:
        _merge(merged, read_values(file))
    return parse_config(merged, ", ".join(str(file) for file in files))


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = dict(value) if isinstance(value, Mapping) else value


def _explain(error: ValidationError) -> list[str]:
    """Return one line for every wrong key: pydantic has several for a key that accepts several types."""
    problems: dict[str, list[Mapping[str, Any]]] = {}
    for problem in error.errors():
        key, in_value = _key(problem["loc"])
        # Only keys set by a preset have no default; then the message names the preset.
        if problem["type"] != "missing" or in_value:
            problems.setdefault(key, []).append(problem)
    return [_explain_key(key, found) for key, found in problems.items()]


def _key(place: tuple[str | int, ...]) -> tuple[str, bool]:
    """Return the key at a problem's location, and whether the location continues into the key's value."""
    model: Any = Config
    key: list[str] = []
    for part in place:
        if model is None:
            return ".".join(key), True
        key.append(str(part))
        field = model.model_fields.get(part)
        within = field.annotation if field is not None else None
        model = within if isinstance(within, type) and issubclass(within, BaseModel) else None
    return ".".join(key), False


def _explain_key(key: str, problems: list[Mapping[str, Any]]) -> str:
    first = problems[0]
    if key in MOVED:
        return f"unknown key '{key}'; it is now '{MOVED[key]}'"
    if first["type"] == "extra_forbidden":
        *place, last = key.split(".")
        known = _keys_at(place)
        if place and last in known:
            return (
                f"unknown key '{key}'; write it below its section: {': {'.join(place)}: {{{last}: ...{'}' * len(place)}"
            )
        if not known:  # a full stop in the key itself
            last, known = key, list(Config.model_fields)
        nearest = difflib.get_close_matches(last, known, 1, 0.5)
        hint = f"did you mean '{nearest[0]}'?" if nearest else f"known here: {', '.join(sorted(known))}"
        return f"unknown key '{key}'; {hint}"
    if first["type"] == "model_type":
        return f"'{key}': is a section, which contains keys and values (it is {first['input']!r})"
    if first["type"] == "missing":
        return f"'{key}': contains too few values (it is {first['input']!r})"
    if len(problems) > 1 and all(problem["msg"].startswith(WANTED) for problem in problems):
        # The alternatives of one value; the reasons why each of them failed do not help.
        wanted = [problem["msg"].removeprefix(WANTED).partition(", unable to parse")[0] for problem in problems]
        message = f"input should be {' or '.join(dict.fromkeys(wanted))}"
    else:
        message = first["msg"].removeprefix("Value error, ")
    found = "" if isinstance(first["input"], Mapping) else f" (it is {first['input']!r})"
    return f"'{key}': {message[0].lower()}{message[1:]}{found}"


def _keys_at(place: list[str]) -> list[str]:
    model: Any = Config
    for part in place:
        field = getattr(model, "model_fields", {}).get(part)
        if field is None:
            return []
        model = field.annotation
    return list(getattr(model, "model_fields", {}))
