"""Log ratios by canonical correlations: known where the columns are jointly normal."""

import math

import pytest
import torch
from torch import Tensor

from closed_forms import confirmed, fitted
from mine_lightning.estimate.features import Described, Features
from mine_lightning.estimate.ratios.canonical import (
    Canonical,
    DirectionAndRadius,
    IndependentComponents,
    NormalScores,
    Values,
)
from normal_pair import log_ratio
from shared import seeded

ROWS = 4_000


def normal(dim: int, rho: float) -> tuple[Tensor, Tensor]:
    x, noise = torch.randn(2, ROWS, dim, generator=seeded()).double()
    return x, rho * x + math.sqrt(1 - rho**2) * noise


def described(rows: Tensor) -> Described:
    return Features().fit(rows)(rows)


@pytest.mark.parametrize("kind", [NormalScores, Values])
def test_the_log_ratio_of_a_normal_pair_is_the_known_one(kind: type[Canonical]) -> None:
    x, z = normal(1, 0.8)
    sides = described(x), described(z)
    found = fitted(kind, *sides).log_ratio(*sides)
    error = found - log_ratio(x, z, 0.8).squeeze(1)
    assert error.square().mean().sqrt() < 0.1


def test_normal_scores_do_not_feel_increasing_functions_and_values_do() -> None:
    x, z = normal(2, 0.8)
    plain, bent = (described(x), described(z)), (described(x.exp()), described(z**3))
    for kind, same in ((NormalScores, True), (Values, False)):
        scores = [fitted(kind, *sides).log_ratio(*sides) for sides in (plain, bent)]
        assert torch.allclose(*scores, atol=1e-9) == same


def test_rows_that_were_not_seen_choose_how_many_pairs_are_used() -> None:
    x, z = normal(4, 0.0)
    z[:, 2] = 0.9 * x[:, 2] + math.sqrt(1 - 0.81) * z[:, 2]
    sides = described(x), described(z)
    train, rest = torch.arange(ROWS).split([300, ROWS - 300])
    parts = (side.take(rows) for rows in (train, rest) for side in sides)
    kept = confirmed(Values, *parts).pairs.correlations
    assert len(kept) == 1
    assert kept[0].item() == pytest.approx(0.9, abs=0.05)


@pytest.mark.parametrize(
    ("kind", "columns", "suits"),
    [
        (IndependentComponents, (1, 1), False),
        (IndependentComponents, (1, 2), True),
        (IndependentComponents, (2, 80), True),
        (IndependentComponents, (2, 81), False),
        (DirectionAndRadius, (1, 5), False),
        (DirectionAndRadius, (2, 5), True),
    ],
)
def test_forms_of_several_columns_are_fitted_to_several(kind, columns, suits) -> None:
    sides = (described(torch.randn(ROWS, c, generator=seeded()).double()) for c in columns)
    assert kind.suits(*sides) == suits


def pictures(places: Tensor) -> Tensor:
    """Draw a bright spot on 8 x 8 pixels at each place, shape ``(N, 2)``."""
    pixels = torch.linspace(0, 1, 8).double()
    bright = torch.exp(-10 * (pixels - torch.special.ndtr(places).unsqueeze(2)) ** 2)
    return (bright[:, 0].unsqueeze(2) * bright[:, 1].unsqueeze(1)).flatten(1)


@pytest.mark.parametrize("seed", range(4))
def test_functions_of_the_same_variables_are_not_counted_twice(seed: int) -> None:
    nats, rows, stream = 7.0, 6_000, seeded(seed)
    rho = math.sqrt(1 - math.exp(-nats))
    x, noise = torch.randn(2, rows, 2, generator=stream).double()
    z = rho * x + math.sqrt(1 - rho**2) * noise
    turned = torch.linalg.qr(torch.randn(2, 2, generator=stream).double())[0]
    sides = described(pictures(x @ turned)), described(pictures(z))
    train, val = (
        [side.take(part) for side in sides] for part in torch.arange(rows).split([5000, 1000])
    )
    found = confirmed(Values, *train, *val).log_ratio(*val).mean()
    assert found.item() == pytest.approx(nats, abs=0.7)
