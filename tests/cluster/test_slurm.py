"""The small run through a real SLURM: `snakemake --profile profiles/slurm`, as on any cluster."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import pytest
import yaml
from cluster_run import SITE, ClusterRun
from slurm_cluster import SlurmCluster
from small_project import ROOT

PROFILE = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())


def rules_with_gpu() -> set[str]:
    """Names of the rules that request a GPU."""
    found = set()
    for file in (ROOT / "rules").glob("*.smk"):
        rules = re.split(r"^rule (\w+):", file.read_text(), flags=re.MULTILINE)
        found |= {name for name, body in zip(rules[1::2], rules[2::2], strict=True) if re.search(r"\bgpu=1\b", body)}
    return found


def test_an_impossible_request_is_refused(cluster: SlurmCluster) -> None:
    assert "not available" in cluster.run("sbatch", "-p", "gpu", "--gpus=9", "--wrap", "true", check=False)


def test_every_job_went_through_slurm(finished: ClusterRun) -> None:
    assert {job.state for job in finished.jobs} == {"COMPLETED"}
    assert len(finished.jobs) == finished.project.printed.count("has been submitted with SLURM jobid")
    recipes = list((finished.project.folder / "results/store").rglob("recipe.json"))
    assert len(finished.jobs) == len(recipes), "a job each, none run here and none twice"
    for name in ("metrics/pseudo_masks.json", "metrics/resunet.json", "report/index.html"):
        assert (finished.project.folder / "results/small" / name).is_file()


def test_gpu_requests_reach_the_scheduler(finished: ClusterRun) -> None:
    with_gpu = rules_with_gpu()
    for job in finished.jobs:
        on_gpu = job.rule in with_gpu
        assert job.partition == ("gpu" if on_gpu else "cpu"), job
        assert job.gpus == int(on_gpu), job
        assert not on_gpu or job.cpus == PROFILE["default-resources"]["cpus_per_gpu"], job
        seen = finished.seen[job.id]
        assert seen in ({"0", "1"} if on_gpu else {"none"}), f"{job}: CUDA_VISIBLE_DEVICES is {seen}"
    assert {"localizer", "cams", "encode", "masks_apsam", "resunet", "predict"} <= with_gpu & finished.rules()


def test_jobs_run_in_parallel_and_on_different_gpus(finished: ClusterRun) -> None:
    together = [(one, other) for one, other in combinations(finished.jobs, 2) if one.overlaps(other)]
    assert together
    sharing = [(one, other) for one, other in together if one.gpus and other.gpus]
    assert sharing, "two GPU jobs ran at the same time"
    assert all(finished.seen[one.id] != finished.seen[other.id] for one, other in sharing)


def test_logs_are_found(finished: ClusterRun) -> None:
    logs = finished.project.folder / "logs"
    own = [file for file in logs.rglob("*.log") if file.relative_to(logs).parts[0] not in ("slurm", "view")]
    assert len(own) == len(finished.jobs)
    for job in finished.jobs:
        assert list((logs / "slurm").rglob(f"*{job.id}.log")), f"SLURM's own log of {job}"


def test_accounting_is_found(finished: ClusterRun, cluster: SlurmCluster) -> None:
    listed = cluster.run("sacct", "--completion", "--noheader", "--format=jobid,state", "--parsable2").splitlines()
    states = dict(line.split("|") for line in listed)
    assert all(states[job.id] == "COMPLETED" for job in finished.jobs)


def test_a_second_run_has_nothing_to_do(finished: ClusterRun, cluster: SlurmCluster) -> None:
    printed = finished.project.run("snakemake", "--profile", "profiles/slurm", *SITE, **cluster.environment)
    assert "0 jobs made now" in printed and "has been submitted" not in printed


def test_nothing_is_left_when_a_test_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), SlurmCluster(tmp_path / "other") as other:
        other.run("sbatch", "--gpus=1", "--output", str(tmp_path / "out"), "--wrap", "sleep 600")
        raise ZeroDivisionError
    assert other.processes() == []
