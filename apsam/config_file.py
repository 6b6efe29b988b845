"""Write the configuration as a commented YAML file, and as a JSON schema for editors."""

from __future__ import annotations

import json
from textwrap import wrap
from typing import Any

import yaml
from pydantic import BaseModel

from apsam.config import Config
from apsam.resunet.settings import PRESETS, ResUNetSettings

# Comments start in this column; they are above their key if the line would be longer than this.
COMMENT_COLUMN, LONGEST_LINE = 52, 120


def render_config(config: Config) -> str:
    """Write a configuration as YAML, every key with its description from the schema as comment."""
    return "\n".join(_render(config, 0)) + "\n"


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a configuration, for editors that complete and check YAML.

    No key is required, because a file names only the settings that differ from the defaults.
    """
    schema = Config.model_json_schema()
    for section in schema["$defs"].values():
        section.pop("required", None)
    return schema


def _render(model: BaseModel, depth: int) -> list[str]:
    lines: list[str] = []
    # If written out, a preset's values would override another preset named in an overlay.
    preset = PRESETS[model.preset] if isinstance(model, ResUNetSettings) else {}
    from_preset = {name for name, value in preset.items() if getattr(model, name) == value}
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        indent = "  " * depth
        if isinstance(value, BaseModel):
            if depth == 0:
                summary = (type(value).__doc__ or "").strip().splitlines()[0]
                lines += ["", f"# {summary}"]
            lines += [f"{indent}{name}:", *_render(value, depth + 1)]
            continue
        text = f"{indent}{name}: {scalar(value)}"
        if name in from_preset:
            lines.append(f"{indent}# {name}: {scalar(value)}  (of the preset) {field.description or ''}".rstrip())
            continue
        line = f"{text:<{COMMENT_COLUMN}}  # {field.description}"
        if len(line) <= LONGEST_LINE:
            lines.append(line)
        else:
            lines += [f"{indent}# {part}" for part in wrap(field.description or "", LONGEST_LINE - 4)] + [text]
    return lines


def scalar(value: Any) -> str:
    """Write one value in YAML's flow style, which includes JSON."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(scalar(item) for item in value)}]"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if value is None or isinstance(value, bool | int | float):
        return json.dumps(value)
    text = str(value)
    plain = text.replace("_", "").replace(".", "").replace("/", "").replace("-", "").isalnum() and not text[0].isdigit()
    # YAML reads words such as No, ON and Null as other values.
    return text if plain and yaml.safe_load(text) == text else json.dumps(text)
