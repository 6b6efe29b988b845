"""A run of the workflow through SLURM, and its records for the tests."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from small_project import Project

# Differences from a real site of profiles/slurm: no accounts, no slurmdbd, no latency of the file system.
# The first look for finished jobs comes when a short one may be done; the pause grows by 10 s whenever none is.
SITE = (
    "--slurm-no-account --slurm-status-command squeue --slurm-init-seconds-before-status-checks 8"
    " --seconds-between-status-checks 1 --latency-wait 10 --slurm-keep-successful-logs"
).split()


@dataclass
class Job:
    """One job as SLURM's controller remembers it.

    Attributes:
        rule: The rule that it ran.
        state: `COMPLETED` and others.
        partition: Its partition.
        cpus: Number of its CPUs.
        gpus: Number of requested GPUs.
        start, end: Times of the run.
    """

    rule: str
    id: str
    state: str
    partition: str
    cpus: int
    gpus: int
    start: datetime
    end: datetime

    @classmethod
    def of(cls, fields: dict[str, str]) -> Job:
        """Read the output of `scontrol show job`."""
        return cls(
            rule=fields["Comment"].split("_wildcards_")[0].removeprefix("rule_"),
            id=fields["JobId"],
            state=fields["JobState"],
            partition=fields["Partition"],
            cpus=int(fields["NumCPUs"]),
            gpus=int((re.findall(r"gpu:(\d+)", fields.get("TresPerJob", "")) or [0])[0]),
            start=datetime.fromisoformat(fields["StartTime"]),
            end=datetime.fromisoformat(fields["EndTime"]),
        )

    def overlaps(self, other: Job) -> bool:
        """Whether both ran at the same time, for a second at least."""
        return max(self.start, other.start) < min(self.end, other.end)


@dataclass
class ClusterRun:
    """The run.

    Attributes:
        project: Its folder.
        jobs: Its jobs.
        seen: SLURM job id -> `CUDA_VISIBLE_DEVICES` in the job's shell, "none" where it was not set.
    """

    project: Project
    jobs: list[Job]
    seen: dict[str, str]

    def rules(self) -> set[str]:
        """The rules that ran."""
        return {job.rule for job in self.jobs}
