"""Transfer entropy: what the past of one series says about the present of another."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mine_lightning.data.checks import as_rows, check_paired
from mine_lightning.estimate.arguments import EstimateArguments
from mine_lightning.estimate.conditional import (
    ConditionalEstimate,
    estimate_conditional_mutual_information,
)
from mine_lightning.support.ambient import own_settings
from mine_lightning.support.arguments import check_integer
from mine_lightning.support.keywords import Unpack, check_keywords

__all__ = ["estimate_transfer_entropy", "lagged"]

BLOCKS = 100  # in a series, at most
LEAST_BLOCK = 10  # lags in a block, at least


@own_settings()
def estimate_transfer_entropy(
    source: Any,
    target: Any,
    lags: int | Sequence[int] = 1,
    **kwargs: Unpack[EstimateArguments],
) -> ConditionalEstimate:
    r"""Estimate the information that the past of a source has beyond that of the target itself.

    .. math:: T_{X \to Y} = I(Y_t; X_{t - l_1}, \dots, X_{t - l_m} \mid
        Y_{t - l_1}, \dots, Y_{t - l_m})

    Rows that lie near each other in time are held out together, and the standard error takes the
    rows of a block together.

    References:
        Schreiber, "Measuring information transfer", 2000.

    Args:
        source: The series x in the order of time, shape ``(T,)`` or ``(T, D)``; see
            :func:`~mine_lightning.estimate_mutual_information`.
        target: The series y, likewise.
        lags: Number of steps back to look at, or which ones: 3 is ``[1, 2, 3]``.
        kwargs: Arguments of :func:`~mine_lightning.estimate_mutual_information`; ``blocks``, longer
            than rows resemble each other, is T / 100 by default, and ten times the largest lag at
            least.

    Returns:
        The estimate in nats, with those of its two terms.

    Raises:
        ValueError: If the series are not finite numbers of equal length, or are too short for a
            lag, or a lag is not a positive integer.

    Example:
        >>> x, noise = torch.randn(2, 500, generator=torch.Generator().manual_seed(0))
        >>> y = x.roll(1) + noise  # truth: ln 2 / 2 = 0.347
        >>> result = estimate_transfer_entropy(x, y, max_epochs=3, progress_bar=False)
        >>> abs(result.nats - 0.347) < 0.15
        True
    """
    check_keywords(estimate_transfer_entropy, kwargs)
    steps = list(range(1, lags + 1)) if isinstance(lags, int) else list(lags)
    for lag in steps or [0]:
        check_integer("lags", lag)
    x, y = as_rows("source", source).flatten(1), as_rows("target", target).flatten(1)
    check_paired(source, target, len(x), len(y), ("source", "target"))
    if len(x) <= max(steps):
        raise ValueError(f"Expected series longer than a lag of {max(steps)}, got {len(x)} rows.")
    kwargs.setdefault("blocks", max(LEAST_BLOCK * max(steps), len(x) // BLOCKS))
    return estimate_conditional_mutual_information(
        y[max(steps) :], lagged(x, steps), lagged(y, steps), **kwargs
    )


def lagged(rows: Tensor, lags: Sequence[int]) -> Tensor:
    """Return for each time, from the largest lag on, the rows of earlier times side by side.

    Args:
        rows: Shape ``(T, D)``.
        lags: Steps back.

    Returns:
        Shape ``(T - L, D * len(lags))`` with L the largest lag.

    Example:
        >>> lagged(torch.arange(4).unsqueeze(1), [1, 2])
        tensor([[1, 0],
                [2, 1]])
    """
    most = max(lags)
    return torch.cat([rows[most - lag : len(rows) - lag] for lag in lags], dim=1)
