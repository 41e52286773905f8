"""The f-divergence table against its definition, known answers and trained critics."""

import math
from dataclasses import FrozenInstanceError
from functools import cache

import numpy as np
import pytest
import torch
from scipy.integrate import simpson
from torch import Tensor

from mine_lightning.functional import f_divergence
from mine_lightning.objectives import DivergenceBound
from mine_lightning.objectives.divergences import Divergence, Pearson, SquaredHellinger
from normal_pair import Plane, held_out, mutual_information, optimal_log_ratios
from objective_cases import (
    ACTIVATIONS,
    CONJUGATES,
    SCORES,
    make_divergence,
    members,
    trained_critic,
)

GENERATORS = {
    "KullbackLeibler": lambda u: u * np.log(u),
    "ReverseKL": lambda u: -np.log(u),
    "Pearson": lambda u: (u - 1) ** 2,
    "SquaredHellinger": lambda u: (np.sqrt(u) - 1) ** 2,
    "JensenShannon": lambda u: u * np.log(u) - (u + 1) * np.log((u + 1) / 2),
    "GAN": lambda u: u * np.log(u) - (u + 1) * np.log(u + 1),
}


def closed_form(member: str, rho: float) -> float:
    determinant = 1 - rho**2
    return {
        "KullbackLeibler": -math.log(determinant) / 2,
        "ReverseKL": rho**2 / determinant + math.log(determinant) / 2,
        "Pearson": rho**2 / determinant,
        "SquaredHellinger": 2 - 2 * determinant**0.25 / math.sqrt(1 - rho**2 / 4),
    }[member]


@cache
def f_information(member: str, rho: float) -> float:
    """Integrate q f(p / q) over the plane."""
    plane = Plane(rho)
    log_ratio, apart = plane.log_ratio.numpy(), plane.log_apart.exp().numpy()
    with np.errstate(under="ignore"):
        density = apart * GENERATORS[member](np.exp(log_ratio.clip(min=-700)))
    return simpson(simpson(density, axis=1), axis=0) * plane.cell.item()


def fenchel_gap(divergence: Divergence, member: str) -> float:
    """Return how far the conjugate is from the supremum of u t - f(u), at worst."""
    scores = torch.linspace(-1.5, 1.5, 13, dtype=torch.float64)
    slopes = divergence.activation(scores).numpy()
    u = np.exp(np.linspace(-12, 12, 480_001))
    suprema = [(u * slope - GENERATORS[member](u)).max() for slope in slopes]
    return np.abs(divergence.conjugate(scores).numpy() - suprema).max()


@members
def test_conjugate_is_the_supremum_that_defines_it(member):
    assert fenchel_gap(make_divergence(member), member) < 1e-6


@members
def test_stable_forms_are_those_of_the_published_table(member):
    scores = torch.linspace(-1.9, 5, 24, dtype=torch.float64)
    activation = make_divergence(member).activation(scores)
    torch.testing.assert_close(activation, ACTIVATIONS[member](scores))
    torch.testing.assert_close(
        make_divergence(member).conjugate(scores), CONJUGATES[member](activation)
    )


@members
def test_activation_is_the_slope_of_the_generator_at_the_ratio(member):
    scores = torch.linspace(-1.5, 1.5, 13, dtype=torch.float64)
    ratio = make_divergence(member).log_ratio(scores).exp().numpy()
    step = 1e-6 * ratio
    f = GENERATORS[member]
    slope = (f(ratio + step) - f(ratio - step)) / (2 * step)
    np.testing.assert_allclose(make_divergence(member).activation(scores).numpy(), slope, atol=1e-6)


class WrongHellinger(SquaredHellinger):
    """The much-copied misprint: 1 / (1 - t) in place of t / (1 - t)."""

    def conjugate(self, score: Tensor) -> Tensor:
        return 1 / (1 - self.activation(score))


def test_the_misprinted_hellinger_conjugate_is_caught():
    wrong = WrongHellinger()
    assert fenchel_gap(wrong, "SquaredHellinger") == pytest.approx(1, abs=1e-6)
    zeros = torch.zeros(3)
    assert f_divergence(zeros, zeros, wrong).item() == -1
    assert f_divergence(zeros, zeros, SquaredHellinger()).item() == 0


@members
def test_value_at_independence(member):
    neutral = SCORES[member](torch.zeros(4))
    assert make_divergence(member).log_ratio(neutral).abs().max() == 0
    value = f_divergence(neutral, neutral, make_divergence(member)).item()
    assert value == pytest.approx(make_divergence(member).independence, abs=1e-6)
    assert make_divergence(member).independence == pytest.approx(GENERATORS[member](1.0))


@members
@pytest.mark.parametrize("rho", [0.0, 0.3, 0.6, 0.9])
def test_bound_with_the_optimal_critic_is_the_f_information(member, rho):
    score, divergence = SCORES[member], make_divergence(member)
    bound = Plane(rho).bound(
        lambda r: divergence.activation(score(r)), lambda r: divergence.conjugate(score(r))
    )
    assert bound == pytest.approx(f_information(member, rho), abs=1e-6)
    if member not in ("JensenShannon", "GAN"):
        assert bound == pytest.approx(closed_form(member, rho), abs=1e-6)


@members
@pytest.mark.parametrize("seed", range(4))
def test_no_critic_exceeds_the_f_information(member, seed):
    torch.manual_seed(seed)
    rho, score, divergence = 0.3, SCORES[member], make_divergence(member)
    shift, slope, wave = (0.5 * torch.randn(3)).tolist()

    def worse(log_ratio: Tensor) -> Tensor:
        return score(log_ratio * math.exp(0.2 * slope) + 0.5 * shift + wave * log_ratio.sin())

    bound = Plane(rho).bound(
        lambda r: divergence.activation(worse(r)), lambda r: divergence.conjugate(worse(r))
    )
    assert bound < f_information(member, rho)


@members
@pytest.mark.parametrize("rho", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_bound_on_a_sample_is_within_4_standard_errors(member, rho, seed):
    """Of the members, Pearson has a variance below rho = 1/3 alone, reverse KL below 1/2."""
    rows = 40_000
    joint, marginal = optimal_log_ratios(rows, rho, seed=10 * seed)
    joint, marginal = SCORES[member](joint), SCORES[member](marginal)
    divergence = make_divergence(member)
    bound = DivergenceBound(divergence).estimate(joint, marginal).item()
    variance = divergence.activation(joint).var() + divergence.conjugate(marginal).var()
    error = 4 * math.sqrt(variance / rows)
    assert abs(bound - f_information(member, rho)) <= error + 1e-12


@pytest.mark.parametrize("rho", [0.6, 0.9, 0.99])
@pytest.mark.parametrize("floor", [0.001, 0.01, 0.1])
def test_floor_costs_at_most_what_the_docstring_says(rho, floor):
    pearson = Pearson(floor)
    mean = Plane(rho).bound(
        lambda r: pearson.log_ratio(SCORES["Pearson"](r)), lambda r: torch.zeros_like(r)
    )
    assert -1e-6 < mean - mutual_information(rho) <= floor / math.e


def test_scores_that_claim_a_negative_ratio_are_read_as_the_floor():
    scores = torch.tensor([-1e4, -3.0, -2.0, -1.9], requires_grad=True)
    found = Pearson(floor=0.1).log_ratio(scores)
    torch.testing.assert_close(found, torch.full((4,), math.log(0.1)))
    found.sum().backward()
    assert torch.isfinite(scores.grad).all()


@pytest.mark.parametrize("floor", [0.0, 1.0, -1.0, math.nan])
def test_floor_outside_its_range_is_refused(floor):
    with pytest.raises(ValueError, match=r"Expected `floor` to be in \(0, 1\), got"):
        Pearson(floor)


@pytest.mark.parametrize("member", ["Pearson", "JensenShannon", "GAN"])
def test_members_without_an_exponential_are_finite_everywhere(member):
    scores = torch.tensor([-1e4, 0.0, 1e4], requires_grad=True)
    for part in (
        make_divergence(member).activation,
        make_divergence(member).conjugate,
        make_divergence(member).log_ratio,
    ):
        value = part(scores)
        (gradient,) = torch.autograd.grad(value.sum(), scores)
        assert torch.isfinite(value).all()
        assert torch.isfinite(gradient).all()


@members
def test_members_are_values(member):
    assert make_divergence(member) == make_divergence(member)
    assert hash(make_divergence(member)) == hash(make_divergence(member))
    assert make_divergence(member).config()["class_path"] == f"mine_lightning.{member}"
    with pytest.raises(FrozenInstanceError):
        make_divergence(member).anything = 1


@pytest.mark.slow
@members
@pytest.mark.trained
def test_bound_of_a_trained_critic_is_within_5_percent(member, seed, outcome):
    rho = 0.3 if member in ("Pearson", "ReverseKL") else 0.6
    divergence = make_divergence(member)
    scores = held_out(trained_critic(member, rho, seed), rho)
    bound = DivergenceBound(divergence).estimate(*scores) - divergence.independence
    outcome(bound / (f_information(member, rho) - divergence.independence), 0.95, 1.05)
