"""Snakemake's scheduler: what of it is changed is still there to be changed, and a user's limit stays."""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import pytest
from snakemake.cli import get_argument_parser
from snakemake.scheduling.job_scheduler import JobRateLimiter, JobScheduler
from snakemake.settings.types import MaxJobsPerTimespan

from workflow_support.scheduler import spare_scheduler


def limited(limit: MaxJobsPerTimespan) -> SimpleNamespace:
    return SimpleNamespace(job_rate_limiter=JobRateLimiter(limit))


def test_the_limit_that_nobody_asked_for_goes() -> None:
    default = get_argument_parser().get_default("max_jobs_per_timespan")
    scheduler = limited(MaxJobsPerTimespan.parse_choice(default))
    spare_scheduler(scheduler)
    assert scheduler.job_rate_limiter is None
    assert "if self.job_rate_limiter is not None" in inspect.getsource(JobScheduler.schedule), "read for every pass"


@pytest.mark.parametrize("limit", ["20/1s", "100/1m"])
def test_a_limit_that_is_set_stays(limit: str) -> None:
    scheduler = limited(MaxJobsPerTimespan.parse_choice(limit))
    spare_scheduler(scheduler)
    assert scheduler.job_rate_limiter is not None


def test_a_scheduler_without_a_limit_is_left_alone() -> None:
    scheduler = SimpleNamespace(job_rate_limiter=None)
    spare_scheduler(scheduler)
    assert scheduler.job_rate_limiter is None
