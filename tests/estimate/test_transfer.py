"""Transfer entropy of processes whose value is known."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from mine_lightning import ConditionalEstimate, estimate_transfer_entropy
from mine_lightning.estimate.transfer import lagged

Series = tuple[np.ndarray, np.ndarray]


def threshold(rows: int, seed: int, rho: float = 0.9, level: float = 0.0) -> Series:
    """Return x, and y that follows it where it was above a level itself."""
    rng = np.random.default_rng(seed)
    x, noise = rng.normal(size=(2, rows))
    y = np.zeros(rows)
    for t in range(1, rows):
        follows = rho * x[t - 1] + math.sqrt(1 - rho**2) * noise[t]
        y[t] = noise[t] if y[t - 1] < level else follows
    return x, y


def linear(rows: int, seed: int) -> Series:
    """Return y, and x that it drives."""
    rng = np.random.default_rng(seed)
    noise = math.sqrt(0.2) * rng.normal(size=(2, rows))
    x, y = np.zeros((2, rows))
    for t in range(1, rows):
        x[t] = 0.8 * x[t - 1] + 0.5 * y[t - 1] + noise[0, t]
        y[t] = 0.4 * y[t - 1] + noise[1, t]
    return y, x


@pytest.mark.slow
@pytest.mark.trained
@pytest.mark.parametrize(
    ("process", "truth", "room"),
    [(threshold, -0.5 * math.log(1 - 0.81) * norm.sf(0), 0.07), (linear, 0.1276, 0.03)],
)
def test_known_processes_are_met(process, truth, room, seed, outcome) -> None:
    source, target = process(10_000, seed)
    result = estimate_transfer_entropy(source, target, seed=seed, progress_bar=False)
    assert isinstance(result, ConditionalEstimate)
    outcome(result.nats - truth, -room, room)
    back = estimate_transfer_entropy(target, source, seed=seed, progress_bar=False)
    outcome(back.nats, -0.03, 0.03, of="back")


def test_the_past_stands_in_columns() -> None:
    rows = torch.arange(10).view(5, 2)
    assert lagged(rows, [1, 3]).tolist() == [[4, 5, 0, 1], [6, 7, 2, 3]]


@pytest.mark.trained
def test_all_rows_with_a_past_are_used_in_blocks(seed: int, outcome) -> None:
    x = np.random.default_rng(seed).normal(size=200)
    quick = {"max_epochs": 1, "progress_bar": False}
    result = estimate_transfer_entropy(x, np.roll(x, 2), lags=2, blocks=19, **quick)
    assert result.rows == 198
    assert result.both.settings["z_columns"] == ["0", "1", "2", "3"]
    outcome(result.nats, low=0.3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lags": 0}, "Expected `lags` to be an integer of at least 1, got 0"),
        ({"lags": []}, "Expected `lags` to be an integer of at least 1, got 0"),
        ({"lags": [1, 200]}, "Expected series longer than a lag of 200, got 200 rows"),
        ({"target": np.arange(199.0)}, "`source` and `target` to have the same number of rows"),
    ],
)
def test_mistakes_are_named(arguments: dict, message: str) -> None:
    series = {"source": np.arange(200.0), "target": np.arange(200.0)}
    with pytest.raises(ValueError, match=message):
        estimate_transfer_entropy(**{**series, **arguments})
