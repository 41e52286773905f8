"""InfoNCE, with an anchor, interpolated: options, ceilings, known answers."""

import math
import re

import pytest
import torch

from mine_lightning.functional import interpolated_bound
from mine_lightning.objectives import (
    AnchoredInfoNCE,
    DonskerVaradhan,
    InfoNCE,
    InterpolatedBound,
    JensenShannonNWJ,
    LearnableBaseline,
)
from normal_pair import mutual_information, optimal_log_ratios
from objective_cases import draw_scores


def test_interpolated_bound_reports_the_bound_at_its_baseline():
    objective = InterpolatedBound(0.2, LearnableBaseline(0.7)).double()
    scores = draw_scores()
    expected = interpolated_bound(*scores, 0.2, objective.baseline())
    torch.testing.assert_close(objective.estimate(*scores), expected)


@pytest.mark.parametrize("alpha", [0.0, -0.5, 1.01, math.nan])
def test_alpha_outside_its_range_is_refused(alpha):
    with pytest.raises(ValueError, match=r"Expected `alpha` to be in \(0, 1\], got .* is `TUBA`"):
        InterpolatedBound(alpha)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.inf, math.nan])
def test_temperatures_that_are_not_positive_are_refused(temperature):
    with pytest.raises(ValueError, match="Expected `temperature` to be positive and finite, got"):
        InfoNCE(temperature=temperature)


def test_temperature_is_learnt_only_on_demand():
    scores = draw_scores()
    assert not list(InfoNCE(temperature=0.1).parameters())
    objective = InfoNCE(temperature=0.1, learn_temperature=True)
    objective.loss(*scores).backward()
    (log_temperature,) = objective.parameters()
    assert log_temperature.grad.abs() > 0
    assert objective.temperature.item() == pytest.approx(0.1)


def test_temperature_scales_the_log_ratio_as_it_scales_the_loss():
    assert InfoNCE(temperature=0.5).log_ratio(torch.tensor([1.0, 3.0])).tolist() == [2, 6]


def test_a_learnt_temperature_finds_the_scale_of_the_log_ratio():
    joint, _ = optimal_log_ratios(4000, 0.8)
    marginal = optimal_log_ratios(4000 * 15, 0.8, seed=7)[1].view(4000, 15)
    objective = InfoNCE(temperature=1.0, learn_temperature=True).double()
    optimizer = torch.optim.Adam(objective.parameters(), lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        objective.loss(joint / 5, marginal / 5).backward()
        optimizer.step()
    assert objective.temperature.item() == pytest.approx(1 / 5, rel=0.1)


@pytest.mark.parametrize(
    ("objective", "ceiling"),
    [
        (InfoNCE(), math.log(16)),
        (InfoNCE(symmetric=True), math.log(16)),
        (InfoNCE(include_positive=False), math.inf),
        (InterpolatedBound(0.01), math.log(1500)),
        (DonskerVaradhan(), math.inf),
    ],
)
def test_ceiling(objective, ceiling):
    assert objective.ceiling(partners=15) == pytest.approx(ceiling)


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.9])
def test_infonce_of_the_optimal_critic_is_a_lower_bound_that_more_partners_tighten(rho):
    joint, marginal = optimal_log_ratios(64_000, rho)
    rows = 1000
    values = [
        InfoNCE().estimate(joint[:rows], marginal[: rows * k].view(rows, k)).item()
        for k in (1, 7, 63)
    ]
    error = 4 * (joint.std() / math.sqrt(rows)).item()
    assert values[2] == pytest.approx(mutual_information(rho), abs=error + 0.02)
    if rho > 0:
        assert values[0] < values[1] < values[2]


def enumerated(table: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return scores of all (x, z, two partners), each as often as it is likely."""
    pairs = [(x, z) for x in (0, 1) for z in (0, 1) for _ in range(3 if x == z else 1)]
    rows = [(x, z, a, b) for x, z in pairs for a in (0, 1) for b in (0, 1)]
    x, z, a, b = torch.tensor(rows).T
    return table[x, z], torch.stack([table[x, a], table[x, b]], dim=1)


@pytest.mark.parametrize("anchor", [0.3, 1.0, 7.0])
def test_the_anchored_loss_is_least_at_the_log_density_ratio(anchor):
    """InfoNCE does not feel a function of x that is added to the scores."""
    ratio = torch.tensor([[1.5, 0.5], [0.5, 1.5]], dtype=torch.float64).log()
    shifted = ratio + torch.tensor([[0.4], [-0.4]])
    objective = AnchoredInfoNCE(anchor)
    table = ratio.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(objective.loss(*enumerated(table)), table)
    torch.testing.assert_close(gradient, torch.zeros_like(ratio))
    assert objective.loss(*enumerated(shifted)) > objective.loss(*enumerated(ratio)) + 1e-3
    least = InfoNCE().loss(*enumerated(ratio))
    torch.testing.assert_close(InfoNCE().loss(*enumerated(shifted)), least)
    truth = 2 * 3 / 8 * math.log(1.5) + 2 / 8 * math.log(0.5)
    assert objective.estimate(*enumerated(ratio)).item() == pytest.approx(truth)


def test_one_partner_and_an_anchor_of_one_are_logistic_regression():
    joint, marginal = draw_scores(partners=1)
    anchored, logistic = AnchoredInfoNCE(), JensenShannonNWJ()
    torch.testing.assert_close(2 * anchored.loss(joint, marginal), logistic.loss(joint, marginal))


@pytest.mark.parametrize("anchor", [0.0, -1.0, math.inf, math.nan])
def test_the_anchor_has_to_be_positive(anchor):
    with pytest.raises(
        ValueError, match=re.escape(f"Expected `anchor` to be positive, got {anchor}.")
    ):
        AnchoredInfoNCE(anchor)
