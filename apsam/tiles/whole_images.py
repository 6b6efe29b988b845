"""Whether a PNG or JPEG is all there: GDAL and OpenCV make up the pixels of one that was cut off, and say nothing."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from apsam.errors import InputError

# How the files begin, and what ends them. After a JPEG's end some cameras write more.
PNG, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
JPEG, JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
TAIL = 4096


def check_whole(path: Path) -> None:
    """Raise InputError where a PNG or JPEG is cut off, as an interrupted download leaves it; other files pass."""
    with path.open("rb") as file:
        start = file.read(len(PNG))
        size = file.seek(0, 2)
        file.seek(max(0, size - TAIL))
        tail = file.read()
    if start == PNG:
        whole = PNG_END in tail
    elif start.startswith(JPEG):
        whole = tail.rstrip(b"\0").endswith(JPEG_END)
    else:
        return
    if whole or _loads(path):
        return
    raise InputError(f"{path}: is cut off after {size:,} bytes; copy or download it again")


def _loads(path: Path) -> bool:
    """Whether all pixels are found, which takes longer."""
    try:
        with Image.open(path) as image:
            image.load()
    except Image.DecompressionBombError:
        return True
    except (OSError, ValueError, SyntaxError):
        return False
    return True
