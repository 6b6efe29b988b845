"""Shared parts of both trainings: they resume after a stop, and several processes train like one."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from training_runs import SEED, train, write_tiles

from apsam.errors import ConfigError
from apsam.training.batches import Batches, Shuffled
from apsam.training.processes import find_processes
from apsam.training.resume import Checkpoint, training_key
from apsam.training.trainer import own_device

KINDS = ("localizer", "localizer_still", "resunet", "resunet_one_cycle")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiles(tmp_path_factory.mktemp("tiles"))


def start(kind: str, folder: Path, output: Path, *arguments: object, **environment: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        str(Path(__file__).with_name("training_runs.py")),
        kind,
        str(folder),
        str(output),
        *map(str, arguments),
    ]
    root = Path(__file__).resolve().parents[1]
    return subprocess.Popen(
        command, cwd=root, env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture(scope="module")
def undisturbed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    results = {}
    for kind in KINDS:
        output = tmp_path_factory.mktemp(kind) / "w.safetensors"
        train(kind, folder, output)
        results[kind] = files(output.parent)
        assert sorted(results[kind]) == ["w.json", "w.safetensors"]
    return results


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        ("localizer", signal.SIGKILL),
        ("resunet", signal.SIGTERM),
        ("resunet_one_cycle", signal.SIGUSR1),
    ],
)
def test_resumed_training_gives_the_same_bytes(
    kind: str,
    number: signal.Signals,
    folder: Path,
    undisturbed: dict,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "out" / "w.safetensors"
    process = start(kind, folder, output, "--stop-after", 2, "--signal", int(number))
    said = process.communicate()[1]
    if number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 75
        assert f"stopped by {number.name} in epoch 3 of 3; run it again to resume" in said
    assert ".resume-w.pt" in files(output.parent) and not output.exists()
    capsys.readouterr()
    train(kind, folder, output)
    said = capsys.readouterr().err
    assert "resuming after epoch 2/3" in said and "epoch 3/3" in said and "epoch 2/3, " not in said
    assert files(output.parent) == undisturbed[kind], "same weights, same history, nothing left behind"


def test_a_training_killed_after_its_last_epoch_is_not_trained_again(
    folder: Path, undisturbed: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "w.safetensors"
    monkeypatch.setattr("apsam.localizer.train.save_localizer", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train("localizer", folder, output)
    monkeypatch.undo()
    capsys.readouterr()
    train("localizer", folder, output)
    assert "loss" not in capsys.readouterr().err
    assert files(tmp_path) == undisturbed["localizer"]


@pytest.mark.parametrize("wrong", ["other seed", "cut short", "executable"])
def test_checkpoint_of_another_training_is_not_resumed(
    wrong: str, folder: Path, undisturbed: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "w.safetensors"
    hidden = tmp_path / ".resume-w.pt"
    monkeypatch.setattr("apsam.localizer.train.save_localizer", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train("localizer", folder, output, seed=SEED + (wrong == "other seed"))
    monkeypatch.undo()
    if wrong == "cut short":
        hidden.write_bytes(hidden.read_bytes()[:-1000])
    if wrong == "executable":
        hidden.write_bytes(pickle.dumps(Marker(tmp_path / "executed")))
    train("localizer", folder, output)
    assert files(tmp_path) == undisturbed["localizer"]


class Marker:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def test_the_key_is_that_of_settings_seed_code_and_inputs(tmp_path: Path) -> None:
    key = training_key({"seed": 1, "code": "a"}, ["x", "y"])
    assert key == training_key({"code": "a", "seed": 1}, ["x", "y"])
    others = [
        training_key({"seed": 2, "code": "a"}, ["x", "y"]),
        training_key({"seed": 1, "code": "b"}, ["x", "y"]),
        training_key({"seed": 1, "code": "a"}, ["y", "x"]),
    ]
    assert len({key, *others}) == 4
    checkpoint = Checkpoint(tmp_path / "w", key)
    assert checkpoint.read() is None
    checkpoint.write({"epoch": 1, "weights": {"a": torch.ones(2)}})
    assert checkpoint.read()["epoch"] == 1
    assert Checkpoint(tmp_path / "w", others[0]).read() is None


@pytest.mark.parametrize("world", [1, 2, 3])
def test_processes_share_every_batch(world: int) -> None:
    order = Shuffled(23, seed=1)
    order.set_epoch(4)
    whole = list(Batches(order, 6, least=2))
    shares = [list(Batches(order, 6, least=2, rank=rank, world=world)) for rank in range(world)]
    assert {len(share) for share in shares} == {len(whole)} == {len(shares[0])}
    for step, batch in enumerate(whole):
        assert [tile for share in shares for tile in share[step]] == batch
    assert sorted(tile for batch in whole for tile in batch) == list(range(23))


def test_short_batches() -> None:
    sizes = [len(batch) for batch in Batches(Shuffled(13, 0), 4, least=2)]
    assert sizes == [4, 4, 4], "a last batch of one tile is left out"
    assert len(Batches(Shuffled(14, 0), 4, least=2)) == 4
    assert [len(batch) for batch in Batches(Shuffled(3, 0), 16, least=16)] == [3], "an epoch smaller than a batch"
    with pytest.raises(ConfigError, match="3 processes cannot share a batch of 2 tiles; raise 'batch_size'"):
        Batches(Shuffled(9, 0), 2, world=3)


def test_every_epoch_has_its_own_order() -> None:
    order = Shuffled(20, seed=5)
    first = list(order)
    order.set_epoch(1)
    assert list(order) != first and sorted(order) == list(range(20))
    order.set_epoch(0)
    assert list(order) == first


def test_ranks_of_torchrun_and_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    assert find_processes() is None
    monkeypatch.setenv("SLURM_NTASKS", "4")  # of the job, also where no srun started this process
    assert find_processes() is None
    step = {
        "SLURM_STEP_NUM_TASKS": "4",
        "SLURM_PROCID": "3",
        "SLURM_LOCALID": "1",
        "SLURM_STEP_NODELIST": "gpu[07-08]",
        "SLURM_JOB_ID": "1234567",
    }
    for name, value in step.items():
        monkeypatch.setenv(name, value)
    found = find_processes()
    assert (found.rank, found.world, found.local) == (3, 4, 1)
    assert (found.main_address, found.main_port) == ("gpu07", 15000 + 4567)
    monkeypatch.delenv("SLURM_PROCID")
    with pytest.raises(ConfigError, match="variables of srun.*SLURM_PROCID"):
        find_processes()
    torchrun = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "a", "MASTER_PORT": "7"}
    for name, value in torchrun.items():
        monkeypatch.setenv(name, value)
    found = find_processes()
    assert (found.rank, found.world, found.local, found.main_address, found.main_port) == (1, 2, 0, "a", 7)


def test_a_process_knows_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    for name in ("cpu", "cuda:3"):
        assert own_device(torch.device(name)) == torch.device(name)
    gpus = torch.device("cuda")
    assert own_device(gpus) == torch.device("cuda", 0)
    monkeypatch.setenv("LOCAL_RANK", "2")  # set by Lightning for the processes that it starts
    assert own_device(gpus) == torch.device("cuda", 2)
    for name, value in {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "MASTER_ADDR": "a"}.items():
        monkeypatch.setenv(name, value)
    assert own_device(gpus) == torch.device("cuda", 1)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)  # a task of SLURM that sees one GPU
    assert own_device(gpus) == torch.device("cuda", 0)


# The still localizer differs by rounding alone (bfloat16); a ResUNet's batch norms see half a batch each.
@pytest.mark.slow
@pytest.mark.parametrize(("kind", "noise"), [("localizer_still", 0.005), ("resunet_one_cycle", 0.1)])
def test_two_processes_train_as_one_does(
    kind: str, noise: float, folder: Path, undisturbed: dict, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    both = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    outputs = [tmp_path / f"rank{rank}" / "w.safetensors" for rank in (0, 1)]
    processes = [
        start(kind, folder, outputs[0], RANK=str(rank), LOCAL_RANK=str(rank), **both) for rank in range(len(outputs))
    ]
    said = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert "epoch 3/3" in said[0] and "epoch" not in said[1], "one process speaks"
    assert sorted(files(outputs[0].parent)) == ["w.json", "w.safetensors"]
    together = json.loads((outputs[0].parent / "w.json").read_text())
    alone = json.loads(undisturbed[kind]["w.json"])
    assert [row["learning_rate"] for row in together["epochs"]] == [row["learning_rate"] for row in alone["epochs"]]
    for ours, theirs in zip(together["epochs"], alone["epochs"], strict=True):
        assert ours == pytest.approx(theirs, abs=noise)
