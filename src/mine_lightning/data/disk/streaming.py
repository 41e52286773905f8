"""Pairs from NPY and Parquet files that need not fit into memory."""

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from numpy.typing import NDArray
from torch import Tensor

from mine_lightning.data.checks import check_extremes
from mine_lightning.data.disk.files import FEWEST_BLOCKS, Source, open_source
from mine_lightning.data.disk.windows import (
    Blocks,
    StreamEvaluation,
    StreamLoader,
    WindowReader,
    check_finite,
)
from mine_lightning.data.loading.loaders import EpochLoader, spawn_generator
from mine_lightning.data.loading.placement import fits, training_device
from mine_lightning.data.loading.stacks import Stacking
from mine_lightning.data.modules import (
    OWN,
    SPLITS,
    BatchArguments,
    PairDataModule,
    check_sizes,
)
from mine_lightning.data.samplers import Partners
from mine_lightning.data.transforms import Standardize, Transform
from mine_lightning.support.ambient import own_methods
from mine_lightning.support.arguments import check_integer
from mine_lightning.support.keywords import Unpack, check_keywords

__all__ = ["StreamingDataModule"]

MEGABYTE = 2**20
FEWEST_UNITS = 8  # in a window
FIT_ROWS = 100_000


@own_methods(*OWN)
class StreamingDataModule(PairDataModule):
    """Pairs from files that need not fit into memory: NPY and Parquet, read piece by piece.

    Memory holds two windows of ``buffer_mb`` for each loader, however large the file is. The file
    is cut into blocks of consecutive rows (about 256 kB of an NPY file; a row group of a Parquet
    file, or parts of one where there are fewer than 256), and every block belongs to one split.
    Training shuffles blocks, and rows within a window of them; evaluation streams its split through
    the same windows, with partners from the window: see :mod:`~mine_lightning.data.disk.windows`.

    :meth:`setup` reads all rows once, in every process: missing, infinite and constant values are
    refused before any training. The same pass gives :class:`~mine_lightning.Standardize` its exact
    statistics of the training rows; any other transform is fitted on a seeded sample of about
    100,000 of them.

    Files hold numbers. Text, dates, objects and categories are refused;
    :class:`~mine_lightning.TableDataModule` encodes categories, in memory.

    Args:
        path: An ``.npy`` file of shape ``(N,)``, ``(N, D)`` or, in C order, ``(N, ...)``, or a
            ``.parquet`` file.
        x: Columns of x, by name or position, as in :class:`~mine_lightning.TableDataModule`; None
            stands for everything in the file, where z has its own.
        z: Columns of z, likewise.
        z_path: The ``.npy`` file of z, where ``path`` is that of x alone.
        buffer_mb: Size of a window as float32, in MB of 2^20 bytes: larger windows mix better.
        scan_rows: Rows to look at before training: all by default, or about so many of every split,
            in blocks drawn by the seed; the others are then checked when they are read.
        true_mi: The true mutual information in nats, where it is known.
        val_fraction: Share of the rows for model selection, in (0, 1).
        test_fraction: Share of the rows for the reported estimate, in (0, 1).
        kwargs: Arguments of :class:`~mine_lightning.data.modules.PairDataModule`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a file is broken, not one of pairs of numbers, or an argument out of range.

    Example:
        >>> folder = getfixture("tmp_path")
        >>> pairs = np.random.default_rng(0).normal(size=(1000, 3)).astype("float32")
        >>> np.save(folder / "pairs.npy", pairs)
        >>> data = StreamingDataModule(folder / "pairs.npy", x=[0, 1], z=[2])
        >>> data.setup()
        >>> next(iter(data.train_dataloader()))["joint"][0].shape
        torch.Size([256, 2])
    """

    def __init__(
        self,
        path: str | Path,
        x: list[str | int] | None = None,
        z: list[str | int] | None = None,
        z_path: str | Path | None = None,
        buffer_mb: int = 128,
        scan_rows: int | None = None,
        true_mi: float | None = None,
        val_fraction: float = 0.05,
        test_fraction: float = 0.05,
        **kwargs: Unpack[BatchArguments],
    ) -> None:
        check_keywords(StreamingDataModule.__init__, kwargs)
        super().__init__(val_fraction=val_fraction, test_fraction=test_fraction, **kwargs)
        check_integer("buffer_mb", buffer_mb)
        if scan_rows is not None:
            check_integer("scan_rows", scan_rows, least=2)
        self.source = open_source(path, x, z, z_path)
        self.buffer_mb, self.scan_rows, self._true_mi = buffer_mb, scan_rows, true_mi
        self.x_columns, self.z_columns = self.source.x_columns, self.source.z_columns
        self._blocks: dict[str, Blocks] = {}

    @property
    def true_mi(self) -> float | None:
        """The true mutual information in nats, where it is known."""
        return self._true_mi

    @property
    def x_dim(self) -> int:
        return math.prod(self.source.x_shape)

    @property
    def z_dim(self) -> int:
        return math.prod(self.source.z_shape)

    @property
    def window_rows(self) -> int:
        """Rows in a window."""
        return max(2, self.buffer_mb * MEGABYTE // (4 * (self.x_dim + self.z_dim)))

    def setup(self, stage: str | None = None) -> None:
        """Split the rows, look at them once and fit the transforms on the training rows."""
        if self._blocks:
            return
        blocks = split_blocks(self.source, self.val_fraction, self.test_fraction, self.seed)
        check_sizes({name: part.rows for name, part in blocks.items()}, self.batch_size)
        self._warn_of_poor_mixing(blocks["train"])
        self.x_transform, self.z_transform = self._scan(blocks)
        self._blocks = blocks

    def _warn_of_poor_mixing(self, train: Blocks) -> None:
        """Say so if a window holds few of the units that the training rows come from."""
        units = len(np.unique(train.units))
        held = units * self.window_rows / train.rows
        if held < min(FEWEST_UNITS, units):
            rank_zero_warn(
                f"Rows are shuffled among about {max(1, round(held))} of {units} blocks of rows at "
                "a time: unless the file's rows are in random order, raise `buffer_mb` to "
                f"{math.ceil(FEWEST_UNITS * self.buffer_mb / held)}, or write a Parquet file with "
                "smaller row groups.",
                category=UserWarning,
            )

    def _scan(self, blocks: dict[str, Blocks]) -> tuple[Transform, Transform]:
        """Check the rows of all splits and return the transforms fitted on training rows."""
        share = FIT_ROWS / min(blocks["train"].rows, self.scan_rows or blocks["train"].rows)
        source, generator = self.source, spawn_generator(self.seed, 4)
        x = Summary("x", source.x_columns, self.x_transform, share, generator)
        z = Summary("z", source.z_columns, self.z_transform, share, generator)
        ranges = np.concatenate([self._scanned(part) for part in blocks.values()])
        for chunk in source.read(ranges[ranges[:, 0].argsort()]):
            train = marked(chunk.first, len(chunk.x), blocks["train"].ranges)
            x.update(chunk.x, chunk.first, train)
            z.update(chunk.z, chunk.first, train)
        return x.fitted(), z.fitted()

    def _scanned(self, blocks: Blocks) -> NDArray[np.int64]:
        if self.scan_rows is None:
            return blocks.window(0, blocks.rows)
        drawn = blocks.shuffled(spawn_generator(self.seed, 5))
        return drawn.window(0, min(self.scan_rows, blocks.rows))

    def split_of_rows(self) -> list[str]:
        self.setup()
        names = np.empty(self.source.rows, dtype="U5")
        for name, blocks in self._blocks.items():
            for first, last in blocks.ranges:
                names[first:last] = name
        return names.tolist()

    def rows_of_input(self) -> list[int]:
        return list(range(self.source.rows))

    def training_loader(self, seed: int) -> EpochLoader:
        return StreamLoader(
            self._reader(),
            self._blocks["train"],
            self.window_rows,
            self._sampling(seed),
            Stacking.of(self.trainer),
        )

    def val_dataloader(self) -> StreamEvaluation:
        return self._stream("val")

    def test_dataloader(self) -> StreamEvaluation:
        return self._stream("test")

    def predict_dataloader(self) -> StreamEvaluation:
        """All rows, in the order of the file."""
        everything = Blocks(np.zeros(1, dtype=np.int64), np.array([[0, self.source.rows]]))
        return self._evaluate(everything, partners=1)

    def _stream(self, split: str) -> StreamEvaluation:
        blocks = self._blocks[split].shuffled(spawn_generator(self.seed, 2))
        return self._evaluate(blocks, self.eval_partners)

    def _evaluate(self, blocks: Blocks, partners: int) -> StreamEvaluation:
        sampling = self._evaluated(Partners(partners))
        return StreamEvaluation(self._reader(), blocks, self.window_rows, sampling)

    def _reader(self) -> WindowReader:
        assert self.x_transform is not None
        assert self.z_transform is not None
        device = training_device(self.trainer)
        if not fits(2 * self.window_rows * (self.x_dim + self.z_dim), device):
            device = torch.device("cpu")
        return WindowReader(self.source, self.x_transform, self.z_transform, device)


def split_blocks(
    source: Source, val_fraction: float, test_fraction: float, seed: int
) -> dict[str, Blocks]:
    """Assign blocks of consecutive rows to the splits at random, in shares as near as they allow.

    A unit of the file is one block or, where there are fewer than 256 units, several.
    """
    cuts = _cut(source.bounds)
    ranges = np.stack([cuts[:-1], cuts[1:]], axis=1)
    units = np.searchsorted(source.bounds, cuts[:-1], side="right") - 1
    order = torch.randperm(len(ranges), generator=spawn_generator(seed, 1)).numpy()
    sizes = np.diff(ranges[order]).ravel()
    shares = source.rows * np.array([test_fraction, test_fraction + val_fraction])
    parts = np.split(order, np.searchsorted(sizes.cumsum() - sizes / 2, shares.round()))
    test, val, train = (Blocks(units[part], ranges[part]) for part in map(np.sort, parts))
    return dict(zip(SPLITS, (train, val, test), strict=True))


def _cut(bounds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cut units into as many parts of nearly equal size as give at least 256 in all."""
    parts = math.ceil(FEWEST_BLOCKS / (len(bounds) - 1))
    inside = np.arange(parts) / parts
    starts = bounds[:-1, None] + (np.diff(bounds)[:, None] * inside).astype(np.int64)
    return np.unique(np.append(starts, bounds[-1]))


def marked(first: int, rows: int, ranges: NDArray[np.int64]) -> Tensor:
    """Say for each of so many rows from the first on whether one of the sorted ranges holds it.

    Example:
        >>> marked(10, 5, np.array([[0, 3], [8, 11], [13, 20]]))
        tensor([ True, False, False,  True,  True])
    """
    inside = torch.zeros(rows, dtype=torch.bool)
    begin = np.searchsorted(ranges[:, 1], first, side="right")
    end = np.searchsorted(ranges[:, 0], first + rows)
    for low, high in (ranges[begin:end] - first).clip(0).tolist():
        inside[low:high] = True
    return inside


class Summary:
    r"""What one pass over blocks of rows says about a variable.

    Mean and standard deviation of the training rows are pooled over chunks exactly:

    .. math::
        n \leftarrow n + m, \qquad \bar{x} \leftarrow \bar{x} + \frac{m}{n} (\bar{y} - \bar{x}),
        \qquad S \leftarrow S + S_y + \frac{(n - m) m}{n} (\bar{y} - \bar{x})^2

    References:
        Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample
        Variances", 1982.

    Args:
        name: What to call the variable in an error.
        columns: What to call its columns.
        transform: The transform to fit, on a sample of rows if it is not :class:`Standardize`.
        share: Share of the training rows in the sample.
        generator: Draws the sample.
    """

    def __init__(
        self,
        name: str,
        columns: list[str],
        transform: Transform | None,
        share: float,
        generator: torch.Generator,
    ) -> None:
        self.name, self.columns, self.share, self.generator = name, columns, share, generator
        self.transform = Standardize() if transform is None else copy.deepcopy(transform)
        self.low, self.high = torch.tensor(math.inf), torch.tensor(-math.inf)
        self.count, self.mean, self.squares = 0, torch.zeros(()), torch.zeros(())
        self.sample: list[Tensor] = []

    def update(self, values: NDArray[Any], first: int, train: Tensor) -> None:
        """Take in the rows of a chunk.

        Args:
            values: The rows, shape ``(n, ...)``.
            first: Number of the first row in the file.
            train: Which of them are training rows, shape ``(n,)``.

        Raises:
            ValueError: If a value is missing or infinite.
        """
        check_finite(self.name, values, first, self.columns)
        self.shape, self.dtype = values.shape[1:], values.dtype
        rows = torch.from_numpy(values)
        by_column = rows.flatten(1).T.contiguous().double()  # (D, n): rows may be short
        self.low = torch.minimum(self.low, by_column.amin(1))
        self.high = torch.maximum(self.high, by_column.amax(1))
        if type(self.transform) is not Standardize:
            drawn = torch.rand(len(rows), generator=self.generator) < self.share
            self.sample.append(rows[train & drawn])
        elif train.any():
            self._pool(by_column, train.double())

    def _pool(self, by_column: Tensor, chosen: Tensor) -> None:
        rows = int(chosen.sum())
        mean = by_column @ chosen / rows
        within = (by_column - mean.unsqueeze(1)).square_() @ chosen
        self.count += rows
        weight, shift = rows / self.count, mean - self.mean
        self.mean = self.mean + weight * shift
        self.squares = self.squares + within + (1 - weight) * rows * shift.square()

    def fitted(self) -> Transform:
        """Return the fitted transform.

        Raises:
            ValueError: If a column is constant, or too large in magnitude.
        """
        low, high = (v.view(self.shape).numpy().astype(self.dtype) for v in (self.low, self.high))
        check_extremes(self.name, self.columns, low, high)
        if type(self.transform) is not Standardize:
            return self.transform.fit(torch.cat(self.sample))
        largest = torch.maximum(self.low.abs(), self.high.abs())
        moments = self.mean, (self.squares / self.count).sqrt(), largest
        return self.transform.from_moments(*(moment.view(self.shape) for moment in moments))
