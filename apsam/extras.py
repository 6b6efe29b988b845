"""Missing optional packages, and the extra of `apsam` that installs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from apsam.errors import ApsamError

# Extra of pyproject.toml -> modules that it installs.
EXTRAS = {
    "maps": ("geopandas", "pandas", "pyarrow", "pyogrio"),
    "train": ("lightning", "scipy", "skimage", "timm", "zarr"),
    "report": ("jinja2", "markupsafe", "matplotlib"),
    "workflow": ("snakemake",),
    "dvc": ("dvc",),
    "hub": ("transformers",),
}


class MissingExtra(ApsamError):
    """A package that is part of an extra is not installed."""


def missing_extra(error: ModuleNotFoundError) -> MissingExtra | None:
    """Return the error that names the extra; None if the module belongs to none."""
    module = (error.name or "").partition(".")[0]
    extra = next((extra for extra, modules in EXTRAS.items() if module in modules), None)
    if extra is None:
        return None
    return MissingExtra(f"this needs the package {module}, which is not installed: pip install 'apsam[{extra}]'")


@contextmanager
def naming_extras() -> Iterator[None]:
    """Replace the error for a missing module by one that names its extra.

    Raises:
        MissingExtra: A package of an extra is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (named := missing_extra(error)) is None:
            raise
        raise named from error
