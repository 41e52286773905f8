"""What every closed form has from its base."""

import math

import pytest
import torch

from closed_forms import fitted
from mine_lightning.estimate.features import Features
from mine_lightning.estimate.ratios.base import (
    Independence,
    LogRatio,
    log_partition,
    logistic_losses,
    ranks,
)
from normal_pair import log_ratio
from shared import seeded


class Product(LogRatio):
    """The log ratio x z, which has no bound."""

    def encode_x(self, x):
        return x.values[:, :1]

    def encode_z(self, z):
        return z.values[:, :1]

    def pairwise(self, a, b):
        return (a * b).squeeze(-1)


def fitted_to_noise(kind: type[LogRatio], rows: int = 50):
    x, z = torch.randn(2, rows, 1, generator=seeded()).double()
    x, z = Features().fit(x)(x), Features().fit(z)(z)
    return fitted(kind, x, z), x, z


def test_no_score_is_below_what_one_row_in_n_allows() -> None:
    ratio, _, _ = fitted_to_noise(Product, rows=50)
    a, b = torch.tensor([[1e3], [0.0], [2.0]]).double(), torch.tensor([[-1e3], [1.0], [2.0]])
    doubted = torch.log((1 - 1 / 50) * torch.tensor([0.0, 1.0, math.exp(4)]) + 1 / 50)
    torch.testing.assert_close(ratio.score(a, b.double()), doubted.double(), atol=1e-6, rtol=0)


def test_all_against_all_is_every_pair() -> None:
    ratio, x, z = fitted_to_noise(Product)
    a, b = ratio.encode_x(x), ratio.encode_z(z)[:7]
    table = ratio.crosswise(a, b)
    assert table.shape == (50, 7)
    torch.testing.assert_close(table, a * b.T)


def test_independence_has_a_loss_of_two_bits() -> None:
    ratio, x, z = fitted_to_noise(Independence)
    torch.testing.assert_close(
        ratio.losses(x, z), torch.full((50,), 2 * math.log(2)).double(), atol=1e-6, rtol=0
    )
    assert ratio.log_ratio(x, z).abs().max() < 1e-15


@pytest.mark.parametrize("partners", [1, 3, 5])
def test_the_loss_is_that_of_a_logistic_regression_without_the_own_row(partners: int) -> None:
    joint = torch.randn(5, generator=seeded()).double()
    table = torch.randn(5, partners, generator=seeded(1)).double()
    losses = logistic_losses(joint, table)
    for row in range(5):
        others = [table[row, k].exp().log1p().item() for k in range(partners) if k != row]
        mean = sum(others) / max(1, len(others))
        own = (-joint[row]).exp().log1p().item()
        assert losses[row].item() == pytest.approx(own + mean, abs=1e-6)


def test_ranks_to_try_grow_by_halves() -> None:
    assert ranks(0) == [0]
    assert ranks(1) == [0, 1]
    assert ranks(13) == [0, 1, 2, 3, 4, 6, 8, 12, 13]


def test_pairs_drawn_apart_tell_a_ratio_that_counts_twice() -> None:
    x, noise = torch.randn(2, 1_000, generator=seeded()).double()
    z = 0.9 * x + math.sqrt(1 - 0.81) * noise
    table = log_ratio(x.unsqueeze(1), z, 0.9)
    assert log_partition(table) == 0
    assert log_partition(2 * table) > 0.5


def test_few_rows_drawn_apart_tell_nothing() -> None:
    assert log_partition(torch.full((99, 99), 5.0)) == 0
