"""The SAMs with a short name, and the other values that `sam.name` accepts. Does not import torch.

To add a checkpoint of the Hugging Face hub with a short name, add a line to `KNOWN`. Without one,
`sam.name: organisation/repository` works too. docs/sam.md explains how to add a SAM of another architecture.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator


@dataclass(frozen=True)
class KnownSam:
    """A SAM with a short name.

    Attributes:
        name: The short name.
        licence: Of the checkpoint, as stated by its publisher.
        repository: On the Hugging Face hub; None for those of `segment_anything`'s classes.
        terms: Whether its terms must be accepted before the download.
    """

    name: str
    licence: str
    repository: str | None = None
    terms: bool = False


KNOWN = {
    sam.name: sam
    for sam in (
        KnownSam("light", "Apache-2.0"),
        KnownSam("vit_b", "Apache-2.0"),
        KnownSam("vit_l", "Apache-2.0"),
        KnownSam("vit_h", "Apache-2.0"),
        KnownSam("mobile", "Apache-2.0"),
        KnownSam("sam2.1_tiny", "Apache-2.0", "facebook/sam2.1-hiera-tiny"),
        KnownSam("sam2.1_small", "Apache-2.0", "facebook/sam2.1-hiera-small"),
        KnownSam("sam2.1_base_plus", "Apache-2.0", "facebook/sam2.1-hiera-base-plus"),
        KnownSam("sam2.1_large", "Apache-2.0", "facebook/sam2.1-hiera-large"),
        KnownSam("sam3", "SAM License (Meta)", "facebook/sam3", terms=True),
        KnownSam("sam_hq_vit_b", "Apache-2.0", "syscv-community/sam-hq-vit-base"),
        KnownSam("sam_hq_vit_l", "Apache-2.0", "syscv-community/sam-hq-vit-large"),
        KnownSam("sam_hq_vit_h", "Apache-2.0", "syscv-community/sam-hq-vit-huge"),
    )
}

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


def is_folder(name: str) -> bool:
    """Whether a `sam.name` is a local folder: a path that begins with `/`, `./`, `../` or `~`, or an existing one."""
    if name in KNOWN:
        return False
    return name.startswith(("/", "./", "../", "~")) or name in (".", "..") or ("/" in name and Path(name).is_dir())


def repository_of(name: str) -> str | None:
    """Return the repository on the Hugging Face hub for a `sam.name`; None if it is not one of the hub."""
    if name in KNOWN:
        return KNOWN[name].repository
    return name if not is_folder(name) and _REPOSITORY.fullmatch(name) else None


def is_hub_sam(name: str) -> bool:
    """Whether a `sam.name` is loaded from a folder with the files of a Hugging Face hub repository."""
    return is_folder(name) or repository_of(name) is not None


def check_name(name: str) -> str:
    """Return `name` if it is a valid `sam.name`.

    Raises:
        ValueError: It is not a short name, hub name or folder; the message lists the short names.
    """
    if name in KNOWN or is_hub_sam(name):
        return name
    raise ValueError(
        f"unknown SAM '{name}'; known are {', '.join(KNOWN)}; or name a repository of the Hugging Face hub "
        "(organisation/repository) or a folder (./path)"
    )


SamName = Annotated[str, AfterValidator(check_name)]
