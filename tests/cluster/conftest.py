"""One SLURM cluster for the tests of a session, and the small run, made on it once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cluster_run import SITE, ClusterRun, Job
from slurm_cluster import SlurmCluster, missing_programs
from small_project import copy_project


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    """A running cluster."""
    if missing := missing_programs():
        pytest.skip(f"no SLURM here ({', '.join(missing)}); tests/cluster/install_slurm.sh installs it")
    with SlurmCluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture(scope="session")
def finished(cluster: SlurmCluster, tmp_path_factory: pytest.TempPathFactory) -> ClusterRun:
    """The small run, from the start to the report, with every job sent through SLURM."""
    folder = tmp_path_factory.mktemp("run")
    project = copy_project(folder / "project")
    # Every shell of a job reads this first, to record the job's environment without a change to any rule.
    spy = folder / "spy.sh"
    spy.write_text(f'echo "${{SLURM_JOB_ID:-none}} ${{CUDA_VISIBLE_DEVICES:-none}}" >> {folder}/seen\n')
    environment = {**cluster.environment, "BASH_ENV": str(spy)}
    project.printed = project.run("snakemake", "--profile", "profiles/slurm", *SITE, **environment)
    seen = dict(line.split() for line in (folder / "seen").read_text().splitlines())
    return ClusterRun(project, [Job.of(fields) for fields in cluster.jobs() if "Comment" in fields], seen)
