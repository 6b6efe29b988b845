"""Test an installed package: `make test-wheel` and `make test-lowest` run this in a separate environment.

Only the environment's packages and `tests/tiny_run.py` are imported.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from importlib.metadata import distributions
from pathlib import Path

import numpy as np
from tiny_run import RESUNET, SIZE, make_tiny_run, picture, write_scene

import apsam


def main() -> None:
    """Map a scene by the command and by the functions; train if the extra is installed."""
    assert ROOT not in Path(apsam.__file__).parents, f"{apsam.__file__}: not the installed package"
    for name in apsam.__all__:
        getattr(apsam, name)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run, image = make_tiny_run(folder / "tiny"), picture(90, 100)
        scene = write_scene(folder / "scene.tif", image)
        try_command(scene, run / "resunet/apsam/weights.safetensors", folder / "command")
        try_functions(scene, run, image, folder / "functions")
        if importlib.util.find_spec("lightning"):
            try_training(folder)
    packages = {distribution.name for distribution in distributions()}
    print(f"works: {len(packages)} packages, {sum(name.startswith(CUDA) for name in packages)} of them for CUDA")


def try_command(scene: Path, weights: Path, output: Path) -> None:
    """Run `apsam predict` with weights alone; without geopandas, the message names the extra for polygons."""
    command = [Path(sys.executable).with_name("apsam"), "predict", scene, "--weights", weights, "-o", output]
    done = subprocess.run(command, capture_output=True, text=True, cwd=scene.parent)
    assert done.returncode == 0, done.stderr
    assert (output / "scene_mask.tif").is_file() and (output / "scene_probability.tif").is_file()
    assert (output / "scene.gpkg").is_file() == HAS_MAPS
    assert ("pip install 'apsam[maps]'" in done.stderr) != HAS_MAPS, done.stderr


def try_functions(scene: Path, run: Path, image: np.ndarray, output: Path) -> None:
    """From an image to a mask, from a scene to maps."""
    model = apsam.load(run)
    mask = model.segment(image, apsam.generate_prompts(model.cam(image), threshold=120))
    assert mask.shape == image.shape[:2] and mask.any()
    result = model.predict(scene, output)
    if HAS_MAPS:
        assert len(result.polygons) == result.landslides
        return
    try:
        result.polygons  # noqa: B018
    except apsam.ApsamError as error:
        assert "apsam[maps]" in str(error)
    else:
        raise AssertionError("polygons without geopandas")


def try_training(folder: Path) -> None:
    """One epoch of the ResUNet."""
    images = np.random.default_rng(0).integers(0, 255, (4, SIZE, SIZE, 3)).astype(np.uint8)
    masks = images[..., 0] > 200
    apsam.train_resunet(images, masks, folder / "r.safetensors", config=apsam.Config(resunet=RESUNET), device="cpu")


ROOT = Path(__file__).resolve().parents[1]
HAS_MAPS = importlib.util.find_spec("geopandas") is not None
CUDA = ("nvidia-", "cuda-", "triton")

if __name__ == "__main__":
    main()
