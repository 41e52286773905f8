"""p-values are uniform where nothing depends, and small where something does."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import false_discovery_control, kstest
from torch import Tensor

from mine_lightning import estimate_mutual_information
from mine_lightning.estimate.permutation import (
    CROSS_FITTED,
    MOST_TURNED,
    Rings,
    benjamini_hochberg,
    p_value,
    ring_size,
    rings,
)


@pytest.mark.parametrize(("rows", "most"), [(2, 20), (20, 20), (30, 20), (203, 20), (7, 2)])
def test_every_row_meets_the_others_of_its_ring_once(rows: int, most: int) -> None:
    found = rings(rows, ring_size(rows, most), torch.Generator().manual_seed(0))
    around = found.around(torch.arange(rows))
    assert torch.equal(around[:, 0], torch.arange(rows))
    assert around.shape[1] <= 1 + most
    whole = rows - rows % found.size
    for ring in torch.arange(whole).view(-1, found.size):
        for place in ring:
            assert sorted(around[place].tolist()) == ring.tolist()
    for place in range(whole, rows):
        assert sorted(around[place].tolist()) == list(range(rows - found.size, rows))
    some = torch.tensor([rows - 1, 0])
    assert torch.equal(found.around(some), around[some])


def paired(x: Tensor, z: Tensor, found: Rings) -> Tensor:
    """Return products of rows with those of their rings, in their order."""
    u, v = x[found.order], z[found.order]
    return u.unsqueeze(1) * v[found.around(torch.arange(len(u)))]


def test_the_sums_are_those_of_turned_rings() -> None:
    generator = torch.Generator().manual_seed(0)
    found = rings(14, 4, generator)
    x, z = torch.randn(2, 14, generator=generator).double()
    sums = found.sums(paired(x, z, found))
    members = found.order[:12].view(3, 4)
    for turn in range(4):
        expected = (x[members] * z[members.roll(-turn, 1)]).sum(1)
        torch.testing.assert_close(sums[:, turn], expected)


def test_more_rings_than_turn_the_sum_better_are_turned_together() -> None:
    generator = torch.Generator().manual_seed(0)
    found = rings(3 * (MOST_TURNED + 50) + 1, 3, generator)
    scores = torch.randn(len(found.order), 3, generator=generator)
    sums = found.sums(scores)
    assert sums.shape == (MOST_TURNED, 3)
    torch.testing.assert_close(sums.sum(0), scores[:-1].double().sum(0))


def pairing(seed: int, correlation: float = 0.0) -> float:
    """Return the p-value of a fixed critic on two folds of a normal pair."""
    generator = torch.Generator().manual_seed(seed)
    sums = []
    for _ in range(2):
        x, noise = torch.randn(2, 60, generator=generator)
        z = correlation * x + math.sqrt(1 - correlation**2) * noise
        found = rings(60, 20, generator)
        sums.append(found.sums(paired(x, z, found)))
    return p_value(sums, seed, draws=199)


def test_p_values_are_uniform_under_independence() -> None:
    assert kstest([pairing(seed) for seed in range(400)], "uniform").pvalue > 0.01


def test_folds_that_learn_from_each_other_count_twice() -> None:
    """A critic that is the mean product of the other fold's rows."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for seed in range(300):
        x, z = torch.randn(2, 2, 40, 30, generator=generator)  # two folds, 30 columns
        learned = (x * z).mean(1).flip(0)
        ring = [rings(40, 20, generator) for _ in range(2)]
        folds = zip(x, z, ring, learned, strict=True)
        scores = [paired(a, b, r) @ w for a, b, r, w in folds]
        sums = [r.sums(products) for r, products in zip(ring, scores, strict=True)]
        found.append([p_value(sums, seed, 199, inflation) for inflation in (1, CROSS_FITTED)])
    alone, together = np.array(found).T
    assert np.mean(alone <= 0.05) > 0.08
    assert np.mean(together <= 0.05) < 0.06


def test_dependence_gives_the_smallest_p_value() -> None:
    assert pairing(0, correlation=0.8) == 1 / 200


@pytest.mark.parametrize("kind", ["numbers", "labels"])
def test_an_estimate_brings_its_p_value(kind: str) -> None:
    rng = np.random.default_rng(0)
    x, other = rng.normal(size=(2, 300))
    sides = {"dependent": x, "independent": other}
    quick = {"max_epochs": 5, "progress_bar": False}
    found = {
        name: estimate_mutual_information(
            x, side > 0 if kind == "labels" else side + rng.normal(size=300), **quick
        )
        for name, side in sides.items()
    }
    assert found["dependent"].p_value == 1 / 10_000
    assert found["independent"].p_value > 0.01
    assert "0.0001 (permutation)" in found["dependent"].summary()


def test_critics_that_found_nothing_give_one() -> None:
    assert p_value([torch.zeros(5, 20)], draws=99) == 1


def test_rows_in_groups_are_weaker_evidence() -> None:
    sums = [torch.randn(40, 20, generator=torch.Generator().manual_seed(0))]
    sums[0][:, 0] += 0.4
    assert p_value(sums) < 0.05 < p_value(sums, inflation=9.0)


def test_adjusted_p_values_are_those_of_scipy() -> None:
    values = np.random.default_rng(0).uniform(size=30) ** 3
    expected = false_discovery_control(values)
    assert benjamini_hochberg(values) == pytest.approx(expected)
    with_a_gap = benjamini_hochberg([math.nan, *values])
    assert math.isnan(with_a_gap[0])
    assert with_a_gap[1:] == pytest.approx(expected)
