"""The configuration: the one place where its keys, types, ranges and defaults meet.

Each stage defines its section beside its code (`apsam/<stage>/settings.py`); here they are put together and errors are
turned into sentences. Nothing here imports torch: the workflow reads this in every job.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from apsam.errors import ConfigError
from apsam.experiments.settings import ExperimentSettings
from apsam.localizer.settings import CamSettings, LocalizerSettings
from apsam.maps.settings import MapSettings
from apsam.masks.settings import CamMaskSettings, GrabCutSettings
from apsam.products.settings import ProductSettings
from apsam.prompt_settings import PromptSettings
from apsam.report.settings import ReportSettings
from apsam.resunet.settings import ResUNetSettings
from apsam.sam.settings import MasksSettings, SamSettings
from apsam.synthetic.settings import SyntheticSettings
from apsam.tiles.settings import LabelSettings, SplitSettings, TileSettings


class Config(BaseModel):
    """A run: its scenes and the settings of every stage, in the order of the data."""

    model_config = ConfigDict(extra="forbid")

    run: str = Field("demo", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the folder in results/")
    scenes: Path = Field(Path("scenes.tsv"), description="scene sheet: scene, image, labels, mask, split (tabs)")
    data_dir: Path | None = Field(None, description="folder that the sheet's paths start from; none: the sheet's own")
    seed: int = Field(1, ge=0, le=2**31 - 1, description="seed of both trainings")
    device: str = Field("auto", description="auto (a GPU where there is one), cpu, cuda, cuda:1")
    keep_embeddings: bool = Field(
        True,
        description="keep SAM's embeddings, 2 MB a tile with an official SAM, for other thresholds and prompts; false: "
        "delete them when the run has its masks (not under DVC, which tracks them)",
    )
    label_gate: bool = Field(
        True,
        description="a tile labelled negative yields no CAM, no prompt, an empty mask; false: all tiles alike",
    )
    shelf_gb: float = Field(
        20, ge=0, description="results of earlier settings are kept, to come back with them, up to this size; 0: none"
    )
    synthetic: SyntheticSettings = Field(default_factory=SyntheticSettings)
    tiles: TileSettings = Field(default_factory=TileSettings)
    labels: LabelSettings = Field(default_factory=LabelSettings)
    split: SplitSettings = Field(default_factory=SplitSettings)
    localizer: LocalizerSettings = Field(default_factory=LocalizerSettings)
    cams: CamSettings = Field(default_factory=CamSettings)
    prompts: PromptSettings = Field(default_factory=PromptSettings)
    sam: SamSettings = Field(default_factory=SamSettings)
    masks: MasksSettings = Field(default_factory=MasksSettings)
    cam_masks: CamMaskSettings = Field(default_factory=CamMaskSettings)
    grabcut: GrabCutSettings = Field(default_factory=GrabCutSettings)
    resunet: ResUNetSettings = Field(default_factory=ResUNetSettings)
    maps: MapSettings = Field(default_factory=MapSettings)
    experiments: ExperimentSettings = Field(default_factory=ExperimentSettings)
    products: ProductSettings = Field(default_factory=ProductSettings)
    report: ReportSettings = Field(default_factory=ReportSettings)

    @property
    def dem(self) -> Path | None:
        """The raster of elevations, found like the sheet's files."""
        dem = self.products.dem
        return None if dem is None else (self.data_dir or self.scenes.parent) / dem

    def product_settings(self) -> ProductSettings:
        """The section `products` with the path of the elevations as it can be opened."""
        return self.products.model_copy(update={"dem": self.dem})


def parse_config(values: Mapping[str, Any], origin: str = "configuration") -> Config:
    """Check a configuration.

    Args:
        values: The merged keys, as Snakemake or YAML gives them.
        origin: What to call it in errors, for example the file's name.

    Raises:
        ConfigError: Every wrong key and value, each with what to do.
    """
    try:
        return Config.model_validate(dict(values))
    except ValidationError as error:
        lines = [_explain(problem) for problem in error.errors()]
        raise ConfigError(f"{origin}:\n" + "\n".join(f"  - {line}" for line in lines)) from None


def read_config(*files: Path) -> Config:
    """Read one or more YAML files, later ones over earlier ones, key by key.

    Raises:
        ConfigError: A file is missing, is not YAML, or holds a wrong key or value.
    """
    merged: dict[str, Any] = {}
    for file in files:
        try:
            values = yaml.safe_load(file.read_text()) or {}
        except FileNotFoundError as error:
            raise ConfigError(f"{file}: no such configuration file") from error
        except yaml.YAMLError as error:
            raise ConfigError(f"{file}: not YAML ({error})") from error
        if not isinstance(values, dict):
            raise ConfigError(f"{file}: must hold keys and values, not a {type(values).__name__}")
        _merge(merged, values)
    return parse_config(merged, ", ".join(str(file) for file in files))


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = dict(value) if isinstance(value, Mapping) else value


def _explain(problem: Mapping[str, Any]) -> str:
    place = [part for part in problem["loc"] if isinstance(part, str)]
    key = ".".join(place)
    if problem["type"] == "extra_forbidden":
        known = _keys_at(place[:-1])
        nearest = difflib.get_close_matches(place[-1], known, 1, 0.5)
        hint = f"did you mean '{nearest[0]}'?" if nearest else f"known here: {', '.join(sorted(known))}"
        return f"unknown key '{key}'; {hint}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"'{key}': {message[0].lower()}{message[1:]} (it is {problem['input']!r})"


def _keys_at(place: list[str]) -> list[str]:
    model: Any = Config
    for part in place:
        model = model.model_fields[part].annotation
    return list(model.model_fields)
