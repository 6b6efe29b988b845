"""TileStack: the one container of the pipeline.

A stack is one file: a Zarr v3 group in an uncompressed zip archive. Every array has the tile as its first axis and
images have one chunk per tile, so that a reader can read any tile or slice alone. There is one file per scene
(for a large scene one per block, and a small one that joins the blocks), because Snakemake and DVC checksum files, not
folders, and because one file per tile would overload a cluster's file system (docs/architecture.md).
The zip members have a fixed date and are sorted, so the same data gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from apsam import __version__
from apsam.errors import InputError
from apsam.files import atomic_path, places_of, scratch_folder, sha256_file
from apsam.open_files import PooledFile

# Imported when a stack is opened: mapping a scene needs no stack, and zarr is in the extra `train`.
if TYPE_CHECKING:
    import zarr
    from zarr.codecs import BloscCodec, ZstdCodec
    from zarr.storage import ZipStore

ZIP_DATE = (1980, 1, 1, 0, 0, 0)

# One 256 px mask: larger entries have a chunk per tile, labels and windows share one.
CHUNK_BYTES = 65536

# The only member of a file that refers to the stacks of several blocks, and the size of a zip's header before its name.
JOINED, ZIP_HEADER = "blocks.json", 30

# Attributes of blocks that are added; other attributes are taken from the first block.
JOINED_ATTRIBUTES = {"names", "tiles"}

ArraySpecs = Mapping[str, tuple[tuple[int, ...], str]]


class TileStackWriter:
    """Write a stack in batches; the file is renamed to its final name when the `with` block ends without an error.

    Args:
        path: The stack to make, by convention `<scene>.zarr.zip`.
        attributes: JSON values stored with the stack; `apsam_version` is added.
        arrays: Name -> (shape of one tile's entry, NumPy dtype name).
    """

    def __init__(self, path: Path | str, attributes: Mapping[str, Any], arrays: ArraySpecs) -> None:
        self.path = Path(path)
        self.length = 0
        self._attributes = {**attributes, "apsam_version": __version__}
        self._specs = {name: (tuple(tail), np.dtype(dtype)) for name, (tail, dtype) in arrays.items()}

    def __enter__(self) -> TileStackWriter:
        import zarr
        from zarr.storage import LocalStore

        with ExitStack() as opening:
            self._folder = opening.enter_context(scratch_folder(self.path, "chunks"))
            opening.push(self._finish)
            self._group = zarr.create_group(LocalStore(self._folder), attributes=self._attributes)
            self._arrays = {
                name: self._group.create_array(
                    name,
                    shape=(0, *tail),
                    chunks=(max(1, CHUNK_BYTES // (math.prod(tail) * dtype.itemsize)), *tail),
                    dtype=dtype,
                    compressors=_compressor(dtype),
                )
                for name, (tail, dtype) in self._specs.items()
            }
            self._open = opening.pop_all()
        return self

    def append(self, **batch: np.ndarray) -> None:
        """Append one batch: every array of the stack, all with the same number of tiles.

        Raises:
            ValueError: An array is missing, unknown, of another dtype, shape or length.
        """
        if set(batch) != set(self._specs):
            raise ValueError(f"{self.path.name}: got arrays {sorted(batch)}, expected {sorted(self._specs)}")
        lengths = {len(values) for values in batch.values()}
        if len(lengths) != 1:
            raise ValueError(f"{self.path.name}: arrays of different lengths {sorted(lengths)}")
        for name, values in batch.items():
            tail, dtype = self._specs[name]
            values = np.asarray(values)
            if values.shape[1:] != tail or values.dtype != dtype:
                raise ValueError(
                    f"{self.path.name}: '{name}' is {values.shape[1:]} {values.dtype}, expected {tail} {dtype}"
                )
        length = self.length + lengths.pop()
        for name, values in batch.items():
            array = self._arrays[name]
            array.resize((length, *self._specs[name][0]))
            if length > self.length:
                array[self.length :] = values
        self.length = length

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def _finish(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            with atomic_path(self.path) as partial:
                _pack(self._folder, partial)


class TileStack:
    """Read a stack, or the stacks of a scene's blocks as one. Files are open only while they are used (`open_files`).

    Args:
        path: A file written by `TileStackWriter` or `join_stacks`.

    Attributes:
        lengths: Number of tiles of every block; one number for an undivided scene.

    Raises:
        InputError: The file is missing or is not a stack.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._parts = [_Part(file) for file in _files(self.path)]
        first = self._parts[0]
        self.attributes: dict[str, Any] = dict(first.attributes)
        for key in JOINED_ATTRIBUTES & set(self.attributes):
            if self.attributes[key] is not None:
                self.attributes[key] = sum((part.attributes[key] for part in self._parts[1:]), first.attributes[key])
        self.arrays = dict(first.specs)
        self.lengths = [part.length for part in self._parts]
        self._starts = np.cumsum([0, *self.lengths])

    def __enter__(self) -> TileStack:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; later reads open them again."""
        for part in self._parts:
            part.close()

    def content_hash(self) -> str:
        """SHA-256 over the archive's list of contents: names, sizes and CRC-32 of all chunks, which are not read."""
        digest = hashlib.sha256()
        with zipfile.ZipFile(self.path) as archive:
            for info in archive.infolist():
                digest.update(f"{info.filename} {info.file_size} {info.CRC}\n".encode())
        return digest.hexdigest()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def read(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Tiles `start` to `stop` (excluded) of one array; the whole array by default.

        Raises:
            InputError: The stack has no such array, or its file is damaged.
        """
        self._check(name)
        start, stop, _ = slice(start, stop).indices(len(self))
        pieces = []
        for place, part in enumerate(self._parts):
            first, last = max(start - self._starts[place], 0), min(stop - self._starts[place], part.length)
            if first < last or len(self._parts) == 1:
                pieces.append(self._numbered(name, place, part.read(name, slice(first, last))))
        tail, dtype = self.arrays[name]
        return pieces[0] if len(pieces) == 1 else np.concatenate([np.empty((0, *tail), dtype), *pieces])

    def read_at(self, name: str, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """The tiles at `indices`, in that order. Shape (len(indices), ...)."""
        self._check(name)
        tail, dtype = self.arrays[name]
        values = np.empty((len(indices), *tail), dtype)
        for row, index in enumerate(indices):
            place = int(np.searchsorted(self._starts, int(index), side="right")) - 1
            values[row] = self._numbered(
                name, place, self._parts[place].read(name, int(index) - int(self._starts[place]))
            )
        return values

    def batches(self, names: Sequence[str], size: int) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        """Yield (index of the first tile, {name: values}) for consecutive batches of at most `size` tiles."""
        for start in range(0, len(self), size):
            yield start, {name: self.read(name, start, start + size) for name in names}

    def _check(self, name: str) -> None:
        if name not in self.arrays:
            raise InputError(f"{self.path}: has no array '{name}', only {sorted(self.arrays)}")

    def _numbered(self, name: str, place: int, values: Any) -> np.ndarray:
        """Convert values of a block: tile numbers in the array `tile` count from the block's first tile there."""
        values = np.asarray(values)
        if name != "tile" or place == 0:
            return values
        return values + np.asarray(sum(part.attributes["tiles"] for part in self._parts[:place]), values.dtype)


class _Part(PooledFile):
    """One file of a stack.

    Attributes:
        attributes: JSON values stored with it.
        specs: Name -> (shape of one tile's entry, NumPy dtype name).
        length: Number of tiles.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with self.opened() as (_, arrays, attributes):
            self.attributes: dict[str, Any] = attributes
            self.specs = {name: (array.shape[1:], str(array.dtype)) for name, array in arrays.items()}
            self.length = next(iter(arrays.values())).shape[0] if arrays else 0

    def read(self, name: str, tiles: int | slice) -> np.ndarray:
        """Read some tiles of an array.

        Raises:
            InputError: They cannot be read.
        """
        with self.opened() as (_, arrays, _):
            try:
                return arrays[name][tiles]
            except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError) as error:
                raise InputError(
                    f"{self.path}: '{name}' of tile(s) {tiles} cannot be read ({error}); remove the file and run again"
                ) from error

    def _open(self) -> tuple[ZipStore, dict[str, zarr.Array], dict[str, Any]]:
        import zarr
        from zarr.storage import ZipStore

        try:
            store = ZipStore(self.path, mode="r")
            group = zarr.open_group(store, mode="r")
            return store, dict(group.arrays()), dict(group.attrs)
        except FileNotFoundError as error:
            raise InputError(f"{self.path}: no such tile stack; run the stage that makes it") from error
        except (zipfile.BadZipFile, ValueError, KeyError) as error:
            raise InputError(f"{self.path}: not a tile stack ({error}); remove it and run again") from error

    def _close(self, handle: tuple[ZipStore, dict[str, zarr.Array], dict[str, Any]]) -> None:
        handle[0].close()


def join_stacks(blocks: Sequence[Path], output: Path) -> None:
    """Write a small file that refers to the stacks of a scene's blocks in the same folder.

    It has their names and checksums, so it changes whenever one of them does.

    Args:
        blocks: Stacks of the blocks, in order.
        output: The file to make; `TileStack` reads it as one stack.

    Raises:
        InputError: A block is no stack, or has other arrays than the first.
    """
    first: dict[str, Any] = {}
    for path in blocks:
        with TileStack(path) as stack:
            first = first or stack.arrays
            if stack.arrays != first:
                raise InputError(f"{path}: has the arrays {stack.arrays}, {blocks[0]} has {first}; make both again")
    entries = [{"file": os.path.relpath(path, output.parent), "sha256": sha256_file(path)} for path in blocks]
    with atomic_path(output) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(JOINED, ZIP_DATE), json.dumps({"blocks": entries}, sort_keys=True, indent=1))


def _files(path: Path) -> list[Path]:
    """Return the files that make up a stack: itself, or those of the blocks it names."""
    try:
        with path.open("rb") as file:
            # The name of the first member follows a zip's first header, which has this size.
            head = file.read(ZIP_HEADER + len(JOINED))
    except OSError:
        return [path]
    if head[ZIP_HEADER:] != JOINED.encode():
        return [path]
    try:
        with zipfile.ZipFile(path) as archive:
            names = [block["file"] for block in json.loads(archive.read(JOINED))["blocks"]]
    except (zipfile.BadZipFile, ValueError, KeyError) as error:
        raise InputError(f"{path}: not a tile stack ({error}); remove it and run again") from error
    return [_block(path, name) for name in names]


def _block(joined: Path, name: str) -> Path:
    """Return the path of a block: as named from the file that joins it, or, in a view, next to that file."""
    found = (named for place in places_of(joined) if (named := place.parent / name).exists())
    return next(found, joined.parent / Path(name).name)


def _compressor(dtype: np.dtype) -> BloscCodec | ZstdCodec:
    """Return a fast lossless codec (`benchmarks/bench_store.py`): half floats compress better with bits shuffled."""
    from zarr.codecs import BloscCodec, ZstdCodec

    if dtype == np.float16:
        return BloscCodec(typesize=2, cname="zstd", clevel=1, shuffle="bitshuffle")
    return ZstdCodec(level=1)


def _pack(folder: Path, path: Path) -> None:
    """Zip `folder` without compression (the chunks are compressed already), sorted and with a fixed date."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            info = zipfile.ZipInfo(file.relative_to(folder).as_posix(), ZIP_DATE)
            info.file_size = file.stat().st_size
            with file.open("rb") as source, archive.open(info, "w") as target:
                shutil.copyfileobj(source, target, 1 << 20)
