r"""Loaders of pairs that stay on disk: shuffled through a window of blocks from all over the file.

The order of an epoch is a stream of rows: the split's blocks of consecutive rows in random order,
drawn anew for every epoch. The stream is cut into one part for each process, and a part into
windows that fit into memory. Within a window rows are drawn without replacement, and a row's
partners are other rows of its minibatch or window. So

* every row is seen once in an epoch, and no row is its own partner;
* a window of :math:`B` blocks is a random sample of blocks, not of rows. If rows that lie together
  in the file are alike (a file sorted by class, a slow drift), the share :math:`p` of a kind of row
  in a window scatters by up to :math:`\sqrt{p (1 - p) / B}` around that in the file, and partners
  come from that window. Where the file's rows are in random order, nothing is lost;
* a window depends on the seed, the epoch and its place alone, so that a resumed run reads neither
  what came before nor anything twice.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from mine_lightning.data.checks import narrow
from mine_lightning.data.disk.files import Ranges, Source
from mine_lightning.data.loading.loaders import (
    EpochLoader,
    Sampling,
    gather,
    minibatches,
    most_at_once,
)
from mine_lightning.data.loading.placement import placed
from mine_lightning.data.loading.stacks import Batch, Stacking
from mine_lightning.data.transforms import Transform
from mine_lightning.support.ambient import each_step

__all__ = ["Blocks", "StreamEvaluation", "StreamLoader", "WindowReader"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Blocks(NamedTuple):
    """Ranges of rows in an order, with the unit of the file that each lies in.

    Attributes:
        units: Number of the unit, shape ``(B,)``.
        ranges: First row, and row after the last, shape ``(B, 2)``.
    """

    units: np.ndarray
    ranges: Ranges

    @property
    def rows(self) -> int:
        """Number of rows in all blocks."""
        return int(np.diff(self.ranges).sum())

    def take(self, places: np.ndarray) -> "Blocks":
        """Return the blocks at the given places."""
        return Blocks(self.units[places], self.ranges[places])

    def shuffled(self, generator: torch.Generator) -> "Blocks":
        """Return the blocks with the units in random order, those of a unit together."""
        _, unit = np.unique(self.units, return_inverse=True)
        order = torch.randperm(int(unit.max()) + 1, generator=generator).numpy()
        return self.take(np.argsort(order[unit], kind="stable"))

    def window(self, first: int, last: int) -> Ranges:
        """Return what lies between two places of the stream of rows, sorted by row."""
        ends = np.diff(self.ranges).ravel().cumsum()
        head, tail = np.searchsorted(ends, [first, last - 1], side="right")
        ranges = self.ranges[head : tail + 1].copy()
        ranges[-1, 1] -= ends[tail] - last
        ranges[0, 0] = self.ranges[head, 1] - (ends[head] - first)
        return ranges[ranges[:, 0].argsort()]


class WindowReader:
    """Reads ranges of rows as float32 tensors, transformed and placed on a device.

    Args:
        source: Where the rows are.
        x_transform: Fitted transform of x.
        z_transform: Fitted transform of z.
        device: Where the rows are to lie; the CPU by default.
    """

    def __init__(
        self,
        source: Source,
        x_transform: Transform,
        z_transform: Transform,
        device: torch.device | None = None,
    ) -> None:
        self.source, self.device = source, device or torch.device("cpu")
        self.x_transform, self.z_transform = x_transform, z_transform

    def __call__(self, ranges: Ranges) -> tuple[Tensor, Tensor]:
        """Read increasing ranges.

        Raises:
            ValueError: If a value is missing, infinite, or too large for float32.
        """
        rows = int(np.diff(ranges).sum())
        x, z = torch.empty(rows, *self.source.x_shape), torch.empty(rows, *self.source.z_shape)
        place = 0
        for chunk in self.source.read(ranges):
            check_finite("x", chunk.x, chunk.first, self.source.x_columns)
            check_finite("z", chunk.z, chunk.first, self.source.z_columns)
            here = slice(place, place := place + len(chunk.x))
            x[here] = narrow("x", self.x_transform(torch.from_numpy(chunk.x)))
            z[here] = narrow("z", self.z_transform(torch.from_numpy(chunk.z)))
        return placed(x, self.device), placed(z, self.device)


def check_finite(name: str, rows: np.ndarray, first: int, columns: list[str]) -> None:
    """Raise if a value is missing or infinite, and say where.

    Args:
        name: What to call the variable in the error.
        rows: Values, shape ``(n, ...)``.
        first: Number of the first row in the file.
        columns: What to call the columns.

    Raises:
        ValueError: If a value is missing or infinite.
    """
    if np.isfinite(rows).all():
        return
    row, column = np.nonzero(~np.isfinite(rows.reshape(len(rows), -1)))
    more = f", and {len(row) - 1} more up to row {first + row[-1]}" if len(row) > 1 else ""
    raise ValueError(
        f"Expected `{name}` to be finite, got {rows.reshape(len(rows), -1)[row[0], column[0]]} in "
        f"row {first + row[0]} of column `{columns[column[0]]}`{more}: leave such rows out of the "
        "file."
    )


def ahead(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield the function's result for each item, working on the next one meanwhile.

    Example:
        >>> list(ahead(len, ["a", "bcd"]))
        [1, 3]
    """
    with ThreadPoolExecutor(1) as pool:
        pending: Future[Result] | None = None
        for item in items:
            following = pool.submit(function, item)
            if pending is not None:
                yield pending.result()
            pending = following
        if pending is not None:
            yield pending.result()


def evenly(count: int, most: int) -> list[int]:
    """Return the bounds of as few parts as have at most ``most`` items each, of nearly equal size.

    Example:
        >>> evenly(10, 4)
        [0, 3, 6, 10]
    """
    parts = math.ceil(count / most)
    return [count * part // parts for part in range(parts + 1)] if parts else [0]


class StreamLoader(EpochLoader):
    """Training minibatches of a split that stays on disk; see the top of this file.

    The last rows of an epoch that do not fill a minibatch wait for the next epoch's shuffle.

    Args:
        read: Reads the rows of a window.
        blocks: The split.
        window_rows: Rows in memory at a time; another such window is read ahead.
        sampling: What this process draws, its partners from the minibatch or the window; each
            reads its own rows.
        stacking: How minibatches are handed over; one by one by default.
    """

    def __init__(
        self,
        read: WindowReader,
        blocks: Blocks,
        window_rows: int,
        sampling: Sampling,
        stacking: Stacking | None = None,
    ) -> None:
        rows, size = blocks.rows // sampling.world_size, sampling.batch_size
        super().__init__(rows // size, stacking)
        self.read, self.blocks, self.sampling = read, blocks, sampling
        self.first_row = sampling.rank * rows
        self.bounds = evenly(self.batches, max(1, window_rows // size))

    @property
    def device(self) -> torch.device:
        return self.read.device

    def minibatches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        blocks = self.blocks.shuffled(self.sampling.generator(epoch))
        windows = [n for n, last in enumerate(self.bounds[1:]) if last > start]
        bounds = [self.first_row + self.sampling.batch_size * bound for bound in self.bounds]
        ranges = (blocks.window(*bounds[n : n + 2]) for n in windows)
        for window, (x, z) in zip(windows, ahead(self.read, ranges), strict=True):
            first = max(0, start - self.bounds[window])
            yield from self._shuffled(x, z, (epoch, 1 + self.sampling.rank, window), first)

    def _shuffled(
        self, x: Tensor, z: Tensor, seeds: tuple[int, ...], start: int
    ) -> Iterator[Batch]:
        """Yield the minibatches of a window from number ``start`` on."""
        s = self.sampling
        order = torch.randperm(len(x), generator=s.generator(*seeds)).view(-1, s.batch_size)
        at_once = most_at_once(x, z, s.batch_size)
        for number, rows in enumerate(order.split(at_once)):
            first = max(0, start - number * at_once)
            if first < len(rows):
                gathered = minibatches(x, z, rows, s.marginal, s.generator(*seeds, number))
                yield from islice(gathered, first, None)


class StreamEvaluation:
    """All rows of a split that stays on disk, once, with the same partners every time.

    Partners come from the whole window. Several processes share the rows without repeating any.

    Args:
        read: Reads the rows of a window.
        blocks: The split, in the order to read it.
        window_rows: Rows in memory at a time; another such window is read ahead.
        sampling: What this process draws, with a chunk for a minibatch.
    """

    def __init__(
        self, read: WindowReader, blocks: Blocks, window_rows: int, sampling: Sampling
    ) -> None:
        self.read, self.blocks, self.sampling = read, blocks, sampling
        parts = sampling.rank, sampling.rank + 1
        first, last = (blocks.rows * part // sampling.world_size for part in parts)
        self.bounds = [first + bound for bound in evenly(last - first, max(3, window_rows))]

    def __len__(self) -> int:
        size = self.sampling.batch_size
        return sum(math.ceil(rows / size) for rows in np.diff(self.bounds).tolist())

    @each_step
    def __iter__(self) -> Iterator[Batch]:
        bounds = zip(self.bounds[:-1], self.bounds[1:], strict=True)
        windows = (self.blocks.window(first, last) for first, last in bounds)
        for number, (x, z) in enumerate(ahead(self.read, windows)):
            yield from self._chunks(x, z, self.sampling.generator(3, number))

    def _chunks(self, x: Tensor, z: Tensor, generator: torch.Generator) -> Iterator[Batch]:
        partners = self.sampling.marginal.within(len(x)).fix(len(x), generator)
        for rows in torch.arange(len(x)).split(self.sampling.batch_size):
            apart, rows = placed(partners(rows), x.device), placed(rows, x.device)
            yield {"joint": (gather(x, rows), gather(z, rows)), "marginal": gather(z, apart)}
