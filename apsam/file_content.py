"""What a file is that cannot be read as what its name says: empty, a web page, a pointer, an archive."""

from __future__ import annotations

from pathlib import Path

START = 512
# Keys with which the files of annotation tools begin: COCO, labelme, Pascal VOC.
ANNOTATIONS = (b'"annotations"', b'"categories"', b'"images"', b'"shapes"', b"<annotation>")
ZIP, GZIP, NUMPY = b"PK\x03\x04", b"\x1f\x8b", b"\x93NUMPY"


def content_hint(path: Path) -> str:
    """What the first bytes of a file show it to be, to be put after an error; nothing where they show nothing."""
    try:
        with path.open("rb") as file:
            start = file.read(START)
    except OSError:
        return ""
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not start:
        return "; it is empty: copy or download it again"
    if text.startswith((b"<!doctype html", b"<html")):
        return "; it is a web page (HTML), as a download gives that needs a login: download the file itself"
    if text.startswith((b"{", b"<")) and any(key in text for key in ANNOTATIONS):
        return (
            "; it holds annotations in pixels (COCO, labelme, VOC): export them as masks (PNG), or write a table of "
            "the columns tile and label"
        )
    if start.startswith(b"version https://git-lfs"):
        return "; it is a pointer of Git LFS: fetch the file itself (git lfs pull)"
    if start.startswith(NUMPY):
        return "; it is an array of NumPy: write it as GeoTIFF (a scene) or as PNG files (ready-made tiles)"
    if start.startswith(ZIP):
        return "; it is a zip archive: unpack it"
    return "; it is packed: unpack it (gunzip)" if start.startswith(GZIP) else ""
