"""Check what is installed on this machine: versions, devices, weights, disk space; and how to get what is missing."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

State = Literal["ok", "note", "missing"]

# Distribution, module, whether the default run needs it.
PACKAGES = (
    ("torch", "torch", True),
    ("lightning", "lightning", True),
    ("timm", "timm", True),
    ("segment-anything", "segment_anything", True),
    ("rasterio", "rasterio", True),
    ("geopandas", "geopandas", True),
    ("opencv-python-headless", "cv2", True),
    ("zarr", "zarr", True),
    ("snakemake", "snakemake", True),
    ("snakemake-executor-plugin-slurm", "snakemake_executor_plugin_slurm", False),
    ("dvc", "dvc", False),
)
REINSTALL = "pip install -c constraints.txt -e '.[workflow,dvc]'"

# The default run takes about 1 GB; less free space is reported.
LITTLE_SPACE_GB = 5

# 256 x 64 x 64 half floats; the light SAM's are smaller.
EMBEDDING_MB = 2.1


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        subject: What was checked.
        state: `ok`; `note`, for information; `missing`, the default run cannot work.
        detail: Result of the check.
        remedy: What to do; empty if nothing has to be done.
    """

    subject: str
    state: State
    detail: str
    remedy: str = ""


def examine() -> Iterator[Finding]:
    """Run all checks, and yield one finding for each."""
    yield Finding("Python", "ok", f"{platform.python_version()}, {sys.executable}")
    yield from _packages()
    for look in (_torchvision, _opencv, _processor, _gpus, _backbone, _light_sam, _official_weights, _hub_sams):
        yield _guarded(look)
    yield _space()


def _packages() -> Iterator[Finding]:
    yield Finding("apsam", "ok", importlib.import_module("apsam").__version__)
    for distribution, module, needed in PACKAGES:
        try:
            # In this order: torchvision_ops must be in place before timm and segment_anything load torchvision.
            importlib.import_module("apsam.torchvision_ops" if module == "torch" else module)
            yield Finding(distribution, "ok", importlib.metadata.version(distribution))
        except Exception as error:  # a broken binary raises anything
            state: State = "missing" if needed else "note"
            yield Finding(distribution, state, f"cannot be imported: {_first_line(error)}", REINSTALL)


def _torchvision() -> Finding:
    from apsam.torchvision_ops import extension_loads

    whole = extension_loads()
    version = importlib.metadata.version("torchvision")
    return Finding("torchvision", "ok", version if whole else f"{version}, a CUDA build with a CPU torch: guarded")


def _opencv() -> Finding:
    both = [d for d in ("opencv-python", "opencv-contrib-python") if _installed(d)]
    if both:
        remedy = f"pip uninstall {both[0]} && pip install --force-reinstall opencv-python-headless"
        return Finding("OpenCV", "note", f"{both[0]} overwrites opencv-python-headless", remedy)
    return Finding("OpenCV", "ok", "one build, headless")


def _processor() -> Finding:
    import torch

    from apsam.device import bf16_pays

    bf16 = "bfloat16 in hardware" if bf16_pays(torch.device("cpu")) else "no bfloat16 in hardware: float32 is used"
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return Finding("processor", "ok", f"{len(os.sched_getaffinity(0))} cores, {memory_gb:.0f} GB of memory, {bf16}")


def _gpus() -> Finding:
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_properties(n) for n in range(torch.cuda.device_count())]
        return Finding("GPU", "ok", ", ".join(f"{p.name} ({p.total_memory / 1e9:.0f} GB)" for p in names))
    if shutil.which("nvidia-smi") and torch.version.cuda is None:
        remedy = "pip install --force-reinstall --index-url https://download.pytorch.org/whl/cu130 torch torchvision"
        return Finding("GPU", "note", "there is a GPU, but this torch is a CPU build", remedy)
    return Finding("GPU", "note", "none; everything runs on the CPU")


def _backbone() -> Finding:
    from apsam.backbones.build import lite0_weights_path

    return Finding("ImageNet weights of EfficientNet-Lite0", "ok", str(lite0_weights_path()))


def _light_sam() -> Finding:
    from apsam.sam.light import LIGHT_WEIGHTS
    from apsam.sam.weights_files import licence_of

    if LIGHT_WEIGHTS.is_file():
        size_mb = LIGHT_WEIGHTS.stat().st_size / 1e6
        return Finding("SAM light", "ok", f"{LIGHT_WEIGHTS} ({size_mb:.1f} MB, licence {licence_of('light')})")
    remedy = f"{REINSTALL}, or train it: make light-sam"
    return Finding("SAM light", "missing", f"{LIGHT_WEIGHTS} is missing", remedy)


def _official_weights() -> Finding:
    from apsam.weights import PUBLISHED, cache_folder, is_cached

    folder = cache_folder()
    there = [w.name for w in PUBLISHED.values() if is_cached(w.name)]
    found = f"in {folder}: {', '.join(name + _licence(name) for name in there) or 'none'}"
    absent = [w for w in PUBLISHED.values() if w.name not in there]
    if not absent:
        return Finding("other weights", "ok", found)
    lines = [f"{w.name} ({w.size / 1e6:.0f} MB{_licence(w.name)}): {w.url}\n  -> {folder / w.filename}" for w in absent]
    remedy = "not needed by default; a run that needs them downloads them; without network, copy them there yourself:\n"
    return Finding("other weights", "ok" if there else "note", found, remedy + "\n".join(lines))


def _licence(name: str) -> str:
    """Return the licence of published weights of a SAM as a remark; empty for other networks."""
    from apsam.sam.names import KNOWN

    sam = KNOWN.get(name.removeprefix("sam_"))
    return f", licence {sam.licence}" if sam else ""


def _hub_sams() -> Finding:
    from apsam.sam.weights_files import download_command, licence_of, sams_of_the_hub
    from apsam.weights import cache_folder

    subject, folder = "SAMs of the Hugging Face hub", cache_folder() / "hub"
    there, absent = sams_of_the_hub()
    lines = [f"{name} (licence {licence_of(name)}): {place}" for name, place in there.items()]
    remedy = "not needed by default (docs/sam.md); download them yourself, for example:\n" + "\n".join(
        f"{sam.name} (licence {sam.licence}): {download_command(sam.repository, folder / sam.repository)}"
        for sam in absent
        if sam.repository is not None
    )
    if there and not _installed("transformers"):
        return Finding(
            subject, "note", "\n".join(lines), "they need the transformers library: pip install 'apsam[hub]'"
        )
    return Finding(subject, "ok" if there else "note", "\n".join(lines) or "none", remedy if absent else "")


def _space() -> Finding:
    free_gb = shutil.disk_usage(Path.cwd()).free / 1e9
    state: State = "ok" if free_gb > LITTLE_SPACE_GB else "note"
    # Twice, because the encode stage writes a second copy (`apsam.sam.encode_scene`).
    room = f"room for {free_gb * 1000 / (2 * EMBEDDING_MB):,.0f} tiles' embeddings of an official SAM"
    detail = f"{free_gb:.0f} GB free in {Path.cwd()}, {room} ({EMBEDDING_MB:.0f} MB each)"
    return Finding("disk", state, detail, "" if state == "ok" else "free some disk space")


def _guarded(look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except Exception as error:  # one broken part must not stop the other checks
        return Finding(look.__name__.strip("_").replace("_", " "), "missing", _first_line(error), REINSTALL)


def _installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
