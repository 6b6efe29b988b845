"""Jobs of one machine are spread over its GPUs; tested with fake device files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from apsam.gpu_slots import VARIABLE, claim_gpu, use_one_gpu

JOB = """
import os, sys
from pathlib import Path
from apsam.gpu_slots import use_one_gpu
use_one_gpu(Path(sys.argv[1]), Path(sys.argv[2]))
print(os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def devices(tmp_path: Path) -> Path:
    folder = tmp_path / "dev"
    folder.mkdir()
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (folder / name).touch()
    return folder


@pytest.fixture(autouse=True)
def told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (VARIABLE, "LOCAL_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(variable, raising=False)


def test_jobs_at_the_same_time_get_different_gpus(devices: Path, tmp_path: Path) -> None:
    jobs: list[subprocess.Popen] = []

    def start() -> str:
        command = [sys.executable, "-c", JOB, str(devices), str(tmp_path / "locks")]
        jobs.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return jobs[-1].stdout.readline().strip()

    try:
        assert [start(), start()] == ["0", "1"]
        assert [start(), start()] == ["0", "1"], "more jobs than GPUs share evenly"
        for job in jobs[1::2]:
            job.send_signal(signal.SIGKILL)
            job.wait()
        assert start() == "1", "a killed job's GPU is free again"
    finally:
        for job in jobs:
            job.kill()
            job.communicate()


def test_a_claim_ends_when_its_file_is_closed(tmp_path: Path) -> None:
    gpu, lock = claim_gpu(2, tmp_path)
    other, other_lock = claim_gpu(2, tmp_path)
    assert (gpu, other) == (0, 1)
    lock.close()
    assert claim_gpu(2, tmp_path)[0] == 0
    other_lock.close()


@pytest.mark.parametrize(("variable", "value"), [(VARIABLE, "1"), ("LOCAL_RANK", "0"), ("SLURM_PROCID", "0")])
def test_process_with_an_assigned_gpu_claims_none(
    devices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    before = dict(os.environ)
    use_one_gpu(devices, tmp_path / "locks")
    assert dict(os.environ) == before
    assert not (tmp_path / "locks").exists()


def test_one_gpu_needs_no_claim(devices: Path, tmp_path: Path) -> None:
    (devices / "nvidia1").unlink()
    use_one_gpu(devices, tmp_path / "locks")
    assert VARIABLE not in os.environ
    assert not (tmp_path / "locks").exists()


def test_reading_the_command_line_claims_no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither a question for help nor a mistyped option takes a GPU away from a job; work does."""
    from typer.testing import CliRunner

    from apsam import cli, device

    claimed = []
    monkeypatch.setattr(device, "use_one_gpu", lambda: claimed.append(1))
    for arguments in (
        ["resunet", "--help"],
        ["cams", "--device", "auto", "--no-such-option"],
        ["cams", "--device", "auto"],
    ):
        CliRunner().invoke(cli.app, arguments)
    assert claimed == []
    device.pick_device("cpu")
    assert claimed == []
    device.pick_device("auto")
    assert claimed == [1]
