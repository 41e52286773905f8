"""Common directions: found where there are some, confirmed on other rows."""

import pytest
import torch

from mine_lightning.estimate.directions import CommonDirections


def sample(rows: int, shared: int, dim: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x, z = torch.randn(2, rows, dim, generator=generator, dtype=torch.float64)
    z[:, :shared] = 0.8 * x[:, :shared] + 0.6 * z[:, :shared]
    return x, z


def fitted(x: torch.Tensor, z: torch.Tensor, most: int = 16) -> CommonDirections:
    half = len(x) // 2
    return CommonDirections(most).fit(x[:half], z[:half], x[half:], z[half:])


@pytest.mark.parametrize("shared", [0, 1, 3])
def test_as_many_are_found_as_there_are(shared: int) -> None:
    x, z = sample(2000, shared)
    directions = fitted(x, z)
    a, b = directions.of_x(x), directions.of_z(z)
    assert a.shape == b.shape == (2000, shared)
    for column in range(shared):
        assert torch.corrcoef(torch.stack([a[:, column], b[:, column]]))[0, 1] > 0.7


def test_values_are_bounded_and_few() -> None:
    x, z = sample(2000, 5)
    directions = fitted(x, z, most=2)
    assert directions.of_x(1e6 * x).abs().max() <= 2.5
    assert directions.of_z(z).shape == (2000, 2)


def test_directions_that_other_rows_do_not_confirm_are_dropped() -> None:
    x, z = sample(2000, 3)
    z[1000:] = z[1000:].flip(0)
    assert fitted(x, z).of_x(x).shape == (2000, 0)
