"""Closed-form log density ratios, and the choice among them.

To add one, write a class with ``fit`` and the encodings, see
:class:`~mine_lightning.estimate.ratios.base.LogRatio`, and put it into :data:`FAMILY`.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mine_lightning.estimate.features import Described
from mine_lightning.estimate.ratios.base import PARTNERS, Fit, Independence, LogRatio
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

__all__ = ["FAMILY", "Choice", "LogRatio", "SplitRows", "choose"]

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
# At most, in the columns of samples that are fitted together. With 10,000 rows of 1 + 1 columns and
# with 1,000 of 5 + 5, a choice takes 1.1 and 1.3 times as long with 2^13, 1.1 and 1.0 with 2^17.
VALUES_TOGETHER = 2**15
VALIDATION_ROWS = 500  # what 5,000 rows have; 250 and 2,000 change nothing where rows are fewer


Fits = dict[type[LogRatio], Fit[Any]]


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


class SplitRows(NamedTuple):
    """Described rows of both sides, those to fit a closed form to and those to judge it by.

    Attributes:
        x: Training rows of x, in random order.
        z: Training rows of z.
        x_val: Validation rows of x.
        z_val: Validation rows of z.
    """

    x: Described
    z: Described
    x_val: Described
    z_val: Described

    def some(self, train: int, val: int) -> "SplitRows":
        """Return the first of the training rows, and of the validation rows."""
        sides = zip(self, (train, train, val, val), strict=True)
        return SplitRows(*(side.take(slice(count)) for side, count in sides))

    def each(self) -> tuple[Described, Described]:
        """Return all rows of either side, the validation rows after the training rows."""
        return self.x.followed_by(self.x_val), self.z.followed_by(self.z_val)

    @classmethod
    def together(cls, samples: "Sequence[SplitRows]") -> "SplitRows":
        """Stack those of samples with the same :attr:`shapes`."""
        return cls(*map(Described.together, zip(*samples, strict=True)))

    @property
    def columns(self) -> int:
        """The number of columns of both sides together."""
        return self.x.coordinates.shape[-1] + self.z.coordinates.shape[-1]

    @property
    def train(self) -> int:
        """The number of training rows."""
        return self.x.coordinates.shape[-2]

    @property
    def shapes(self) -> tuple[torch.Size, ...]:
        """What samples that are fitted together have in common."""
        return tuple(side.coordinates.shape for side in self)


def choose(samples: Sequence[SplitRows]) -> list[Choice]:
    """Fit the family on training rows, and choose by the logistic loss of validation rows.

    All are fitted on some of the rows first; the best, and the simplest that is hardly worse, on
    all.

    Args:
        samples: Rows in random order, of all folds of any number of pairs of variables.
    """
    fewer = [rows.some(screened(rows), VALIDATION_ROWS) for rows in samples]
    found = _fitted(fewer, [FAMILY] * len(samples))
    losses = [
        {kind.__name__: fit.losses.mean().item() for kind, fit in fits.items()} for fits in found
    ]
    whole = [n for n, rows in enumerate(samples) if screened(rows) < rows.train]
    refitted = _fitted([samples[n] for n in whole], [_best(found[n]) for n in whole])
    for n, fits in zip(whole, refitted, strict=True):
        found[n] = fits
    return [
        Choice(_better_than_none(_simplest(list(fits.values())), rows), each)
        for fits, rows, each in zip(found, samples, losses, strict=True)
    ]


def screened(rows: SplitRows) -> int:
    """Return the number of training rows that the family is fitted on first."""
    return max(LEAST_SCREENED, ROWS_PER_COLUMN * rows.columns)


def _better_than_none(fit: Fit[Any], rows: SplitRows) -> LogRatio:
    gain = 2 * math.log(2) - fit.losses
    if gain.mean() > LEAST_GAIN * gain.std() / math.sqrt(len(gain)) + ROUNDING:
        return fit.ratio
    return Independence().fit(rows.x, rows.z)


def _fitted(samples: Sequence[SplitRows], kinds: Sequence[Sequence[type[LogRatio]]]) -> list[Fits]:
    """Return the kinds asked for that suit each sample, fitted, with their validation losses."""
    found: list[Fits] = [{} for _ in samples]
    for places in _chunks(samples, kinds):
        rows = SplitRows.together([samples[place] for place in places])
        for kind in kinds[places[0]]:
            if kind.suits(rows.x, rows.z):
                for place, fit in zip(places, kind.fit_each(*rows), strict=True):
                    found[place][kind] = fit
    return found


def _chunks(samples: Sequence[SplitRows], kinds: Sequence[Sequence[Any]]) -> Iterator[list[int]]:
    """Yield the places of samples that are fitted together: small ones cost hardly more than one.

    Larger ones would push each other out of the processor's cache.
    """
    alike: dict[Any, list[int]] = {}
    for place, (rows, own) in enumerate(zip(samples, kinds, strict=True)):
        alike.setdefault((rows.shapes, *own), []).append(place)
    for (shapes, *_), places in alike.items():
        most = max(1, VALUES_TOGETHER // sum(shape.numel() for shape in shapes[:2]))
        yield from (places[n : n + most] for n in range(0, len(places), most))


def _simplest(found: Sequence[Fit[Any]]) -> Fit[Any]:
    """Return the first that no later one beats by two standard errors, or by half of the loss.

    Where a ratio is large, all of its loss rests on a few pairs, and so does a standard error.
    """
    chosen = found[0]
    for other in found[1:]:
        gain = chosen.losses - other.losses
        clearly = gain.mean() > NEAR * gain.std() / math.sqrt(len(gain))
        less = other.losses.mean() < chosen.losses.mean() / 2
        if (clearly or less) and not _is_none(chosen.losses):
            chosen = other
    return chosen


def _is_none(losses: Tensor) -> bool:
    """Whether losses are far below what one pair of all that are scored could tell."""
    return bool(losses.mean() < NONE / (PARTNERS * len(losses)))


def _best(found: Fits) -> list[type[LogRatio]]:
    """Return the kind with the least loss, after the simplest that is hardly worse."""
    ordered = sorted(found, key=lambda kind: found[kind].losses.mean().item())
    best = found[ordered[0]].losses
    worse = {kind: found[kind].losses - best for kind in ordered}
    near = [
        kind
        for kind, more in worse.items()
        if more.mean() <= NEAR * more.std() / math.sqrt(len(more)) or _is_none(found[kind].losses)
    ]
    simplest = next(kind for kind in found if kind in near)
    return [simplest] if simplest is ordered[0] else [simplest, ordered[0]]
