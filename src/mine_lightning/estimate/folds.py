"""Cross-fitting: every row is scored by critics that neither trained nor were selected on it."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from mine_lightning.data.loading.loaders import gather, spawn_generator
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
from mine_lightning.estimate.directions import CommonDirections, bounded
from mine_lightning.estimate.features import Described, Features
from mine_lightning.estimate.ratios import Choice, choose
from mine_lightning.estimate.reduction import Reduction
from mine_lightning.estimate.splits import Folds, Splitter, split_folds
from mine_lightning.support.arguments import check_integer

__all__ = ["CrossFitData", "FoldEvaluation", "FoldView", "Levels", "filled", "padded"]

PAIRS_AT_ONCE = 4096  # scored, of each fold
PAIRS_ON_A_DEVICE = 2**16  # likewise: a chunk costs an accelerator as many launches as another
ROWS_SEEN = 2**15  # described at once: functions of a row are many times its columns
MOST_FITTED = 20_000  # training rows that closed forms are fitted on
ROWS_FOR_DIRECTIONS = 3_000
# Changed alone by `benchmarks/constants.py`, these change the mean error of .140 nats by: products
# 0, +.0030 ± .0025, 32, -.0007 ± .0008; bound 2, -.0003 ± .0014, 8, +.0017 ± .0008; fraction .06,
# +.009 ± .012, .25, +.008 ± .006; gain 0, +.0005 ± .0011.
MOST_PRODUCTS = 8  # of paired columns, shown to the network
MOST_VALIDATED = 2_000  # rows scored after an epoch
OFFSET_BOUND = 4.0  # nats, at which the offset that the network is shown levels off
VAL_FRACTION = 0.125  # of the rows outside a fold
BATCH_SIZE = 512  # rows; fewer where an epoch would have fewer than ten batches
VAL_PARTNERS = 5
MOST_LEVELS, LOOKED_AT = 50, 1_000  # values of a variable, and rows that are looked at first
LEAST_GAIN = 0.3  # of correlation, by oscillations that are shown to the network
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


class Seen(NamedTuple):
    """Rows as one fold's critic sees them.

    Attributes:
        x: What the network is shown of x, shape ``(M, F_x)``, float32.
        z: What it is shown of z, shape ``(M, F_z)``, float32.
        x_code: What the closed form's scores depend on, shape ``(M, R)``, float64.
        z_code: Likewise.
        x_variates: Those columns that the closed form pairs, bounded, shape ``(M, P)``, float32.
        z_variates: Likewise.
    """

    x: Tensor
    z: Tensor
    x_code: Tensor
    z_code: Tensor
    x_variates: Tensor
    z_variates: Tensor


class FoldView:
    """What one fold's critic sees of the data, fitted on the fold's training rows.

    The closed form is the one of :data:`~mine_lightning.estimate.ratios.FAMILY` that the validation
    rows prefer. The network is shown the :class:`~mine_lightning.estimate.features.Features` of
    each side and the :class:`~mine_lightning.estimate.directions.CommonDirections` of each kind of
    their functions. Sides of very many columns are reduced first.

    Args:
        x_transform: Invertible transform of x; rank to normal by default.
        z_transform: Invertible transform of z, likewise.

    Attributes:
        choice: The closed form, and the losses that it was chosen by.
    """

    choice: Choice

    def __init__(
        self, x_transform: Transform | None = None, z_transform: Transform | None = None
    ) -> None:
        self.x_features = Features(copy.deepcopy(x_transform))
        self.z_features = Features(copy.deepcopy(z_transform))
        self.reduction = Reduction()

    def fit(self, x: Tensor, z: Tensor, train: Tensor, val: Tensor) -> Self:
        """Fit on training rows, and choose on validation rows."""
        train = train[:MOST_FITTED]
        rows = torch.cat([train, val])
        fitted, chosen = torch.arange(len(rows), device=rows.device).split([len(train), len(val)])
        x, z = x[rows].flatten(1), z[rows].flatten(1)
        self.reduction.fit(x[fitted], z[fitted])
        x, z = self.reduction.of_x(x), self.reduction.of_z(z)
        a, b = self.x_features.fit(x[fitted])(x), self.z_features.fit(z[fitted])(z)
        self._find_directions(a, b, fitted[:ROWS_FOR_DIRECTIONS], chosen)
        self.choice = choose(a, b, fitted, chosen)
        return self

    def _find_directions(self, a: Described, b: Described, train: Tensor, val: Tensor) -> None:
        (f, f_val), (g, g_val) = ((side.take(train), side.take(val)) for side in (a, b))
        one = a.coordinates.shape[1] == b.coordinates.shape[1] == 1
        kinds = [] if one else [kind for kind in a.kinds if kind in b.kinds]
        self.directions = {
            kind: CommonDirections().fit(*(s.functions(kind) for s in (f, g, f_val, g_val)))
            for kind in kinds
        }
        waves, rest = self.directions.get("waves"), self.directions.get("modulated")
        if waves and rest and waves.strength < rest.strength + LEAST_GAIN:
            del self.directions["waves"]  # what does not oscillate says as much

    def describe(self, x: Tensor, z: Tensor) -> tuple[Described, Described]:
        """Return rows as the closed form sees them."""
        x, z = self.reduction.of_x(x.flatten(1)), self.reduction.of_z(z.flatten(1))
        return self.x_features(x), self.z_features(z)

    def __call__(self, x: Tensor, z: Tensor) -> Seen:
        """Return rows as the critic sees them."""
        a, b = self.describe(x, z)
        found = {kind: pairs for kind, pairs in self.directions.items() if pairs.count}
        shown_x = [pairs.of_x(a.functions(kind)) for kind, pairs in found.items()]
        shown_z = [pairs.of_z(b.functions(kind)) for kind, pairs in found.items()]
        ratio = self.choice.ratio
        codes = ratio.encode_x(a), ratio.encode_z(b)
        return Seen(
            torch.cat([a.inputs, *shown_x], dim=1),
            torch.cat([b.inputs, *shown_z], dim=1),
            *codes,
            *(bounded(ratio.paired(code)[:, :MOST_PRODUCTS]) for code in codes),
        )


class CrossFitData:
    """The rows of a pair of variables, as the critics of its folds see them.

    If one of the variables is discrete, let it be z: see :attr:`levels`.

    A batch is ``{"pairs": (x, z), "offset": offset}`` with the features x ``(E, N, 1, F_x)``, for
    each its own z and K partners, ``(E, N, 1 + K, F_z)``, and the scores of the fold's closed form,
    ``(E, N, 1 + K)``, that the network's output is added to.

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

    @property
    def shape(self) -> tuple[int, torch.Size, torch.Size]:
        """Numbers of rows, in all, training and validation: pairs with the same train together."""
        return len(self.x), self.folds.train.shape, self.folds.val.shape

    @property
    def widths(self) -> tuple[int, int]:
        """The numbers of features F_x and F_z that the networks are shown."""
        return self.x_rows.shape[1] - self.products, self.z_rows.shape[1] + 1

    @property
    def values(self) -> int:
        """About how many float32 numbers the rows and the tables of all folds are, at most."""
        columns = self.x[0].numel() + self.z[0].numel()
        length = len(self.x) + self.folds.train.numel() + self.folds.val.numel()
        return length * (CODED * columns + SHOWN)

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
        if self.views:
            return
        self.device = device or self.device
        x, z, train, val = (placed(rows, self.device) for rows in (self.x, self.z, *self.folds[:2]))
        for parts in zip(train, val, strict=True):
            self.views.append(FoldView(self.x_transform, self.z_transform).fit(x, z, *parts))
        needed = self._needed()
        starts = torch.tensor([0, *map(len, needed)], device=self.device).cumsum(0)
        self.starts = starts[:-1]
        self.places = starts.new_zeros(len(needed), len(x))  # (E, N) in (L,)
        for place, rows, start in zip(self.places, needed, self.starts, strict=True):
            place[rows] = start + torch.arange(len(rows), device=self.device)
        self._describe(x, z, needed)

    def _needed(self) -> list[Tensor]:
        """Return the rows that each fold needs, all values of a discrete variable among them."""
        common = [] if self.levels is None else [self.levels.rows]
        folds = zip(*self.folds, strict=True)
        return [placed(torch.cat([*parts, *common]), self.device) for parts in folds]

    def _describe(self, x_rows: Tensor, z_rows: Tensor, needed: Sequence[Tensor]) -> None:
        """Fill the tables of what the networks are shown, and of what the closed forms score by."""
        one = [view(x_rows[:1], z_rows[:1]) for view in self.views]
        self.products = widest([seen.x_variates for seen in one])
        x, z = (self.products + widest(side) for side in zip(*(s[:2] for s in one), strict=True))
        length = sum(map(len, needed))
        self.x_rows, self.z_rows = (
            torch.zeros(length, width, device=self.device) for width in (x, z)
        )  # (L, P + F)
        self.codes = [
            (seen.x_code.expand(len(rows), -1).clone(), seen.z_code.expand(len(rows), -1).clone())
            for seen, rows in zip(one, needed, strict=True)
        ]
        for fold, rows in enumerate(needed):
            for places in torch.arange(len(rows), device=self.device).split(ROWS_SEEN):
                some = rows[places]
                self._put(fold, places, self.views[fold](x_rows[some], z_rows[some]))

    def _put(self, fold: int, places: Tensor, seen: Seen) -> None:
        """Put some rows of a fold into their places."""
        x_code, z_code = self.codes[fold]
        x_code[places], z_code[places] = seen.x_code, seen.z_code
        rows, start = self.starts[fold] + places, self.products
        for table, variates, shown in (
            (self.x_rows, seen.x_variates, seen.x),
            (self.z_rows, seen.z_variates, seen.z),
        ):
            table[rows, : variates.shape[1]] = variates
            table[rows, start : start + shown.shape[1]] = shown

    def batch(self, rows: Tensor, partners: Tensor) -> Batch:
        """Return the batch of some rows.

        Args:
            rows: Row numbers for each fold, shape ``(E, N)``.
            partners: Row numbers of the partners, shape ``(E, N, K)``.
        """
        rows, partners = (placed(numbers, self.device) for numbers in (rows, partners))
        candidates = torch.cat([rows.unsqueeze(2), partners], dim=2)  # (E, N, 1 + K)
        i, j = (self.places.gather(1, part.flatten(1)) for part in (rows, candidates))
        j = j.view(candidates.shape)
        offset = self._offsets(i, j).float()
        x, z = gather(self.x_rows, i).unsqueeze(2), gather(self.z_rows, j)
        (u, x), (v, z) = (side.tensor_split([self.products], dim=3) for side in (x, z))
        return {"pairs": (x, with_pairs(z, u * v, offset)), "offset": offset}

    def _offsets(self, rows: Tensor, candidates: Tensor) -> Tensor:
        """Return the scores of the closed forms of rows by their places, shape ``(E, N, K)``."""
        start = self.starts.unsqueeze(1)
        folds = zip(
            self.views, self.codes, rows - start, candidates - start.unsqueeze(2), strict=True
        )
        return torch.stack(
            [
                view.choice.ratio.score(gather(a, i).unsqueeze(1), gather(b, j))
                for view, (a, b), i, j in folds
            ]
        )

    def validation(self) -> "FoldEvaluation":
        """Return a loader of the validation rows, with the same batches every time."""
        return self.evaluation(self.folds.val[:, :MOST_VALIDATED], VAL_PARTNERS, seed=2)

    def evaluation(self, rows: Tensor, partners: int, seed: int) -> "FoldEvaluation":
        """Return a loader of given rows, shape ``(E, N)``, with partners from among them."""
        count, generator = min(partners, rows.shape[1] - 1), spawn_generator(self.seed, seed)
        chosen = Partners(count).partners(rows, len(self.x), generator)
        own = chosen == rows.unsqueeze(2)  # where a row stands twice
        chosen = torch.where(own, chosen.roll(1, 2), chosen)
        return FoldEvaluation(self, rows, lambda chunk: chosen[:, chunk], count)

    def all_levels(self, rows: Tensor, levels: Levels) -> "FoldEvaluation":
        """Return a loader of given rows, shape ``(E, N)``, with every value of z as a partner."""
        every = levels.rows.expand(*rows.shape, -1)
        return FoldEvaluation(self, rows, lambda chunk: every[:, chunk], len(levels.rows))


def with_pairs(z: Tensor, products: Tensor, offset: Tensor) -> Tensor:
    """Return the inputs of z with what is known of each pair: products of variates, and the offset.

    Args:
        z: Shape ``(*, F_z)``.
        products: Shape ``(*, P)``.
        offset: Scores of the closed form, shape ``(*,)``.

    Returns:
        Shape ``(*, F_z + P + 1)``.
    """
    shown = OFFSET_BOUND / 2 * torch.tanh(offset / OFFSET_BOUND)
    return torch.cat([z, products, shown.unsqueeze(-1)], dim=-1)


def widest(tensors: Sequence[Tensor]) -> int:
    """Return the largest last dimension."""
    return max(tensor.shape[-1] for tensor in tensors)


def filled(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Fill tensors whose last dimensions differ up with zeros."""
    most = widest(tensors)
    return [F.pad(tensor, (0, most - tensor.shape[-1])) for tensor in tensors]


def padded(tensors: Sequence[Tensor]) -> Tensor:
    """Stack tensors whose last dimensions differ, filled up with zeros."""
    return torch.stack(filled(tensors))


class FoldEvaluation:
    """Given rows of each fold once, in order, in chunks, with the same partners every time.

    Args:
        data: Where the rows are.
        rows: Row numbers, shape ``(E, N)``.
        partners: Gives the row numbers of the partners of a slice of them, shape ``(E, n, K)``.
        count: Number K of partners.
    """

    def __init__(
        self, data: CrossFitData, rows: Tensor, partners: Callable[[slice], Tensor], count: int
    ) -> None:
        self.data, self.rows, self.partners = data, rows, partners
        self.shape = (*rows.shape, 1 + count)  # of the scores, (E, N, 1 + K)
        most = PAIRS_AT_ONCE if data.device.type == "cpu" else PAIRS_ON_A_DEVICE
        self.chunk = max(1, most // self.shape[2])

    def __len__(self) -> int:
        return math.ceil(self.rows.shape[1] / self.chunk)

    def __iter__(self) -> Iterator[Batch]:
        for start in range(0, self.rows.shape[1], self.chunk):
            chunk = slice(start, start + self.chunk)
            yield self.data.batch(self.rows[:, chunk], self.partners(chunk))
