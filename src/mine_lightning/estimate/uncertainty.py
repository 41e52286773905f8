"""The standard error of an estimate: sampling, the critics' variance, and what they cannot see."""

import math
from typing import NamedTuple

from torch import Tensor

from mine_lightning.estimate.dependence import design_effect, mean_variance

__all__ = ["Errors", "standard_errors"]

GAP_SHARE = 0.5  # of the gap: the truth lies between held-out and in-sample value
MODEL_SHARE = 0.010  # of the value: errors that the critics have in common
LEAST_ERROR, LEAST_ROWS = 0.001, 5  # nats, and rows, too weak or too few to be seen


class Errors(NamedTuple):
    """Standard errors of an estimate below and above it, in nats; infinite if nothing is known."""

    below: float
    above: float

    @property
    def both(self) -> float:
        """One standard error for both sides."""
        return math.sqrt((self.below**2 + self.above**2) / 2)


def standard_errors(
    terms: Tensor,
    gap: float,
    nats: float,
    groups: Tensor | None = None,
    functional: bool = False,
) -> Errors:
    """Combine sampling error, the critics' variance, their bias and what they cannot see.

    The variance shows in the gap, the bias is taken as a share of the value, and dependence that is
    too weak for the validation rows to confirm is missed without a trace.

    Args:
        terms: Terms whose mean is the held-out estimate, shape ``(N,)``.
        gap: In-sample less held-out estimate.
        nats: The estimate.
        groups: Number of the group of each row; terms of a group may depend on each other.
        functional: Whether the information may be infinite.
    """
    effective = len(terms) / design_effect(terms, groups)
    unseen = LEAST_ERROR + LEAST_ROWS / effective
    errors = (GAP_SHARE * gap, MODEL_SHARE * nats, unseen)
    error = math.sqrt(mean_variance(terms, groups) + sum(error**2 for error in errors))
    return Errors(error, math.inf if functional else error)
