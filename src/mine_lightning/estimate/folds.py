"""Cross-fitting: every row is scored by critics that neither trained nor were selected on it."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor

from mine_lightning.data.loading.loaders import spawn_generator
from mine_lightning.data.loading.placement import placed
from mine_lightning.data.loading.stacks import Batch
from mine_lightning.data.samplers import Partners
from mine_lightning.data.transforms import (
    Identity,
    RankToNormal,
    ScikitTransform,
    Standardize,
    Transform,
)
from mine_lightning.estimate.deadline import time_of
from mine_lightning.estimate.features import Described
from mine_lightning.estimate.networks import Widths
from mine_lightning.estimate.ratios import Choice, SplitRows, choose
from mine_lightning.estimate.splits import Folds, Splitter, split_folds
from mine_lightning.estimate.tables import ROWS_SEEN, Tables, padded
from mine_lightning.estimate.views import MOST_FITTED, MOST_PRODUCTS, FoldView, Known
from mine_lightning.support.arguments import check_integer

__all__ = ["CrossFitData", "FoldEvaluation", "Levels", "PassingEvaluation", "fit_together"]

PAIRS_AT_ONCE = 4096  # scored, of each fold
PAIRS_ON_A_DEVICE = 2**16  # likewise: a chunk costs an accelerator as many launches as another
MOST_VALIDATED = 2_000  # rows scored after an epoch
# `benchmarks/constants.py`: .06 changes the mean error of .140 nats by +.009 ± .012, .25 by
# +.008 ± .006.
VAL_FRACTION = 0.125  # of the rows outside a fold
BATCH_SIZE = 512  # rows; fewer where an epoch would have fewer than ten batches
VAL_PARTNERS = 5
MOST_DESCRIBED = 2**24  # numbers kept at once, 128 MB, by judgement
MOST_LEVELS, LOOKED_AT = 50, 1_000  # values of a variable, and rows that are looked at first
PORTABLE = {type(None), Identity, RankToNormal, ScikitTransform, Standardize}
# Of a row in the tables: for each column itself, and five components of a mixture in float64, of
# which both sides have as many; beside them three kinds of 16 directions and 8 products, twice.
CODED, SHOWN = 11, 130


class Levels(NamedTuple):
    """The values of a discrete variable.

    Attributes:
        rows: The number of a row with each value, shape ``(C,)``.
        log_weights: Log of the share of rows with each value, shape ``(C,)``, float64.
        numbers: The number of the value of each row, shape ``(N,)``.
    """

    rows: Tensor
    log_weights: Tensor
    numbers: Tensor

    @classmethod
    def of(cls, values: Tensor) -> "Levels | None":
        """Return the distinct rows of a variable if they are few, at least ten rows to each."""
        if len(values[:LOOKED_AT].flatten(1).unique(dim=0)) > MOST_LEVELS:
            return None
        _, level, counts = values.flatten(1).unique(dim=0, return_inverse=True, return_counts=True)
        if len(counts) > min(MOST_LEVELS, len(values) // 10):
            return None
        rows = torch.zeros_like(counts).scatter_(0, level, torch.arange(len(values)))
        return cls(rows, (counts / len(values)).double().log(), level)


class CrossFitData:
    """The rows of a pair of variables, as the critics of its folds see them.

    If one of the variables is discrete, let it be z: see :attr:`levels`.

    A batch holds the features ``x``, shape ``(E, N, F_x)``, and the variates ``u`` that the closed
    form pairs, ``(E, N, P)``, of its rows; ``z`` and ``v`` of rows near, ``(E, M, F_z)`` and
    ``(E, M, P)``; the ``places`` among them of each row's own z and those of K partners,
    ``(E, N, 1 + K)``; and the scores of the fold's closed form, ``offset``, likewise, that the
    network's output is added to. A minibatch of training has no places: the rows near are its own,
    and the partner of a row is the next one, see :func:`~mine_lightning.critics.candidates.ring`.

    Args:
        x: Checked rows, shape ``(N, ...)``.
        z: Checked rows, shape ``(N, ...)``.
        folds: Number E of folds, at least 2, or a splitter of scikit-learn.
        x_transform: Invertible transform of x; :class:`~mine_lightning.RankToNormal` by default.
        z_transform: Invertible transform of z, likewise.
        seed: Seed of the folds, the order and the partners.
        groups: Number of the group of each row, whose rows stay together, shape ``(N,)``.
        max_rows: Number of rows from which on a random part of the training rows is left out. All
            rows are scored.

    Attributes:
        levels: The values of z, if it is discrete.
        device: Where the critics' rows lie, and their batches are gathered.
        seconds: About how long it takes to describe each row once, as when all are scored.

    Raises:
        ValueError: If an argument is out of range or there are too few rows.
    """

    def __init__(
        self,
        x: Tensor,
        z: Tensor,
        folds: int | Splitter = 5,
        x_transform: Transform | None = None,
        z_transform: Transform | None = None,
        seed: int = 0,
        groups: Tensor | None = None,
        max_rows: int = 100_000,
    ) -> None:
        check_integer("max_rows", max_rows, least=50)
        self.x, self.z, self.seed = x, z, seed
        self.levels, self.groups = Levels.of(z), groups
        labels = None if self.levels is None else self.levels.numbers
        generator = spawn_generator(seed, 1)
        split = split_folds(len(x), folds, VAL_FRACTION, generator, groups, labels)
        share = min(1.0, max_rows / len(x))
        train, val = (part[:, : math.ceil(share * part.shape[1])].clone() for part in split[:2])
        self.folds = Folds(train, val, split.held)
        rows = train.shape[1]
        self.batch_size = min(BATCH_SIZE, rows, max(64, rows // 10))
        self.x_transform, self.z_transform = x_transform, z_transform
        self.device = torch.device("cpu")
        self.views: list[FoldView] = []
        self.seconds = 0.0

    @property
    def shape(self) -> tuple[int, torch.Size, torch.Size]:
        """Numbers of rows, in all, training and validation: pairs with the same train together."""
        return len(self.x), self.folds.train.shape, self.folds.val.shape

    @property
    def warped(self) -> bool:
        """Whether the networks warp the variates: not those of two single columns, nor classes."""
        return self.levels is None and max(self.x[0].numel(), self.z[0].numel()) > 1

    @property
    def widths(self) -> Widths:
        """The numbers of inputs of the networks."""
        return self.tables.widths

    @property
    def correlations(self) -> Tensor:
        """Those of the variates, shape ``(E, P)``, on the CPU."""
        found = (view.choice.ratio.correlations for view in self.views)
        return padded([rho[:MOST_PRODUCTS].cpu() for rho in found])

    @property
    def values(self) -> int:
        """About how many float32 numbers the rows and the tables of all folds are, at most."""
        columns = self.x[0].numel() + self.z[0].numel()
        length = len(self.x) + self.folds.train.numel() + self.folds.val.numel()
        return length * (CODED * columns + SHOWN)

    @property
    def described(self) -> int:
        """How many float64 numbers the fitted rows of all folds are when they are described."""
        rows = min(self.folds.train.shape[1], MOST_FITTED) + self.folds.val.shape[1]
        return len(self.folds.train) * rows * 3 * (self.x[0].numel() + self.z[0].numel())

    @property
    def portable(self) -> bool:
        """Whether the transforms take rows on any device; one of the user's may know the CPU."""
        return all(type(t) in PORTABLE for t in (self.x_transform, self.z_transform))

    def fit(self, device: torch.device | None = None) -> None:
        """Fit every fold's view on its training rows and apply it to the rows that it needs.

        Args:
            device: Where the rows are moved to, once, for this and all that follows; where they are
                by default.
        """
        fit_together([self], device)

    def look(self, device: torch.device | None, known: Known) -> list[SplitRows]:
        """Fit all but the closed forms, and return the rows that each fold's is chosen by.

        Args:
            device: Where the rows are moved to.
            known: What was fitted to other pairs of variables, and is added to.
        """
        parts = self._opened(device)
        return [view.look(*self.sides, train, val, known) for view, train, val in parts]

    def settle(self, choices: Sequence[Choice], samples: Sequence[SplitRows]) -> None:
        """Take the closed forms that were chosen by the rows that :meth:`look` returned."""
        for each in zip(self.views, choices, samples, strict=True):
            FoldView.settle(*each)
        whole = self.levels is None and samples[0].train == self.folds.train.shape[1]
        self._tabulate([rows.each() for rows in samples] if whole else [])

    def fit_in_turn(self, device: torch.device | None) -> None:
        """Fit one fold after another, where the described rows of all would take much memory."""
        for view, train, val in self._opened(device):
            view.fit(*self.sides, train, val)
        self._tabulate()

    def _opened(self, device: torch.device | None) -> list[tuple[FoldView, Tensor, Tensor]]:
        """Place the rows, and return new views with the numbers of their rows."""
        self.device = device or self.device
        self.sides = placed(self.x, self.device), placed(self.z, self.device)
        self.views = [FoldView(self.x_transform, self.z_transform) for _ in self.folds.train]
        train, val = (placed(rows, self.device) for rows in self.folds[:2])
        return list(zip(self.views, train, val, strict=True))

    def _tabulate(self, known: Sequence[tuple[Described, Described]] = ()) -> None:
        start, rows = time_of(self.device), torch.cat(self.folds[:2], dim=1)
        self.tables = self.describe(rows, described=known)
        self.seconds = (time_of(self.device) - start) * len(self.x) / rows.numel()

    def describe(
        self,
        rows: Tensor,
        shown: bool = True,
        described: Sequence[tuple[Described, Described]] = (),
    ) -> "Tables":
        """Return some rows, shape ``(E, L)``, and all values of z if it is discrete, in tables.

        Args:
            rows: Row numbers for each fold.
            shown: Whether networks are shown them, or the closed forms alone score them.
            described: The rows as the views describe both sides, where that is known.
        """
        if self.levels is not None:
            rows = torch.cat([rows, self.levels.rows.expand(len(rows), -1)], dim=1)
        return Tables(self.views, self.sides, placed(rows, self.device), shown, described)

    def validation(self) -> "FoldEvaluation":
        """Return a loader of the validation rows, with the same batches every time."""
        return self.evaluation(self.folds.val[:, :MOST_VALIDATED], VAL_PARTNERS, seed=2)

    def evaluation(self, rows: Tensor, partners: int, seed: int) -> "FoldEvaluation":
        """Return a loader of rows of the tables, ``(E, N)``, with partners from among them."""
        count, generator = min(partners, rows.shape[1] - 1), spawn_generator(self.seed, seed)
        chosen = Partners(count).partners(rows, len(self.x), generator)
        own = chosen == rows.unsqueeze(2)  # where a row stands twice
        chosen = torch.where(own, chosen.roll(1, 2), chosen)
        return FoldEvaluation(self, rows, lambda chunk: chosen[:, chunk], count, rows.shape[1])


def fit_together(pairs: Sequence[CrossFitData], device: torch.device | None = None) -> None:
    """Fit the views of several pairs of variables, see :meth:`CrossFitData.fit`."""
    for pair in pairs:
        if pair.described > MOST_DESCRIBED and not pair.views:
            pair.fit_in_turn(device)
    new = [pair for pair in pairs if not pair.views]
    known: Known = {}
    samples = [pair.look(device, known) for pair in new]
    choices = iter(choose([rows for of_pair in samples for rows in of_pair]))
    for pair, of_pair in zip(new, samples, strict=True):
        pair.settle(list(islice(choices, len(of_pair))), of_pair)


@dataclass(eq=False)
class FoldEvaluation:
    """Given rows of each fold once, in order, in chunks, with the same partners every time.

    Args:
        data: Where the rows are, among the training and validation rows.
        rows: Row numbers, shape ``(E, N)``.
        partners: Gives the row numbers of the partners of a slice of them, shape ``(E, n, K)``:
            values of a discrete z, or others of the rows.
        count: Number K of partners.
        away: How many places partners stand away at most.
    """

    data: CrossFitData
    rows: Tensor
    partners: Callable[[slice], Tensor]
    count: int
    away: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """That of the scores, ``(E, N, 1 + K)``."""
        folds, rows = self.rows.shape
        return folds, rows, 1 + self.count

    @property
    def chunk(self) -> int:
        """The number of rows in a batch."""
        most = PAIRS_AT_ONCE if self.data.device.type == "cpu" else PAIRS_ON_A_DEVICE
        return max(1, most // (1 + self.count))

    def __len__(self) -> int:
        return math.ceil(self.rows.shape[1] / self.chunk)

    def __iter__(self) -> Iterator[Batch]:
        return self._chunks(self.data.tables, 0, self.rows.shape[1])

    def _chunks(self, tables: Tables, start: int, end: int) -> Iterator[Batch]:
        for place in range(start, end, self.chunk):
            chunk = slice(place, min(end, place + self.chunk))
            near = self._near(chunk) if self.data.warped else None
            yield tables.batch(self.rows[:, chunk], self.partners(chunk), near)

    def _near(self, chunk: slice) -> Tensor:
        """Return some of the rows with their partners, shape ``(E, M)``."""
        return self.rows[:, max(0, chunk.start - self.away) : chunk.stop + self.away]


@dataclass(eq=False)
class PassingEvaluation(FoldEvaluation):
    """Likewise of any rows, which are described for it, a part at a time, and not kept.

    Args:
        shown: Whether networks are shown the rows.
    """

    shown: bool = True

    def __iter__(self) -> Iterator[Batch]:
        rows, most = self.rows.shape[1], max(1, ROWS_SEEN // self.chunk) * self.chunk
        for start in range(0, rows, most):
            end = min(rows, start + most)
            tables = self.data.describe(self._near(slice(start, end)), self.shown)
            yield from self._chunks(tables, start, end)
