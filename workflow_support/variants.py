"""Variants of a run: the same scenes with some keys of the configuration changed.

An experiment compares settings: seeds, methods, SAMs, single choices. Each is a variant, named by the keys it changes
(`localizer.method=sipe+seed=2`). A stage's files lie under that part of the name which the stage, or something before
it, reads; so the CAMs of all SAMs are those of the run itself, and no two variants make the same file twice:

    results/<run>/cams/valley.zarr.zip                                      the run
    results/<run>/variants/seed=2/cams/valley.zarr.zip                      another localizer, other CAMs
    results/<run>/variants/sam.name=vit_b/masks/apsam/valley.zarr.zip       its CAMs and prompts are the run's
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from apsam.config import Config, parse_config
from apsam.errors import ConfigError
from apsam.localizer.method_settings import OFFLINE_FILES

Overrides = Mapping[str, Any]

FOLDER = "variants"
# What a variant's name may hold; rules take it for their wildcard.
NAME = r"[A-Za-z0-9_.=+-]+"
SAFE_VALUE = re.compile(r"[A-Za-z0-9_.-]{1,40}")
VALUE_DIGITS = 8
LONGEST_NAME = 200


class Stage(NamedTuple):
    """What decides a stage's files.

    Attributes:
        reads: Sections and keys of the configuration that the stage reads itself.
        after: Stages whose files it reads.
    """

    reads: tuple[str, ...]
    after: tuple[str, ...] = ()


# By the folder, or the file, that the stage makes.
STAGES = {
    "scenes": Stage(("synthetic",)),
    "tiles": Stage(("tiles", "labels", "split"), ("scenes",)),
    # The SAM that teaches S2C is the run's, also in variants with another: no other localizer depends on one.
    **{f"localizer_offline/{OFFLINE_FILES[method]}": Stage(("localizer",), ("tiles",)) for method in ("cpn", "s2c")},
    **{
        f"localizer_offline/{OFFLINE_FILES[method]}": Stage(("localizer", "seed"), ("tiles",))
        for method in ("cda", "oc_cse")  # trained
    },
    "localizer": Stage(
        ("localizer", "seed"), ("tiles", *(f"localizer_offline/{file}" for file in OFFLINE_FILES.values()))
    ),
    "cams": Stage(("cams", "label_gate"), ("tiles", "localizer")),
    "prompts": Stage(("prompts",), ("tiles", "cams")),
    "embeddings": Stage(("sam", "label_gate"), ("tiles",)),
    "masks/apsam": Stage(("masks", "sam"), ("cams", "prompts", "embeddings")),
    "masks/cam": Stage(("cam_masks",), ("cams",)),
    "masks/grabcut": Stage(("grabcut",), ("prompts",)),
    "masks/cam_agreed": Stage((), ("cams", "masks/apsam")),
    "masks/box": Stage((), ("tiles",)),
    "masks/truth": Stage((), ("scenes", "tiles")),
    "resunet/apsam": Stage(("resunet", "seed"), ("masks/apsam",)),
    "resunet/cam": Stage(("resunet", "seed"), ("masks/cam",)),
    "resunet/cam_agreed": Stage(("resunet", "seed"), ("masks/cam_agreed",)),
    "resunet/box": Stage(("resunet", "seed"), ("masks/box",)),
    "resunet/truth": Stage(("resunet", "seed"), ("masks/truth",)),
    "maps/apsam": Stage(("maps", "tiles"), ("scenes", "resunet/apsam")),
    "maps/cam": Stage(("maps", "tiles"), ("scenes", "resunet/cam")),
    "maps/cam_agreed": Stage(("maps", "tiles"), ("scenes", "resunet/cam_agreed")),
    "maps/box": Stage(("maps", "tiles"), ("scenes", "resunet/box")),
    "maps/truth": Stage(("maps", "tiles"), ("scenes", "resunet/truth")),
    "metrics/pseudo_masks.json": Stage((), ("masks/apsam", "masks/cam", "masks/grabcut")),
    "metrics/resunet.json": Stage((), ("maps/apsam", "maps/cam")),
    "metrics/summary.json": Stage((), ("metrics/pseudo_masks.json", "metrics/resunet.json")),
    "experiments/pseudo_masks.json": Stage((), ("masks/apsam",)),
    # Of Table 1, what is measured on each of its masks and maps.
    **{
        f"table1/{kind}_{source}.json": Stage((), (f"{kind}/{source}",))
        for kind in ("masks", "maps")
        for source in ("apsam", "cam_agreed", "box", "truth")
    },
    "table1/cam_oracle.json": Stage((), ("cams",)),
    "experiments/trials": Stage(("prompts", "sam", "masks"), ("scenes", "cams", "embeddings")),
    "experiments/threshold_sweep.json": Stage((), ("experiments/trials",)),
    "experiments/prompt_ablation.json": Stage((), ("experiments/trials",)),
    "report": Stage((), ("metrics/pseudo_masks.json", "metrics/resunet.json")),
}


def stage_of(path: str) -> str:
    """The stage that makes a file, given its path within the run: `masks/apsam/valley.zarr.zip` -> `masks/apsam`.

    Raises:
        KeyError: No stage makes it.
    """
    first, _, rest = path.partition("/")
    for stage in (first, f"{first}/{rest.partition('/')[0]}"):
        if stage in STAGES:
            return stage
    raise KeyError(path)


@cache
def reads(stage: str) -> frozenset[str]:
    """Sections and keys that decide a stage's files: its own and those of all stages before it."""
    own, after = STAGES[stage]
    return frozenset(own).union(*(reads(earlier) for earlier in after))


class Variants:
    """The variants of one run.

    Args:
        config: The run's own configuration.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._values = config.model_dump(mode="json")
        self._overrides: dict[str, dict[str, Any]] = {"": {}}
        self._configs: dict[str, Config] = {"": config}
        self._places: dict[tuple[str, str], str] = {}

    def add(self, overrides: Overrides) -> str:
        """Register a variant.

        Args:
            overrides: Dotted key -> value, for example {"localizer.method": "sipe", "seed": 2}. Keys that have this
                value in the run anyway are left out.

        Returns:
            Where its files lie within the run: "variants/<name>/", or "" where nothing differs.

        Raises:
            ConfigError: A key or a value is wrong.
        """
        changed = {key: value for key, value in sorted(overrides.items()) if _get(self._values, key) != value}
        for stage in STAGES:
            part = _readable(changed, stage)
            folder = _folder(part)
            if folder not in self._overrides:
                self._overrides[folder] = part
                self._configs[folder] = self._changed(part)
        folder = _folder(changed)
        self._overrides.setdefault(folder, changed)
        if folder not in self._configs:
            self._configs[folder] = self._changed(changed)
        return folder

    def config(self, folder: str) -> Config:
        """The configuration of the files in a variant's folder ("": the run's own).

        Raises:
            ConfigError: No such variant was registered.
        """
        if folder not in self._configs:
            raise ConfigError(f"{folder}: no variant of this run; see the section 'experiments' of the configuration")
        return self._configs[folder]

    def place(self, stage: str, folder: str) -> str:
        """The folder of a stage's files of the variant at `folder`: maybe another variant's, or ("") the run's own."""
        if (stage, folder) not in self._places:
            self.config(folder)
            self._places[stage, folder] = _folder(_readable(self._overrides[folder], stage))
        return self._places[stage, folder]

    def __iter__(self) -> Iterator[str]:
        return iter(self._overrides)

    def _changed(self, overrides: Overrides) -> Config:
        values = json.loads(json.dumps(self._values))
        for key, value in overrides.items():
            *place, last = key.split(".")
            target = values
            for part in place:
                target = target[part]
            target[last] = value
        return parse_config(values, f"variant {_name(overrides)}")


def _get(values: Any, key: str) -> Any:
    for part in key.split("."):
        if not isinstance(values, Mapping) or part not in values:
            raise ConfigError(f"a variant changes the key '{key}', which the configuration does not have")
        values = values[part]
    return values


def _readable(overrides: Overrides, stage: str) -> dict[str, Any]:
    """Those overrides that a stage sees."""
    sections = reads(stage)
    return {key: value for key, value in overrides.items() if key.split(".")[0] in sections}


def _folder(overrides: Overrides) -> str:
    return f"{FOLDER}/{_name(overrides)}/" if overrides else ""


def _name(overrides: Overrides) -> str:
    """The changed keys and values; of many of them, which no file system would take for a name, number and hash."""
    name = "+".join(f"{key}={_text(value)}" for key, value in sorted(overrides.items()))
    return name if len(name) <= LONGEST_NAME else f"{len(overrides)}_keys={_hash(name)}"


def _text(value: Any) -> str:
    """A value as part of a file's name: itself where that can be read, else a hash."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    if SAFE_VALUE.fullmatch(text):
        return text
    return _hash(text)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:VALUE_DIGITS]
