"""Trainings on SLURM: several tasks of a job step, and the signal of pre-emption."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest
from slurm_cluster import SlurmCluster
from training_runs import train, write_tiles

SCRIPT = str(Path(__file__).resolve().parents[1] / "training_runs.py")
LONGEST = 240


def test_the_tasks_of_a_job_step_train_together(cluster: SlurmCluster, tmp_path: Path) -> None:
    folder = write_tiles(tmp_path)
    alone, together = tmp_path / "alone/w.safetensors", tmp_path / "together/w.safetensors"
    train("localizer_still", folder, alone)
    step = ["srun", "--partition=cpu", "--ntasks=2", "--export=ALL,MASTER_ADDR=127.0.0.1"]
    arguments = [sys.executable, SCRIPT, "localizer_still", str(folder), str(together)]
    printed = cluster.run(*step, *arguments, timeout=LONGEST)
    assert printed.count("epoch 3/3") == 1, "one task speaks"
    assert sorted(file.name for file in together.parent.iterdir()) == ["w.json", "w.safetensors"]
    ours, theirs = (json.loads(output.with_suffix(".json").read_text()) for output in (together, alone))
    for one, other in zip(ours["epochs"], theirs["epochs"], strict=True):
        assert one == pytest.approx(other, abs=0.005)


def test_pre_empted_training_resumes_when_submitted_again(
    cluster: SlurmCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_tiles(tmp_path)
    output, undisturbed = tmp_path / "out/w.safetensors", tmp_path / "undisturbed/w.safetensors"
    log = tmp_path / "job.log"
    # As profiles/slurm starts a job: a step of one task.
    command = f"srun --ntasks=1 {sys.executable} {SCRIPT} resunet {folder} {output} --stop-after 2"
    batch = ["sbatch", "--parsable", "--partition=cpu", f"--output={log}", "--wrap", command]
    job = cluster.run(*batch).strip()
    state = output.with_name(".resume-w.pt")
    _wait(lambda: "epoch 2/3" in (log.read_text() if log.exists() else ""))
    assert state.is_file()
    cluster.run("scancel", "--signal=TERM", f"{job}.0")
    _wait(lambda: _state(cluster, job) not in ("PENDING", "RUNNING", "COMPLETING"))
    assert _state(cluster, job) == "FAILED", "so that Snakemake sends it again"
    assert "stopped by SIGTERM in epoch 3 of 3" in log.read_text()
    assert state.is_file() and not output.exists()
    train("resunet", folder, undisturbed)
    capsys.readouterr()
    train("resunet", folder, output)
    assert "resuming after epoch 2/3" in capsys.readouterr().err
    assert output.read_bytes() == undisturbed.read_bytes()


def _state(cluster: SlurmCluster, number: str) -> str:
    return next(job["JobState"] for job in cluster.jobs() if job["JobId"] == number)


def _wait(condition) -> None:  # noqa: ANN001
    end = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)
