"""Warps change nothing at first, and then only by functions of one side each."""

import pytest
import torch
from torch import Tensor

from mine_lightning.critics.candidates import ring, rows_at
from mine_lightning.critics.gaussian import gaussian_log_ratio
from mine_lightning.critics.warps import Warps

MEMBERS, ROWS, X, Z, PAIRS = 3, 7, 4, 2, 2


def rows(seed: int = 0) -> list[Tensor]:
    """Return x, z, u and v."""
    generator = torch.Generator().manual_seed(seed)
    sizes = (X, Z, PAIRS, PAIRS)
    return [torch.randn(MEMBERS, ROWS, size, generator=generator) for size in sizes]


def drawn(rho: Tensor) -> Warps:
    warps = Warps(MEMBERS, X, Z, PAIRS)
    warps.draw(slice(0, MEMBERS), (X, Z), rho, torch.Generator().manual_seed(1))
    return warps


def shaken(warps: Warps) -> Warps:
    """Return warps whose weights have been moved."""
    torch.manual_seed(2)
    with torch.no_grad():
        for weight in warps.parameters():
            weight += 0.3 * torch.randn_like(weight)
    return warps


@pytest.mark.parametrize("rho", [0.0, 0.7, -0.7, 1.0])
def test_nothing_is_changed_at_first(rho: float) -> None:
    warps = drawn(torch.full((MEMBERS, PAIRS), rho, dtype=torch.float64))
    assert torch.equal(warps(*rows()), torch.zeros(MEMBERS, 2, ROWS))


def test_a_warp_moves_the_variates_within_the_normal_log_ratio() -> None:
    rho = torch.tensor([0.8, 0.3])
    warps = shaken(drawn(rho.expand(MEMBERS, -1)))
    x, z, u, v = rows()
    correlations = (warps.start + warps.change).tanh().unsqueeze(1)
    more = torch.zeros(MEMBERS, ROWS, warps.more)
    a = torch.cat([u, more], dim=2) + warps.x_side(x)
    b = torch.cat([v, more], dim=2) + warps.z_side(z)
    expected = gaussian_log_ratio(a, b, correlations) - gaussian_log_ratio(u, v, rho)
    torch.testing.assert_close(warps(x, z, u, v)[:, 0], expected)


def test_the_written_gradients_are_those_of_autograd() -> None:
    warps = shaken(drawn(torch.tensor([0.8, 0.3]).expand(MEMBERS, -1))).double()
    change, tape = warps.record(*(part.double() for part in rows()))
    slope = torch.randn(change.shape, dtype=torch.float64)
    expected = torch.autograd.grad(change, list(warps.parameters()), slope)
    for found, slow in zip(warps.backward(slope, tape), expected, strict=True):
        torch.testing.assert_close(found, slow)


def test_members_are_taken_by_choice() -> None:
    warps = shaken(drawn(torch.full((MEMBERS, PAIRS), 0.5)))
    chosen = torch.tensor([2, 0])
    torch.testing.assert_close(
        warps.take(chosen)(*(part[chosen] for part in rows())), warps(*rows())[chosen]
    )


def test_a_row_is_scored_with_those_at_its_places() -> None:
    warps = shaken(drawn(torch.zeros(MEMBERS, PAIRS)))
    places = ring(torch.arange(ROWS).expand(MEMBERS, -1)).mT
    torch.testing.assert_close(warps(*rows(), places), warps(*rows()))
    torch.testing.assert_close(warps(*rows(), places.flip(2)), warps(*rows()).flip(1))
    x, z, u, v = rows()
    taken = [rows_at(side, places[:, :, 1]) for side in (z, v)]
    torch.testing.assert_close(warps(x, taken[0], u, taken[1])[:, 0], warps(*rows())[:, 1])
