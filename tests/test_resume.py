"""A training stopped at any time and resumed gives the same result, including plateau and history."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from apsam.training.batches import Shuffled
from apsam.training.resume import Checkpoint
from apsam.training.task import Task
from apsam.training.trainer import run

EPOCHS, STEPS = 6, 3


class Killed(BaseException):
    """Stands for a signal that cannot be caught."""


class Line(Task):
    """A line fitted with a learning rate that is halved whenever the loss does not fall by a half."""

    remedy = "lower the learning rate"

    def __init__(self, kill: tuple[int, int] | None = None) -> None:
        super().__init__(seed=1)
        torch.manual_seed(0)
        self.line = nn.Linear(2, 1)
        self.kill = kill
        self.trained: list[int] = []

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        if (self.current_epoch, index) == self.kill:
            raise Killed
        self.trained.append(self.current_epoch)
        x, y = batch
        loss = (self.line(x + 0.01 * torch.randn(x.shape, generator=self.generator))[:, 0] - y).square().mean()
        self.note({"loss": loss}, len(x))
        return loss

    def configure_optimizers(self) -> dict:
        sgd = torch.optim.SGD(self.parameters(), lr=0.2, momentum=0.9)
        self.plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(sgd, factor=0.5, patience=0, threshold=0.5)
        return {"optimizer": sgd}


def train(folder: Path, kill: tuple[int, int] | None = None) -> Line:
    x = torch.randn(24, 2, generator=torch.Generator().manual_seed(5))
    task = Line(kill)
    data = TensorDataset(x, x @ torch.tensor([1.0, -2.0]) + 0.3)
    checkpoint = Checkpoint(folder / "w.safetensors", "key")
    run(task, data, Shuffled(24, seed=2), 24 // STEPS, EPOCHS, torch.device("cpu"), checkpoint)
    return task


def result(task: Line) -> str:
    assert task.plateau is not None
    state = {name: value.tolist() for name, value in task.state_dict().items()}
    plateau = {k: v for k, v in task.plateau.state_dict().items() if isinstance(v, int | float | list)}
    return json.dumps([state, task.epochs, plateau])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Line:
    return train(tmp_path_factory.mktemp("undisturbed"))


def test_the_learning_rate_falls_where_the_loss_stands_still(undisturbed: Line) -> None:
    rates = [row["learning_rate"] for row in undisturbed.epochs]
    assert rates[0] == 0.2 and len(set(rates)) > 2, "the schedule is at work in this test"


@pytest.mark.parametrize("step", range(STEPS))
@pytest.mark.parametrize("epoch", range(EPOCHS))
def test_killed_in_any_step(epoch: int, step: int, undisturbed: Line, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(tmp_path, (epoch, step))
    again = train(tmp_path)
    assert result(again) == result(undisturbed)
    assert again.trained == [number for number in range(epoch, EPOCHS) for _ in range(STEPS)], "no epoch twice"


def test_killed_again_and_again(undisturbed: Line, tmp_path: Path) -> None:
    for epoch in range(EPOCHS):
        with pytest.raises(Killed):
            train(tmp_path, (epoch, 1))
    assert result(train(tmp_path)) == result(undisturbed)


@pytest.mark.parametrize("write", [1, 3, EPOCHS])
def test_killed_while_the_checkpoint_is_written(
    write: int, undisturbed: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, written = torch.save, []

    def save(state: dict, file: Path) -> None:
        written.append(1)
        if len(written) == write:
            file.write_bytes(b"half of it")
            raise Killed
        original(state, file)

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(Killed):
        train(tmp_path)
    monkeypatch.undo()
    assert result(train(tmp_path)) == result(undisturbed)
    assert [file.name for file in tmp_path.iterdir()] == [".resume-w.pt"]


class WithoutFloat64(Tensor):
    """A tensor on a device like Apple's MPS."""

    @classmethod
    def __torch_function__(cls, function, types, arguments=(), options=None):
        if function is Tensor.double:
            raise TypeError("Cannot convert a MPS Tensor to float64")
        result = super().__torch_function__(function, types, arguments, options or {})
        return result.as_subclass(Tensor) if function is Tensor.cpu else result


def test_losses_are_averaged_without_float64_on_the_device(undisturbed: Line, tmp_path: Path) -> None:
    note = Task.note

    def on_mps(task: Task, losses: dict[str, Tensor], tiles: int) -> None:
        note(task, {name: loss.detach().as_subclass(WithoutFloat64) for name, loss in losses.items()}, tiles)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Line, "note", on_mps)
        assert train(tmp_path).epochs == undisturbed.epochs


def test_a_whole_training_is_not_trained_again(undisturbed: Line, tmp_path: Path) -> None:
    train(tmp_path)
    again = train(tmp_path)
    assert again.trained == []
    assert json.loads(result(again))[:2] == json.loads(result(undisturbed))[:2]
