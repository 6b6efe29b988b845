"""Values as words of the shell commands that rules run."""

from __future__ import annotations

import shlex

# What the shell reads within double quotes.
SPECIAL = set('"$`\\!')


def quoted(value: object) -> str:
    """A value as one word of a shell command.

    Plain values stand in double quotes: they did always, and a parameter of another text would run its rule again.
    """
    text = str(value)
    plain = text.isascii() and text.isprintable() and not SPECIAL & set(text)
    return f'"{text}"' if plain else shlex.quote(text)
