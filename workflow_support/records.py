"""Keep Snakemake's record of each output beside the outputs, so that both travel together.

Snakemake remembers in `.snakemake/metadata` with which parameters, code and input checksums a file was made. A DVC
checkout, a copied `results/` or a clone brings files without that memory, or files that the memory does not describe;
Snakemake then trusts dates, and a result of other settings passes as current. So, when a run ends, the records of a
stage's files go to `results/<run>/.provenance/<stage>.json`, each with the SHA-256 of its file, and when Snakemake
starts, a record is put back where the file on disk is the one it describes.

Knows the format of Snakemake's file persistence (records of version 6), which is pinned and tested.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

from apsam.files import sha256_file, write_json

METADATA = Path(".snakemake/metadata")
CHECKSUMS = Path(".snakemake/apsam_checksums.json")
FOLDER = ".provenance"

# The file persistence splits a record's encoded name into pieces of this length, for file systems' sake.
NAME_PIECE = 254

# When and where a job ran says nothing about its output; without it the stored records do not change from run to run.
NOT_KEPT = {"starttime", "endtime", "external_jobid", "job_hash"}
FILLED_IN = {"starttime": 0, "endtime": 0, "external_jobid": None, "job_hash": 0}


def store_records(results: str) -> None:
    """Write the records of all files of the run in the folder `results`."""
    checksums = _Checksums()
    stages: dict[str, dict[str, Any]] = {}
    for file in METADATA.rglob("*") if METADATA.is_dir() else []:
        output = Path(_output_of(file)) if file.is_file() else None
        if output and output.is_file() and output.is_relative_to(results):
            stage = output.relative_to(results).parts[0]
            kept = _kept(_read(file))
            stages.setdefault(stage, {})[str(output)] = {"sha256": checksums.of(output), "record": kept}
    for stage, records in stages.items():
        target = Path(results, FOLDER, f"{stage}.json")
        if _read(target) != records:
            write_json(target, records)
    checksums.save()


def restore_records(results: str) -> int:
    """Put the stored records of all files back that are on disk as recorded.

    Returns:
        How many records were missing or described another state of their file.
    """
    checksums = _Checksums()
    restored = 0
    for stage in sorted(Path(results, FOLDER).glob("*.json")):
        for output, stored in _read(stage).items():
            target = METADATA / _record_name(output)
            if _kept(_read(target)) == stored["record"] or not Path(output).is_file():
                continue
            if checksums.of(Path(output)) == stored["sha256"]:
                target.parent.mkdir(parents=True, exist_ok=True)
                # Not through an existing file: it might be a link into DVC's cache.
                partial = target.with_name(f"{target.name}.partial")
                partial.write_text(json.dumps({**stored["record"], **FILLED_IN}))
                os.replace(partial, target)
                restored += 1
    checksums.save()
    return restored


class _Checksums:
    """SHA-256 of files, remembered as long as size, date and inode stay."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = _read(CHECKSUMS)
        self._changed = False

    def of(self, path: Path) -> str:
        status = path.stat()
        stamp = [status.st_size, status.st_mtime_ns, status.st_ino]
        known = self._known.get(str(path))
        if known is None or known[0] != stamp:
            known = self._known[str(path)] = [stamp, sha256_file(path)]
            self._changed = True
        return known[1]

    def save(self) -> None:
        if self._changed:
            write_json(CHECKSUMS, self._known)


def _kept(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in NOT_KEPT}


def _record_name(output: str) -> Path:
    encoded = base64.urlsafe_b64encode(output.encode()).decode()
    pieces = [encoded[start : start + NAME_PIECE] for start in range(0, len(encoded), NAME_PIECE)]
    return Path(*(f"@{piece}" for piece in pieces[:-1]), pieces[-1])


def _output_of(file: Path) -> str:
    encoded = "".join(part.removeprefix("@") for part in file.relative_to(METADATA).parts)
    return base64.urlsafe_b64decode(encoded).decode()


def _read(path: Path) -> dict[str, Any]:
    """A JSON object; empty where the file is missing or half written."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
