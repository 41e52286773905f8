"""Mixtures of normal distributions, against their densities."""

import math

import pytest
import torch
from torch import Tensor

from closed_forms import confirmed, fitted
from mine_lightning.estimate.features import Described, Features
from mine_lightning.estimate.ratios.mixtures import NormalMixture, responsibilities
from shared import seeded

ROWS = 4_000


def described(rows: Tensor) -> Described:
    return Features().fit(rows)(rows)


def clusters(apart: float, sizes: tuple[int, ...] = (3_000, 1_000)) -> tuple[Tensor, Tensor]:
    """Return two clusters within which x and z are independent, and their numbers."""
    labels = torch.arange(2).repeat_interleave(torch.tensor(sizes))
    return apart * labels.unsqueeze(1) + torch.randn(sum(sizes), 2, generator=seeded()), labels


def test_far_clusters_are_told_apart_by_every_row() -> None:
    rows, labels = clusters(12.0)
    (shares,) = responsibilities(rows.unsqueeze(0), 2)
    assert shares.dtype == torch.float64
    torch.testing.assert_close(shares.sum(0), torch.ones(ROWS).double(), atol=1e-6, rtol=0)
    assert sorted(shares.mean(1).tolist()) == pytest.approx([0.25, 0.75], abs=1e-3)
    assert len(torch.stack([shares.argmax(0), labels]).unique(dim=1).T) == 2


def test_one_component_holds_every_row_whole() -> None:
    shares = responsibilities(clusters(1.0)[0].unsqueeze(0), 1)
    assert torch.equal(shares, torch.ones(1, 1, ROWS).double())


def test_what_clusters_share_is_the_entropy_of_their_shares() -> None:
    rows, _ = clusters(12.0)
    sides = described(rows[:, :1].double()), described(rows[:, 1:].double())
    order = torch.randperm(ROWS, generator=seeded())
    train, val, held = order.split([2_400, 600, 1_000])
    ratio = confirmed(NormalMixture, *(side.take(part) for part in (train, val) for side in sides))
    terms = ratio.log_ratio(*(side.take(held) for side in sides))
    entropy = -0.25 * math.log(0.25) - 0.75 * math.log(0.75)
    assert terms.mean().item() == pytest.approx(entropy, abs=0.06)


def test_as_many_components_are_used_as_rows_that_were_not_seen_need() -> None:
    labels = torch.arange(ROWS) % 4
    places = torch.tensor([[0.0, 0.0], [9.0, 9.0], [0.0, 18.0], [27.0, 0.0]])[labels]
    rows = (places + torch.randn(ROWS, 2, generator=seeded())).double()
    sides = described(rows[:, :1]), described(rows[:, 1:])
    train, val = torch.arange(ROWS).split([3_000, 1_000])
    ratio = confirmed(NormalMixture, *(side.take(part) for part in (train, val) for side in sides))
    assert len(ratio.components.log_shares) in (4, 5)


def test_a_table_of_scores_holds_the_pairs() -> None:
    rows, _ = clusters(3.0)
    sides = described(rows[:, :1].double()), described(rows[:, 1:].double())
    ratio = fitted(NormalMixture, *sides)
    a, b = ratio.encode_x(sides[0])[:40], ratio.encode_z(sides[1])[:40]
    torch.testing.assert_close(ratio.crosswise(a, b).diagonal(), ratio.pairwise(a, b))


@pytest.mark.parametrize(("rows", "suits"), [(39, False), (40, True)])
def test_it_takes_twenty_rows_for_each_column(rows: int, suits: bool) -> None:
    side = described(torch.randn(rows, 1, generator=seeded()).double())
    assert NormalMixture.suits(side, side) == suits
