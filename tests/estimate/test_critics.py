"""Critics that are left of a fit score rows as the closed form and the network together."""

import math

import torch

from mine_lightning.estimate.critics import FoldCritics, log_rows
from mine_lightning.estimate.networks import FoldNetworks, Widths
from mine_lightning.estimate.views import FoldView
from shared import seeded

ROWS = 300


def critics(swapped: bool = False) -> tuple[FoldCritics, torch.Tensor, torch.Tensor]:
    """Return critics of two folds whose networks have not learned, and the rows."""
    x, noise = torch.randn(2, ROWS, 2, generator=seeded())
    z, rows = 0.8 * x + 0.6 * noise, torch.arange(ROWS)
    parts = [rows.roll(shift).split([250, 50]) for shift in (0, 90)]
    views = [FoldView().fit(x, z, *part) for part in parts]
    one = [view.one.shown for view in views]
    widths = Widths.widest([Widths(*(part.shape[1] for part in seen[:3])) for seen in one])
    networks = FoldNetworks.of(widths, 2, warped=True)
    rho = torch.zeros(2, widths.variates)
    networks.draw(0, widths, rho, seed=0)
    return FoldCritics(views, networks, swapped), x, z


def test_without_a_network_the_closed_form_is_left() -> None:
    scored, x, z = critics()
    for found, view in zip(scored(x, z), scored.views, strict=True):
        expected = view.choice.ratio.log_ratio(*view.describe(x, z)).float()
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_a_network_adds_to_it_as_far_as_rows_support_it() -> None:
    scored, x, z = critics()
    before = scored(x, z)
    with torch.no_grad():
        scored.networks.concat.biases[-1].fill_(0.5)
    shares = torch.sigmoid(math.log(250) - before)
    torch.testing.assert_close(scored(x, z) - before, 0.5 * shares, atol=1e-5, rtol=1e-5)
    assert log_rows(scored.views) == math.log(250)


def test_sides_that_were_trained_the_other_way_round_are_given_as_the_user_has_them() -> None:
    (scored, x, z), (swapped, _, _) = critics(), critics(swapped=True)
    assert torch.equal(swapped(z, x), scored(x, z))
