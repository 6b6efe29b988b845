"""Which data a run was made from: the scenes that were given, each file with its size and SHA-256.

It goes with the results, so that versions of the data can be told apart long after, and DVC sees a changed scene.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from apsam.companions import companions
from apsam.files import sha256_file
from apsam.scenes import Scene

SCHEMA = 1


def take_inventory(scenes: Sequence[Scene]) -> dict[str, Any]:
    """Describe the files of all scenes that are not synthetic.

    Returns:
        Scene -> `image`, `labels`, `mask` -> `path` as given, `bytes`, `sha256`; for folders `files`, how many; for a
        Shapefile, a virtual raster, ... `with`: SHA-256 of each file that is read with it.
    """
    described = {}
    for scene in scenes:
        if scene.kind != "synthetic":
            parts = {"image": scene.image, "labels": scene.labels, "mask": scene.mask}
            described[scene.name] = {name: _describe(Path(path)) for name, path in parts.items() if path is not None}
    return {"schema": SCHEMA, "scenes": described}


def _describe(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        described = {"path": str(path), "bytes": path.stat().st_size, "sha256": sha256_file(path)}
        read_too = {str(file): sha256_file(file) for file in companions(path)}
        return described | {"with": read_too} if read_too else described
    files = sorted(file for file in path.iterdir() if file.is_file())
    lines = [f"{file.name} {sha256_file(file)}" for file in files]
    return {
        "path": str(path),
        "bytes": sum(file.stat().st_size for file in files),
        "files": len(files),
        "sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest(),
    }
