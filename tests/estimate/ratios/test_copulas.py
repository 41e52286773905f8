"""Log ratios of columns matched one by one."""

import math

import pytest
import torch

from closed_forms import confirmed
from mine_lightning.estimate.features import Described, Features
from mine_lightning.estimate.ratios.copulas import CELLS, MatchedColumns, histograms, smoothed
from shared import seeded


@pytest.mark.parametrize("width", [0.5, 8.0])
def test_a_smoothed_histogram_is_a_density_given_each_strip(width: float) -> None:
    counts = torch.randint(0, 5, (2, 32, 32), generator=torch.Generator().manual_seed(0)).double()
    density = smoothed(counts, width).exp()
    torch.testing.assert_close(density.mean(2), torch.ones(2, 32).double())


ROWS = 20_000
NORMAL, TRUTH = math.log(2), 1.0  # what normal pairs of that correlation share, and these


def uniform() -> tuple[Described, Described]:
    """Return two columns, and the same in the other order under uniform noise."""
    x, noise = torch.rand(2, ROWS, 2, generator=seeded()).double()
    z = x[:, [1, 0]] + noise - 0.5
    return Features().fit(x)(x), Features().fit(z)(z)


def test_matched_columns_find_their_partners_and_more_than_a_normal_pair_shares() -> None:
    x, z = uniform()
    train, val, held = torch.arange(ROWS).split([12_000, 3_000, 5_000])
    ratio = confirmed(
        MatchedColumns, *(side.take(rows) for rows in (train, val) for side in (x, z))
    )
    pairs = torch.cat([ratio.columns_of_x(x), ratio.columns_of_z(z)], 1).T.corrcoef()
    assert (pairs[:2, 2:].diagonal() > 0.5).all()
    terms = ratio.log_ratio(x.take(held), z.take(held))
    assert NORMAL + 0.1 < terms.mean().item() < TRUTH + 0.05


def test_a_histogram_counts_every_row_of_every_pair() -> None:
    cells = torch.randint(CELLS**2, (500, 2), generator=seeded()) + torch.tensor([0, CELLS**2])
    assert histograms(cells, [2]).sum((1, 2)).tolist() == [500, 500]


def test_each_sample_has_the_smoothness_that_it_needs() -> None:
    """Of two samples fitted together, one is independent and one a narrow band."""
    x, noise = torch.rand(2, 2_000, 1, generator=seeded()).double()
    pairs = (x, noise), (x, (3 * x + 0.05 * noise) % 1)
    parts = torch.arange(2_000).split([1_600, 400])
    sides = [[Features().fit(rows[parts[0]])(rows) for rows in pair] for pair in pairs]
    given = [
        Described.together([side[place].take(part) for side in sides])
        for part in parts
        for place in (0, 1)
    ]
    apart, band = (fit.of_all.log_density[fit.place] for fit in MatchedColumns.fit_each(*given))
    assert apart.std() < 0.2
    assert band.std() > 1
