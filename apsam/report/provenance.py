"""What made a run, and how to make it again."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from apsam import __version__
from apsam.errors import ApsamError
from apsam.files import sha256_file
from apsam.report.inputs import SceneFiles
from apsam.stack import TileStack

PACKAGES = (
    "torch", "torchvision", "lightning", "segment-anything", "numpy", "opencv-python-headless", "rasterio", "geopandas",
    "zarr", "scikit-image", "pydantic", "snakemake", "dvc",
)  # fmt: skip

HASHED = (
    ("localizer weights", "localizer/weights.safetensors"),
    ("ResUNet weights, second round", "resunet/self_training/weights.safetensors"),
    ("ResUNet weights, scene-wide masks", "resunet/ground/weights.safetensors"),
    ("ResUNet weights, APSAM masks", "resunet/apsam/weights.safetensors"),
    ("ResUNet weights, CAM masks", "resunet/cam/weights.safetensors"),
    ("metrics of the pseudo-masks", "metrics/pseudo_masks.json"),
    ("metrics of the ResUNet", "metrics/resunet.json"),
)


def versions() -> list[tuple[str, str]]:
    """Name and version of what computes here; nothing is imported for it."""
    found = [("apsam", __version__), ("Python", platform.python_version()), ("system", platform.platform(terse=True))]
    for package in PACKAGES:
        try:
            found.append((package, version(package)))
        except PackageNotFoundError:
            found.append((package, "not installed"))
    return found


def hashes(run: Path, scenes: Sequence[SceneFiles]) -> list[tuple[str, str]]:
    """What is hashed and its SHA-256: weights and metrics of the run, images as they were tiled, the SAM used."""
    found = [(name, sha256_file(run / file)) for name, file in HASHED if (run / file).is_file()]
    sams = set()
    for files in scenes:
        for path, key in ((files.tiles, "image_sha256"), (files.masks("apsam"), "checkpoint")):
            try:
                with TileStack(path) as stack:
                    value = stack.attributes.get(key)
            except ApsamError:
                continue
            if value and key == "checkpoint":
                sams.add(value)
            elif value:
                found.append((f"image of {files.name}", value))
    return found + [("SAM", value) for value in sorted(sams)]


def as_yaml(config: dict[str, Any]) -> str:
    """A configuration as YAML that can be given back with --configfile."""
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100)


def again(name: str) -> str:
    """The command that makes the run called `name` again."""
    return f"snakemake --cores all --configfile results/{name}/report/config.yaml"


def commands(name: str) -> list[tuple[str, str]]:
    """What to type, and what it does."""
    everything = again(name)
    return [
        (everything, "the run with this very configuration; only what is not in the store is made"),
        (f"{everything} --forcerun report", "this page and its figures"),
        (f"{everything} --report {name}.zip", "Snakemake's own report: every job, its time and its settings"),
    ]


def made_on() -> str:
    """When the page was made, in UTC; SOURCE_DATE_EPOCH fixes it, so that a page can be made twice alike."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    moment = datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)
    return moment.strftime("%Y-%m-%d %H:%M UTC")
