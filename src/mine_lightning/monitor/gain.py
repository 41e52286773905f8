"""What the critic adds to the closed form, from the batches that it was scored on."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mine_lightning.monitor.changes import change_point, trend

__all__ = ["Gain"]

FEWEST = 4  # batches of which a mean is taken
COUNTED = 2.0  # standard errors above 0


class Gain(NamedTuple):
    """The critic's gain in nats, a lower bound.

    Attributes:
        value: The mean gain of the batches, each scored before the critic trained on it; 0 where
            it does not count.
        standard_error: Of the sampling.
        lag: By how much the critic has learned since, as far as a trend shows.
        headroom: The largest gain that so many candidates allow.
    """

    value: float = 0.0
    standard_error: float = 0.0
    lag: float = 0.0
    headroom: float = math.inf

    @classmethod
    def of(cls, batches: Sequence[Tensor]) -> "Gain":
        """Read the latest batches as far back as the gain shows no jump.

        The mean counts if it is two standard errors above 0.

        Args:
            batches: Gain and headroom of each batch, shape ``(2,)``; nan where there is none.
        """
        if not batches:
            return cls()
        both = torch.stack(list(batches)).cpu().double()
        both = both[both.isfinite().all(1)]
        both = both[change_point(both[:, 0]) :]
        if len(both) < FEWEST:
            return cls()
        value, error = float(both[:, 0].mean()), float(both[:, 0].std()) / math.sqrt(len(both))
        if not value > COUNTED * error:
            return cls(standard_error=error)
        return cls(value, error, abs(trend(both[:, 0])), float(both[:, 1].mean()))
