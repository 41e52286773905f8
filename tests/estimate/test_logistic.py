"""The logistic loss of scores of the closed form and of the network together."""

import math

import pytest
import torch

from mine_lightning.estimate.logistic import (
    measured,
    own_first,
    row_losses,
    row_slopes,
    supported,
)
from shared import seeded


@pytest.mark.parametrize("partners", [1, 3])
def test_slopes_are_the_gradients_of_losses(partners: int) -> None:
    scores = torch.randn(2, 9, 1 + partners, generator=seeded()).double().requires_grad_()
    losses = row_losses(*own_first(scores))
    (expected,) = torch.autograd.grad(losses.sum(), scores)
    torch.testing.assert_close(row_slopes(scores.detach()), expected)


def test_scores_of_zero_cost_two_bits_and_say_nothing() -> None:
    losses, nats = measured(torch.zeros(2, 7), torch.zeros(2, 7, 3))
    torch.testing.assert_close(losses, torch.full((2, 7), 2 * math.log(2)))
    torch.testing.assert_close(nats, torch.zeros(2).double())


def test_a_network_fades_out_where_rows_no_longer_check_the_closed_form() -> None:
    limit = math.log(1_000)
    shares = supported(torch.tensor([-50.0, limit, 50.0]), limit)
    torch.testing.assert_close(shares, torch.tensor([1.0, 0.5, 0.0]))
