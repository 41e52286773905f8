"""The variational bounds: state, options, gradients, known answers."""

import pytest
import torch

from mine_lightning.functional import donsker_varadhan, tuba
from mine_lightning.objectives import (
    MINE,
    NWJ,
    TUBA,
    DonskerVaradhan,
    LearnableBaseline,
    MovingAverageBaseline,
)
from objective_cases import draw_scores, gradient

# MINE and the moving averages


@pytest.mark.parametrize("make", [MINE, lambda r: TUBA(MovingAverageBaseline(r))])
@pytest.mark.parametrize("ma_rate", [0.01, 0.5, 1.0])
def test_gradient_is_equation_12_with_the_moving_average(make, ma_rate):
    objective, average = make(ma_rate).double(), None
    for step in range(5):
        joint, marginal = draw_scores(seed=step)
        partition = marginal.exp().mean()
        average = partition if average is None else (1 - ma_rate) * average + ma_rate * partition
        joint_gradient, marginal_gradient = gradient(objective, joint, marginal)
        expected = marginal.exp() / marginal.numel() / average
        torch.testing.assert_close(joint_gradient, torch.full_like(joint, -1 / len(joint)))
        torch.testing.assert_close(marginal_gradient, expected)
    (log_average,) = objective.buffers()
    torch.testing.assert_close(log_average, average.log())


def test_mine_of_rate_1_has_the_gradient_of_donsker_varadhan():
    objective = MINE(ma_rate=1.0).double()
    for step in range(3):
        scores = draw_scores(seed=step)
        torch.testing.assert_close(
            gradient(objective, *scores), gradient(DonskerVaradhan(), *scores)
        )


@pytest.mark.parametrize("make", [DonskerVaradhan, MINE])
@pytest.mark.parametrize("shift", [0.0, 30.0])
def test_a_stable_loss_leaves_scores_alone_that_no_marginal_score_contradicts(make, shift):
    joint, marginal = torch.tensor([0.0, 1.7, 1.9, 50.0]) + shift, torch.zeros(4, 2) + shift
    marginal = marginal[:, :1].expand(4, 2)  # ln 8 = 2.08
    expected = torch.tensor([-1, -1, -1, 0]) / 3
    found, marginal_gradient = gradient(make(stable=True), joint, marginal)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(marginal_gradient, torch.full((4, 2), 1 / 8))


def test_stable_nwj_leaves_ratios_alone_beyond_the_number_of_marginal_scores():
    joint, marginal = torch.tensor([1.0, 2.9, 3.2, 50.0]), torch.ones(4, 2)  # 1 + ln 8 = 3.08
    found, marginal_gradient = gradient(NWJ(stable=True), joint, marginal)
    torch.testing.assert_close(found, torch.tensor([-0.25, -0.25, 0, 0]))
    torch.testing.assert_close(marginal_gradient, gradient(NWJ(), joint, marginal)[1])


def test_the_first_batch_starts_the_average():
    objective = MINE(ma_rate=0.01)
    objective.loss(torch.zeros(2), torch.full((2,), 5.0))
    assert objective.log_ema.item() == 5


def test_an_average_of_huge_scores_stays_finite():
    objective = MINE(ma_rate=0.1)
    for value in (1e4, -1e4, 0.0):
        assert torch.isfinite(objective.loss(torch.zeros(2), torch.full((2,), value)))
    assert torch.isfinite(objective.log_ema)


# TUBA


def test_tuba_reports_the_bound_at_its_baseline():
    objective = TUBA(LearnableBaseline(0.7))
    joint, marginal = draw_scores()
    torch.testing.assert_close(objective.estimate(joint, marginal), tuba(joint, marginal, 0.7))
    unseen = TUBA().estimate(joint, marginal)  # a = 1
    torch.testing.assert_close(unseen, tuba(joint, marginal, 0.0))


def test_tuba_after_training_on_one_batch_is_donsker_varadhan_there():
    objective, scores = TUBA(), draw_scores()
    objective.loss(*scores)
    torch.testing.assert_close(objective.estimate(*scores), donsker_varadhan(*scores))


def test_log_ratio_of_tuba_subtracts_the_baseline():
    scores = torch.tensor([0.0, 2.0])
    assert TUBA(LearnableBaseline(0.5)).log_ratio(scores).tolist() == [-0.5, 1.5]
    assert NWJ().log_ratio(scores).tolist() == [-1, 1]
