"""Two numbers from one critic: the bound on a divergence, and mutual information."""

import math

import pytest
import torch

from mine_lightning.metrics import (
    EffectiveSampleSize,
    FInformation,
    MutualInformation,
    MutualInformationStandardError,
)
from mine_lightning.metrics import mutual_information as mutual_information_of_scores
from mine_lightning.objectives import DivergenceBound, FDivergence
from mine_lightning.objectives.divergences import Pearson
from mine_lightning.training.ensemble import MutualInformationEnsemble
from mine_lightning.training.estimator import MutualInformationEstimator
from normal_pair import held_out, mutual_information, optimal_log_ratios
from objective_cases import SCORES, draw_scores, make_divergence, members, trained_critic


def test_the_bound_on_a_divergence_is_pooled_but_is_not_mutual_information():
    bound, (joint, marginal) = FDivergence(Pearson()).bound, draw_scores(rows=20, partners=3)
    metric = FInformation(Pearson())
    for part in zip(joint.split(7), marginal.split(7), strict=True):
        metric.update(*part)
    expected = DivergenceBound(Pearson()).estimate(joint, marginal)
    torch.testing.assert_close(metric.compute().double(), expected, rtol=1e-6, atol=1e-6)
    for face in (
        MutualInformation,
        MutualInformationStandardError,
        EffectiveSampleSize,
        lambda bound: MutualInformationEstimator(objective=bound),
        lambda bound: MutualInformationEnsemble(objective=bound),
        lambda bound: mutual_information_of_scores(joint, marginal, bound),
    ):
        with pytest.raises(ValueError, match=r"got DivergenceBound\(.*is not mutual information"):
            face(bound)


@members
@pytest.mark.parametrize("rho", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("normalize", [True, False])
def test_mutual_information_of_the_optimal_critic(member, rho, normalize):
    rows = 40_000
    joint, marginal = optimal_log_ratios(rows, rho)
    objective = FDivergence(make_divergence(member), normalize)
    estimate = objective.estimate(SCORES[member](joint), SCORES[member](marginal)).item()
    variance = joint.var() + (marginal.exp().var() if normalize else 0)
    floor = 0.01 / math.e if member == "Pearson" else 0
    error = 4 * math.sqrt(variance / rows) + floor
    assert abs(estimate - mutual_information(rho)) <= error + 1e-12


def test_bound_of_an_f_divergence_reports_the_other_number():
    objective = FDivergence(Pearson())
    joint, marginal = torch.tensor([2.0, 2.0]), torch.tensor([0.0, 0.0])
    assert objective.bound.estimate(joint, marginal) == 2  # 2 - 0
    assert objective.estimate(joint, marginal).item() == pytest.approx(math.log(2))
    assert objective.bound.loss(joint, marginal) == objective.loss(joint, marginal)


# Losses without a variance, whose estimates rest on few of the rows held out.
TOLERANCE = {"ReverseKL": (0.012, 0.25), "Pearson": (0.012, 0.1)}  # at rho = .3 and .9


@pytest.mark.slow
@members
@pytest.mark.trained
@pytest.mark.parametrize("rho", [0.3, 0.9])
def test_mutual_information_of_a_trained_critic(member, rho, seed, outcome):
    scores = held_out(trained_critic(member, rho, seed), rho)
    room = TOLERANCE.get(member, (0.012, 0.06))[rho > 0.5]
    for normalize in (True, False):
        error = FDivergence(make_divergence(member), normalize).estimate(
            *scores
        ) - mutual_information(rho)
        outcome(error, -room, room, of="normalized" if normalize else "")
