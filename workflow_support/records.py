"""Keep Snakemake's record of each output, and what made it, beside the outputs, so that all travel together.

Snakemake remembers in `.snakemake/metadata` with which parameters, code and input checksums a file was made. A DVC
checkout, a copied `results/` or a clone brings files without that memory, or files that the memory does not describe;
Snakemake then trusts dates, and a result of other settings passes as current. So, when a run ends, the records of a
stage's files go to `results/<run>/.provenance/<stage>.json`, each with the SHA-256 of its file, and when Snakemake
starts, a record is put back where the file on disk is the one it describes. The same files say, for people
(`apsam provenance FILE`), which settings, code and packages made each file.

Knows the format of Snakemake's file persistence (records of version 6), which is pinned and tested.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apsam.provenance import Provenance, environment
from workflow_support.checksums import Checksums

METADATA = Path(".snakemake/metadata")

# Snakemake keeps the date of a folder in this file inside it.
FOLDER_DATE = ".snakemake_timestamp"

# The file persistence splits a record's encoded name into pieces of this length, for file systems' sake.
NAME_PIECE = 254

# When and where a job ran says nothing about its output; without it the stored records do not change from run to run.
NOT_KEPT = {"starttime", "endtime", "external_jobid", "job_hash"}
FILLED_IN = {"starttime": 0, "endtime": 0, "external_jobid": None, "job_hash": 0}

Parameters = Mapping[str, Mapping[str, Any]]


def store_records(results: str, parameters: Parameters | None = None) -> None:
    """Write what made the files of the run in the folder `results`.

    A file that was changed after it was made keeps the entry of what was made: it does not become the job's by being
    there.

    Args:
        results: The run's folder.
        parameters: By output, the parameters of its job by name, where they are known.
    """
    checksums = Checksums()
    provenance = Provenance(results)
    provenance.forget_missing()
    for file in METADATA.rglob("*") if METADATA.is_dir() else []:
        output = output_of(file) if file.is_file() else None
        if output and Path(output).exists() and Path(output).is_relative_to(results):
            record = read_record(output)
            if is_of_last_job(output, record):
                entry = {"sha256": checksums.of(output), "record": kept(record)}
                known = provenance.of(output)
                if known is None or {key: known.get(key) for key in entry} != entry:
                    made_with = {"parameters": (parameters or {}).get(output), "environment": environment()}
                    provenance.put(output, {**entry, **made_with})
    provenance.save()
    checksums.save()


def restore_records(results: str) -> int:
    """Put the stored records of all files back that are on disk as recorded.

    Returns:
        How many records were missing or described another state of their file.
    """
    checksums = Checksums()
    restored = 0
    for output, stored in Provenance(results).items():
        if kept(read_record(output)) == stored["record"] or not Path(output).exists():
            continue
        if checksums.of(output) == stored["sha256"]:
            write_record(output, stored["record"])
            restored += 1
    checksums.save()
    return restored


def is_of_last_job(output: str, record: Mapping[str, Any]) -> bool:
    """Whether a file is as the job that its record describes left it, by the date that Snakemake notes."""
    dated = Path(output, FOLDER_DATE) if os.path.isdir(output) else Path(output)
    return dated.exists() and dated.lstat().st_mtime == record.get("endtime")


def read_record(output: str) -> dict[str, Any]:
    """Snakemake's record of an output; empty where there is none, or half of one."""
    try:
        record = json.loads((METADATA / _record_name(output)).read_text())
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return {}
    return record if isinstance(record, dict) else {}


def write_record(output: str, record: Mapping[str, Any]) -> None:
    """Make `record` Snakemake's record of an output. Never through a file that is there: it might be a link."""
    target = METADATA / _record_name(output)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.partial")
    partial.write_text(json.dumps({**record, **FILLED_IN}))
    os.replace(partial, target)


def kept(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record without what says when and where its job ran."""
    return {key: value for key, value in record.items() if key not in NOT_KEPT}


def output_of(file: Path) -> str | None:
    """The output that a file in Snakemake's memory describes; None where it describes none."""
    encoded = "".join(part.removeprefix("@") for part in file.relative_to(METADATA).parts)
    try:
        return base64.urlsafe_b64decode(encoded).decode()
    except ValueError:
        return None


def _record_name(output: str) -> Path:
    encoded = base64.urlsafe_b64encode(output.encode()).decode()
    pieces = [encoded[start : start + NAME_PIECE] for start in range(0, len(encoded), NAME_PIECE)]
    return Path(*(f"@{piece}" for piece in pieces[:-1]), pieces[-1])
