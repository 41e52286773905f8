"""Nothing absurd comes of data that are hard: the value stays where the rows can support it."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.random import Generator
from numpy.typing import NDArray

from mine_lightning import estimate_mutual_information

Rows = NDArray[np.float64]
Sides = tuple[Rows, Rows]
N = 300


def normal(rng: Generator, d: int = 2, n: int = N) -> Sides:
    x, noise = rng.normal(size=(2, n, d))
    return x, 0.6 * x + 0.8 * noise


def outliers(rng: Generator) -> Sides:
    x, z = normal(rng)
    x[5, 0], z[7, 1], x[9], z[9] = 1e12, -1e12, 1e12, 1e12
    return x, z


def heavy_tails(rng: Generator) -> Sides:
    x, z = normal(rng, 4)
    scale = np.abs(rng.normal(size=(N, 1))) ** 3
    return x / scale, z / scale


def columns_near_rows(rng: Generator) -> Sides:
    return rng.normal(size=(N, 140)), rng.normal(size=(N, 140))


def more_columns_than_rows(rng: Generator) -> Sides:
    x = rng.normal(size=(N, 800))
    return x, 0.8 * x[:, :1] + 0.6 * rng.normal(size=(N, 1))


def collinear(rng: Generator) -> Sides:
    x, z = normal(rng)
    return np.hstack([x, x @ [[1], [2]]]), np.hstack([z, z])


def function(rng: Generator) -> Sides:
    x = rng.normal(size=(N, 2))
    return x, np.exp(x[:, :1])


def atoms(rng: Generator) -> Sides:
    sides = rng.exponential(size=(2, N, 2)) * (rng.uniform(size=(2, N, 2)) < 0.5)
    return sides[0], sides[1]


def points(rng: Generator) -> Sides:
    """Four clusters that are points, to rounding, on both sides."""
    centres = np.repeat(rng.normal(size=(4, 4)), N // 4, axis=0)
    rows = centres + 1e-9 * rng.normal(size=(N, 4))
    return rows[:, :2], rows[:, 2:]


@pytest.mark.trained
@pytest.mark.parametrize(
    ("draw", "low", "high"),
    [
        (outliers, 0.1, 0.9),  # .446
        (heavy_tails, 0.5, 3.5),  # .89 of the pairs and what the scale adds
        (columns_near_rows, -0.3, 0.3),  # 0
        (more_columns_than_rows, 0.2, 0.8),  # .511
        (collinear, 0.1, 0.9),  # .446
        (function, 1.0, 15.0),  # infinite
        (atoms, -0.1, 0.1),  # 0
        (points, 0.9, math.log(4) + 0.5),  # ln 4, as far as rounding goes
    ],
)
def test_the_value_is_one_that_the_rows_can_support(
    draw: Callable[[Generator], Sides], low: float, high: float, seed: int, outcome
) -> None:
    x, z = draw(np.random.default_rng(seed))
    result = estimate_mutual_information(x, z, seed=seed, progress_bar=False)
    outcome(result.nats, low, high)
    assert np.isfinite(result.terms).all()
    assert result.terms.min() > -10 * math.log(N)
