"""Write docs/configuration.md: every setting with its default, its values and its meaning, from the schema.

python -m workflow_support.config_page > docs/configuration.md
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from apsam.config import Config, read_config
from apsam.config_file import scalar
from apsam.resunet.settings import PRESETS, ResUNetSettings

ROOT = Path(__file__).resolve().parents[1]
DEFAULTS = ROOT / "config.yaml"
# Settings of the paper, and those of the released code.
PAPER, RELEASED = ROOT / "config/paper.yaml", ROOT / "config/as_released.yaml"
# Name and paths of a run; they are not choices of paper or code.
PLACES = {"run", "scenes"}

INTRODUCTION = """\
<!-- Written by `make config-docs` from the schema (apsam/config.py). -->
# Configuration

`config.yaml` in the project folder contains the settings that people change most. Every other setting has the default
listed here. Put your own settings into a file of your own, with only the keys that differ, and lay it over
`config.yaml`:

```yaml
# yaml-language-server: $schema=schema.json
run: mine
scenes: config/mine_scenes.tsv
prompts: {threshold: 90}
```

```bash
snakemake --cores all --configfile config.yaml config/mine.yaml     # later files win, key by key
apsam config show config.yaml config/mine.yaml                      # all settings of that run, with their meaning
```

- **Checked before anything runs.** An unknown key or a wrong value stops the run; the message names the key, the value
  and what is allowed.
- **Completion in editors.** The first line of the example points editors with the YAML language server at
  `config/schema.json` (`apsam config schema` prints it), which completes keys and checks values.
- **For one run:** `--config run=other` sets a key at the top level, `--config prompts='{threshold: 90}'` keys of a
  section; `dvc exp run -S prompts.threshold=90` sets any key that changes results ([dvc.md](dvc.md)).
- **Machine settings** (threads, memory, partitions of a cluster) are in `profiles/`, not here
  ([cluster.md](cluster.md)).

What runs again after a change follows from the files that depend on the setting. Changing it back runs nothing.
"""

PAPER_INTRODUCTION = """\
## Choices of the paper and of its released code

The defaults follow the paper where it is clear and sound. Two files hold the rest, so that each can be switched on as
a whole, or copied key by key: `config/paper.yaml` (the paper as written) and `config/as_released.yaml` (what its
released code does instead). The table shows every key that one of them changes; an empty cell means as in the column
before. [reproducing.md](reproducing.md#what-the-released-code-does) gives the effect of each choice,
[glossary.md](glossary.md#as-written-as-released) defines the terms.
"""


def render() -> str:
    """Return the text of docs/configuration.md."""
    parts = [INTRODUCTION, "\n".join(_paper_table()), *_sections()]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _paper_table() -> Iterator[str]:
    yield PAPER_INTRODUCTION
    yield "| Setting | Default | Paper | Released code |\n|---|---|---|---|"
    default, paper = _flat(read_config(DEFAULTS)), _flat(read_config(DEFAULTS, PAPER))
    released = _flat(read_config(DEFAULTS, PAPER, RELEASED))
    named = {key for file in (PAPER, RELEASED) for key in _keys(yaml.safe_load(file.read_text()))}
    for key, value in default.items():
        # Keys that a preset sets are listed once, in the section's own table.
        changed = paper[key] != value or released[key] != paper[key]
        if key in named - PLACES and changed:
            cells = [
                _code(scalar(after)) if after != before else ""
                for before, after in ((value, paper[key]), (paper[key], released[key]))
            ]
            yield f"| `{key}` | {_code(scalar(value))} | {cells[0]} | {cells[1]} |"


def _flat(model: BaseModel, prefix: str = "") -> dict[str, Any]:
    """Return dotted key -> value of all settings."""
    flat: dict[str, Any] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, BaseModel) else {f"{prefix}{name}": value}
    return flat


def _keys(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        yield from _keys(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [f"{prefix}{key}"]


def _sections() -> Iterator[str]:
    yield "\n".join(["## Top level", "", *_table(Config())])
    for name in Config.model_fields:
        value = getattr(Config(), name)
        if isinstance(value, BaseModel):
            yield from _section(name, value, 2)


def _section(key: str, model: BaseModel, level: int) -> Iterator[str]:
    summary = _linked((type(model).__doc__ or "").strip().splitlines()[0])
    if isinstance(model, ResUNetSettings):
        summary += f" The default preset is `{model.preset}`."
    yield "\n".join([f"{'#' * level} `{key}`", "", summary, "", *_table(model)])
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _section(f"{key}.{name}", value, level + 1)


def _table(model: BaseModel) -> Iterator[str]:
    fields = type(model).model_fields
    schema = type(model).model_json_schema()
    presets = list(PRESETS) if isinstance(model, ResUNetSettings) else []
    heads = [f"`{preset}`" for preset in presets] or ["Default"]
    yield f"| Setting | {' | '.join(heads)} | Values | Meaning |\n|{'---|' * (len(heads) + 3)}"
    for name, field in fields.items():
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            continue
        of_presets = [preset if name == "preset" else PRESETS[preset].get(name, value) for preset in presets]
        values = of_presets or [value]
        defaults = " | ".join(_code(scalar(one)) for one in values)
        allowed = _cell(_allowed(schema["properties"][name], schema))
        yield f"| `{name}` | {defaults} | {allowed} | {_cell(field.description or '')} |"


def _allowed(schema: Mapping[str, Any], whole: Mapping[str, Any]) -> str:
    """Describe the allowed values in words, from the JSON schema."""
    if "$ref" in schema:
        schema = whole["$defs"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_allowed(one, whole) for one in schema["anyOf"]))
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    match schema.get("type"):
        case "null":
            return "`null`"
        case "boolean":
            return "`true`, `false`"
        case "array" if "prefixItems" in schema:
            kinds = list(dict.fromkeys(_allowed(one, whole) for one in schema["prefixItems"]))
            return f"list of {len(schema['prefixItems'])}: {' and '.join(kinds)}"
        case "array":
            return f"list of: {_allowed(schema['items'], whole)}"
        case "string":
            return "path" if schema.get("format") == "path" else "text"
        case kind:
            return ", ".join([str(kind), *_limits(schema)])


def _limits(schema: Mapping[str, Any]) -> Iterator[str]:
    words = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
        "multipleOf": "multiple of",
    }
    for limit, word in words.items():
        if limit in schema:
            yield f"{word} {scalar(schema[limit])}"


def _code(text: str) -> str:
    return f"`{text}`"


def _cell(text: str) -> str:
    return _linked(text.replace("|", "\\|").replace("<", "&lt;"))


def _linked(text: str) -> str:
    """Make links of the pages that a description names: `docs/ground.md`."""
    return re.sub(r"docs/([a-z-]+\.md)", r"[\1](\1)", text)


if __name__ == "__main__":
    print(render(), end="")
