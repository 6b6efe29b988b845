"""Length of trainings with `auto`: few tiles must not mean few steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from localizer_tiles import blob_tiles, write_tiles

from apsam.config import Config
from apsam.files import read_json
from apsam.localizer import train as localizer_training
from apsam.localizer.settings import LocalizerSettings
from apsam.resunet import train as resunet_training
from apsam.resunet.settings import ResUNetSettings
from apsam.training.length import AUTO_EPOCHS, in_words, num_epochs
from tests.test_resunet import TINY, write_scene

pytestmark = pytest.mark.usefixtures("one_thread")


def test_auto_has_more_epochs_if_they_have_few_steps() -> None:
    assert [num_epochs("auto", steps, 100) for steps in (1, 7, 12, 13, 1000)] == [100, 15, 9, AUTO_EPOCHS, AUTO_EPOCHS]
    assert num_epochs(2, 1, 100) == 2, "a number is taken as it is"


def test_auto_is_the_default_but_not_the_papers() -> None:
    config = Config()
    assert config.localizer.epochs == config.resunet.epochs == "auto"
    assert ResUNetSettings(preset="paper").epochs == 100
    assert in_words(config.localizer.epochs, 100) == "at least 8 epochs and 100 steps"
    assert in_words(3, 100) == "3 epochs"


def test_the_localizer_counts_steps_of_its_balanced_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(localizer_training, "LOCALIZER_STEPS", 9)
    images, labels, _ = blob_tiles(8)
    labels = np.array([1, 0, 0, 0, 0, 0, 0, 0], "u1")  # a balanced pass is two tiles: one step
    stack = write_tiles(tmp_path / "a.zarr.zip", images, labels)
    settings = LocalizerSettings(weights="none", batch_size=4)
    localizer_training.train_localizer([stack], settings, tmp_path / "w.safetensors", tmp_path / "h.json", device="cpu")
    assert len(read_json(tmp_path / "h.json")["epochs"]) == 9


def test_the_resunet_counts_its_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resunet_training, "RESUNET_STEPS", 17)
    tiles, masks = write_scene(tmp_path, count=9)  # two steps of 4; the tile left over is no batch
    settings = TINY.model_copy(update={"epochs": "auto"})
    resunet_training.train_resunet(
        [tiles], [masks], settings, tmp_path / "w.safetensors", tmp_path / "h.json", device="cpu"
    )
    assert len(read_json(tmp_path / "h.json")["epochs"]) == 9
