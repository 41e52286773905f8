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
from mine_lightning.estimate.networks import Widths
from mine_lightning.estimate.ratios import Choice, choose
from mine_lightning.estimate.reduction import Reduction
from mine_lightning.estimate.splits import Folds, Splitter, split_folds
from mine_lightning.support.arguments import check_integer

__all__ = [
    "CrossFitData",
    "FoldEvaluation",
    "FoldView",
    "Levels",
    "PassingEvaluation",
    "filled",
    "padded",
]

PAIRS_AT_ONCE = 4096  # scored, of each fold
PAIRS_ON_A_DEVICE = 2**16  # likewise: a chunk costs an accelerator as many launches as another
ROWS_SEEN = 2**15  # described at once: functions of a row are many times its columns
MOST_FITTED = 20_000  # training rows that closed forms are fitted on
ROWS_FOR_DIRECTIONS = 3_000
# Changed alone by `benchmarks/constants.py`, these change the mean error of .140 nats by: products
# 0, +.0030 ± .0025, 32, -.0007 ± .0008; fraction .06,
# +.009 ± .012, .25, +.008 ± .006; gain 0, +.0005 ± .0011.
MOST_PRODUCTS = 8  # of paired columns, shown to the network
MOST_VALIDATED = 2_000  # rows scored after an epoch
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
        one: One of the rows as the critic sees it, whose widths are those of all.
    """

    choice: Choice
    one: Seen

    def __init__(
        self, x_transform: Transform | None = None, z_transform: Transform | None = None
    ) -> None:
        self.x_features = Features(copy.deepcopy(x_transform))
        self.z_features = Features(copy.deepcopy(z_transform))
        self.reduction = Reduction()

    def fit(self, x: Tensor, z: Tensor, train: Tensor, val: Tensor) -> Self:
        """Fit on training rows, and choose on validation rows."""
        train, first = train[:MOST_FITTED], (x[:1], z[:1])
        rows = torch.cat([train, val])
        fitted, chosen = torch.arange(len(rows), device=rows.device).split([len(train), len(val)])
        x, z = x[rows].flatten(1), z[rows].flatten(1)
        self.reduction.fit(x[fitted], z[fitted])
        x, z = self.reduction.of_x(x), self.reduction.of_z(z)
        a, b = (
            features.fit_describe(side[fitted]).followed_by(features(side[chosen]))
            for features, side in ((self.x_features, x), (self.z_features, z))
        )
        self._find_directions(a, b, fitted[:ROWS_FOR_DIRECTIONS], chosen)
        self.choice = choose(a, b, fitted, chosen)
        self.one = self(*first)
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
        codes = self._encoded(a, b)
        paired = (self.choice.ratio.paired(code)[:, :MOST_PRODUCTS] for code in codes)
        return Seen(
            torch.cat([a.inputs, *shown_x], dim=1),
            torch.cat([b.inputs, *shown_z], dim=1),
            *codes,
            *map(bounded, paired),
        )

    def encode(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the closed form's scores depend on."""
        return self._encoded(*self.describe(x, z))

    def _encoded(self, a: Described, b: Described) -> tuple[Tensor, Tensor]:
        ratio = self.choice.ratio
        return ratio.encode_x(a), ratio.encode_z(b)


class CrossFitData:
    """The rows of a pair of variables, as the critics of its folds see them.

    If one of the variables is discrete, let it be z: see :attr:`levels`.

    A batch holds the features ``x``, shape ``(E, N, 1, F_x)``, and for each its own ``z`` and those
    of K partners, ``(E, N, 1 + K, F_z)``; the variates ``u`` and ``v`` that the closed form pairs,
    ``(E, N, 1, P)`` and ``(E, N, 1 + K, P)``; and the scores of the fold's closed form, ``offset``,
    ``(E, N, 1 + K)``, that the network's output is added to. Where networks warp the variates, one
    of an evaluation holds the features of each row once, ``near``, shape ``(E, M, F_z)``, and the
    ``places`` of z among them, ``(E, N, 1 + K)``.

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
        train, val = (placed(rows, self.device) for rows in self.folds[:2])
        self.sides = placed(self.x, self.device), placed(self.z, self.device)
        for parts in zip(train, val, strict=True):
            view = FoldView(self.x_transform, self.z_transform)
            self.views.append(view.fit(*self.sides, *parts))
        self.tables = self.describe(torch.cat(self.folds[:2], dim=1))

    def describe(self, rows: Tensor, shown: bool = True) -> "Tables":
        """Return some rows, shape ``(E, L)``, and all values of z if it is discrete, in tables.

        Args:
            rows: Row numbers for each fold.
            shown: Whether networks are shown them, or the closed forms alone score them.
        """
        if self.levels is not None:
            rows = torch.cat([rows, self.levels.rows.expand(len(rows), -1)], dim=1)
        return Tables(self.views, self.sides, placed(rows, self.device), shown)

    def batch(self, rows: Tensor, partners: Tensor) -> Batch:
        """Return the batch of some of the training and validation rows, see :class:`Tables`."""
        return self.tables.batch(rows, partners)

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


class Tables:
    """Some rows as the critics of all folds see them.

    Args:
        views: What the critics see, E of them.
        sides: All rows of x and of z.
        rows: Numbers of the rows that each fold needs, shape ``(E, L)``.
        shown: Whether networks are shown them, or the closed forms alone score them.
    """

    def __init__(
        self, views: Sequence[FoldView], sides: Sequence[Tensor], rows: Tensor, shown: bool = True
    ) -> None:
        self.views, self.shown = views, shown
        folds, length = rows.shape
        starts = length * torch.arange(folds, device=rows.device).unsqueeze(1)
        self.places = starts.repeat(1, len(sides[0]))  # (E, N) in (E L,)
        self.places.scatter_(1, rows, starts + torch.arange(length, device=rows.device))
        self._open(rows)
        for fold, needed in enumerate(rows):
            for places in torch.arange(length, device=rows.device).split(ROWS_SEEN):
                self._fill(fold, places, *(side[needed[places]] for side in sides))

    @property
    def widths(self) -> Widths:
        """The numbers of inputs of the networks."""
        x, z = (rows.shape[1] - self.products for rows in (self.x_rows, self.z_rows))
        return Widths(x, z, self.products)

    def _open(self, rows: Tensor) -> None:
        """Make tables of what networks are shown, and of what closed forms score by."""
        one = [view.one for view in self.views]
        self.products = widest([seen.x_variates for seen in one])
        widths = [self.products + widest(side) for side in zip(*(s[:2] for s in one), strict=True)]
        length = rows.numel() if self.shown else 0
        self.x_rows, self.z_rows = (
            torch.zeros(length, width, device=rows.device) for width in widths
        )  # (E L, P + F)
        self.codes = [
            tuple(code.new_empty(rows.shape[1], code.shape[1]) for code in (s.x_code, s.z_code))
            for s in one
        ]

    def _fill(self, fold: int, places: Tensor, x: Tensor, z: Tensor) -> None:
        """Put some rows of a fold into their places."""
        view, (x_code, z_code) = self.views[fold], self.codes[fold]
        if not self.shown:
            x_code[places], z_code[places] = view.encode(x, z)
            return
        seen = view(x, z)
        x_code[places], z_code[places] = seen.x_code, seen.z_code
        rows, start = fold * len(x_code) + places, self.products
        for table, variates, shown in (
            (self.x_rows, seen.x_variates, seen.x),
            (self.z_rows, seen.z_variates, seen.z),
        ):
            table[rows, : variates.shape[1]] = variates
            table[rows, start : start + shown.shape[1]] = shown

    def batch(self, rows: Tensor, partners: Tensor, near: Tensor | None = None) -> Batch:
        """Return the batch of some rows, the offset alone of rows that networks are not shown.

        Args:
            rows: Row numbers for each fold, shape ``(E, N)``.
            partners: Row numbers of the partners, shape ``(E, N, K)``.
            near: Row numbers of rows and partners, each once, for networks that warp, ``(E, M)``.
        """
        rows, partners = (placed(numbers, self.places.device) for numbers in (rows, partners))
        candidates = torch.cat([rows.unsqueeze(2), partners], dim=2)  # (E, N, 1 + K)
        i, j = (self.places.gather(1, part.flatten(1)) for part in (rows, candidates))
        j = j.view(candidates.shape)
        offset = self._offsets(i, j).float()
        if not self.shown:
            return {"offset": offset}
        x, z = gather(self.x_rows, i).unsqueeze(2), gather(self.z_rows, j)
        (u, x), (v, z) = (side.tensor_split([self.products], dim=3) for side in (x, z))
        known = {} if near is None else self._once(placed(near, j.device), j)
        return {"x": x, "z": z, "u": u, "v": v, "offset": offset, **known}

    def _once(self, near: Tensor, candidates: Tensor) -> Batch:
        """Return what networks are shown of rows near, and where the candidates are among them."""
        found = self.places.gather(1, near)
        order = torch.arange(near.shape[1], device=near.device).expand_as(near)
        among = found.new_zeros(len(self.z_rows)).scatter_(0, found.flatten(), order.flatten())
        return {
            "near": gather(self.z_rows, found)[..., self.products :],
            "places": among[candidates],
        }

    def _offsets(self, rows: Tensor, candidates: Tensor) -> Tensor:
        """Return the scores of the closed forms of rows by their places, shape ``(E, N, K)``."""
        folds = enumerate(zip(self.views, self.codes, rows, candidates, strict=True))
        scores = []
        for fold, (view, (a, b), i, j) in folds:
            start = fold * len(a)
            pairs = gather(a, i - start).unsqueeze(1), gather(b, j - start)
            scores.append(view.choice.ratio.score(*pairs))
        return torch.stack(scores)


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
        data: Where the rows are, among the training and validation rows.
        rows: Row numbers, shape ``(E, N)``.
        partners: Gives the row numbers of the partners of a slice of them, shape ``(E, n, K)``:
            values of a discrete z, or others of the rows.
        count: Number K of partners.
        away: How many places partners stand away at most.
    """

    def __init__(
        self,
        data: CrossFitData,
        rows: Tensor,
        partners: Callable[[slice], Tensor],
        count: int,
        away: int,
    ) -> None:
        self.data, self.rows, self.partners, self.away = data, rows, partners, away
        self.shape = (*rows.shape, 1 + count)  # of the scores, (E, N, 1 + K)
        most = PAIRS_AT_ONCE if data.device.type == "cpu" else PAIRS_ON_A_DEVICE
        self.chunk = max(1, most // self.shape[2])

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


class PassingEvaluation(FoldEvaluation):
    """Likewise of any rows, which are described for it, a part at a time, and not kept.

    Args:
        data: Where the rows are.
        rows: Row numbers, shape ``(E, N)``.
        partners: Gives the row numbers of the partners of a slice of them, shape ``(E, n, K)``.
        count: Number K of partners.
        away: How many places partners stand away at most.
        shown: Whether networks are shown the rows.
    """

    def __init__(
        self,
        data: CrossFitData,
        rows: Tensor,
        partners: Callable[[slice], Tensor],
        count: int,
        away: int,
        shown: bool = True,
    ) -> None:
        super().__init__(data, rows, partners, count, away)
        self.shown = shown

    def __iter__(self) -> Iterator[Batch]:
        rows, most = self.rows.shape[1], max(1, ROWS_SEEN // self.chunk) * self.chunk
        for start in range(0, rows, most):
            end = min(rows, start + most)
            tables = self.data.describe(self._near(slice(start, end)), self.shown)
            yield from self._chunks(tables, start, end)
