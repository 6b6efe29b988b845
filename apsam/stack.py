"""TileStack: the one container of the pipeline.

A stack is one file: a Zarr v3 group in an uncompressed zip archive. Every array has the tile as its first axis and
images have one chunk a tile, so that a reader takes any tile or slice without touching the rest. One file a scene,
because Snakemake and DVC checksum files, not folders, and because a file a tile would kill a cluster's file system
(docs/architecture.md).
The zip members carry a fixed date and are sorted: the same data gives the same bytes.
"""

from __future__ import annotations

import hashlib
import math
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec
from zarr.storage import LocalStore, ZipStore

from apsam import __version__
from apsam.errors import InputError
from apsam.files import atomic_path, scratch_folder

ZIP_DATE = (1980, 1, 1, 0, 0, 0)

# One 256 px mask: larger entries get a chunk a tile, labels and windows share one.
CHUNK_BYTES = 65536

ArraySpecs = Mapping[str, tuple[tuple[int, ...], str]]


class TileStackWriter:
    """Write a stack in batches; the file appears, whole, when the `with` block ends without an error.

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
        self._scratch = scratch_folder(self.path, "chunks")
        self._folder = self._scratch.__enter__()
        self._group = zarr.create_group(LocalStore(self._folder), attributes=self._attributes)
        self._arrays = {
            name: self._group.create_array(
                name,
                shape=(0, *tail),
                chunks=(max(1, CHUNK_BYTES // (math.prod(tail) * dtype.itemsize)), *tail),
                dtype=dtype,
                compressors=ZstdCodec(level=1),
            )
            for name, (tail, dtype) in self._specs.items()
        }
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
        try:
            if kind is None:
                with atomic_path(self.path) as partial:
                    _pack(self._folder, partial)
        finally:
            self._scratch.__exit__(None, None, None)


class TileStack:
    """Read a stack.

    Args:
        path: A file written by `TileStackWriter`.

    Raises:
        InputError: The file is missing or is not a stack.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        try:
            self._store = ZipStore(self.path, mode="r")
            self._group = zarr.open_group(self._store, mode="r")
        except FileNotFoundError as error:
            raise InputError(f"{self.path}: no such tile stack; run the stage that makes it") from error
        except (zipfile.BadZipFile, ValueError, KeyError) as error:
            raise InputError(f"{self.path}: not a tile stack ({error}); remove it and run again") from error
        self._arrays = dict(self._group.arrays())
        self.attributes: dict[str, Any] = dict(self._group.attrs)
        self.arrays = {name: (array.shape[1:], str(array.dtype)) for name, array in self._arrays.items()}

    def __enter__(self) -> TileStack:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._store.close()

    def content_hash(self) -> str:
        """SHA-256 over the archive's list of contents: names, sizes and CRC-32 of all chunks, which are not read."""
        digest = hashlib.sha256()
        with zipfile.ZipFile(self.path) as archive:
            for info in archive.infolist():
                digest.update(f"{info.filename} {info.file_size} {info.CRC}\n".encode())
        return digest.hexdigest()

    def __len__(self) -> int:
        return next(iter(self._arrays.values())).shape[0] if self._arrays else 0

    def read(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Tiles `start` to `stop` (excluded) of one array; the whole array by default.

        Raises:
            InputError: The stack has no such array.
        """
        return np.asarray(self._array(name)[start:stop])

    def read_at(self, name: str, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """The tiles at `indices`, in that order. Shape (len(indices), ...)."""
        array = self._array(name)
        values = np.empty((len(indices), *array.shape[1:]), array.dtype)
        for row, index in enumerate(indices):
            values[row] = array[int(index)]
        return values

    def batches(self, names: Sequence[str], size: int) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        """Yield (index of the first tile, {name: values}) for consecutive batches of at most `size` tiles."""
        for start in range(0, len(self), size):
            yield start, {name: self.read(name, start, start + size) for name in names}

    def _array(self, name: str) -> zarr.Array:
        if name not in self._arrays:
            raise InputError(f"{self.path}: has no array '{name}', only {sorted(self._arrays)}")
        return self._arrays[name]


def _pack(folder: Path, path: Path) -> None:
    """Zip `folder` without compression (the chunks are compressed already), sorted and with a fixed date."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            info = zipfile.ZipInfo(file.relative_to(folder).as_posix(), ZIP_DATE)
            info.file_size = file.stat().st_size
            with file.open("rb") as source, archive.open(info, "w") as target:
                shutil.copyfileobj(source, target, 1 << 20)
