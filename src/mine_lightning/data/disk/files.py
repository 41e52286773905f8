"""Pairs in files larger than memory, read a range of rows at a time: NPY and Parquet.

No file is ever loaded whole or stays open, and nothing in a file is executed.
"""

import math
import os
from collections.abc import Iterator
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from mine_lightning.data.checks import check_paired
from mine_lightning.data.containers import name_places, real_array
from mine_lightning.data.formats import check_file, whole_file
from mine_lightning.data.reading import check_disjoint, find_columns

__all__ = ["Chunk", "NumpySource", "ParquetSource", "Source", "open_source"]

BLOCK_BYTES = 2**18
CHUNK_BYTES = 2**23
FEWEST_BLOCKS = 256
PARQUET_BATCH = 2**16

Ranges = NDArray[np.int64]  # (R, 2): the first row of each range, and the row after its last


class Chunk(NamedTuple):
    """Consecutive pairs of a file.

    Attributes:
        first: Number of the first row in the file.
        x: Rows, shape ``(n, ...)``, float32 or float64.
        z: Rows, shape ``(n, ...)``, float32 or float64.
    """

    first: int
    x: NDArray[Any]
    z: NDArray[Any]


class Source:
    """Base of the files: pairs that are read by ranges of rows.

    Attributes:
        rows: Number of pairs.
        bounds: Where the units begin that are cheap to read on their own, and the end of the last,
            shape ``(U + 1,)``.
        x_shape: Shape of a row of x.
        z_shape: Shape of a row of z.
        x_columns: Name of each column of x.
        z_columns: Name of each column of z.
    """

    rows: int
    bounds: NDArray[np.int64]
    x_shape: tuple[int, ...]
    z_shape: tuple[int, ...]
    x_columns: list[str]
    z_columns: list[str]

    def read(self, ranges: Ranges) -> Iterator[Chunk]:
        """Yield the rows of disjoint, increasing ranges in the order of the file."""
        raise NotImplementedError


def open_source(
    path: str | Path,
    x: list[str | int] | None,
    z: list[str | int] | None,
    z_path: str | Path | None = None,
) -> Source:
    """Open a file of pairs, or a file of x and one of z.

    Args:
        path: An ``.npy`` or ``.parquet`` file.
        x: Columns of x, by name or position; None stands for all, where z has its own file.
        z: Columns of z, likewise.
        z_path: The ``.npy`` file of z, where that of x is another one.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a file or a column is not what it should be.
    """
    if z_path is not None:
        paths = check_file(path, (".npy",)), check_file(z_path, (".npy",))
        return NumpySource(NumpyRows("x", paths[0], x), NumpyRows("z", paths[1], z))
    path = check_file(path, (".npy", ".parquet"))
    for variable, columns in (("x", x), ("z", z)):
        if columns is None:
            raise ValueError(
                f"Expected `{variable}` to name columns where x and z lie in one file, got None."
            )
    if path.suffix.lower() == ".parquet":
        return ParquetSource(path, x or [], z or [])
    return NumpySource(NumpyRows("x", path, x), NumpyRows("z", path, z))


class NumpyRows:
    """One variable in an NPY file: its header is mapped, and only the rows asked for are read.

    They are read, not mapped: a page of a mapping draws in the whole read-ahead around it, which on
    some machines is 32 times a block.

    Args:
        name: What to call the variable in an error.
        path: The file: one array of shape ``(N,)``, ``(N, D)`` or, in C order, ``(N, ...)``.
        columns: Which columns of a table of shape ``(N, D)``, in this order; all by default.

    Raises:
        ValueError: If the file is broken, holds objects or no real numbers, or has no such columns.
    """

    def __init__(self, name: str, path: Path, columns: list[str | int] | None = None) -> None:
        self.name, self.path = name, path
        with whole_file(path):
            mapped = np.load(path, mmap_mode="r", allow_pickle=False)
            if not isinstance(mapped, np.memmap):
                mapped.close()
                raise ValueError("several arrays, where one is expected.")
        if mapped.ndim == 0 or len(mapped) < 2 or mapped[0].size == 0:
            raise ValueError(
                f"Expected {str(path)!r} to hold at least 2 rows and 1 column, "
                f"got shape {mapped.shape}."
            )
        self.by_column = not mapped.flags.c_contiguous
        if self.by_column and mapped.ndim > 2:
            raise ValueError(
                f"Expected {str(path)!r} to be in C order, row after row, got Fortran order: "
                "save `numpy.ascontiguousarray(array)`."
            )
        real_array(name, mapped[:1])
        self.dtype, self.offset, self.rows = mapped.dtype, mapped.offset, len(mapped)
        self.stored = mapped.shape[1:] or (1,)
        self.columns = None if columns is None else self._find(columns)
        self.shape = self.stored if self.columns is None else (len(self.columns),)
        self.places = list(map(str, self.columns or [])) or name_places(self.stored)

    def _find(self, columns: list[str | int]) -> list[int]:
        if len(self.stored) > 1:
            raise ValueError(
                f"Expected `{self.name}` to choose columns of a table of shape (N, D), "
                f"got shape {(self.rows, *self.stored)}."
            )
        return find_columns(self.name, name_places(self.stored), columns)

    @property
    def row_bytes(self) -> int:
        return self.dtype.itemsize * math.prod(self.stored)

    def read(self, file: BufferedReader, first: int, last: int) -> NDArray[Any]:
        """Return rows ``first`` to ``last``, that excluded, as float32 or float64."""
        if self.by_column:
            columns = range(*self.stored) if self.columns is None else self.columns
            rows = [
                self._fill(file, column * self.rows + first, (last - first,)) for column in columns
            ]
            return real_array(self.name, np.stack(rows, axis=1))
        values = self._fill(file, first * math.prod(self.stored), (last - first, *self.stored))
        return real_array(self.name, values if self.columns is None else values[:, self.columns])

    def _fill(self, file: BufferedReader, place: int, shape: tuple[int, ...]) -> NDArray[Any]:
        """Read values from a place in the array, counted in values."""
        values = np.empty(shape, self.dtype)
        file.seek(self.offset + place * self.dtype.itemsize)
        if file.readinto(values.reshape(-1).view(np.uint8).data) < values.nbytes:
            raise ValueError(f"Expected {str(self.path)!r} to stay as it was, got a shorter file.")
        return values


def advise_random(file: BufferedReader) -> None:
    """Let the system read what is asked for and no more, where it takes such advice."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)


class NumpySource(Source):
    """Pairs in NPY files.

    Args:
        x: Rows of x.
        z: Rows of z, from the same file or another one.

    Raises:
        ValueError: If the numbers of rows differ, or both share a column of one file.
    """

    def __init__(self, x: NumpyRows, z: NumpyRows) -> None:
        check_paired(None, None, x.rows, z.rows)
        if x.path.resolve() == z.path.resolve():
            check_disjoint(x.places, z.places)
        self.x, self.z, self.rows = x, z, x.rows
        self.x_shape, self.z_shape = x.shape, z.shape
        self.x_columns, self.z_columns = x.places, z.places
        row_bytes = x.row_bytes + z.row_bytes
        self._chunk = max(1, CHUNK_BYTES // row_bytes)
        block = max(1, min(BLOCK_BYTES // row_bytes, self.rows // FEWEST_BLOCKS))
        self.bounds = np.append(np.arange(0, self.rows, block), self.rows)

    def read(self, ranges: Ranges) -> Iterator[Chunk]:
        ranges = joined(ranges)
        with self.x.path.open("rb") as x_file, self.z.path.open("rb") as z_file:
            if len(ranges) > 1:
                advise_random(x_file)
                advise_random(z_file)
            for begin, end in ranges.tolist():
                for first in range(begin, end, self._chunk):
                    last = min(first + self._chunk, end)
                    x, z = self.x.read(x_file, first, last), self.z.read(z_file, first, last)
                    yield Chunk(first, x, z)


class ParquetSource(Source):
    """Pairs in the columns of a Parquet file; its row groups are the units.

    Args:
        path: The file.
        x: Columns of x, by name or position.
        z: Columns of z, likewise.

    Raises:
        ValueError: If the file is broken, or has no such columns of numbers.
    """

    def __init__(self, path: Path, x: list[str | int], z: list[str | int]) -> None:
        self.path = path
        with whole_file(path), pyarrow.parquet.ParquetFile(path) as file:
            self._metadata, schema = file.metadata, file.schema_arrow
        self.x_columns = _number_columns("x", schema, x)
        self.z_columns = _number_columns("z", schema, z)
        check_disjoint(self.x_columns, self.z_columns)
        self.x_shape, self.z_shape = (len(self.x_columns),), (len(self.z_columns),)
        self.rows = self._metadata.num_rows
        if self.rows < 2:
            raise ValueError(f"Expected {str(path)!r} to hold at least 2 rows, got {self.rows}.")
        groups = range(self._metadata.num_row_groups)
        sizes = [self._metadata.row_group(group).num_rows for group in groups]
        self.bounds = np.cumsum([0, *(size for size in sizes if size)])
        self._groups = [group for group in groups if sizes[group]]

    def read(self, ranges: Ranges) -> Iterator[Chunk]:
        ranges = joined(ranges)
        open_again = partial(pyarrow.parquet.ParquetFile, self.path, metadata=self._metadata)
        with whole_file(self.path), open_again() as file:
            for unit, group in enumerate(self._groups):
                begin, end = self.bounds[unit : unit + 2]
                wanted = ranges[(ranges[:, 0] < end) & (ranges[:, 1] > begin)]
                if len(wanted):
                    yield from self._read_group(file, group, int(begin), wanted)

    def _read_group(self, file: Any, group: int, row: int, wanted: Ranges) -> Iterator[Chunk]:
        """Decode a row group once, from its start to the last row wanted."""
        names = [*self.x_columns, *self.z_columns]
        rows = max(1, min(PARQUET_BATCH, CHUNK_BYTES // (8 * len(names))))
        for batch in file.iter_batches(rows, row_groups=[group], columns=names):
            if row >= wanted[-1, 1]:
                return
            x, z = _columns(batch, self.x_columns), _columns(batch, self.z_columns)
            ranges = wanted.clip(row, row + len(batch))
            for first, last in ranges[ranges[:, 0] < ranges[:, 1]].tolist():
                yield Chunk(first, x[first - row : last - row], z[first - row : last - row])
            row += len(batch)


def joined(ranges: Ranges) -> Ranges:
    """Join increasing ranges that touch.

    Example:
        >>> joined(np.array([[0, 4], [4, 6], [8, 9]])).tolist()
        [[0, 6], [8, 9]]
    """
    gaps = ranges[1:, 0] > ranges[:-1, 1]
    return np.stack([ranges[np.append(True, gaps), 0], ranges[np.append(gaps, True), 1]], axis=1)


def _number_columns(variable: str, schema: Any, columns: list[str | int]) -> list[str]:
    """Return the names of a variable's columns, which must be unique and hold numbers."""
    names = [schema.names[place] for place in find_columns(variable, schema.names, columns)]
    for name in names:
        if schema.names.count(name) > 1:
            raise ValueError(f"Expected the file to have one column `{name}`, got several.")
        if not _is_number(kind := schema.field(name).type):
            raise ValueError(
                f"Expected column `{name}` of `{variable}` to hold numbers, got {kind}. "
                "`TableDataModule` encodes categories, in memory."
            )
    return names


def _is_number(kind: Any) -> bool:
    types = pyarrow.types
    tests = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal)
    return any(test(kind) for test in tests)


def _columns(batch: Any, names: list[str]) -> NDArray[np.float64]:
    """Return columns side by side, shape ``(n, D)``; missing values are nan."""
    columns = [batch.column(name).cast(pyarrow.float64(), safe=False) for name in names]
    return np.stack([column.to_numpy(zero_copy_only=False) for column in columns], axis=1)
