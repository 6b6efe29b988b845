"""Find and identify the weights of a SAM. Does not import torch, and downloads nothing."""

from __future__ import annotations

import json
from pathlib import Path

from apsam.errors import ApsamError, ConfigError, InputError
from apsam.sam.names import KNOWN, KnownSam, is_folder, is_hub_sam, repository_of
from apsam.sam.settings import SamSettings
from apsam.weights import PUBLISHED, cache_folder, is_cached

PACKAGED = Path(__file__).parent / "weights" / "light_sam.safetensors"

CONFIG = "config.json"
PROCESSORS = ("preprocessor_config.json", "processor_config.json")
WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"


def weights_identity(settings: SamSettings) -> tuple[list[Path], str]:
    """Identify the weights that `apsam.sam.registry.build_sam` would load.

    Returns:
        Files whose content counts, and a text that is the same on every machine; either may be empty.

    Raises:
        ConfigError: The SAM has no published weights, and no checkpoint is set.
        ApsamError: The SAM is one of the Hugging Face hub and its files are not on this machine.
        InputError: They are incomplete.
    """
    name, checkpoint = settings.name, settings.checkpoint
    if is_hub_sam(name):
        # A folder's path does not identify its content.
        return hub_files(hub_folder(name, checkpoint)), repository_of(name) or "folder"
    if checkpoint is not None:
        return [checkpoint], name
    if name == "light":
        return [PACKAGED], name
    if f"sam_{name}" not in PUBLISHED:
        raise ConfigError(
            f"sam.name: SAM '{name}' has no published weights; set sam.checkpoint to its weights file, or add its "
            "download to apsam/weights.py (docs/add-a-sam.md)"
        )
    return [], f"{name}:{PUBLISHED[f'sam_{name}'].sha256}"


def weights_present(settings: SamSettings) -> bool:
    """Whether the weights are on this machine; False if `build_sam` would download them."""
    if not is_hub_sam(settings.name) and settings.checkpoint is None and f"sam_{settings.name}" in PUBLISHED:
        return is_cached(f"sam_{settings.name}")
    try:
        return all(file.is_file() for file in weights_identity(settings)[0])
    except ApsamError:
        return False


def hub_folder(name: str, checkpoint: Path | None = None) -> Path:
    """Return the folder with the files of a SAM of the Hugging Face hub.

    It is `checkpoint`, or `name` if that is a folder; else `<cache>/hub/<organisation>/<repository>`
    (`apsam.weights.cache_folder`), or the hub's own cache.

    Raises:
        ApsamError: There is none; the message names the download and its path.
    """
    if checkpoint is not None or is_folder(name):
        folder = Path(checkpoint if checkpoint is not None else name).expanduser()
        setting = "sam.checkpoint" if checkpoint is not None else "sam.name"
        if not folder.is_dir():
            raise InputError(
                f"{folder}: no such folder ({setting}); SAM '{name}' is loaded from a folder with {CONFIG}, "
                f"{PROCESSORS[0]} and {WEIGHTS}"
            )
        return folder
    repository = repository_of(name)
    assert repository is not None, name
    own = cache_folder() / "hub" / repository
    if (own / CONFIG).is_file():
        return own
    found = _in_hub_cache(repository)
    if found is not None:
        return found
    raise ApsamError(_how_to_get(name, repository, own))


def _in_hub_cache(repository: str) -> Path | None:
    """Return the snapshot of a repository's main branch in the cache of `huggingface_hub`, if that is installed."""
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    found = try_to_load_from_cache(repository, CONFIG)
    return Path(found).parent if isinstance(found, str) else None


def _how_to_get(name: str, repository: str, folder: Path) -> str:
    page = f"https://huggingface.co/{repository}"
    known = KNOWN.get(name) or next((sam for sam in KNOWN.values() if sam.repository == repository), None)
    licence = f"licence: {known.licence}" if known else f"licence: see {page}"
    terms = f" accept the terms at {page}, run `hf auth login`, then" if known and known.terms else ""
    return (
        f"SAM '{name}' is not on this machine ({licence}) and is not downloaded by itself. On a machine with network"
        f"{terms} get\n  {page}\n"
        f"  {download_command(repository, folder)}\n"
        f"and put the files at\n  {folder}\n(APSAM_CACHE changes the folder), or name their folder by sam.checkpoint"
    )


def download_command(repository: str, folder: Path) -> str:
    """Return the command of `huggingface_hub` that downloads a SAM's files to the folder of `hub_folder`."""
    patterns = " ".join(f"--include '{pattern}'" for pattern in ("*.json", "model*.safetensors", "README.md"))
    return f"hf download {repository} {patterns} --local-dir {folder}"


def hub_files(folder: Path) -> list[Path]:
    """Return the files of a SAM's folder that are read: configuration, image processor and weights.

    Raises:
        InputError: One is missing, or the weights are only available as a pickle, which could run code.
    """
    if not (folder / CONFIG).is_file():
        raise InputError(f"{folder}: no {CONFIG}; a SAM's folder has {CONFIG}, {PROCESSORS[0]} and {WEIGHTS}")
    processors = [folder / name for name in PROCESSORS if (folder / name).is_file()]
    if not processors:
        raise InputError(
            f"{folder}: neither {' nor '.join(PROCESSORS)}; it defines how images are scaled: "
            "copy it from the repository that the SAM was fine-tuned of"
        )
    return [folder / CONFIG, *processors, *_weights_files(folder)]


def _weights_files(folder: Path) -> list[Path]:
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    index = folder / WEIGHTS_INDEX
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise InputError(f"{index}: not an index of weights ({error}); download it again") from error
        absent = [name for name in names if not (folder / name).is_file()]
        if absent:
            raise InputError(f"{folder}: {absent[0]} is missing ({len(absent)} of {len(names)} files); download it")
        return [index, *(folder / name for name in names)]
    pickles = sorted(file.name for pattern in ("*.bin", "*.pt", "*.pth") for file in folder.glob(pattern))
    advice = f"; {pickles[0]} is not read, since it may run code: convert it to safetensors" if pickles else ""
    raise InputError(f"{folder}: no {WEIGHTS}{advice}")


def sams_of_the_hub() -> tuple[dict[str, Path], list[KnownSam]]:
    """Find the SAMs of the Hugging Face hub on this machine.

    Returns:
        Folders by `sam.name`: of the known ones, and of those in `<cache>/hub`; and the known ones that are missing.
    """
    there: dict[str, Path] = {}
    absent: list[KnownSam] = []
    for sam in KNOWN.values():
        if sam.repository:
            try:
                there[sam.name] = hub_folder(sam.name)
            except ApsamError:
                absent.append(sam)
    own = cache_folder() / "hub"
    for config in sorted(own.glob(f"*/*/{CONFIG}")):
        if config.parent not in there.values():
            there[config.parent.relative_to(own).as_posix()] = config.parent
    return there, absent


def licence_of(name: str, checkpoint: Path | None = None) -> str:
    """Return the licence of a SAM's checkpoint: for a known one as published, else from the folder's README.md."""
    if name in KNOWN and checkpoint is None:
        return KNOWN[name].licence
    try:
        folder = hub_folder(name, checkpoint) if is_hub_sam(name) else None
    except ApsamError:
        folder = None
    stated = _stated_licence(folder / "README.md") if folder else None
    if stated:
        return stated
    repository = repository_of(name)
    return f"not stated here, see https://huggingface.co/{repository}" if repository else "not stated"


def _stated_licence(readme: Path) -> str | None:
    """Return `license_name` or `license` from the header of a model card."""
    import yaml

    if not readme.is_file():
        return None
    parts = readme.read_text(errors="replace").split("---")
    try:
        header = yaml.safe_load(parts[1]) if len(parts) > 2 and not parts[0].strip() else None
    except yaml.YAMLError:
        return None
    if not isinstance(header, dict):
        return None
    found = header.get("license_name") or header.get("license")
    return str(found) if found else None
