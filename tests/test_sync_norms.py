"""Batch norms of trainings on several GPUs: networks stay the same function, frozen norms stay frozen."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from apsam.backbones.norms import NORMS
from apsam.localizer.methods import build_method
from apsam.localizer.settings import LocalizerSettings
from apsam.localizer.train import LocalizerTask
from apsam.resunet.model import build_resunet
from apsam.resunet.settings import ResUNetSettings
from apsam.resunet.train import ResUNetTraining
from apsam.training import trainer
from apsam.training.norms import SyncLearnedNorms
from apsam.training.task import Task

from lightning.pytorch.plugins import TorchSyncBatchNorm  # isort: skip  (after apsam, which guards torchvision's import)

PLAIN = {"head": "plain", "pooling": "mean"}


def localizer_task(**changes: object) -> Task:
    return LocalizerTask(build_method(LocalizerSettings(**changes)), 0)


def resunet_task() -> Task:
    settings = ResUNetSettings()
    return ResUNetTraining(build_resunet(settings), settings)


def output(task: Task) -> Tensor:
    torch.manual_seed(0)
    images = torch.rand(2, 3, 64, 64)
    for weight in task.parameters():  # the cached folded copy of a backbone is not used again
        weight.data = weight.data.clone()
    with torch.no_grad():
        if isinstance(task, ResUNetTraining):
            return task.network(images)
        return task.method.localizer.head.embed(task.method.localizer.features(images * 255))


def modes(task: Task) -> dict[str, bool]:
    return {name: norm.training for name, norm in task.named_modules() if isinstance(norm, NORMS)}


@pytest.mark.parametrize("plugin", [TorchSyncBatchNorm, SyncLearnedNorms])
@pytest.mark.parametrize(
    "make", [resunet_task, localizer_task, lambda: localizer_task(frozen_stages=1, **PLAIN)], ids=str
)
def test_networks_stay_the_same_function(make, plugin) -> None:
    torch.manual_seed(1)
    task = make().train()
    before, expected = modes(task), output(task.eval())
    keys = list(task.state_dict())
    task = plugin().apply(task.train())
    assert modes(task) == before
    assert torch.allclose(output(task.eval()), expected, atol=1e-5)
    assert modes(task.train()) == before and list(task.state_dict()) == keys


def test_only_norms_that_learn_statistics_are_replaced_and_they_come_back() -> None:
    frozen = SyncLearnedNorms().apply(localizer_task(frozen_stages=1, **PLAIN).train())
    assert not any(isinstance(module, nn.SyncBatchNorm) for module in frozen.modules())

    task = resunet_task().train()
    state = {name: value.clone() for name, value in task.state_dict().items()}
    names = [name for name, module in task.named_modules() if isinstance(module, nn.BatchNorm2d)]
    weights = list(task.parameters())
    plugin = SyncLearnedNorms()
    plugin.apply(task)
    assert [name for name, module in task.named_modules() if isinstance(module, nn.SyncBatchNorm)] == names
    plugin.revert(task)
    assert [name for name, module in task.named_modules() if type(module) is nn.BatchNorm2d] == names
    assert all(one is other for one, other in zip(task.parameters(), weights, strict=True))
    assert all(torch.equal(value, state[name]) for name, value in task.state_dict().items())


@pytest.mark.parametrize("gpus", [1, 2])
def test_a_training_on_several_gpus_shares_statistics(gpus: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer.lightning, "Trainer", lambda **options: SimpleNamespace(**options))
    monkeypatch.setattr(trainer.torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(trainer, "bf16_pays", lambda _device: False)
    made = trainer._trainer(localizer_task(), 1, torch.device("cuda"), None, 0)
    assert any(isinstance(plugin, SyncLearnedNorms) for plugin in made.plugins) == (gpus > 1)
    assert not getattr(made, "sync_batchnorm", False)
