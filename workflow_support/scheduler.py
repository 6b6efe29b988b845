"""What Snakemake's scheduler need not do."""

from __future__ import annotations

from typing import Any

# `--max-jobs-per-timespan` where nobody gave it: 100 jobs a second.
UNASKED = (100, 1)


def spare_scheduler(scheduler: Any) -> None:
    """Take away Snakemake's default limit on starting jobs, which no run of ours reaches.

    With a limit, every pass of the scheduler's loop asks for another one after the limit's timespan, and so does every
    job that ends. Passes therefore multiply with the jobs done, each looks at the files of all jobs that are ready, and
    in a run of several hundred jobs this takes a good part of a core (snakemake/snakemake, pull request 3744; 9.27.1).
    A limit that the user sets stays.

    Args:
        scheduler: `workflow.scheduler`, before it starts.
    """
    limiter = getattr(scheduler, "job_rate_limiter", None)
    if limiter is not None and (limiter.max_jobs, limiter.timespan) == UNASKED:
        scheduler.job_rate_limiter = None
