"""Full disks, read-only folders, damaged files: one-line errors, no lost or partial files."""

from __future__ import annotations

import ast
import contextlib
import os
import pickle
import resource
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import geopandas as gpd
import numpy as np
import pytest
import rasterio
import torch
from matplotlib import rc_context
from matplotlib.figure import Figure
from rasterio.transform import from_origin
from safetensors.torch import save_file
from shapely.geometry import MultiPolygon, box
from torch.utils.data import DataLoader

from apsam.backbones import build
from apsam.conditions import TrainingConditions
from apsam.errors import ApsamError, InputError, OutputError
from apsam.experiments.table import Column, Experiment, write_experiment
from apsam.figures import STYLE, save_figure
from apsam.files import atomic_path, scratch_folder, write_json
from apsam.localizer.checkpoint import load_localizer
from apsam.localizer.data import TileSet
from apsam.maps.archive import add_mask
from apsam.maps.bands import BandWriter
from apsam.maps.cog import MapWriter
from apsam.maps.settings import MapSettings
from apsam.maps.tiles import MapTiles
from apsam.open_files import most_open
from apsam.products.files import ProductFiles
from apsam.products.geopackage import write_geopackage
from apsam.products.make import make_products
from apsam.products.settings import ProductSettings
from apsam.products.styles import mask_style, write_qml
from apsam.prompts.files import ScenePrompts, check_tile_order
from apsam.prompts.generate import TilePrompts
from apsam.resunet.checkpoint import load_resunet, save_resunet
from apsam.resunet.data import PseudoMaskTiles
from apsam.resunet.model import build_resunet
from apsam.resunet.predict import predict_folder, predict_raster
from apsam.resunet.settings import ResUNetSettings
from apsam.sam.registry import read_state_dict
from apsam.scenes import Scene
from apsam.stack import TileStack, TileStackWriter
from apsam.temporary_files import PREFIX
from apsam.tiles.settings import LabelSettings, SplitSettings, TileSettings
from apsam.tiles.tiling import tile_scene
from apsam.training.resume import Checkpoint

ROOT = Path(__file__).resolve().parents[1]
PLACE = (rasterio.crs.CRS.from_epsg(32648), from_origin(500000, 3000000, 0.5, 0.5))
NOISE = np.random.default_rng(0).integers(0, 250, (600, 800)).astype(np.uint8)
SMALL = ResUNetSettings(preset="paper", widths=(4, 6, 8, 8, 8), pyramid_width=4)
DISK = 4 << 20


def mount(folder: Path, options: str) -> None:
    """Mount a small file system in memory, or skip the test."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here ({done.stderr.strip()})")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB."""
    folder = tmp_path / "disk"
    try:
        mount(folder, f"size={DISK}")
    except FileNotFoundError:
        pytest.skip("no mount command here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def leave(disk: Path, room: int) -> None:
    """Fill a disk but for `room` bytes, with a file called ballast."""
    with (disk / "ballast").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(shutil.disk_usage(disk).free - room, 1))


# Writers of the library, each writing some hundred kilobytes or more.


def stack(path: Path) -> None:
    with TileStackWriter(path, {"scene": "a"}, {"image": ((3, 64, 64), "uint8")}) as writer:
        for seed in range(4):
            writer.append(image=np.random.default_rng(seed).integers(0, 255, (10, 3, 64, 64)).astype(np.uint8))


def cog(path: Path) -> None:
    with MapWriter(path, "probability", 600, 800, *PLACE, {}) as writer:
        for row in range(0, 600, 150):
            writer.write(row, NOISE[row : row + 150])


def band(path: Path) -> None:
    with BandWriter(path, 600, 800, *PLACE, "m") as writer:
        for row in range(0, 600, 150):
            writer.write(row, NOISE[row : row + 150].astype(np.float32) / 255)


def geopackage(path: Path) -> None:
    shapes = [MultiPolygon([box(x, y, x + 0.5, y + 0.5)]) for x in range(60) for y in range(40)]
    write_geopackage(
        path,
        {"landslides": gpd.GeoDataFrame({"area_m2": [0.25] * len(shapes)}, geometry=shapes, crs=PLACE[0].to_wkt())},
    )


def json_file(path: Path) -> None:
    write_json(path, list(range(100_000)))


def csv_file(path: Path) -> None:
    rows = [{"a": f"value {number}"} for number in range(30_000)]
    write_experiment(Experiment("x", "X", "held_out", (Column("a", "A"),), rows), path.with_suffix(".json"))


def picture(path: Path) -> None:
    figure = Figure(figsize=(4, 3), dpi=100)
    figure.add_axes((0, 0, 1, 1)).imshow(np.random.default_rng(0).random((300, 400, 3)), interpolation="nearest")
    with rc_context(STYLE):
        save_figure(figure, path)


def archive(path: Path) -> None:
    with atomic_path(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as file:
        for number in range(6):
            add_mask(file, f"t{number}.png", np.random.default_rng(number).integers(0, 2, (900, 900)).astype(np.uint8))


def weights(path: Path) -> None:
    torch.manual_seed(0)
    settings = ResUNetSettings(preset="paper", widths=(8, 12, 24, 32, 48), pyramid_width=16)
    save_resunet(build_resunet(settings), settings, path, {})


def localizer_weights(path: Path) -> None:
    with atomic_path(path) as partial:
        save_file({"a": torch.arange(200_000.0)}, partial)


def checkpoint(path: Path) -> None:
    Checkpoint(path, "key").write({"weights": {"a": torch.arange(200_000.0)}})


def page(path: Path) -> None:
    with atomic_path(path) as partial:
        partial.write_text("<p>Überhang</p>" * 40_000, encoding="utf-8")


WRITERS = {
    "a.zarr.zip": stack,
    "a_probability.tif": cog,
    "a.b001.tif": band,
    "a.gpkg": geopackage,
    "a.json": json_file,
    "a.csv": csv_file,
    "a.png": picture,
    "a.zip": archive,
    "w.safetensors": weights,
    "l.safetensors": localizer_weights,
    "c.safetensors": checkpoint,
    "index.html": page,
}


def there(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name != "ballast"}


@pytest.mark.parametrize("name", WRITERS)
def test_full_disk_keeps_the_old_file_and_is_reported(name: str, tmp_path: Path, disk: Path) -> None:
    write = WRITERS[name]
    (tmp_path / "reference").mkdir()
    write(tmp_path / "reference" / name)
    reference = there(tmp_path / "reference")
    size = sum(map(len, reference.values()))
    assert 100_000 < size < DISK // 2
    outcomes = set()
    for room in (0, 4096, size // 4, size // 2, size - 12_288, size - 4096, size + 4096, size * 3 + 200_000):
        for old in disk.iterdir():
            old.unlink()
        (disk / name).write_text("old")
        leave(disk, room)
        try:
            write(disk / name)
        except OutputError as error:
            assert str(error).startswith(f"{disk}/"), error
            assert "No space left on device" in str(error) or "not written whole" in str(error), error
            assert "make room on the disk" in str(error) and "\n" not in str(error), error
            left = there(disk)
            assert left.pop(name, b"old") in (b"old", reference.get(name)), "the old file is lost"
            assert left.items() <= reference.items(), "something half-made"
            outcomes.add("refused")
        else:
            assert {**there(disk), **reference} == {**there(disk)}, (
                "reported as written, but not what was to be written"
            )
            outcomes.add("written")
    assert outcomes == {"refused", "written"}


def test_a_full_disk_stops_the_resunets_training_data_with_a_message(tmp_path: Path, disk: Path) -> None:
    """They are written through memory, where a full disk kills the process."""
    specs = {"image": ((3, 64, 64), "uint8"), "label": ((), "uint8"), "part": ((), "uint8")}
    with TileStackWriter(tmp_path / "t.zarr.zip", {"scene": "a", "tile_size": 64}, specs) as writer:
        writer.append(
            image=np.zeros((100, 3, 64, 64), np.uint8), label=np.ones(100, np.uint8), part=np.zeros(100, np.uint8)
        )
    with TileStackWriter(tmp_path / "m.zarr.zip", {"scene": "a"}, {"mask": ((64, 64), "uint8")}) as writer:
        writer.append(mask=np.zeros((100, 64, 64), np.uint8))
    leave(disk, 500_000)
    with (
        pytest.raises(OutputError, match=r"w\.safetensors.*No space left on device"),
        scratch_folder(disk / "w.safetensors", "tiles") as folder,
    ):
        PseudoMaskTiles([tmp_path / "t.zarr.zip"], [tmp_path / "m.zarr.zip"], folder)
    assert not there(disk)


@pytest.mark.parametrize("name", WRITERS)
def test_a_read_only_folder_is_named(name: str, tmp_path: Path, disk: Path) -> None:
    (disk / name).write_text("old")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for target in (disk / name, disk / "new" / name):
        with pytest.raises(OutputError, match="Read-only file system.*write to another folder"):
            WRITERS[name](target)
    assert there(disk) == {name: b"old"}


@pytest.mark.parametrize("name", WRITERS)
def test_a_folder_that_is_a_file_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    with pytest.raises(OutputError, match=r"results/.*cannot be written \((Not a directory|File exists)\)"):
        WRITERS[name](tmp_path / "results" / name)


@pytest.mark.parametrize("length", [200, 250])
@pytest.mark.parametrize("name", ["a.zarr.zip", "a_probability.tif", "a.gpkg", "a.json"])
def test_long_names_of_files_and_folders(name: str, length: int, tmp_path: Path) -> None:
    folder = tmp_path / ("f" * length)
    target = folder / ("n" * (length - len(name)) + name)
    WRITERS[name](target)
    WRITERS[name](target)
    assert [file.name for file in folder.iterdir()] == [target.name]
    with pytest.raises(OutputError, match=r"cannot be written \(File name too long\); shorten the path"):
        WRITERS[name](folder / ("n" * 300 + name))


def test_errors_of_reading_pass_unchanged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a.json"):
        (tmp_path / "input.json").read_text()
    with pytest.raises(ZeroDivisionError), atomic_path(tmp_path / "a.json"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["cut", "hole"])
def test_damaged_temporary_file_is_not_renamed(damage: str, tmp_path: Path) -> None:
    """GDAL reports no error where the disk fills up while a file is closed."""
    profile = {"driver": "GTiff", "count": 1, "height": 600, "width": 800, "dtype": "uint8", "compress": "DEFLATE"}
    with pytest.raises(OutputError, match=r"m\.tif: was not written whole"), atomic_path(tmp_path / "m.tif") as partial:
        with rasterio.open(partial, "w", crs=PLACE[0], transform=PLACE[1], **profile) as raster:
            raster.write(NOISE, 1)
        content = bytearray(partial.read_bytes())
        partial.write_bytes(content[:-5000] if damage == "cut" else content[:9000] + bytes(40000) + content[49000:])
    assert list(tmp_path.iterdir()) == []


# Calls that write a file, by the last part of their name.
WRITING_CALLS = {
    "write_text", "write_bytes", "to_file", "to_csv", "savefig", "save_file", "imwrite", "write_dataframe", "dump",
    "copy_raster", "copyfile",
}  # fmt: skip
# What writes elsewhere than at a final name: the lead-in of a download.
OTHER_WAYS = {"weights.py", "temporary_files.py", "gpu_slots.py"}


def test_all_writers_use_atomic_path() -> None:
    """All files are written within `atomic_path` or `scratch_folder`; this test finds new writers that do not."""
    found = 0
    for source in sorted((ROOT / "apsam").rglob("*.py")):
        if source.name in OTHER_WAYS:
            continue
        tree = ast.parse(source.read_text(encoding="utf-8"))
        # Not attributes: Python shares the nodes of operators between all trees.
        parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        for call in ast.walk(tree):
            if not isinstance(call, ast.Call):
                continue
            name = ast.unparse(call.func).rpartition(".")[2]
            opens = name == "open" and any(
                isinstance(a, ast.Constant) and a.value in ("w", "wb", "x", "a", "ab", "w+") for a in call.args
            )
            zips = name == "ZipFile" and any(isinstance(a, ast.Constant) and a.value == "w" for a in call.args)
            if not (opens or zips or name in WRITING_CALLS):
                continue
            found += 1
            text, up = ast.unparse(call), call
            while not isinstance(up, ast.FunctionDef) and up in parents:
                up = parents[up]
                if isinstance(up, ast.With):
                    text += " ".join(ast.unparse(item) for item in up.items)
            known = ("partial", "atomic_path", "self._raw", "folder", "scratch", "output, driver='VRT'")
            # `_pack` and the scratch files are given their place by callers that stand within it.
            packs = isinstance(up, ast.FunctionDef) and up.name in ("_pack", "_outlines")
            where = f"{source}:{call.lineno}: {ast.unparse(call)[:100]}"
            assert packs or any(word in text for word in known), where
    assert found > 20


def test_small_files_on_a_full_disk(disk: Path) -> None:
    leave(disk, 0)
    with pytest.raises(OutputError, match=r"a\.qml: cannot be written \(No space left on device\)"):
        write_qml(disk / "a.qml", mask_style())
    assert not there(disk)


# Files that are open


@contextlib.contextmanager
def open_files(limit: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture(scope="module")
def many_stacks(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """300 stacks of two tiles; the image of tile t of stack s is filled with (2 s + t) % 251."""
    folder = tmp_path_factory.mktemp("many")
    specs = {"image": ((3, 32, 32), "uint8"), "label": ((), "uint8"), "part": ((), "uint8")}
    with TileStackWriter(folder / "s0.zarr.zip", {"scene": "s"}, specs) as writer:
        writer.append(
            image=np.zeros((2, 3, 32, 32), np.uint8), label=np.array([0, 1], np.uint8), part=np.zeros(2, np.uint8)
        )
    paths = [folder / f"s{number}.zarr.zip" for number in range(300)]
    for number, path in enumerate(paths):
        if number % 50 == 0:  # the others are copies of the last one that was written
            images = np.full((2, 3, 32, 32), number % 251, np.uint8)
            with TileStackWriter(path, {"scene": "s"}, specs) as writer:
                writer.append(image=images, label=np.array([0, 1], np.uint8), part=np.zeros(2, np.uint8))
        else:
            shutil.copy(paths[number // 50 * 50], path)
    return paths


def test_more_stacks_than_files_may_be_open(many_stacks: list[Path]) -> None:
    used = len(os.listdir("/proc/self/fd"))
    with open_files(used + 60):
        train, test = (TileSet(many_stacks, part, memory_mb=0) for part in (0, 1))
        assert (len(train), len(test)) == (600, 0)
        for index in np.random.default_rng(0).permutation(600)[:60]:
            assert int(train[int(index)].image[0, 0, 0]) == index // 2 // 50 * 50 % 251
        assert len(os.listdir("/proc/self/fd")) <= used + most_open() + 5


def test_a_scene_of_more_blocks_than_files_may_be_open(many_stacks: list[Path], tmp_path: Path) -> None:
    from apsam.stack import join_stacks

    with open_files(len(os.listdir("/proc/self/fd")) + 60):
        join_stacks(many_stacks, tmp_path / "all.zarr.zip")
        with TileStack(tmp_path / "all.zarr.zip") as stack:
            assert len(stack) == 600 and stack.read("label").sum() == 300
            assert stack.read_at("image", [599, 0, 100])[:, 0, 0, 0].tolist() == [250, 0, 50]


def test_a_tile_is_read_without_looking_at_other_stacks(
    many_stacks: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    tiles = TileSet(many_stacks[:60], 0, memory_mb=0)
    asked = []
    original = TileStack.read_at
    monkeypatch.setattr(TileStack, "read_at", lambda self, *a: (asked.append(self.path.name), original(self, *a))[1])
    assert int(tiles[101].image.max()) == 50
    assert asked == ["s50.zarr.zip"]
    held = TileSet(many_stacks[:60], 0)
    assert all(torch.equal(held[index].image, tiles[index].image) for index in range(0, 120, 7))


@pytest.mark.parametrize("way", ["spawn", "fork"])
def test_workers_of_a_loader_read_the_same_tiles(way: str, many_stacks: list[Path]) -> None:
    tiles = TileSet(many_stacks[45:55], 0, memory_mb=0)
    alone = torch.cat([batch[0] for batch in DataLoader(tiles, 4)])
    with_workers = torch.cat(
        [b[0] for b in DataLoader(tiles, 4, num_workers=1 + (way == "fork"), multiprocessing_context=way)]
    )
    assert torch.equal(alone, with_workers)


def test_a_stack_that_is_replaced_while_it_is_read_is_not_mixed_with_the_old_one(
    many_stacks: list[Path], tmp_path: Path
) -> None:
    path = Path(shutil.copy(many_stacks[0], tmp_path / "s.zarr.zip"))
    stack = TileStack(path)
    stack.close()
    with atomic_path(path) as partial:
        shutil.copy(many_stacks[60], partial)
    with pytest.raises(InputError, match=r"s\.zarr\.zip: was replaced while it was read; run again"):
        stack.read("image")


# Files that are damaged


def test_a_damaged_tile_in_the_middle_of_a_stack_is_named(tmp_path: Path) -> None:
    stack(tmp_path / "a.zarr.zip")
    with zipfile.ZipFile(tmp_path / "a.zarr.zip") as file:
        chunk = file.getinfo("image/c/4/0/0/0")  # of tiles 20 to 24
    content = bytearray((tmp_path / "a.zarr.zip").read_bytes())
    content[chunk.header_offset + 60 : chunk.header_offset + 90] = bytes(30)
    (tmp_path / "a.zarr.zip").write_bytes(content)
    with TileStack(tmp_path / "a.zarr.zip") as opened:
        assert opened.read_at("image", [19]).shape == (1, 3, 64, 64)
        with pytest.raises(InputError, match=r"a\.zarr\.zip: 'image' of tile\(s\) 20 cannot be read.*run again"):
            opened.read_at("image", [20])
    (tmp_path / "a.zarr.zip").write_bytes(content[:1000])
    with pytest.raises(InputError, match="not a tile stack"):
        TileStack(tmp_path / "a.zarr.zip")


class Poison:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


LOADERS: dict[str, Callable[[Path], object]] = {
    "resunet": lambda path: load_resunet(path, torch.device("cpu")),
    "localizer": load_localizer,
    "sam": read_state_dict,
    "backbone": build.read_state_dict,
}


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("kind", ["poisoned", "torch", "cut", "empty", "absent", "folder"])
def test_invalid_weights_are_refused_and_not_executed(loader: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / ("w.pth" if loader in ("sam", "backbone") else "w.safetensors")
    if kind == "poisoned":
        path.write_bytes(pickle.dumps({"a": Poison(tmp_path / "executed")}))
    elif kind == "torch":
        torch.save({"a": Poison(tmp_path / "executed")}, path)
    elif kind == "cut":
        weights(tmp_path / "whole")
        path.write_bytes((tmp_path / "whole").read_bytes()[:5000])
    elif kind == "empty":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    with pytest.raises(ApsamError) as refused:
        LOADERS[loader](path)
    assert str(path) in str(refused.value) and "\n" not in str(refused.value)
    assert not (tmp_path / "executed").exists()


def test_weights_of_another_model_are_named(tmp_path: Path) -> None:
    network = build_resunet(SMALL)
    save_resunet(network, SMALL, tmp_path / "r.safetensors", {})
    with pytest.raises(InputError, match=r"r\.safetensors: contains .*, no localizer"):
        load_localizer(tmp_path / "r.safetensors")
    save_file({"a": torch.ones(2)}, tmp_path / "x.safetensors")
    for load in (LOADERS["resunet"], LOADERS["localizer"]):
        with pytest.raises(InputError, match=r"x\.safetensors: contains"):
            load(tmp_path / "x.safetensors")
    save_resunet(network, SMALL.model_copy(update={"widths": (4, 6, 8, 8, 16)}), tmp_path / "o.safetensors", {})
    with pytest.raises(InputError, match=r"o\.safetensors: its weights do not fit its settings"):
        LOADERS["resunet"](tmp_path / "o.safetensors")


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ([0, 2, 1], "tile 1 comes after tile 2; list each tile once, by rising number"),
        ([0, 1, 1], "tile 1 comes after tile 1"),
        ([-1, 1], "tile -1 does not exist, the scene has 3"),
        ([0, 3], "tile 3 does not exist, the scene has 3"),
    ],
)
def test_prompt_files_edited_by_hand(numbers: list[int], message: str) -> None:
    check_tile_order(ScenePrompts("a", {}, (TilePrompts(0), TilePrompts(2))), Path("p.json"), 3)
    with pytest.raises(InputError, match=f"p.json: {message}"):
        check_tile_order(ScenePrompts("a", {}, tuple(map(TilePrompts, numbers))), Path("p.json"), 3)


# Machines


def apsam(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("LANG", "LC_ALL", "LC_CTYPE")}
    return subprocess.run(
        [sys.executable, "-c", "from apsam.cli import main; main()", *map(str, arguments)],
        capture_output=True, text=True, encoding="utf-8", errors="replace", cwd=ROOT,
        env={**kept, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip


def test_temporary_files_have_the_removed_prefix(tmp_path: Path) -> None:
    with atomic_path(tmp_path / ("n" * 250)) as partial:
        assert partial.name.startswith(PREFIX) and len(partial.name) <= 220
        partial.touch()


# A scene with Latin letters of other alphabets in its path, a configuration with a comment in one.
NAME = "Rutschung-Übersicht-滑坡"
NO_UTF8 = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


@pytest.mark.parametrize(
    ("name", "locale"),
    [(NAME, {"LC_ALL": "C"}), (NAME, {"LC_ALL": "POSIX", "LANG": ""}), ("landslide", NO_UTF8)],
)
def test_the_locale_does_not_matter(name: str, locale: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "mine.yaml").write_text("# Schwelle für Rutschungen\nmaps: {threshold: 0.25}\n", encoding="utf-8")
    profile = {"driver": "GTiff", "count": 3, "height": 80, "width": 80, "dtype": "uint8"}
    with rasterio.open(folder / f"{name}.tif", "w", crs=PLACE[0], transform=PLACE[1], **profile) as raster:
        raster.write(np.full((3, 80, 80), 90, np.uint8))
    save_resunet(
        build_resunet(SMALL), SMALL, folder / "w.safetensors", {}, TrainingConditions(tiles=TileSettings(size=64))
    )
    done = apsam(
        "predict", folder / f"{name}.tif", "--weights", folder / "w.safetensors", "-o", folder / "maps",
        "--config", folder / "mine.yaml", "--device", "cpu", "--threads", "1", **locale,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (folder / "maps" / f"{name}.gpkg").is_file() and "threshold 0.25" in done.stderr
    missing = apsam("predict", folder / "ö.tif", "--weights", folder / "w.safetensors", "-o", folder / "maps", **locale)
    assert missing.returncode == 2 and "Traceback" not in missing.stderr
    assert ("no such raster" if name == NAME else "set PYTHONUTF8=1") in missing.stderr


def test_home_and_cache_are_optional(tmp_path: Path) -> None:
    unusable = {"HOME": "/dev/null/nobody", "XDG_CACHE_HOME": "/dev/null/nobody", "MPLCONFIGDIR": str(tmp_path)}
    done = apsam("config", "show", **unusable)
    assert done.returncode == 0 and "threshold" in done.stdout
    code = "from apsam.weights import fetch; fetch('sam_vit_b')"
    asked = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env={**os.environ, **unusable}
    )
    assert "ApsamError: /dev/null/nobody/apsam/sam_vit_b_01ec64.pth: cannot be written (" in asked.stderr
    assert "point APSAM_CACHE at a folder with room" in asked.stderr


def test_other_system_errors_are_one_line(monkeypatch: pytest.MonkeyPatch, capsys) -> None:  # noqa: ANN001
    from apsam.commands.run import run_app

    def refuse() -> None:
        raise PermissionError(13, "Permission denied", "/data/scenes.tsv")

    with pytest.raises(SystemExit) as ended:
        run_app(refuse)
    assert ended.value.code == 74 and capsys.readouterr().err == "error: /data/scenes.tsv: Permission denied\n"

    def broken() -> None:
        raise OSError("a bug")

    with pytest.raises(OSError, match="a bug"):
        run_app(broken)


@pytest.fixture
def scene_with_a_hole(tmp_path: Path) -> Path:
    """A compressed raster whose middle cannot be decoded."""
    path = tmp_path / "scene.tif"
    profile = {"driver": "GTiff", "count": 3, "height": 512, "width": 512, "dtype": "uint8", "compress": "DEFLATE"}
    noise = np.random.default_rng(0).integers(0, 250, (3, 512, 512)).astype(np.uint8)
    with rasterio.open(path, "w", crs=PLACE[0], transform=PLACE[1], **profile) as raster:
        raster.write(noise)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = bytes(3000)
    path.write_bytes(content)
    return path


def test_a_scene_that_breaks_off_in_the_middle(scene_with_a_hole: Path, tmp_path: Path) -> None:
    save_resunet(
        build_resunet(SMALL), SMALL, tmp_path / "w.safetensors", {}, TrainingConditions(tiles=TileSettings(size=64))
    )
    (tmp_path / "maps").mkdir()
    settings = MapSettings(flips=False)
    outputs = (tmp_path / "maps/p.tif", tmp_path / "maps/m.tif")
    with pytest.raises(InputError, match=r"scene\.tif: pixels cannot be read .*is the file complete\?"):
        predict_raster(scene_with_a_hole, tmp_path / "w.safetensors", TileSettings(size=64), settings, *outputs, "cpu")
    points = gpd.GeoDataFrame(geometry=[box(500010, 2999900, 500020, 2999910)], crs=PLACE[0].to_wkt())
    points.to_file(tmp_path / "labels.gpkg")
    scene = Scene("s", "raster", scene_with_a_hole, tmp_path / "labels.gpkg", None, "train")
    with pytest.raises(InputError, match=r"scene\.tif: pixels cannot be read"):
        tile_scene(scene, TileSettings(size=64), LabelSettings(), SplitSettings(), tmp_path / "maps/t.zarr.zip")
    assert list((tmp_path / "maps").iterdir()) == []


def test_an_unreadable_tile_in_the_middle_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "tiles"
    folder.mkdir()
    for number in range(7):
        cv2.imwrite(str(folder / f"t{number}.png"), np.full((64, 64, 3), 90, np.uint8))
    (folder / "t4.png").write_bytes((folder / "t4.png").read_bytes()[:60])
    save_resunet(build_resunet(SMALL), SMALL, tmp_path / "w.safetensors", {})
    (tmp_path / "t.zip").write_bytes(b"old")
    with pytest.raises(InputError, match=r"t4\.png: is cut off"):
        predict_folder(
            folder,
            tmp_path / "w.safetensors",
            TileSettings(size=64),
            MapSettings(batch_size=2),
            tmp_path / "t.zip",
            "cpu",
        )
    assert (tmp_path / "t.zip").read_bytes() == b"old"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["t.zip", "tiles", "w.safetensors"]


def test_damaged_maps_are_named(tmp_path: Path) -> None:
    cog(tmp_path / "a_probability.tif")
    with MapWriter(tmp_path / "a_mask.tif", "mask", 600, 800, *PLACE, {}) as writer:
        writer.write(0, (NOISE > 125).astype(np.uint8))
    content = bytearray((tmp_path / "a_mask.tif").read_bytes())
    content[5000:] = bytes(len(content) - 5000)
    (tmp_path / "a_mask.tif").write_bytes(content)
    files = ProductFiles(tmp_path / "a_probability.tif", tmp_path / "a_mask.tif", tmp_path / "a.gpkg")
    with pytest.raises(InputError, match=r"a_mask\.tif: not a map that can be read .*predict again"):
        make_products(files, ProductSettings(), "a")
    assert not (tmp_path / "a.gpkg").exists()
    with (
        MapTiles(tmp_path / "a_mask.tif", np.array([[0, 0, 600, 800]]), None, 600) as tiles,
        pytest.raises(InputError, match=r"a_mask\.tif: row 0, column 0 cannot be read .*predict again"),
    ):
        tiles.tile(0)
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as file:
        file.writestr("t.png", b"no image")
    with (
        MapTiles(tmp_path / "t.zip", np.zeros((1, 4), int), ["t.jpg"], 64) as tiles,
        pytest.raises(InputError, match=r"t\.zip: t\.png is not an image"),
    ):
        tiles.tile(0)
