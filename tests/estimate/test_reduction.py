"""Fewer columns where they are too many: those that matter are kept."""

import pytest
import torch

from mine_lightning.estimate.reduction import Reduction
from shared import seeded


def wide(columns: int, rows: int = 400) -> torch.Tensor:
    return torch.randn(rows, columns, generator=seeded())


@pytest.mark.parametrize("columns", [1, 50])
def test_a_side_of_few_columns_is_left_as_it_is(columns: int) -> None:
    x, z = wide(columns), wide(60)
    assert Reduction().fit(x, z).of_x(x) is x


def test_at_most_a_column_for_every_eight_rows_is_left_and_32_always() -> None:
    for rows, most in ((400, 50), (64, 32)):
        x = wide(300, rows)
        assert Reduction().fit(x, x).of_x(x).shape == (rows, most)


def test_the_columns_that_the_other_side_depends_on_are_kept_as_they_are() -> None:
    x = wide(1000)
    z = x[:, [7, 500]].exp() + 0.1 * wide(2)
    kept = Reduction().fit(x, z).of_x(x)
    for column in (7, 500):
        assert (kept == x[:, column : column + 1]).all(0).any()


def test_noise_leaves_hardly_a_column_and_the_components() -> None:
    x, z = wide(1000).split([600, 400], dim=1)
    assert 25 <= Reduction().fit(x, z).of_x(x).shape[1] <= 27


def test_components_are_the_leading_ones_and_the_random_stream_stays() -> None:
    direction = wide(1, 200).T
    x = 20 * wide(1) @ direction + wide(200)
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    components = Reduction().fit(x, wide(1)).of_x(x)
    assert torch.equal(torch.rand(1), expected)
    source = wide(1)[:, 0]
    strongest = max(abs(torch.corrcoef(torch.stack([source, c]))[0, 1]) for c in components.T)
    assert strongest > 0.99


def test_rows_beyond_the_range_of_training_are_moved_to_its_edge() -> None:
    x = wide(100)
    reduction = Reduction().fit(x, x[:, :1])
    far, edge = x.clone(), x.clone()
    far[0], edge[0] = 1e6, x.amax(0)
    components = slice(-25, None)
    torch.testing.assert_close(
        reduction.of_x(far)[:, components], reduction.of_x(edge)[:, components]
    )
