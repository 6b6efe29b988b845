"""Pages of the site that are written elsewhere: README, changelog, contributing guide, notebooks, and the API.

MkDocs runs this (mkdocs.yml, `hooks`). Each of these texts has one source: the file that a reader of the repository
opens, or the code.
"""

from __future__ import annotations

import inspect
import re
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files

import apsam

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig

ROOT = Path(__file__).resolve().parents[1]
# Page of the site -> file of the repository.
PAGES = {"index.md": "README.md", "changelog.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md"}

LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]+)(#[^)]*)?\)")
API = """\
# API

The names of `import apsam`. They stay stable between versions; other modules may change.

```python
import apsam

model = apsam.load("results/demo")                      # localizer, SAM and ResUNet of a run, with their settings
cam = model.cam(image)                                  # image: (H, W, 3) uint8, or an open rasterio dataset
prompts = apsam.generate_prompts(cam, threshold=120)    # list of apsam.Prompt
mask = model.segment(image, prompts, cam=cam)           # (H, W) bool
result = model.predict("scene.tif", "out/")             # result.polygons is a GeoDataFrame
```
"""
# What people look for first; the others follow in the order of `__all__`.
FIRST = ("load", "Model", "generate_prompts", "Prompt", "Prediction")
NO_NAMES = "\n`apsam.__all__` is empty in this version.\n"


@event_priority(100)  # before mkdocs-jupyter, which turns notebooks into pages
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    for page, source in PAGES.items():
        files.append(File.generated(config, page, content=for_site((ROOT / source).read_text())))
    files.append(File.generated(config, "api.md", content=api_page(apsam)))
    for notebook in sorted((ROOT / "examples").glob("*.ipynb")):
        name = notebook.relative_to(ROOT).as_posix()
        files.append(File(name, str(ROOT), config.site_dir, config.use_directory_urls))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Give links that are named by their file the title of the page."""
    return re.sub(r"\[([\w-]+\.md)\]", lambda match: f"[{_title(match[1])}]", markdown)


@cache
def _title(name: str) -> str:
    file = ROOT / "docs" / name
    return file.read_text().partition("# ")[2].partition("\n")[0] if file.is_file() else name


def for_site(text: str) -> str:
    """A page of the repository's root as a page of the site: links into docs/ are followed, other files only named."""
    sources = {source: page for page, source in PAGES.items()}

    def link(match: re.Match[str]) -> str:
        image, label, target, anchor = match.groups(default="")
        if re.match(r"[a-z]+:|examples/", target):
            return match[0]
        if target.startswith("docs/"):
            return f"{image}[{label}]({target.removeprefix('docs/')}{anchor})"
        if target in sources:
            return f"[{label}]({sources[target]}{anchor})"
        return label if f"`{target}`" == label else f"{label} (`{target}`)"

    return LINK.sub(link, text)


def api_page(package: ModuleType) -> str:
    """The page with every name of `__all__`, each with its docstring."""
    parts = [API]
    names = getattr(package, "__all__", ())
    for name in [*(name for name in FIRST if name in names), *(name for name in names if name not in FIRST)]:
        if name.startswith("__"):
            continue
        value = getattr(package, name)
        shown = f"{package.__name__}.{name}"
        parts.append(f"::: {_path(value, shown)}\n    options:\n      heading: {shown}\n      toc_label: {name}\n")
    return "\n".join(parts if len(parts) > 1 else [*parts, NO_NAMES])


def _path(value: object, name: str) -> str:
    """Where a value is defined, so that names which are imported only when they are used are found too."""
    if inspect.ismodule(value):
        return value.__name__
    module, qualified = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    return f"{module}.{qualified}" if module and qualified else name
