"""Scores of the rows by the critics of a finished fit, and the numbers that follow from them."""

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

import torch
from torch import Tensor, nn

from mine_lightning.data.loading.loaders import spawn_generator
from mine_lightning.estimate.calibration import SEEN
from mine_lightning.estimate.crossfit import CrossFitEstimator, FittedFolds, speakers
from mine_lightning.estimate.dependence import mean_variance
from mine_lightning.estimate.diagnostics import LEAST_PAIRS
from mine_lightning.estimate.folds import (
    MOST_VALIDATED,
    VAL_PARTNERS,
    CrossFitData,
    FoldEvaluation,
    Levels,
    PassingEvaluation,
)
from mine_lightning.estimate.networks import FoldNetworks
from mine_lightning.estimate.permutation import Rings, ring_size, rings
from mine_lightning.estimate.ratios import Choice
from mine_lightning.estimate.readout import corrected_terms, normalized_terms
from mine_lightning.objectives import DonskerVaradhan, InfoNCE
from mine_lightning.objectives.pooling import Pooled

__all__ = ["FoldScores", "Readings", "between", "optimism", "read", "score_folds"]

PARTNERS, HELD_PARTNERS = 10, 20
MOST_SEEN = 10_000  # training rows of a fold that are scored
ROWS_AT_ONCE = 2**12


@dataclass(frozen=True)
class FoldScores:
    """Scores of given rows, one entry for each fold.

    Attributes:
        scores: Of each row with its own and with other z, shape ``(n, 1 + K)`` each, float32: they
            are many, and stand in an order of their own.
        joint: Scores of pairs drawn together, shape ``(n,)`` each, float64.
        terms: The terms whose mean is the estimate, shape ``(n,)`` each.
        turned: Sums of the scores of rows paired anew, see
            :meth:`~mine_lightning.estimate.permutation.Rings.sums`.
    """

    scores: list[Tensor]
    joint: list[Tensor]
    terms: list[Tensor]
    turned: list[Tensor]

    @property
    def per_fold(self) -> Tensor:
        """The estimate of each fold, shape ``(E,)``."""
        return torch.stack([terms.mean() for terms in self.terms])

    @cached_property
    def pairs(self) -> Pooled:
        """The sums over all pairs drawn apart, each of them a row."""
        pool = DonskerVaradhan().pool
        flat = (part[:, 1:].flatten() for part in in_parts(self.scores))
        return reduce(operator.add, (pool(each, each) for each in flat))

    @property
    def lower_bound(self) -> float:
        """The larger of the bounds of InfoNCE and, where pairs are enough, Donsker-Varadhan."""
        contrast = InfoNCE()
        parts = ((part[:, 0], part[:, 1:]) for part in in_parts(self.scores))
        chosen = reduce(operator.add, (contrast.pool(*part) for part in parts))
        bounds = [contrast.read(chosen).item()]
        if self.pairs.effective_sample_size >= LEAST_PAIRS:
            mean = torch.cat(self.joint).mean()
            bounds.append(DonskerVaradhan().value(mean, self.pairs.log_mean).item())
        return max(bounds)


def in_parts(scores: Sequence[Tensor]) -> Iterator[Tensor]:
    """Yield scores, float64, of so many rows that what is made of them stays in the cache."""
    for fold in scores:
        yield from (part.double() for part in fold.split(ROWS_AT_ONCE))


def score_folds(
    model: CrossFitEstimator,
    data: CrossFitData,
    states: Sequence[FoldNetworks],
    rows: list[Tensor],
    partners: int = PARTNERS,
    trained: bool = False,
) -> list[FoldScores]:
    """Score rows by each fold's critic, in each of several states.

    Args:
        model: The fitted model.
        data: Its data.
        states: States of the critics.
        rows: Row numbers for each fold.
        partners: Largest number of partners for each row.
        trained: Whether they are among the training rows, which are described already.
    """
    generator = spawn_generator(data.seed, 4)
    size = ring_size(min(map(len, rows)), partners)
    found = [rings(len(part), size, generator) for part in rows]
    if trained:
        loader = FoldEvaluation(data, *_paired(data.levels, rows, found), size)
    else:
        shown = any(bool(speakers(state).any()) for state in states)
        loader = PassingEvaluation(data, *_paired(data.levels, rows, found), size, shown)
    scores = model.score_all(loader, states)
    return [_read(data.levels, rows, found, of_state) for of_state in scores]


def _read(
    levels: Levels | None, rows: list[Tensor], found: list[Rings], scores: Tensor
) -> FoldScores:
    """Return what follows from the scores of rows, repeated where a fold has fewer."""
    each = [fold[: len(part)].cpu() for fold, part in zip(scores, rows, strict=True)]
    folds = list(zip(rows, found, each, strict=True))
    return FoldScores(
        scores=each,
        joint=[fold[:, 0].double()[ring.places] for _, ring, fold in folds],
        terms=[_terms(levels, fold[ring.places]) for _, ring, fold in folds],
        turned=[_turned(levels, *fold) for fold in folds],
    )


def _terms(levels: Levels | None, scores: Tensor) -> Tensor:
    """Return the terms of the rows of a fold."""
    parts = ((part[:, 0], part[:, 1:]) for part in in_parts([scores]))
    if levels is None:
        return torch.cat([corrected_terms(*part) for part in parts])
    return torch.cat([normalized_terms(*part, levels.log_weights) for part in parts])


def _turned(levels: Levels | None, rows: Tensor, ring: Rings, scores: Tensor) -> Tensor:
    """Return the sums of the scores of a fold's rows paired anew."""
    if levels is None:
        return ring.sums(scores)
    paired = levels.numbers[rows[ring.order]][ring.around(torch.arange(len(rows)))]
    return ring.sums(scores[:, 1:].gather(1, paired))


def _paired(
    levels: Levels | None, rows: list[Tensor], found: list[Rings]
) -> tuple[Tensor, Callable[[slice], Tensor], int]:
    """Return rows in the order of their rings, and what names their partners or all levels.

    Where a fold has fewer rows, its last one is repeated.
    """
    longest = max(map(len, rows))
    places = [torch.arange(longest).clamp(max=len(part) - 1) for part in rows]
    each = [part[ring.order] for part, ring in zip(rows, found, strict=True)]
    together = torch.stack([part[place] for part, place in zip(each, places, strict=True)])
    if levels is not None:
        every = levels.rows.expand(*together.shape, -1)
        return together, lambda chunk: every[:, chunk], len(levels.rows)

    def partners(chunk: slice) -> Tensor:
        folds = zip(each, found, places, strict=True)
        return torch.stack([part[ring.around(place[chunk])[:, 1:]] for part, ring, place in folds])

    return together, partners, found[0].size - 1


@dataclass(frozen=True)
class Readings:
    """What is read from a finished fit.

    Attributes:
        held: Rows that the critics have not seen, scored in their late state.
        optimism: By how much rows that they were trained on have larger terms than the same rows
            held out, by critics in that state, mean of the folds.
        best: Rows that they have not seen, scored in their best state.
        discrete: Whether one of the variables is.
        choices: The closed form of each fold, and what it was chosen by.
        gains: By how much the network lowers the logistic loss of each fold's validation rows,
            shape ``(E,)``; 0 where the closed form is kept alone.
    """

    held: FoldScores
    optimism: float
    best: FoldScores
    discrete: bool
    choices: list[Choice]
    gains: Tensor

    @cached_property
    def held_out(self) -> float:
        return self.held.per_fold.mean().item()

    @property
    def in_sample(self) -> float:
        return self.held_out + self.optimism

    @property
    def kept(self) -> float:
        """Share of the folds in which a network adds to the closed form."""
        return (self.gains > 0).double().mean().item()

    @cached_property
    def nats(self) -> float:
        r"""Between the two, whose first-order biases are opposite: :func:`between`."""
        variance, rows = mean_variance(self.terms), len(self.terms)
        return between(self.held_out, self.in_sample, variance, self.kept, rows)

    @cached_property
    def terms(self) -> Tensor:
        """Held-out terms, fold after fold, shape ``(N,)``."""
        return torch.cat(self.held.terms)

    @cached_property
    def log_ratios(self) -> Tensor:
        """Pointwise mutual information of the rows, fold after fold, shape ``(N,)``."""
        return torch.cat(self.best.terms if self.discrete else self.best.joint)

    @property
    def lower_bound(self) -> float:
        return self.log_ratios.mean().item() if self.discrete else self.best.lower_bound


def between(
    held_out: float,
    in_sample: float,
    variance: float,
    kept: float,
    rows: float,
    seen: float = SEEN,
) -> float:
    r"""Return the estimate between the held-out value and the in-sample one.

    .. math::
        \hat I = \hat I_H + w (\hat I_S - \hat I_H), \quad
        w = \frac12 + s \, k \, \min\Bigl(1, \frac{\ln N}{\hat I_H}\Bigr)
        \frac{\max(\hat I_H, 0)^2}{\hat I_H^2 + v}

    Rows held out read low by what a critic gets wrong, and rows that it has seen read high by what
    it took from their noise. Closed forms, and critics of independent variables, take as much as
    they miss, w = 1/2. Networks that find something and are stopped early take less, but of more
    than ln N nats the rest is the closed form's: no pairs of N rows tell it to a network.
    ``benchmarks/atlas.py`` chooses the s with the least errors on distributions of many kinds, in
    the geometric mean.

    Args:
        held_out: The mean over rows that the critics have not seen, :math:`\hat I_H`, in nats.
        in_sample: The mean over rows that they have seen, :math:`\hat I_S`, in nats.
        variance: Variance v of the held-out value.
        kept: Share k of the folds in which a network adds to the closed form.
        rows: Number N of rows.
        seen: The weight s.

    Example:
        >>> between(0.5, 0.6, 1e-4, kept=0, rows=100), between(-0.1, 0.1, 1e-4, kept=1, rows=100)
        (0.55, 0.0)
    """
    weight = 0.5
    if held_out > 0:
        learned = kept * min(1.0, math.log(rows) / held_out)
        weight += seen * learned * held_out**2 / (held_out**2 + variance)
    return held_out + weight * (in_sample - held_out)


def _seen(data: CrossFitData) -> Tensor:
    """Return the training rows that are scored, shape ``(E, n)``."""
    return data.folds.train[:, : min(MOST_SEEN, 2 * len(data.folds.held[0]))]


def scored_pairs(data: CrossFitData) -> float:
    """Return how many pairs :func:`read` scores, over those of a validation."""
    few, many = PARTNERS, HELD_PARTNERS
    if data.levels is not None:
        few = many = len(data.levels.rows)
    pairs = (1 + many) * len(data.x) + (1 + few) * _seen(data).numel()
    return pairs / ((1 + VAL_PARTNERS) * data.folds.val[:, :MOST_VALIDATED].numel())


def read(model: CrossFitEstimator, fitted: FittedFolds, data: CrossFitData) -> Readings:
    """Score the rows of a pair of variables after a fit."""
    states = [fitted.late] if same(fitted.late, fitted.best) else [fitted.late, fitted.best]
    late, *others = score_folds(model, data, states, data.folds.held, HELD_PARTNERS)
    rows = list(_seen(data))
    (seen,) = score_folds(model, data, [fitted.late], rows, trained=True)
    choices = [view.choice for view in data.views]
    best = others[0] if others else late
    more = optimism(late.terms, data.folds.held, seen.terms, rows)
    return Readings(late, more, best, data.levels is not None, choices, fitted.gain)


def optimism(
    held: Sequence[Tensor],
    held_rows: Sequence[Tensor],
    seen: Sequence[Tensor],
    seen_rows: Sequence[Tensor],
) -> float:
    """Return by how much the terms of rows are larger where critics have seen these.

    Of the same rows: what rows happen to be looked at says nothing of the critics.

    Args:
        held: Terms of the rows that each fold holds out, which are all rows.
        held_rows: Their numbers.
        seen: Terms of rows that each fold's critic was trained on.
        seen_rows: Their numbers.

    Returns:
        The mean of the folds, in nats.
    """
    order, terms = torch.cat(list(held_rows)), torch.cat(list(held))
    own = torch.empty_like(terms).scatter_(0, order, terms)
    more = [(t - own[rows]).mean() for t, rows in zip(seen, seen_rows, strict=True)]
    return torch.stack(more).mean().item()


def same(first: nn.Module, second: nn.Module) -> bool:
    """Whether two states of a network have the same weights."""
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)
