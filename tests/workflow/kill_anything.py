"""Kill random processes and run again: the result is that of an undisturbed run. `make test-kills`

The small run is started again and again; each time a job of a stage drawn at random is waited for, and it, Snakemake,
or everything is killed at a random moment or in the middle of writing. The draws follow from `APSAM_KILL_SEED`, and
what was killed when is printed. (Moments are drawn as shares of a job's time: what they hit differs with the machine.)
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from small_project import Project, copy_project

SEED = int(os.environ.get("APSAM_KILL_SEED", "20261124"))
KILLS = 10
STAGES = (  # in the order of the data: what a job's command line contains
    "scripts/synthesize.py",
    "scripts/tile.py",
    "scripts/localizer.py",
    "scripts/localizer.py",
    "scripts/cams.py",
    "scripts/encode.py",
    "scripts/prompts.py",
    "masks-apsam",
    "masks-cam",
    "masks-grabcut",
    "scripts/resunet.py",
    "scripts/resunet.py",
    "scripts/predict.py",
    "scripts/products.py",
    "scripts/metrics.py",
    "scripts/report.py",
)
# Jobs are killed by a signal that cannot be caught, or stopped as SLURM does it; or Snakemake dies and its jobs go on
# without it; or all die at once.
KINDS = ("kill job", "kill job", "kill job", "stop job", "kill snakemake", "kill all")
LOOK_FOR_JOB, LOOK_FOR_FILE, LONGEST = 0.05, 0.005, 600  # seconds
NOT_COMPARED = re.compile(r"(^|/)(report/|recipe\.json$|\.)")  # they tell times, or belong to the view and its lock


@dataclass
class Attempt:
    """One start of Snakemake: what was killed, and which jobs began and ended."""

    killed: str | None
    started: list[str]
    finished: list[str]


class Disturber:
    """Runs the project again and again, and disturbs it."""

    def __init__(self, project: Project, seconds: dict[str, float]) -> None:
        self.project = project
        self.seconds = seconds
        self.random = random.Random(SEED)
        self.orphans: list[psutil.Process] = []

    def run(self, kills: int) -> list[Attempt]:
        """Start the workflow until it is through, and kill something at `kills` stages drawn at random."""
        attempts = []
        for stage in sorted(self.random.choices(range(len(STAGES)), k=kills)):
            # A stage whose jobs have ended gives way to the next, so that no attempt runs through to the end.
            attempts.append(self.attempt(STAGES[stage:]))
            if attempts[-1].killed:
                print(attempts[-1].killed, file=sys.stderr, flush=True)
        psutil.wait_procs(self.orphans, LONGEST)
        return [*attempts, self.attempt([])]

    def attempt(self, stages: Sequence[str]) -> Attempt:
        """Start Snakemake, and disturb it when a job of the first of `stages` runs, or of another; else let it end."""
        # Not at a job's very end, which it may reach first.
        kind, share = self.random.choice(KINDS), 0.8 * self.random.random()
        writing = self.random.random() < 0.4
        log = self.project.folder / "attempt.log"
        with log.open("w") as file:
            main = subprocess.Popen(
                ["snakemake", "--cores", "2"],
                cwd=self.project.folder,
                env=self.project.environment(),
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        killed = None
        while not killed and (found := self._wait_for(stages, main)):
            job, stage = found
            start = time.monotonic()
            self._wait_for_moment(job, writing, share * self.seconds[stage])
            after = time.monotonic() - start
            if self._kill(kind, job, main):
                killed = f"{kind}: {stage} after {after:.1f} s{' while it wrote' if writing else ''}"
        main.wait(LONGEST)
        printed = log.read_text()
        numbers = dict(re.findall(r"^Job (\d+): (.+)$", printed, re.MULTILINE))
        done = re.findall(r"^Finished jobid: (\d+)", printed, re.MULTILINE)
        if not killed:
            assert main.returncode == 0, printed
        return Attempt(killed, list(numbers.values()), [numbers[n] for n in done if n in numbers])

    def _wait_for(self, stages: Sequence[str], main: subprocess.Popen) -> tuple[psutil.Process, str] | None:
        """A running job of one of the stages, the earlier stage first, and its stage."""
        while main.poll() is None:
            commands = {job: _command(job) for job in _below(main.pid) if _is_python(job)}
            for stage in stages:
                for job, command in commands.items():
                    if stage in command:
                        return job, stage
            time.sleep(LOOK_FOR_JOB)
        return None

    def _wait_for_moment(self, job: psutil.Process, writing: bool, seconds: float) -> None:
        end = time.monotonic() + (LONGEST if writing else seconds)
        results = self.project.folder / "results"
        while time.monotonic() < end and job.is_running() and job.status() != psutil.STATUS_ZOMBIE:
            # Entries of this very job, which is named in them.
            if writing and any(f"+{job.pid}+" in name for name in _partials(results)):
                return
            time.sleep(LOOK_FOR_FILE)

    def _kill(self, kind: str, job: psutil.Process, main: subprocess.Popen) -> bool:
        jobs = _below(main.pid)
        if main.poll() is not None:
            return False
        if kind == "kill snakemake":
            self.orphans += jobs
            main.kill()
        elif kind == "kill all":
            for process in [main, *jobs]:
                _signal(process, signal.SIGKILL)
        else:
            number = signal.SIGTERM if kind == "stop job" else signal.SIGKILL
            if job.pid not in _pids(jobs):
                return False
            shells = [process for process in jobs if job.pid in _pids(_below(process.pid))]
            for process in [*shells, job]:
                _signal(process, number)
        return True


def _below(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _pids(processes: list[psutil.Process]) -> set[int]:
    return {process.pid for process in processes}


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""


def _is_python(process: psutil.Process) -> bool:
    try:
        return "python" in process.name()
    except psutil.NoSuchProcess:
        return False


def _signal(process: psutil.Process | subprocess.Popen, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except (psutil.NoSuchProcess, ProcessLookupError):
        pass


def _partials(results: Path) -> list[str]:
    found = []
    for _, folders, files in os.walk(results):
        hidden = [name for name in folders if name.startswith(".partial-")]
        found += hidden + [name for name in files if name.startswith(".partial-")]
        folders[:] = [name for name in folders if name not in hidden]
    return found


def _hashes(project: Project) -> dict[str, str]:
    """Checksums of store and view."""
    results = project.folder / "results"
    files = {str(file.relative_to(results)): file for file in sorted(results.rglob("*")) if file.is_file()}
    return {
        name: hashlib.sha256(file.read_bytes()).hexdigest()
        for name, file in files.items()
        if not NOT_COMPARED.search(name)
    }


def _stage_seconds(project: Project) -> dict[str, float]:
    """How long a job of each stage takes, from the recipes of the undisturbed run."""
    recipes = [json.loads(file.read_text()) for file in (project.folder / "results/store").rglob("recipe.json")]
    return {stage: max(recipe["seconds"] for recipe in recipes if stage in recipe["command"]) for stage in STAGES}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_files(tmp_path: Path) -> None:
    undisturbed, disturbed = copy_project(tmp_path / "undisturbed"), copy_project(tmp_path / "disturbed")
    for project in (undisturbed, disturbed):  # epochs to go on after
        project.configure("localizer", epochs=3)
        project.configure("resunet", epochs=3)
    start = time.monotonic()
    undisturbed.snakemake()
    once = time.monotonic() - start
    expected = _hashes(undisturbed)
    disturber = Disturber(disturbed, _stage_seconds(undisturbed))
    kills = runs = 0
    # A job may end before its signal comes, so a run may have fewer kills than were drawn: then another from nothing.
    while kills < KILLS:
        shutil.rmtree(disturbed.folder / "results", ignore_errors=True)
        attempts = disturber.run(KILLS - kills + 2)
        kills += sum(attempt.killed is not None for attempt in attempts)
        runs += 1
        found = _hashes(disturbed)
        assert {n: found.get(n) for n in expected} == expected
        assert set(found) == set(expected), "nothing is left behind"
        assert disturbed.plan() == {}
        _assert_nothing_done_twice(attempts)
        assert runs <= KILLS, "the runs end before anything can be killed"
    print(
        f"seed {SEED}: {kills} kills in {runs} runs; undisturbed {once:.0f} s, all {time.monotonic() - start:.0f} s",
        file=sys.stderr,
    )


def _assert_nothing_done_twice(attempts: Sequence[Attempt]) -> None:
    done: list[str] = []
    for attempt in attempts:
        # The last job updates the view each time.
        started = [job for job in attempt.started if not job.startswith("Update ")]
        assert not set(done) & set(started), "what was done is not done again"
        done += [job for job in attempt.finished if not job.startswith("Update ")]
    assert len(done) == len(set(done))
