"""Rows that are not independent of each other: in groups, or one after the other in time."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft
from torch import Tensor

from mine_lightning.support.arguments import check_integer

__all__ = ["design_effect", "longest_run", "mean_variance", "row_groups", "serial_design_effect"]

MOST_COLUMNS = 8  # of a side, whose order is looked at
LARGEST = 4.0  # standard deviations


def row_groups(groups: Any, blocks: int | None, rows: int) -> Tensor | None:
    """Number the groups of the rows, shape ``(N,)``; None where rows are independent.

    Args:
        groups: The group of each row, anything that can be compared, shape ``(N,)``; or None.
        blocks: Length of blocks of neighbouring rows that form the groups; or None.
        rows: Number N of rows.

    Raises:
        ValueError: If both are given, or a group is missing, or their number is another one.

    Example:
        >>> row_groups(["b", "a", "b"], None, 3)
        tensor([0, 1, 0])
        >>> row_groups(None, 2, 5)
        tensor([0, 0, 1, 1, 2])
    """
    if groups is not None and blocks is not None:
        raise ValueError("Expected either `groups` or `blocks`, got both.")
    if blocks is not None:
        check_integer("blocks", blocks)
        return torch.arange(rows) // blocks
    if groups is None:
        return None
    values = np.asarray(groups.detach().cpu() if isinstance(groups, Tensor) else groups)
    if values.shape != (rows,):
        raise ValueError(
            f"Expected `groups` to name the group of each of the {rows} rows, "
            f"got shape {values.shape}."
        )
    codes, _ = pd.factorize(values)
    if (missing := int((codes < 0).sum())) > 0:
        raise ValueError(f"Expected `groups` without missing values, got {missing}.")
    return torch.from_numpy(codes.astype(np.int64))


def mean_variance(terms: Tensor, groups: Tensor | None = None) -> float:
    r"""Return the variance of the mean of terms that may depend on each other within groups.

    .. math:: \frac{G}{G - 1} \frac{1}{N^2} \sum_g \Bigl(\sum_{i \in g} (t_i - \bar t)\Bigr)^2

    References:
        Liang and Zeger 1986; Cameron and Miller, "A practitioner's guide to cluster-robust
        inference", 2015.

    Args:
        terms: Shape ``(N,)``.
        groups: Number of the group of each, shape ``(N,)``; each by itself by default.

    Example:
        >>> mean_variance(torch.tensor([0.0, 2.0])), mean_variance(torch.tensor([1.0, 1.0, 3.0]))
        (1.0, 0.4444444444444444)
    """
    away = terms.double() - terms.double().mean()
    if groups is not None:
        _, numbers = groups.unique(return_inverse=True)
        away = torch.zeros(int(numbers.max()) + 1).double().index_add(0, numbers, away)
    count = len(away)
    return (count / (count - 1) * away.square().sum() / len(terms) ** 2).item()


def design_effect(terms: Tensor, groups: Tensor | None) -> float:
    """Return by how much groups raise the variance of the mean; 1 at least.

    Example:
        >>> design_effect(torch.tensor([1.0, 1.0, 3.0, 3.0]), torch.tensor([0, 0, 1, 1]))
        3.0
    """
    alone = mean_variance(terms)
    return 1.0 if groups is None or alone == 0 else max(1.0, mean_variance(terms, groups) / alone)


def longest_run(groups: Tensor | None) -> int:
    """Return how many rows of one group follow each other at most; 1 where there are no groups.

    Example:
        >>> longest_run(torch.tensor([0, 0, 1, 0, 0, 0]))
        3
    """
    if groups is None:
        return 1
    return int(groups.unique_consecutive(return_counts=True)[1].max())


def serial_design_effect(x: Tensor, z: Tensor, first: int = 1) -> float:
    r"""Return by how much serial dependence of both sides raises the variance of a mean.

    .. math:: 1 + 2 \sum_{k \ge k_1} \hat\rho_x(k) \hat\rho_z(k)

    with the autocorrelations up to a quarter of the rows, and the largest value over pairs of
    columns. It is 1 where the rows of one side are in random order.

    References:
        Bartlett, "Some aspects of the time-correlation problem", 1935.

    Args:
        x: Rows in their order, shape ``(N, ...)``.
        z: Likewise.
        first: The first lag that counts: rows nearer than that are known to depend.

    Example:
        >>> steps = torch.randn(2, 1000, generator=torch.Generator().manual_seed(0))
        >>> serial_design_effect(*steps.cumsum(1)) > 10, serial_design_effect(*steps) < 1.5
        (True, True)
    """
    a, b = (_autocorrelations(side)[first:] for side in (x, z))
    return 1 + 2 * max(0.0, float((a.T @ b).max()))


def _autocorrelations(rows: Tensor) -> NDArray[np.float64]:
    """Return those of a few columns at lags 0 to N / 4, shape ``(L, D)``."""
    values = rows.double().flatten(1).numpy() if rows.ndim > 1 else rows.double().numpy()[:, None]
    chosen = np.linspace(0, values.shape[1] - 1, min(values.shape[1], MOST_COLUMNS)).astype(int)
    return np.stack([_autocorrelation(column) for column in _standardized(values[:, chosen]).T], 1)


def _autocorrelation(column: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return that of one column, shape ``(L,)``; of all at once it would take much memory."""
    lags = max(2, len(column) // 4)
    length = next_fast_len(len(column) + lags, real=True)  # later lags wrap around
    lagged = irfft(np.abs(rfft(column, length)) ** 2, length)[:lags]
    return lagged / (lagged[0] if lagged[0] > 0 else 1)


def _standardized(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return columns with mean 0, in which outliers are bounded."""
    scale = columns.std(0)
    bounded = np.clip(
        (columns - columns.mean(0)) / np.where(scale > 0, scale, 1), -LARGEST, LARGEST
    )
    return bounded - bounded.mean(0)
