"""From image-level labels of one or more scenes to the map of another: with and without SAM, beside the bound.

    python -m benchmarks.jinsha_whole_way DATA --train B --test A --seeds 61 62 63

DATA holds `scene_A.tif`, `scene_A_mask.tif`, ... The tiles of the training scenes are labelled by their masks, as the
paper does; after that, no mask trains or chooses anything. The bound is the same network trained on the true masks at
the same crops. F1 of the maps at the product's threshold, over all known pixels of the test scene.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio

from apsam.device import set_threads
from apsam.files import write_json
from apsam.ground.labels import make_ground_labels
from apsam.ground.settings import ViewSettings
from apsam.ground.views import make_views
from apsam.ground.votes import make_ground_masks
from apsam.heatmaps.calibrate import calibrate, read_decision, write_decision
from apsam.heatmaps.factor import choose_factor, read_factor, write_factor
from apsam.heatmaps.grey import make_heat_masks, make_heat_stack
from apsam.heatmaps.logits import make_logits
from apsam.heatmaps.settings import HeatMapSettings
from apsam.heatmaps.train import train_heat_network
from apsam.maps.settings import MapSettings
from apsam.masks.prompted import make_prompted_masks
from apsam.metrics.counts import Counts
from apsam.prompt_settings import PromptSettings
from apsam.prompts import make_prompts
from apsam.resunet.crops import TrainingScene
from apsam.resunet.predict import predict_raster
from apsam.resunet.settings import ResUNetSettings
from apsam.resunet.train import train_on_scenes
from apsam.sam.encode_scene import encode_scene
from apsam.sam.settings import MasksSettings, SamSettings
from apsam.scenes import Scene
from apsam.tiles.settings import LabelSettings, SplitSettings, TileSettings
from apsam.tiles.tiling import tile_scene

# Rows of the result: name -> which pseudo-masks its network learns.
ROWS = {"with SAM": "sam", "without SAM": "heat", "bound": "truth"}


@dataclass(frozen=True)
class Settings:
    tiles: TileSettings
    labels: LabelSettings
    heatmaps: HeatMapSettings
    views: ViewSettings
    resunet: ResUNetSettings
    maps: MapSettings


@dataclass(frozen=True)
class Files:
    """Where the files of one scene lie."""

    data: Path
    folder: Path
    name: str

    @property
    def image(self) -> Path:
        return self.data / f"scene_{self.name}.tif"

    @property
    def truth(self) -> Path:
        return self.data / f"scene_{self.name}_mask.tif"

    def at(self, ending: str) -> Path:
        return self.folder / f"{self.name}_{ending}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of the scenes and their masks")
    parser.add_argument("--train", nargs="+", required=True, help="scenes to train on: A, B")
    parser.add_argument("--test", nargs="+", required=True, help="scenes to map")
    parser.add_argument("--seeds", nargs="+", type=int, default=[61, 62, 63], help="of the ResUNets")
    parser.add_argument("--heat-seeds", type=int, default=51, help="seed of the first network of the heat maps")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument(
        "--work", type=Path, required=True, help="folder for all files; what is there is not made again"
    )
    parser.add_argument(
        "--min-pixels", type=int, default=328, help="landslide pixels that make a tile positive: 0.5 %%"
    )
    for name, model in SECTIONS.items():
        parser.add_argument(f"--{name}", type=model.model_validate_json, default=model())
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    given = parser.parse_args()
    set_threads(given.threads)
    labels = LabelSettings(min_pixels=given.min_pixels)
    settings = Settings(labels=labels, **{name: getattr(given, name) for name in SECTIONS})
    figures = measure(given, settings)
    show(figures)
    if given.json:
        write_json(given.json, figures)


SECTIONS = {
    "tiles": TileSettings,
    "heatmaps": HeatMapSettings,
    "views": ViewSettings,
    "resunet": ResUNetSettings,
    "maps": MapSettings,
}


def measure(given: argparse.Namespace, settings: Settings) -> dict:
    """Everything: pseudo-masks of the training scenes, networks, maps, F1."""
    trained = "+".join(given.train)
    folder = given.work / trained
    training = [Files(given.data, folder, name) for name in given.train]
    facts = pseudo_masks(training, settings, given.heat_seeds)
    for scene in training:
        for kind in ("heat", "sam"):
            print(f"{trained}: {kind} masks of {scene.name}: F1 {f1(scene.at(f'{kind}.tif'), scene):.3f}", flush=True)
    rows: dict[str, dict[str, dict[str, float]]] = {name: {} for name in given.rows}
    for name in given.rows:
        for seed in given.seeds:
            weights = folder / f"{ROWS[name]}_{seed}.safetensors"
            masks = [scene.truth if ROWS[name] == "truth" else scene.at(f"{ROWS[name]}.tif") for scene in training]
            if not weights.exists():
                scenes = [
                    TrainingScene(s.image, s.at("tiles.zarr.zip"), m) for s, m in zip(training, masks, strict=True)
                ]
                start = time.perf_counter()
                train_on_scenes(scenes, settings.resunet, weights, weights.with_suffix(".json"), seed)
                print(f"trained {weights.name} in {time.perf_counter() - start:.0f} s", flush=True)
            for test in given.test:
                scene = Files(given.data, folder, test)
                mask = folder / f"map_{test}_{ROWS[name]}_{seed}.tif"
                if not mask.exists():
                    predict_raster(
                        scene.image, weights, settings.tiles, settings.maps, mask.with_suffix(".prob.tif"), mask
                    )
                rows[name].setdefault(test, {})[str(seed)] = f1(mask, scene)
                print(f"{trained} -> {test}, {name}, seed {seed}: F1 {rows[name][test][str(seed)]:.3f}", flush=True)
    return {"train": given.train, "facts": facts, "f1": rows}


def pseudo_masks(scenes: Sequence[Files], settings: Settings, first_seed: int) -> dict:
    """Scene-wide pseudo-masks of the training scenes, with SAM (`_sam.tif`) and without (`_heat.tif`)."""
    folder = scenes[0].folder
    folder.mkdir(parents=True, exist_ok=True)
    for scene in scenes:
        tiles = scene.at("tiles.zarr.zip")
        if not tiles.exists():
            row = Scene(scene.name, "raster", scene.image, None, scene.truth, "train")
            tile_scene(row, settings.tiles, settings.labels, SplitSettings(), tiles)
            make_ground_labels([tiles], scene.at("labels.tif"))
    images, tiles, labels, logits = (
        [scene.image for scene in scenes],
        *([scene.at(ending) for scene in scenes] for ending in ("tiles.zarr.zip", "labels.tif", "logits.tif")),
    )
    networks = []
    for number in range(settings.heatmaps.networks):
        weights = folder / f"heat_network_{first_seed + number}.safetensors"
        networks.append(weights)
        if not weights.exists():
            history = weights.with_suffix(".json")
            train_heat_network(images, tiles, labels, settings.heatmaps, weights, history, first_seed + number)
    for image, stack, heat in zip(images, tiles, logits, strict=True):
        if not heat.exists():
            make_logits(stack, image, networks, settings.heatmaps, heat)
    decision = calibrate(tiles, logits, settings.heatmaps.present_share)
    write_decision(decision, folder / "threshold.json", {})
    threshold = read_decision(folder / "threshold.json")
    write_factor(choose_factor(tiles, logits, labels, threshold, settings.views), folder / "factor.json")
    factor = read_factor(folder / "factor.json")
    print(f"threshold {threshold:g}, balanced accuracy {decision.balanced_accuracy:.3f}, factor {factor:g}", flush=True)
    sam, prompting, asking = SamSettings(), PromptSettings(), MasksSettings(cam_mask=True)
    for scene in scenes:
        stack, ground, heat = scene.at("tiles.zarr.zip"), scene.at("labels.tif"), scene.at("logits.tif")
        if scene.at("sam.tif").exists():
            continue
        make_heat_masks(heat, ground, threshold, stack, scene.at("heat.tif"))
        views, cams, prompts, embeddings, masks = (
            scene.at(ending)
            for ending in ("views.zarr.zip", "cams.zarr.zip", "prompts.json", "embeddings.zarr.zip", "masks.zarr.zip")
        )
        make_views([stack], scene.image, ground, settings.views, factor, views)
        make_heat_stack(views, heat, ground, threshold, settings.heatmaps, cams)
        make_prompts(cams, prompting, prompts)
        encode_scene(views, embeddings, sam)
        make_prompted_masks(views, cams, prompts, embeddings, sam, asking, masks)
        make_ground_masks([views], [masks], ground, scene.at("sam.tif"), settings.views.votes)
    return {"threshold": threshold, "balanced_accuracy": decision.balanced_accuracy, "factor": factor}


def f1(mask: Path, scene: Files) -> float:
    """F1 of a mask over the known pixels of its scene; what the mask does not know counts as no landslide."""
    with rasterio.open(mask) as raster, rasterio.open(scene.truth) as truth, rasterio.open(scene.image) as image:
        known = (truth.read(1) != 255) & (image.dataset_mask() > 0)
        return Counts.of((raster.read(1)[known] == 1).astype(np.uint8), truth.read(1)[known]).f1 or 0.0


def show(figures: dict) -> None:
    """Mean and range over seeds, and the share of the bound."""
    train = "+".join(figures["train"])
    bound = figures["f1"].get("bound", {})
    for name, tests in figures["f1"].items():
        for test, values in tests.items():
            some = list(values.values())
            mean = float(np.mean(some))
            share = f", {mean / np.mean(list(bound[test].values())):6.1%} of the bound" if test in bound else ""
            print(f"{train} -> {test}  {name.ljust(12)} F1 {mean:.3f} ({min(some):.3f} to {max(some):.3f}){share}")


if __name__ == "__main__":
    main()
