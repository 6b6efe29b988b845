"""From image-level labels of one or more scenes to the map of another: with and without SAM, and an upper bound.

    python -m benchmarks.jinsha_whole_way DATA --train B --test A --seeds 61 62 63

DATA has `scene_A.tif`, `scene_A_mask.tif`, ... The tiles of the training scenes are labelled by their masks, as in the
paper; the masks are not used otherwise. The upper bound is the same network trained on the reference masks
at the same crops. F1 of the maps is at the product's threshold, over all known pixels of the test scene.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio

from apsam.device import set_threads
from apsam.files import write_json
from apsam.ground.labels import make_ground_labels
from apsam.ground.settings import GroundSettings, ViewSettings
from apsam.ground.views import make_views
from apsam.ground.votes import make_ground_masks
from apsam.heatmaps.calibrate import calibrate
from apsam.heatmaps.cross_validation import find_label_errors
from apsam.heatmaps.factor import choose_factor, read_factor, write_factor
from apsam.heatmaps.grey import make_heat_masks, make_heat_stack
from apsam.heatmaps.logits import make_logits
from apsam.heatmaps.settings import HeatMapSettings
from apsam.heatmaps.train import train_heat_network
from apsam.maps.decision import write_decided_mask
from apsam.maps.settings import MapSettings
from apsam.masks.prompted import make_prompted_masks
from apsam.metrics.counts import Counts
from apsam.prompts.files import make_prompts
from apsam.prompts.settings import PromptSettings
from apsam.resunet.crops import TrainingScene
from apsam.resunet.predict import predict_raster
from apsam.resunet.settings import ResUNetSettings
from apsam.resunet.train import train_on_scenes
from apsam.sam.encode_scene import encode_scene
from apsam.sam.settings import MasksSettings, SamSettings
from apsam.scenes import Scene
from apsam.stack import TileStack, TileStackWriter
from apsam.tiles.labels import tile_name
from apsam.tiles.parts import LABELLED, NEITHER
from apsam.tiles.settings import LabelSettings, SplitSettings, TileSettings
from apsam.tiles.tiling import tile_scene
from benchmarks.point_labels import write_points

# Rows of the result: name -> pseudo-masks of the network's training.
ROWS = {"with SAM": "sam", "without SAM": "heat", "second round": "self", "bound": "truth"}


# The same maps at the threshold with the highest expected F1 (`apsam.maps.decision`).
EXPECTED = ", expected F1"


@dataclass(frozen=True)
class Settings:
    tiles: TileSettings
    labels: LabelSettings
    heatmaps: HeatMapSettings
    views: ViewSettings
    resunet: ResUNetSettings
    maps: MapSettings
    folds: int = GroundSettings().folds
    points: LabelSettings | None = None
    # Scene -> names of the tiles whose label is known; None: of all tiles.
    looked_at: Mapping[str, Collection[str]] | None = None


@dataclass(frozen=True)
class Files:
    """Files of one scene."""

    data: Path
    folder: Path
    name: str

    @property
    def image(self) -> Path:
        return self.data / f"scene_{self.name}.tif"

    @property
    def reference(self) -> Path:
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
    parser.add_argument("--folds", type=int, default=GroundSettings().folds, help="ground.folds")
    parser.add_argument("--wrong-labels", type=float, default=0, help="share of the tiles whose label is turned")
    parser.add_argument(
        "--points",
        type=LabelSettings.model_validate_json,
        help="""labels come from a point on each landslide (benchmarks.point_labels): {"size_column": "length_m"}""",
    )
    for name, model in SECTIONS.items():
        # A network trained with soft dice does not predict probabilities: where uncertain, it maps too much.
        default = ResUNetSettings(loss="bce") if model is ResUNetSettings else model()
        parser.add_argument(f"--{name}", type=model.model_validate_json, default=default)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    given = parser.parse_args()
    set_threads(given.threads)
    labels = LabelSettings(min_pixels=given.min_pixels)
    settings = Settings(
        labels=labels, points=given.points, folds=given.folds, **{name: getattr(given, name) for name in SECTIONS}
    )
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
    """Run all steps: pseudo-masks of the training scenes, networks, maps, F1."""
    trained = "+".join(given.train)
    folder = given.work / trained
    training = [Files(given.data, folder, name) for name in given.train]
    facts = first_round(training, settings, given.heat_seeds, given.wrong_labels)
    rows: dict[str, dict[str, dict[str, float]]] = {}
    for name in given.rows:
        for seed in given.seeds:
            masks = masks_of(ROWS[name], training, settings, given.seeds)
            if ROWS[name] != "truth":
                for scene, mask in zip(training, masks, strict=True):
                    print(f"{trained}: {mask.name}: F1 {f1(mask, scene):.3f}", flush=True)
            weights = folder / f"{ROWS[name]}_{seed}.safetensors"
            train(training, masks, settings, weights, seed)
            for test in given.test:
                scene = Files(given.data, folder, test)
                mask = folder / f"map_{test}_{ROWS[name]}_{seed}.tif"
                if not mask.exists():
                    probability = mask.with_suffix(".probability.tif")
                    predict_raster(scene.image, weights, settings.tiles, settings.maps, probability, mask)
                write_decided_mask(mask.with_suffix(".probability.tif"), mask.with_suffix(".expected.tif"))
                for row, file in ((name, mask), (name + EXPECTED, mask.with_suffix(".expected.tif"))):
                    rows.setdefault(row, {}).setdefault(test, {})[str(seed)] = f1(file, scene)
                    print(f"{trained} -> {test}, {row}, seed {seed}: F1 {f1(file, scene):.3f}", flush=True)
    return {"train": given.train, "facts": facts, "f1": rows}


def train(scenes: Sequence[Files], masks: Sequence[Path], settings: Settings, weights: Path, seed: int) -> None:
    """Train the ResUNet on scene-wide masks, unless its weights exist."""
    if weights.exists():
        return
    start = time.perf_counter()
    given = [TrainingScene(s.image, s.at("tiles.zarr.zip"), mask) for s, mask in zip(scenes, masks, strict=True)]
    train_on_scenes(given, settings.resunet, weights, weights.with_suffix(".json"), seed)
    print(f"trained {weights.name} in {time.perf_counter() - start:.0f} s", flush=True)


def masks_of(kind: str, scenes: Sequence[Files], settings: Settings, seeds: Sequence[int]) -> list[Path]:
    """Return the masks for a row's network: reference masks, those of the first round, or those of the second.

    The first round of self-training is the networks "with SAM" of all seeds.
    """
    if kind == "truth":
        return [scene.reference for scene in scenes]
    masks = [scene.at(f"{kind}.tif") for scene in scenes]
    if kind != "self" or all(mask.exists() for mask in masks):
        return masks
    networks = [scenes[0].folder / f"sam_{seed}.safetensors" for seed in seeds]
    for weights, seed in zip(networks, seeds, strict=True):
        train(scenes, [scene.at("sam.tif") for scene in scenes], settings, weights, seed)
    for scene, mask in zip(scenes, masks, strict=True):
        tiles, logits = scene.at("tiles.zarr.zip"), scene.at("self_logits.tif")
        make_logits(tiles, scene.image, networks, settings.heatmaps, logits)
        # Networks trained on masks of objects, not of tiles, are calibrated: their threshold is 0.5.
        make_heat_masks(logits, scene.at("labels.tif"), 0.0, tiles, mask)
    return masks


def first_round(scenes: Sequence[Files], settings: Settings, first_seed: int, wrong_labels: float) -> dict:
    """Make scene-wide pseudo-masks of the training scenes, with SAM (`_sam.tif`) and without (`_heat.tif`)."""
    folder = scenes[0].folder
    folder.mkdir(parents=True, exist_ok=True)
    for scene in scenes:
        tiles = scene.at("tiles.zarr.zip")
        if not tiles.exists():
            inventory = None
            if settings.points is not None:
                inventory = scene.at("points.gpkg")
                write_points(scene.reference, inventory)
            row = Scene(scene.name, "raster", scene.image, labels=inventory, mask=scene.reference, split="train")
            tile_scene(row, settings.tiles, settings.points or settings.labels, SplitSettings(), tiles)
            if wrong_labels:
                turn_labels(tiles, wrong_labels)
            if settings.looked_at is not None:
                leave_unlabelled(tiles, settings.looked_at[scene.name])
    images = [scene.image for scene in scenes]
    tiles, labels, logits = (
        [scene.at(ending) for scene in scenes] for ending in ("tiles.zarr.zip", "labels.tif", "logits.tif")
    )
    left_out = {}
    if settings.folds:
        found = find_label_errors(tiles, settings.folds, folder / "label_errors.json")
        left_out = found.tiles
        print(f"{found.count} of {found.negative} negative labels left out: {left_out}", flush=True)
    for scene, stack, label_map in zip(scenes, tiles, labels, strict=True):
        make_ground_labels([stack], label_map, left_out, None if settings.points is None else scene.at("points.gpkg"))
    networks = [
        folder / f"heat_network_{first_seed + number}.safetensors" for number in range(settings.heatmaps.networks)
    ]
    for number, weights in enumerate(networks):
        if not weights.exists():
            history = weights.with_suffix(".json")
            train_heat_network(images, tiles, labels, settings.heatmaps, weights, history, first_seed + number)
    for image, stack, heat in zip(images, tiles, logits, strict=True):
        if not heat.exists():
            make_logits(stack, image, networks, settings.heatmaps, heat)
    decision = calibrate(tiles, logits, settings.heatmaps.present_share, left_out, labels)
    threshold = decision.threshold
    write_factor(choose_factor(tiles, logits, labels, threshold, settings.views), folder / "factor.json")
    factor = read_factor(folder / "factor.json")
    print(f"threshold {threshold:g}, balanced accuracy {decision.balanced_accuracy}, factor {factor:g}", flush=True)
    for scene in scenes:
        if not scene.at("sam.tif").exists():
            stack, ground = scene.at("tiles.zarr.zip"), scene.at("labels.tif")
            make_heat_masks(scene.at("logits.tif"), ground, threshold, stack, scene.at("heat.tif"))
            make_views([stack], scene.image, ground, settings.views, factor, scene.at("views.zarr.zip"))
            encode_scene(scene.at("views.zarr.zip"), scene.at("embeddings.zarr.zip"), SamSettings())
            sam_masks(scene, settings, scene.at("logits.tif"), threshold, scene.at("sam.tif"))
    return {"threshold": threshold, "balanced_accuracy": decision.balanced_accuracy, "factor": factor}


def turn_labels(tiles: Path, share: float) -> None:
    """Invert the labels of some tiles, drawn with a fixed seed."""

    def turn(arrays: dict[str, np.ndarray]) -> None:
        count = len(arrays["label"])
        wrong = np.random.default_rng(1).permutation(count)[: round(share * count)]
        arrays["label"][wrong] = 1 - arrays["label"][wrong]

    rewrite(tiles, turn)


def leave_unlabelled(tiles: Path, looked_at: Collection[str]) -> None:
    """Remove the labels of all tiles except those of these names."""

    def leave(arrays: dict[str, np.ndarray]) -> None:
        names = [tile_name(row, col) for row, col, _, _ in arrays["window"].tolist()]
        unseen = np.array([name not in looked_at for name in names])
        arrays["label"][unseen], arrays["part"][unseen], arrays[LABELLED][unseen] = 0, NEITHER, 0

    rewrite(tiles, leave)


def rewrite(tiles: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    """Change the arrays of a stack."""
    with TileStack(tiles) as stack:
        arrays, attributes, specs = {name: stack.read(name) for name in stack.arrays}, stack.attributes, stack.arrays
    change(arrays)
    with TileStackWriter(tiles, attributes, specs) as writer:
        writer.append(**arrays)


def sam_masks(scene: Files, settings: Settings, logits: Path, threshold: float, output: Path) -> None:
    """Make the scene-wide pseudo-mask of SAM, prompted by a heat map."""
    views, labels, embeddings = (scene.at(e) for e in ("views.zarr.zip", "labels.tif", "embeddings.zarr.zip"))
    cams, prompts, masks = (
        output.with_suffix(ending) for ending in (".cams.zarr.zip", ".prompts.json", ".masks.zarr.zip")
    )
    make_heat_stack(views, logits, labels, threshold, settings.heatmaps, cams)
    make_prompts(cams, PromptSettings(), prompts)
    make_prompted_masks(views, cams, prompts, embeddings, SamSettings(), MasksSettings(cam_mask=True), masks)
    make_ground_masks([views], [masks], labels, output, settings.views.votes)


def f1(mask: Path, scene: Files) -> float:
    """Return F1 of a mask over the known pixels of its scene; unknown pixels of the mask count as no landslide."""
    with (
        rasterio.open(mask) as raster,
        rasterio.open(scene.reference) as reference,
        rasterio.open(scene.image) as image,
    ):
        known = (reference.read(1) != 255) & (image.dataset_mask() > 0)
        return Counts.of((raster.read(1)[known] == 1).astype(np.uint8), reference.read(1)[known]).f1 or 0.0


def show(figures: dict) -> None:
    """Return mean and range over seeds, and the share of the upper bound."""
    train = "+".join(figures["train"])
    for name, tests in figures["f1"].items():
        for test, values in tests.items():
            some = list(values.values())
            mean = float(np.mean(some))
            bound = figures["f1"].get("bound" + (EXPECTED if name.endswith(EXPECTED) else ""), {})
            share = f", {mean / np.mean(list(bound[test].values())):6.1%} of the bound" if test in bound else ""
            print(f"{train} -> {test}  {name.ljust(26)} F1 {mean:.3f} ({min(some):.3f} to {max(some):.3f}){share}")


if __name__ == "__main__":
    main()
