"""Features of the sides: what a network is shown, and which functions reveal a dependence."""

import math

import pytest
import torch

from mine_lightning.estimate.features import Features, quartiles
from mine_lightning.estimate.views import FoldView

ROWS = 2000


def noise(columns: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(ROWS, columns, generator=torch.Generator().manual_seed(seed))


def kinds(x: torch.Tensor, z: torch.Tensor) -> dict[str, int]:
    """Return how many directions of each kind are found."""
    train, val = torch.arange(ROWS).split([1600, 400])
    found = FoldView().fit(x, z, train, val).directions
    return {kind: directions.of_x(a).shape[1] for kind, directions, a in _shown(found, x, train)}


def _shown(found, x: torch.Tensor, train: torch.Tensor):
    rows = Features().fit(x[train])(x)
    return [(kind, directions, rows.functions(kind)) for kind, directions in found.items()]


def test_a_column_that_oscillates_is_found_among_others() -> None:
    x, z = noise(8), noise(3, seed=1)
    z[:, 0] = torch.sin(8 * math.pi * torch.special.ndtr(x[:, 0])) + 0.3 * z[:, 0]
    found = kinds(x, z)
    assert found["waves"] >= 1


def test_oscillations_are_left_out_where_straight_functions_say_more() -> None:
    x, z = noise(8), noise(3, seed=1)
    assert set(kinds(x, x[:, :3] + 0.5 * z)) == {"modulated", "products"}


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (1, {"modulated": 1, "waves": 7}),
        (3, {"modulated": 6, "waves": 21, "products": 7}),
        (20, {"modulated": 40, "waves": 140, "products": 210}),
        (26, {"modulated": 52}),
    ],
)
def test_functions_are_left_out_where_they_are_many(columns: int, expected: dict) -> None:
    rows = noise(columns)
    seen = Features().fit(rows)(rows)
    assert {kind: seen.functions(kind).shape[1] for kind in seen.kinds} == expected


def test_independent_sides_show_nothing() -> None:
    assert set(kinds(noise(4), noise(4, seed=1)).values()) == {0}


@pytest.mark.parametrize("rows", [1, 2, 5, 98])
def test_quartiles_are_those_of_torch(rows: int) -> None:
    values = torch.randn(rows, 3, generator=torch.Generator().manual_seed(0)).double()
    expected = values.quantile(torch.tensor([0.25, 0.5, 0.75]).double(), dim=0)
    torch.testing.assert_close(quartiles(values), expected)


@pytest.mark.slow
def test_quartiles_of_more_values_than_torch_takes() -> None:
    values = torch.arange(2**24 + 5, dtype=torch.float64).flip(0).unsqueeze(1)
    assert quartiles(values).flatten().tolist() == [2**22 + 1, 2**23 + 2, 3 * 2**22 + 3]
