"""Why SIPE learns nothing in few steps: gradient norms of its two losses by group of weights, and held-out AUC.

    python -m benchmarks.sipe_gradients --epochs 6 24 60 --work FOLDER

Two synthetic scenes train, a third is held out, as in `config/table1_small.yaml` (an epoch has 7 or 8 steps). A row of
the table is a tenth of a training: the mean norm of the gradient of each loss for the head and for SIPE's 1 x 1
convolutions, and the cosine between the two gradients of the head. `--consistency 0` leaves out SIPE's own loss.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from apsam.device import seed_everything, set_threads
from apsam.files import write_json
from apsam.localizer.data import TEST, TRAIN, TileSet
from apsam.localizer.evaluate import classification
from apsam.localizer.method_settings import SipeSettings
from apsam.localizer.methods import Batch, build_method
from apsam.localizer.settings import LocalizerSettings
from apsam.localizer.train import fit
from apsam.scenes import Scene
from apsam.synthetic.scene import make_scene, write_scene
from apsam.synthetic.settings import SyntheticSettings
from apsam.tiles.settings import LabelSettings, SplitSettings, TileSettings
from apsam.tiles.tiling import tile_scene

SCENES = {"alder_creek": "train", "birch_ridge": "train", "elk_terrace": "test"}
PARTS = 10


def make_tiles(folder: Path) -> list[Path]:
    """Tile stacks of the three scenes; what is there is not made again."""
    folder.mkdir(parents=True, exist_ok=True)
    stacks = []
    for name, split in SCENES.items():
        stack, image, mask = (folder / f"{name}{ending}" for ending in (".zarr.zip", ".tif", "_mask.tif"))
        if not stack.exists():
            write_scene(make_scene(name, SyntheticSettings()), image, mask)
            row = Scene(name, "raster", image, labels=None, mask=mask, split=split)
            tile_scene(row, TileSettings(), LabelSettings(), SplitSettings(), stack)
        stacks.append(stack)
    return stacks


def train(stacks: Sequence[Path], settings: LocalizerSettings, seed: int) -> dict:
    """Train once, and note the gradients of every step."""
    seed_everything(seed)
    method = build_method(settings)
    groups = {"head": list(method.localizer.head.parameters())}
    if settings.method == "sipe":
        groups["sides"] = list(method.sides.parameters())
    step, rows = method.training_step, []

    def recorded(batch: Batch) -> dict[str, Tensor]:
        losses = step(batch)
        gradients = {
            (loss, group): _gradient(value, weights)
            for loss, value in losses.items()
            for group, weights in groups.items()
        }
        row = {f"{loss} {group}": float(gradient.norm()) for (loss, group), gradient in gradients.items()}
        if len(losses) == 2:
            one, other = (gradients[loss, "head"] for loss in losses)
            row["cosine head"] = float(torch.cosine_similarity(one, other, dim=0))
        rows.append(row | {loss: float(value.detach()) for loss, value in losses.items()})
        return losses

    method.training_step = recorded  # type: ignore[method-assign]  # the training calls it by this name
    fit(method, TileSet(stacks, TRAIN, settings.memory_mb), seed, torch.device("cpu"))
    figures = classification(method.eval(), TileSet(stacks, TEST, settings.memory_mb), torch.device("cpu"))
    parts = [part for part in np.array_split(np.arange(len(rows)), PARTS) if len(part)]
    means = [{name: float(np.mean([rows[i].get(name, 0.0) for i in part])) for name in rows[0]} for part in parts]
    return {"steps": len(rows), "auc": figures["auc"], "accuracy": figures["accuracy"], "parts": means}


def _gradient(loss: Tensor, weights: Sequence[Tensor]) -> Tensor:
    if not loss.requires_grad:
        return torch.zeros(sum(weight.numel() for weight in weights))
    found = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
    pairs = zip(found, weights, strict=True)
    return torch.cat([(torch.zeros_like(weight) if one is None else one).flatten() for one, weight in pairs])


def main() -> None:
    """Train with every length and seed, and print a table of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", choices=("cam", "sipe"), default="sipe")
    parser.add_argument("--epochs", nargs="+", type=int, default=[6, 24, 60])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--consistency", type=float, default=SipeSettings().consistency, help="weight of SIPE's loss")
    parser.add_argument("--work", type=Path, required=True, help="folder of the scenes and tiles")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    given = parser.parse_args()
    set_threads(given.threads)
    stacks, record = make_tiles(given.work), {}
    for epochs in given.epochs:
        for seed in given.seeds:
            sipe = SipeSettings(consistency=given.consistency)
            found = train(stacks, LocalizerSettings(method=given.method, epochs=epochs, sipe=sipe), seed)
            record[f"{given.method} {epochs} {seed}"] = found
            print(f"{given.method}, {found['steps']} steps, seed {seed}: AUC {found['auc']}, {found['accuracy']}")
            for part in found["parts"] if seed == given.seeds[0] else ():
                print("   " + "  ".join(f"{name} {value:.4f}" for name, value in part.items()), flush=True)
    if given.json:
        write_json(given.json, record)


if __name__ == "__main__":
    main()
