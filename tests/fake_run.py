"""Files of an artificial run from synthetic scenes, made in seconds for tests of the report, without training.

CAMs are blurred reference masks with noise, APSAM's masks and the ResUNet's maps reference masks with errors; tiles,
prompts, thresholded CAMs and GrabCut masks are made by the real stages. The metrics are counted from these.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
import rasterio

from apsam.config import Config
from apsam.experiments.figures import draw_bars
from apsam.experiments.table import FIGURES, PART, Column, Experiment, write_experiment
from apsam.files import write_json
from apsam.maps.archive import add_mask
from apsam.masks.grabcut import make_grabcut_masks
from apsam.masks.thresholded import make_cam_masks
from apsam.prompts.files import make_prompts
from apsam.scenes import Scene
from apsam.stack import TileStack, TileStackWriter
from apsam.synthetic.scene import make_scene, write_scene
from apsam.synthetic.settings import SyntheticSettings
from apsam.tiles.tiling import tile_scene

# Run times of its jobs for their recipes.
RECIPES = [
    {"stage": "tiles", "seconds": 2.1, "peak_mb": 312.5},
    {"stage": "localizer", "seconds": 61.5, "peak_mb": 312.5},
]


def make_fake_run(
    folder: Path,
    names: tuple[str, ...] = ("alder", "birch"),
    size_px: int = 256,
    tile: int = 128,
    held_out: bool = True,
) -> tuple[list[Scene], Config]:
    """Fill `folder` with the files of a run; the last scene is held out. Return the scene sheet and the config.

    Without `held_out`, all scenes are training scenes, and the localizer is not evaluated.
    """
    config = Config.model_validate(
        {
            "run": folder.name,
            "tiles": {"size": tile},
            "maps": {"scenes": "all"},
            "prompts": {"threshold": "auto"},
            "synthetic": {
                "size_px": size_px,
                "tile_px": min(256, tile),
                "tile_stride_px": round(0.6 * tile),
                "no_data_share": 1.0,
            },
        }
    )
    sheet, counts = [], {}
    for index, name in enumerate(names):
        split = "test" if held_out and index == len(names) - 1 else "train"
        sheet.append(Scene(name, "synthetic", None, None, None, split))
        _fake_scene(folder, name, split, config, counts)
    _fake_json(folder, counts)
    if not held_out:
        (folder / "metrics/localizer.json").unlink()
    _fake_experiments(folder / "experiments")
    return sheet, config


def _fake_scene(folder: Path, name: str, split: str, config: Config, counts: dict) -> None:
    image, mask = folder / f"scenes/{name}.tif", folder / f"scenes/{name}_mask.tif"
    made = make_scene(name, SyntheticSettings(**config.synthetic.model_dump()))
    write_scene(made, image, mask)
    tiles = folder / f"tiles/{name}.zarr.zip"
    tile_scene(Scene(name, "raster", image, None, mask, split), config.tiles, config.labels, config.split, tiles)
    rng = np.random.default_rng(len(name))
    noise = cv2.GaussianBlur(rng.normal(size=made.mask.shape).astype(np.float32), (0, 0), 10)
    heat = cv2.GaussianBlur(made.mask.astype(np.float32), (0, 0), 16) + 0.9 * np.abs(noise) / np.abs(noise).max()
    probability = 1 / (1 + np.exp(-(8 * cv2.GaussianBlur(made.mask.astype(np.float32), (0, 0), 3) - 4 + 55 * noise)))
    probability = probability.astype(np.float32)
    close = cv2.morphologyEx((probability > 0.4).astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    for source, shift in (("apsam", 0.0), ("cam", 0.18)):
        _write_maps(folder / f"maps/{source}", name, np.clip(probability + shift * (heat / heat.max()), 0, 1), made)
        found = np.clip(probability + shift, 0, 1) > 0.5
        for part in ("train", "test"):
            _count(counts, ("resunet", source, part), found[made.valid], made.mask[made.valid], part == split)
    with TileStack(tiles) as stack:
        windows, label, valid = stack.read("window"), stack.read("label"), stack.read("valid")

    def cut(values: np.ndarray) -> np.ndarray:
        return np.stack([values[r : r + h, c : c + w] for r, c, h, w in windows.tolist()])

    cam = cut(heat) * label[:, None, None]
    cam = (255 * cam / np.maximum(cam.max(axis=(1, 2), keepdims=True), 1e-6)).astype(np.uint8)
    cams, prompts = folder / f"cams/{name}.zarr.zip", folder / f"prompts/{name}.json"
    with TileStackWriter(cams, {"scene": name, "made_by": {}}, {"cam": (cam.shape[1:], "uint8")}) as writer:
        writer.append(cam=cam)
    make_prompts(cams, config.prompts, prompts)
    masks = folder / "masks"
    make_cam_masks(tiles, cams, config.cam_masks, masks / f"cam/{name}.zarr.zip")
    make_grabcut_masks(tiles, prompts, config.grabcut, masks / f"grabcut/{name}.zarr.zip")
    specs = {"mask": (cam.shape[1:], "uint8"), "threshold": ((), "int16"), "score": ((), "float32")}
    attributes = {"scene": name, "source": "apsam", "made_by": {}, "checkpoint": "0" * 64}
    with TileStackWriter(masks / f"apsam/{name}.zarr.zip", attributes, specs) as writer:
        mask = np.where(valid > 0, cut(close) * label[:, None, None], 255).astype(np.uint8)
        threshold = np.where(label > 0, 120, -1).astype(np.int16)
        writer.append(mask=mask, threshold=threshold, score=rng.random(len(label)).astype(np.float32) * label)
    reference = cut(made.mask)
    for source in ("apsam", "cam", "grabcut"):
        with TileStack(masks / f"{source}/{name}.zarr.zip") as stack:
            guess = stack.read("mask")
        for part in ("train", "test"):
            _count(counts, ("pseudo", source, part), guess[valid > 0], reference[valid > 0], part == split)


def _write_maps(folder: Path, name: str, probability: np.ndarray, made) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    profile = {
        "driver": "GTiff", "height": probability.shape[0], "width": probability.shape[1], "count": 1, "crs": made.crs,
        "transform": made.transform, "compress": "deflate",
    }  # fmt: skip
    values = np.where(made.valid, np.round(probability * 254), 255).astype(np.uint8)
    with rasterio.open(folder / f"{name}_probability.tif", "w", dtype="uint8", nodata=255, **profile) as raster:
        raster.write(values, 1)
        raster.scales = (1 / 254,)
    mask = np.where(made.valid, probability > 0.5, 255).astype(np.uint8)
    with rasterio.open(folder / f"{name}_mask.tif", "w", dtype="uint8", nodata=255, **profile) as raster:
        raster.write(mask, 1)


def _count(counts: dict, key: tuple, guess: np.ndarray, reference: np.ndarray, wanted: bool) -> None:
    if wanted:
        guess, reference = guess == 1, reference == 1
        new = [guess & reference, guess & ~reference, ~guess & reference, ~guess & ~reference]
        counts[key] = np.add(counts.get(key, [0, 0, 0, 0]), [int(v.sum()) for v in new])


def _fake_json(folder: Path, counts: dict) -> None:
    for file, kind in (("pseudo_masks", "pseudo"), ("resunet", "resunet")):
        rows = [_row(source, part, *map(int, v)) for (k, source, part), v in counts.items() if k == kind]
        write_json(folder / f"metrics/{file}.json", {"protocol": "held_out", "rows": rows})
    epochs = [{"epoch": n, "learning_rate": 0.01, "classification": round(0.7 * 0.7**n + 0.02, 4)} for n in range(1, 9)]
    history = {
        "schema": 1, "settings": {}, "optimizer": {}, "seed": 1, "epochs": epochs,
        "tiles": {"positive": 30, "negative": 34},
    }  # fmt: skip
    write_json(folder / "localizer/history.json", history)
    for source in ("apsam", "cam"):
        losses = [{"epoch": n, "loss": round(0.9 / n + 0.1, 4), "learning_rate": 1e-3} for n in range(1, 5)]
        write_json(folder / f"resunet/{source}/history.json", {"settings": {}, "seed": 1, "epochs": losses})
    (folder / "resunet/apsam/weights.safetensors").write_bytes(b"weights")
    write_json(folder / "metrics/localizer.json", {"schema": 1, "tiles": {}, "accuracy": 0.906, "auc": 0.96})


def _fake_experiments(folder: Path) -> None:
    """Two of the paper's experiments with made-up counts: the threshold sweep, and the prompts with a figure."""
    sweep = [
        {"source": source, "part": "test", "threshold": threshold, "selected": "yes" if threshold == selected else None}
        | _row(source, "test", 900 - abs(threshold - 110) * 4 - loss, 300, 200 + loss, 9000)
        for source, loss, selected in (("apsam", 0, 130), ("cam", 160, None))
        for threshold in range(50, 171, 10)
    ]
    sweep.append({"source": "apsam", "part": "test", "threshold": "per tile"} | _row("apsam", "test", 920, 250, 180, 1))
    columns = (Column("source", "Pseudo-mask"), PART, Column("threshold", "Threshold"),
               Column("selected", "Selected without labels"), *FIGURES)  # fmt: skip
    notes = ["Made up for a test."]
    write_experiment(
        Experiment("threshold_sweep", "CAM threshold (paper, Fig. 5)", "held_out", columns, sweep, notes),
        folder / "threshold_sweep.json",
    )
    rows = [{"prompts": name} | _row("apsam", "test", tp, 300, 1000 - tp, 9000)
            for name, tp in (("Points and boxes", 800), ("Boxes", 760), ("Points", 610))]  # fmt: skip
    ablation = Experiment("prompt_ablation", "Prompts (paper, Table 2)", "held_out",
                          (Column("prompts", "Prompts"), PART, *FIGURES), rows, notes)  # fmt: skip
    write_experiment(ablation, folder / "prompt_ablation.json")
    draw_bars(ablation, "iou", ["prompts"], folder / "prompt_ablation.json")


def _row(source: str, part: str, tp: int, fp: int, fn: int, tn: int) -> dict:
    def share(a: float, b: float) -> float | None:
        return a / b if b else None

    return {
        "source": source, "part": part, "tp": tp, "fp": fp, "fn": fn, "tn": tn,
        "oa": share(tp + tn, tp + fp + fn + tn), "precision": share(tp, tp + fp), "recall": share(tp, tp + fn),
        "f1": share(2 * tp, 2 * tp + fp + fn), "iou": share(tp, tp + fp + fn),
    }  # fmt: skip


def make_fake_folder_run(folder: Path, tiles: int = 6) -> tuple[list[Scene], Config]:
    """A run of one folder of ready-made tiles: no map, no CRS, the ResUNet's masks in a zip, 10 px off."""
    config = Config.model_validate({"run": folder.name, "tiles": {"size": 128}})
    images, reference = folder.parent / "images", folder.parent / "truth"
    images.mkdir(parents=True)
    reference.mkdir()
    rng = np.random.default_rng(0)
    lines = ["tile,label"]
    for index in range(tiles):
        pixels = cv2.resize(rng.integers(0, 255, (8, 9, 3)).astype(np.uint8), (180, 150))
        cv2.imwrite(str(images / f"t{index}.png"), pixels)
        lines.append(f"t{index}.png,{index % 2}")
    (folder.parent / "labels.csv").write_text("\n".join(lines) + "\n")
    scene = Scene("crops", "folder", images, folder.parent / "labels.csv", reference, "test")
    tile_scene(scene, config.tiles, config.labels, config.split, folder / "tiles/crops.zarr.zip")
    maps = folder / "maps/apsam/crops.zip"
    maps.parent.mkdir(parents=True)
    with zipfile.ZipFile(maps, "w") as archive:
        for index in range(tiles):
            mask = np.zeros((150, 180), np.uint8)
            mask[40:90, 50:120] = index % 2
            add_mask(archive, f"t{index}.png", mask)
            cv2.imwrite(str(reference / f"t{index}.png"), np.roll(mask, 10, axis=1))
    return [scene], config
