"""The partition: learnt, or a moving average."""

import math

import pytest
import torch

from mine_lightning.objectives import MINE, TUBA, LearnableBaseline, MovingAverageBaseline
from objective_cases import draw_scores


@pytest.mark.parametrize("ma_rate", [0.0, -0.1, 1.5, math.nan])
@pytest.mark.parametrize("make", [MINE, MovingAverageBaseline])
def test_rates_outside_their_range_are_refused(make, ma_rate):
    with pytest.raises(ValueError, match=r"Expected `ma_rate` to be in \(0, 1\], got"):
        make(ma_rate)


def test_a_moving_average_takes_its_rate_of_the_new_batch():
    baseline = MovingAverageBaseline(ma_rate=0.25).double()
    for partition, average in [(1.0, 1.0), (5.0, 2.0), (10.0, 4.0)]:
        found = baseline.observe(torch.tensor(partition).double().log())
        assert found.exp().item() == pytest.approx(average)


def test_a_learnable_baseline_descends_to_the_partition():
    objective = TUBA(LearnableBaseline()).double()
    joint, marginal = draw_scores()
    optimizer = torch.optim.Adam(objective.parameters(), lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        objective.loss(joint, marginal).backward()
        optimizer.step()
    partition = marginal.exp().mean().log()
    torch.testing.assert_close(objective.baseline().detach(), partition, atol=1e-4, rtol=0)
