"""Signs that one variable is an exact function of the other, where information may be infinite."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["is_functional"]

Array = NDArray[np.float64]

MOST_ROWS, MOST_COLUMNS, MOST_PREDICTORS = 4_000, 16, 64
NEAR, FAR = 1, 16  # places among the nearest rows
RATIO = 0.1  # of the differences there; 1 / 16 for a smooth function, 1 for noise
ROUNDING = 1e-12  # share of variance


def is_functional(x: Tensor, z: Tensor) -> bool:
    r"""Say whether a column of one side follows from the other without any noise that shows.

    It does if it is a linear function of the other side's columns up to rounding, or if what a
    linear function of one of them leaves over changes smoothly with it: between rows next to each
    other there by a tenth or less of what it changes between rows sixteen places apart. Noise
    larger than the distance of neighbouring rows makes both changes equal. Columns of few values do
    not count: their information is finite.

    Args:
        x: Shape ``(N, ...)``.
        z: Shape ``(N, ...)``.

    Example:
        >>> import torch
        >>> x, noise = torch.randn(2, 500, 1, generator=torch.Generator().manual_seed(0))
        >>> is_functional(x, x.sin()), is_functional(x, x + 0.1 * noise)
        (True, False)
    """
    sides = [side[:MOST_ROWS].double().flatten(1).numpy() for side in (x, z)]
    return any(_follows(a, b) for a, b in (sides, sides[::-1]))


def _follows(x: Array, z: Array) -> bool:
    z, x = _varied(z), x[:, _spread(x.shape[1], min(MOST_PREDICTORS, len(x) // 4))]
    if not z.shape[1] or len(x) < 4 * FAR:
        return False
    given, centred = _centred(x), _centred(z)
    rest = centred - given @ np.linalg.lstsq(given, centred, rcond=None)[0]
    if (rest.var(0) < ROUNDING).any():
        return True
    return any(_smooth(column, centred) for column in _varied(given).T)


def _centred(rows: Array) -> Array:
    scale = rows.std(0)
    return (rows - rows.mean(0)) / np.where(scale > 0, scale, 1)


def _spread(columns: int, most: int) -> NDArray[np.int64]:
    """Return column numbers, evenly spread if there are too many."""
    return np.linspace(0, columns - 1, min(columns, max(1, most))).astype(np.int64)


def _varied(rows: Array) -> Array:
    """Return a few of the columns in which at least half of the values differ."""
    chosen = rows[:, _spread(rows.shape[1], MOST_COLUMNS)]
    return chosen[:, [len(np.unique(column)) > len(rows) / 2 for column in chosen.T]]


def _smooth(x: Array, z: Array) -> bool:
    """Whether what a column of z has beyond a linear function of x changes smoothly with x."""
    rest = z - np.outer(x, x @ z / len(x))
    in_order = rest[np.unique(x, return_index=True)[1]]
    near, far = (
        np.median(np.abs(in_order[step:] - in_order[:-step]), axis=0) for step in (NEAR, FAR)
    )
    return bool((near < RATIO * far).any())
