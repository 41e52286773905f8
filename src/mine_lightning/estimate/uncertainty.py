"""The standard errors of an estimate: sampling, the critics' variance, and what they cannot see.

What critics miss leaves no trace in their scores: rows that they have seen and rows that they have
not agree on it. How much it is, given what an estimate knows about itself, is measured on
distributions of many kinds whose information is known; ``benchmarks/atlas.py`` does so, and writes
:mod:`~mine_lightning.estimate.calibration`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from mine_lightning.estimate.calibration import ABOVE, BELOW, FACTORS

__all__ = ["Errors", "Signs", "difference_errors", "standard_errors"]


class Errors(NamedTuple):
    """Standard errors of an estimate below and above it, in nats; infinite if nothing is known."""

    below: float
    above: float

    @property
    def both(self) -> float:
        """One standard error for both sides."""
        return math.sqrt((self.below**2 + self.above**2) / 2)


@dataclass(frozen=True)
class Signs:
    """What an estimate knows about its own error.

    Attributes:
        nats: The estimate.
        variance: Variance of the mean of its held-out terms.
        gap: In-sample less held-out estimate.
        rows: Number of rows; of independent ones, where rows depend on each other.
        columns: Number of columns of both sides.
    """

    nats: float
    variance: float
    gap: float
    rows: float
    columns: int

    def parts(self) -> dict[str, float]:
        """Return quantities of the order of an error, in nats, by name."""
        return {
            "floor": 1.0,
            "few": 1 / self.rows,
            "gap": abs(self.gap),
            "thin value": abs(self.nats) / math.sqrt(self.rows),
            "crowded": self.columns / self.rows,
            "unchecked": max(0.0, self.nats - math.log(self.rows)),
        }

    def strata(self) -> tuple[str, ...]:
        """Return the strata of rows, columns and value that the estimate lies in."""
        return (
            _rows(self.rows),
            "columns < 5" if self.columns < 5 else "columns >= 5",
            "nats < 0.3" if self.nats < 0.3 else "nats >= 0.3",
        )


def _rows(rows: float) -> str:
    """Return the stratum of a number of rows: of many, what critics miss outweighs the sampling."""
    if rows < 1_000:
        return "rows < 1,000"
    return "rows < 30,000" if rows < 30_000 else "rows >= 30,000"


def standard_errors(signs: Signs, functional: bool = False) -> Errors:
    r"""Return the standard errors that hold the truth in 95 % of the atlas.

    .. math:: \sigma_\pm = c \sqrt{v + \sum_k (w_k^\pm s_k)^2}

    with the variance v of the mean, the parts :math:`s_k` of :meth:`Signs.parts`, weights for
    either side, and the largest factor c of the strata.

    Args:
        signs: What the estimate knows about its own error.
        functional: Whether the information may be infinite.
    """
    factor = max(FACTORS[stratum] for stratum in signs.strata())
    below, above = (
        factor * math.sqrt(signs.variance + _squares(signs.parts(), weights))
        for weights in (BELOW, ABOVE)
    )
    return Errors(below, math.inf if functional else above)


def _squares(parts: Mapping[str, float], weights: Mapping[str, float]) -> float:
    return sum((weight * parts[name]) ** 2 for name, weight in weights.items())


def difference_errors(variance: float, more: Errors, less: Errors, shared: float) -> Errors:
    r"""Return the standard errors of a difference of estimates on the same rows.

    .. math:: \sigma_\pm^2 = \sigma_{1\pm}^2 + \sigma_{2-}^2 + v - (v_1 + v_2)

    and v at least. What critics miss of the second, whose columns are among those of the first,
    they miss beside the others too: it cancels, and of the second the error below is left, which is
    that of chance. ``benchmarks/conditional.py`` counts how often the truth is inside.

    Args:
        variance: Variance of the mean of the differences, row by row.
        more: Standard errors of the estimate from which the other is taken.
        less: Standard errors of the other.
        shared: Sum of the variances of the two means, part of which cancels in the difference.
    """
    rest = less.below**2 + variance - shared
    return Errors(*(math.sqrt(max(error**2 + rest, variance)) for error in more))
