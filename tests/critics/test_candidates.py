"""Candidates in a ring are those at the places of a ring."""

import torch

from mine_lightning.critics.candidates import candidates, ring, ring_gradient

MEMBERS, ROWS, COLUMNS = 3, 7, 2


def rows() -> torch.Tensor:
    return torch.randn(MEMBERS, ROWS, COLUMNS, generator=torch.Generator().manual_seed(0))


def test_candidates_are_a_ring_or_stand_at_places() -> None:
    places = ring(torch.arange(ROWS).expand(MEMBERS, -1)).mT
    assert torch.equal(candidates(rows(), places), candidates(rows(), None))
    assert torch.equal(candidates(rows(), places[:, :3, 1:])[:, 0], rows()[:, 1:4])


def test_the_gradient_of_a_ring_is_that_of_autograd() -> None:
    given = rows().requires_grad_()
    result = ring(given)
    slope = torch.randn(result.shape, generator=torch.Generator().manual_seed(1))
    (expected,) = torch.autograd.grad(result, given, slope)
    torch.testing.assert_close(ring_gradient(slope), expected)
