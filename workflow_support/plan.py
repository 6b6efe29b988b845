"""Decide by content what is out of date, and bring back from the shelf what was made before under the same recipe.

Snakemake compares dates first and content second, and whatever it finds changed it makes anew, even where the run had
the very file an hour ago. `Plan` sits between its graph of jobs and its decision what to run. In the order of the data
it looks, for each job, at what its inputs hold (or will hold, once files came back), and

- where all is as the records say, dates no longer matter;
- where not, but the shelf (`apsam.shelf`) has the files that this job made from these very inputs, with these
  parameters and this code, they are as good as made;
- where an input's content is not what the output was made from, Snakemake is told so, whatever the dates are;
- a file that somebody removed is made again, though the shelf has it;
- everything else (changed parameters or code, missing files, forced jobs) is for Snakemake to find, as always.

All this is only looked up: a dry run plans with the files of the shelf as if they were in place and moves nothing. In
a real run they are moved when Snakemake holds its lock, which then covers them too. What is in place is put on the
shelf at the same time, and once more when the run ends.

Knows internals of Snakemake, which is pinned; `tests/workflow` asks the real one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from snakemake.exceptions import WorkflowError
from snakemake.io import Mtime
from snakemake.logging import logger
from snakemake.persistence import MetadataRecord
from snakemake.persistence.file import FilePersistence
from snakemake.settings.types import RerunTrigger

from apsam.errors import InputError
from apsam.provenance import Provenance
from apsam.shelf import CHANGED, Shelf, Version
from workflow_support.checksums import Checksums
from workflow_support.recipe import digest, recipe_key, same_recipe
from workflow_support.records import FILLED_IN, is_of_last_job, kept, read_record, write_record

# Content of a file that a job of this run will make, and of one that is missing and made only if something asks for it.
TO_COME, MISSING = "to come", "missing"

# Dates of outputs in Snakemake's eyes: after every real date, later stages later. What is out of date by content, it is
# told.
LATE = 1e11

# Files named in one message.
NAMED = 3


class Plan:
    """What one Snakemake process brings back and puts aside in the run in the folder `results`.

    Args:
        results: The run's folder, as the rules name it.
        limit: Bytes that the shelf may hold beside what is in place; 0: nothing is put aside or brought back.

    """

    def __init__(self, results: str, limit: float) -> None:
        self._results = results
        self._limit = limit
        self._shelf = Shelf(results)
        self._dag: Any = None
        self._restored: list[tuple[Any, Version]] = []
        self._replaced: list[Any] = []

    def attach(self, workflow: Any) -> None:
        """Take part in what `workflow`, of the main process, decides."""
        prepare = workflow._prepare_dag

        def prepare_dag(*args: Any, **kwargs: Any) -> None:
            prepare(*args, **kwargs)
            runs = workflow.executor_plugin is not None and not workflow.touch
            if runs and isinstance(workflow.persistence, FilePersistence):
                self._follow(workflow)

        workflow._prepare_dag = prepare_dag

    def parameters(self) -> dict[str, dict[str, Any]]:
        """By output, the parameters of its job by name, without those that change no result."""
        named: dict[str, dict[str, Any]] = {}
        for job in () if self._dag is None else self._dag.jobs:
            if job.output:
                compared = set(self._persistence._params(job))
                values = {name: _plain(value) for name, value in job.params.items() if repr(value) in compared}
                named.update({str(file): values for file in job.output})
        return named

    def tidy(self) -> None:
        """Put all that is in place on the shelf too, and keep the shelf within its limit."""
        if not self._limit:
            self._shelf.clear()
        elif self._dag is not None:
            self._provenance = Provenance(self._results)
            for job in self._dag.jobs:
                if job.output:
                    self._put(job)
            self._checksums.save()
            self._shelf.keep_within(self._limit)

    def _follow(self, workflow: Any) -> None:
        self._workflow, self._dag, self._persistence = workflow, workflow._dag, workflow.persistence
        self._records: dict[str, MetadataRecord] = {}
        self._content: dict[str, str] = {}
        self._edited: list[str] = []
        self._checksums = Checksums()
        self._provenance = Provenance(self._results)
        decide, read, lock = self._dag.update_needrun, self._persistence._read_record, self._persistence.lock
        locked_outputs = self._persistence.all_outputfiles
        decided = False

        async def update_needrun(*args: Any, **kwargs: Any) -> None:
            nonlocal decided
            if decided or self._has_storage():
                return await decide(*args, **kwargs)
            decided = True
            self._judge()
            await decide(*args, **kwargs)
            self._settle()

        @contextmanager
        def lock_and_swap() -> Iterator[None]:
            with lock():
                if not workflow.dryrun:
                    self._swap()
                yield

        def outputs_to_lock() -> Iterator[str]:
            yield from locked_outputs()
            yield from (str(file) for job, _ in self._restored for file in job.output)

        self._dag.update_needrun = update_needrun
        self._persistence._read_record = lambda key: self._records.get(key) or read(key)
        self._persistence.all_outputfiles = outputs_to_lock
        self._persistence.lock = lock_and_swap

    def _has_storage(self) -> bool:
        """Whether files come from elsewhere, whose content is not here to look at."""
        return any(file.is_storage for job in self._dag.jobs for file in (*job.input, *job.output))

    def _judge(self) -> None:
        """Find out of each job's files what they hold, or will hold, and what can come back."""
        for level, jobs in enumerate(self._dag.toposorted()):
            for job in jobs:
                if job.output:
                    self._content.update(self._judge_job(job, level))
        self._checksums.save()

    def _judge_job(self, job: Any, level: int) -> dict[str, str]:
        """The content of a job's outputs once this run is over."""
        outputs = [str(file) for file in job.output]
        self._date(job, level)
        inputs = {file: self._content.get(file) or self._checksum(file) for file in map(str, job.input)}
        missing = not all(os.path.exists(file) for file in outputs)
        if self._forced(job) or TO_COME in inputs.values():
            return dict.fromkeys(outputs, TO_COME)
        changed = self._changed_inputs(job, inputs)
        if not changed and not self._outdated(job):
            if not missing:
                self._note_edited(outputs)
                return {file: self._checksum(file) or "" for file in outputs}
            version = None if self._was_removed(job) else self._find(job, inputs)
            return self._bring_back(job, version, level) if version else dict.fromkeys(outputs, MISSING)
        if version := self._find(job, inputs):
            return self._bring_back(job, version, level)
        if changed:
            self._dag.reason(job).updated_input.update(changed)
        return dict.fromkeys(outputs, TO_COME)

    def _note_edited(self, outputs: Iterable[str]) -> None:
        for file in outputs:
            record, known = read_record(file), self._provenance.of(file)
            if known and known["record"] == kept(record) and not is_of_last_job(file, record):
                if self._checksums.of(file) != known["sha256"]:
                    self._edited.append(file)

    def _date(self, job: Any, level: int) -> None:
        """Let a job's files look newer than what they were made from."""
        for file in (*job.output, *([job.benchmark] if job.benchmark else [])):
            if os.path.exists(file):
                self._workflow.iocache.mtime[file] = Mtime(local=LATE + level)

    def _forced(self, job: Any) -> bool:
        dag = self._dag
        return (job not in dag.omitforce and job.rule in dag.forcerules) or not dag.forcefiles.isdisjoint(job.output)

    def _outdated(self, job: Any) -> bool:
        """Whether Snakemake will find that a job's recipe is another one."""
        persistence, triggers = self._persistence, self._workflow.rerun_triggers
        if not persistence.has_metadata(job):
            return False
        return bool(
            persistence.has_outdated_metadata(job)
            or (RerunTrigger.PARAMS in triggers and persistence.params_changed(job))
            or (RerunTrigger.CODE in triggers and any(persistence.code_changed(job)))
            or (RerunTrigger.INPUT in triggers and any(persistence.input_changed(job)))
            or (RerunTrigger.SOFTWARE_ENV in triggers and any(persistence.software_stack_changed(job)))
        )

    def _changed_inputs(self, job: Any, inputs: Mapping[str, str | None]) -> list[Any]:
        """The inputs that do not hold what a job's outputs were made from, also of outputs that were only temporary."""
        present = [str(file) for file in job.output if os.path.exists(file)]
        records = [
            record for file in job.output if (record := self._persistence.metadata(file)) or str(file) in present
        ]
        if not records:
            return []
        oldest = min((os.lstat(file).st_mtime for file in present), default=LATE)
        changed = []
        for file in job.input:
            content = inputs[str(file)]
            if file.is_ancient or content == MISSING:
                continue
            recorded = {record and (record.input_checksums or {}).get(str(file)) for record in records}
            if None in recorded or content is None:
                # Nothing was noted, or it is a folder: the date has to do.
                different = os.path.exists(file) and os.stat(file).st_mtime > oldest
            else:
                different = {checksum.removeprefix("sha256:") for checksum in recorded} != {content}
            if different:
                changed.append(file)
        return changed

    def _was_removed(self, job: Any) -> bool:
        """Whether somebody removed the very files that are wanted: what made them is noted, they are not there.

        A job that was stopped leaves the same traces and a mark of Snakemake's. DVC removes the note too.
        """
        noted = {str(file): (self._provenance.of(str(file)) or {}).get("record") for file in job.output}
        current = all(record is not None and record == kept(read_record(file)) for file, record in noted.items())
        return current and not self._persistence._filter_incomplete_keys(noted)

    def _find(self, job: Any, inputs: Mapping[str, str | None]) -> Version | None:
        """The files that the job would make, if they are on the shelf and are what they were."""
        if (
            not self._limit
            or not self._shelf.folder.is_dir()
            or any(content in (None, MISSING) for content in inputs.values())
        ):
            return None
        persistence = self._persistence
        key = recipe_key(
            [str(file) for file in job.output],
            persistence._code(job.rule),
            persistence._params(job),
            {file: inputs[file] for file in map(str, persistence._input(job))},
            persistence._software_stack_hash(job),
        )
        version = self._shelf.find(key)
        if version is None:
            return None
        for name, entry in version.files.items():
            if self._checksums.of(version.path(name)) != entry["sha256"]:
                logger.warning(f"{version.path(name)} was changed on the shelf and is not used")
                return None
        return version

    def _bring_back(self, job: Any, version: Version, level: int) -> dict[str, str]:
        """Let Snakemake see the version's files as if they were in place."""
        self._restored.append((job, version))
        cache = self._workflow.iocache
        content = {}
        for file in job.output:
            name = self._name(file)
            entry = version.files[name]
            cache.exists_local[file] = True
            cache.size[file] = version.path(name).stat().st_size
            cache.checksum[file] = f"sha256:{entry['sha256']}"
            cache.mtime[file] = Mtime(local=LATE + level)
            self._records[str(file)] = MetadataRecord(**entry["record"], **FILLED_IN)
            content[str(file)] = entry["sha256"]
        return content

    def _settle(self) -> None:
        """Once it is decided what runs: note what that will replace, and say what comes back."""
        cache = self._workflow.iocache
        for job, _ in self._restored:
            for file in job.output if self._dag.needrun(job) else []:
                self._records.pop(str(file))
                for view in (cache.exists_local, cache.size, cache.checksum, cache.mtime):
                    view.pop(file, None)
        self._restored = [(job, version) for job, version in self._restored if not self._dag.needrun(job)]
        self._replaced = [job for job in self._dag.needrun_jobs() if any(self._is_of_run(file) for file in job.output)]
        for job in self._replaced:
            for file in job.output:
                if self._limit and os.path.exists(file) and not os.access(file, os.W_OK):
                    # Protected by DVC. It goes to the shelf, out of Snakemake's way.
                    cache.exists_local[file] = False
        if self._edited:
            names = ", ".join(self._edited[:NAMED]) + (", ..." if len(self._edited) > NAMED else "")
            logger.warning(
                f"{len(self._edited)} files are not what their jobs made ({names}). They are kept as they are; remove"
                " them to have them made again."
            )
        if self._restored:
            files = sum(len(job.output) for job, _ in self._restored)
            stages = ", ".join(dict.fromkeys(job.rule.name for job, _ in self._restored))
            verb = "Would restore" if self._workflow.dryrun else "Restoring"
            logger.info(f"{verb} {files} files made before with these settings ({stages}); no job is needed for them.")

    def _swap(self) -> None:
        """Put aside what will be replaced, and bring back what is wanted. Killed at any point, it loses nothing."""
        for job in (*self._replaced, *(job for job, _ in self._restored)):
            self._put(job, give_way=True)
        if self._restored:
            self._provenance = Provenance(self._results)
            for job, version in self._restored:
                for file in job.output:
                    self._provenance.put(str(file), version.files[self._name(file)])
            # First what describes the files, then the files, then Snakemake's records: stopped in between, Snakemake
            # either still sees the old records and plans this again, or finds files that are as described.
            self._provenance.save()
            for job, version in self._restored:
                try:
                    self._shelf.take(version)
                except InputError as error:
                    raise WorkflowError(str(error)) from error
                for file in job.output:
                    write_record(str(file), version.files[self._name(file)]["record"])
                    self._persistence._unmark_incomplete(self._persistence._get_key(file))
        self._records.clear()
        self.tidy()
        self._checksums.save()

    def _put(self, job: Any, give_way: bool = False) -> None:
        """Put a job's files on the shelf, under the recipe that their records tell."""
        outputs = [str(file) for file in job.output]
        if not self._limit or job.temp_output:
            return
        if not all(self._is_of_run(file) and os.path.exists(file) for file in outputs):
            return
        entries = {self._name(file): self._entry(file) for file in outputs}
        records = [entry["record"] for entry in entries.values()]
        first = records[0]
        inputs = {file: first.get("input_checksums", {}).get(file) for file in first.get("input") or []}
        whole = all(entry["is_as_made"] and same_recipe(entry["record"], first) for entry in entries.values())
        if whole and all(inputs.values()):
            inputs = {file: checksum.removeprefix("sha256:") for file, checksum in inputs.items()}
            key = recipe_key(outputs, first["code"], first["params"], inputs, first["software_stack_hash"])
        elif not give_way:
            return
        else:
            # Changed by hand, say. No recipe leads to it, but it is not lost.
            key = CHANGED + digest([entry["sha256"] for entry in entries.values()])
        self._shelf.put(key, job.rule.name, {name: _without_flag(entry) for name, entry in entries.items()}, give_way)

    def _entry(self, file: str) -> dict[str, Any]:
        """What is known of a file in place."""
        record, checksum = read_record(file), self._checksums.of(file)
        known = self._provenance.of(file) or {}
        same = known.get("record") == kept(record)
        is_as_made = bool(record) and (is_of_last_job(file, record) or (same and known.get("sha256") == checksum))
        made_with = {key: known.get(key) if same else None for key in ("parameters", "environment")}
        return {"sha256": checksum, "record": kept(record), **made_with, "is_as_made": is_as_made}

    def _checksum(self, file: Any) -> str | None:
        """SHA-256 of a file on disk; None for folders and for what is not there."""
        if not os.path.isfile(file):
            return None
        return self._checksums.of(file)

    def _is_of_run(self, file: Any) -> bool:
        return Path(file).is_relative_to(self._results)

    def _name(self, file: Any) -> str:
        return Path(file).relative_to(self._results).as_posix()


def _plain(value: Any) -> Any:
    """A parameter for people: settings as the section they are, not as JSON within JSON."""
    if isinstance(value, str) and value.startswith("{"):
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            return value
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _without_flag(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "is_as_made"}
