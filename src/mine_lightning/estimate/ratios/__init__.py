"""Closed-form log density ratios, and the choice among them.

To add one, write a class with ``fit`` and the encodings, see
:class:`~mine_lightning.estimate.ratios.base.LogRatio`, and put it into :data:`FAMILY`.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

from torch import Tensor

from mine_lightning.estimate.features import Described
from mine_lightning.estimate.ratios.base import PARTNERS, Independence, LogRatio
from mine_lightning.estimate.ratios.canonical import (
    DirectionAndRadius,
    IndependentComponents,
    NormalScores,
    Values,
)
from mine_lightning.estimate.ratios.copulas import (
    CommonFunctions,
    MatchedColumns,
    MatchedProducts,
    Oscillations,
)
from mine_lightning.estimate.ratios.mixtures import NormalMixture

__all__ = ["FAMILY", "Choice", "LogRatio", "choose"]

FAMILY: tuple[type[LogRatio], ...] = (
    NormalScores,
    Values,
    IndependentComponents,
    DirectionAndRadius,
    MatchedColumns,
    MatchedProducts,
    NormalMixture,
    CommonFunctions,
    Oscillations,
)

# Changed alone by `benchmarks/constants.py`, these change the mean error of .140 nats by: gain 0,
# -.0002 ± .0004, 2, +.0013 ± .0032; near 1, +.0008 ± .0043, 4, +.0086 ± .0047.
LEAST_GAIN = 0.75  # standard errors by which a closed form has to beat independence
ROUNDING = 1e-6  # nats: losses are float32
NEAR = 2.0  # standard errors of a difference: of closed forms nearer than this the simpler is taken
# By judgement. A whole pair would take normal scores for sums of uniform variables, seen on 32
# columns of `benchmarks/frontier.py`; none at all, whichever form claims the most.
NONE = 0.01  # pairs, of all that are scored: losses of less are alike
LEAST_SCREENED, ROWS_PER_COLUMN = 2_000, 100  # training rows that the family is fitted on first
VALIDATION_ROWS = 500  # what 5,000 rows have; 250 and 2,000 change nothing where rows are fewer


class Choice(NamedTuple):
    """A closed form, and what it was chosen by.

    Attributes:
        ratio: The closed form, fitted.
        losses: The mean logistic loss of each member of the family on validation rows, by name.
    """

    ratio: LogRatio
    losses: dict[str, float]

    @property
    def name(self) -> str:
        """The name of the class of the closed form."""
        return type(self.ratio).__name__


def choose(x: Described, z: Described, train: Tensor, val: Tensor) -> Choice:
    """Fit the family on training rows, and choose by the logistic loss of validation rows.

    All are fitted on some of the rows first; the best, and the simplest that is hardly worse, on
    all.

    Args:
        x: All rows of x.
        z: All rows of z.
        train: Row numbers, in random order.
        val: Row numbers, in random order.
    """
    columns = x.coordinates.shape[1] + z.coordinates.shape[1]
    some = train[: max(LEAST_SCREENED, ROWS_PER_COLUMN * columns)]
    kinds = [kind for kind in FAMILY if kind.suits(x.take(some), z.take(some))]
    found = _fitted(x, z, some, val[:VALIDATION_ROWS], kinds)
    losses = {kind.__name__: loss.mean().item() for kind, (_, loss) in found.items()}
    if len(some) < len(train):
        found = _fitted(x, z, train, val, _best(found))
    ratio, loss = _simplest(list(found.values()))
    gain = 2 * math.log(2) - loss
    if not gain.mean() > LEAST_GAIN * gain.std() / math.sqrt(len(gain)) + ROUNDING:
        ratio = Independence().fit(x.take(train), z.take(train))
    return Choice(ratio, losses)


def _fitted(
    x: Described, z: Described, train: Tensor, val: Tensor, kinds: Iterable[type[LogRatio]]
) -> dict[type[LogRatio], tuple[LogRatio, Tensor]]:
    """Return each kind, fitted, with its losses on the validation rows."""
    rows, others = (x.take(train), z.take(train)), (x.take(val), z.take(val))
    ratios = {kind: kind().fit(*rows).confirm(*others) for kind in kinds}
    return {kind: (ratio, ratio.losses(*others)) for kind, ratio in ratios.items()}


def _simplest(found: list[tuple[LogRatio, Tensor]]) -> tuple[LogRatio, Tensor]:
    """Return the first that no later one beats by two standard errors, or by half of the loss.

    Where a ratio is large, all of its loss rests on a few pairs, and so does a standard error.
    """
    chosen = found[0]
    for other in found[1:]:
        gain = chosen[1] - other[1]
        clearly = gain.mean() > NEAR * gain.std() / math.sqrt(len(gain))
        if (clearly or other[1].mean() < chosen[1].mean() / 2) and not _is_none(chosen[1]):
            chosen = other
    return chosen


def _is_none(losses: Tensor) -> bool:
    """Whether losses are far below what one pair of all that are scored could tell."""
    return bool(losses.mean() < NONE / (PARTNERS * len(losses)))


def _best(found: dict[type[LogRatio], tuple[LogRatio, Tensor]]) -> list[type[LogRatio]]:
    """Return the kind with the least loss, after the simplest that is hardly worse."""
    ordered = sorted(found, key=lambda kind: found[kind][1].mean().item())
    best = found[ordered[0]][1]
    worse = {kind: found[kind][1] - best for kind in ordered}
    near = [
        kind
        for kind, more in worse.items()
        if more.mean() <= NEAR * more.std() / math.sqrt(len(more)) or _is_none(found[kind][1])
    ]
    simplest = next(kind for kind in found if kind in near)
    return [simplest] if simplest is ordered[0] else [simplest, ordered[0]]
