"""The closed-form critic against the closed form, and against noise."""

import math

import pytest
import torch

from mine_lightning.critics.gaussian import canonical_pairs, gaussian_log_ratio
from normal_pair import draw


def test_the_mean_log_ratio_is_the_mutual_information() -> None:
    x, z = draw(20_000, 0.7, dim=3)
    found = canonical_pairs(x, z)
    a, b = x @ found.x_directions, z @ found.z_directions
    value = gaussian_log_ratio(a, b, found.correlations).mean().item()
    assert value == pytest.approx(-1.5 * math.log(1 - 0.49), abs=0.02)


def test_correlations_are_shrunk_to_those_of_the_population() -> None:
    x, z = draw(1000, 0.0, dim=80)
    z[:, :2] = 0.8 * x[:, :2] + 0.6 * z[:, :2]
    found = canonical_pairs(x, z).correlations
    assert found[:2].tolist() == pytest.approx([0.8, 0.8], abs=0.04)


def test_noise_has_no_canonical_pairs() -> None:
    x, z = draw(1000, 0.0, dim=30)
    assert canonical_pairs(x, z).correlations.numel() <= 1


def test_too_many_columns_leave_nothing() -> None:
    x, z = draw(60, 0.9, dim=40)
    assert canonical_pairs(x, z).correlations.numel() == 0


def test_dependent_columns_are_no_obstacle() -> None:
    x, z = draw(500, 0.8, dim=2)
    found = canonical_pairs(torch.cat([x, x, 0 * x], 1), z)
    assert found.correlations.numel() == 2
    assert found.correlations.isfinite().all()


def test_the_log_ratio_is_that_of_the_densities() -> None:
    rho, x, z = torch.tensor([0.3, -0.0]), torch.randn(5, 2), torch.randn(5, 2)
    covariance = torch.tensor([[1.0, 0.3], [0.3, 1.0]])
    joint = torch.distributions.MultivariateNormal(torch.zeros(2), covariance)
    apart = torch.distributions.Normal(0.0, 1.0)
    first = torch.stack([x[:, 0], z[:, 0]], 1)
    expected = joint.log_prob(first) - apart.log_prob(first).sum(1)
    torch.testing.assert_close(gaussian_log_ratio(x, z, rho), expected)
