"""Warps change nothing at first, and then only by functions of one side each."""

import pytest
import torch
from torch import Tensor

from mine_lightning.critics.gaussian import gaussian_log_ratio
from mine_lightning.critics.warps import StackedNetwork, Warps, rows_at

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


def test_members_of_a_stack_are_networks_alone() -> None:
    network = StackedNetwork(MEMBERS, (X, 8, 3))
    network.draw(slice(0, MEMBERS), X, torch.Generator().manual_seed(0))
    torch.nn.init.normal_(network.weights[1])
    x = rows()[0]
    first, last = (layer[1] for layer in network.weights)
    alone = torch.nn.functional.silu(x[1] @ first.T + network.biases[0][1]) @ last.T
    torch.testing.assert_close(network(x)[1], alone)


@pytest.mark.parametrize("rho", [0.0, 0.7, -0.7, 1.0])
def test_nothing_is_changed_at_first(rho: float) -> None:
    warps = drawn(torch.full((MEMBERS, PAIRS), rho, dtype=torch.float64))
    assert torch.equal(warps(*rows()), torch.zeros(MEMBERS, ROWS))


def test_a_warp_moves_the_variates_within_the_normal_log_ratio() -> None:
    rho = torch.tensor([0.8, 0.3])
    warps = shaken(drawn(rho.expand(MEMBERS, -1)))
    x, z, u, v = rows()
    correlations = (warps.start + warps.change).tanh().unsqueeze(1)
    more = torch.zeros(MEMBERS, ROWS, warps.more)
    a = torch.cat([u, more], dim=2) + warps.x_side(x)
    b = torch.cat([v, more], dim=2) + warps.z_side(z)
    expected = gaussian_log_ratio(a, b, correlations) - gaussian_log_ratio(u, v, rho)
    torch.testing.assert_close(warps(x, z, u, v), expected)


def test_one_x_is_scored_with_many_z() -> None:
    warps = shaken(drawn(torch.full((MEMBERS, PAIRS), 0.5)))
    x, z, u, v = rows()
    table = warps(x.unsqueeze(2), z.unsqueeze(1), u.unsqueeze(2), v.unsqueeze(1))
    assert table.shape == (MEMBERS, ROWS, ROWS)
    torch.testing.assert_close(table.diagonal(dim1=1, dim2=2), warps(x, z, u, v))


def test_members_are_taken_by_choice() -> None:
    warps = shaken(drawn(torch.full((MEMBERS, PAIRS), 0.5)))
    chosen = torch.tensor([2, 0])
    torch.testing.assert_close(
        warps.take(chosen)(*(part[chosen] for part in rows())), warps(*rows())[chosen]
    )


def test_a_row_in_many_pairs_is_warped_once_to_the_same() -> None:
    warps = shaken(drawn(torch.zeros(MEMBERS, PAIRS)))
    x, z, u, v = (side.unsqueeze(2) for side in rows())
    places = torch.stack([torch.arange(ROWS), torch.arange(ROWS).roll(1)], 1).expand(
        MEMBERS, -1, -1
    )
    of_pairs = [torch.cat([side, side.roll(1, 1)], dim=2) for side in (z, v)]
    expected = warps(x, of_pairs[0], u, of_pairs[1])
    assert torch.equal(rows_at(z.squeeze(2), places), of_pairs[0])
    torch.testing.assert_close(warps(x, z.squeeze(2), u, of_pairs[1], places), expected)
    other = warps(x, z.squeeze(2), u, of_pairs[1], places.flip(2))
    assert not torch.allclose(other, expected)
