"""Normal and Student distributions against their densities."""

import math

import numpy as np
import pytest
import torch

from mine_lightning.data.distributions.elliptical import MultivariateNormal, MultivariateStudent
from shared import COVARIANCE, seeded


def test_multivariate_normal_has_its_covariance():
    x, z = MultivariateNormal(COVARIANCE, x_dim=1).sample(400_000, seeded())
    assert (x.shape[1], z.shape[1]) == (1, 2)
    covariance = torch.cat((x, z), dim=1).T.cov()
    torch.testing.assert_close(covariance, torch.tensor(COVARIANCE), rtol=0, atol=0.02)


def test_student_approaches_the_normal():
    normal = MultivariateNormal(COVARIANCE, x_dim=2)
    student = MultivariateStudent(2, 1, 1e6, dispersion=COVARIANCE)
    assert student.mutual_information == pytest.approx(normal.mutual_information, abs=1e-5)


@pytest.mark.parametrize("freedom", [1.0, 2.5, 7.0])
def test_student_information_is_the_integral_of_its_density(freedom):
    student = MultivariateStudent(1, 1, freedom)
    nodes, weights = (torch.from_numpy(a) / 2 for a in np.polynomial.legendre.leggauss(400))
    tail, angle = torch.meshgrid(nodes + 0.5, (nodes + 0.5) * math.pi / 2, indexing="ij")
    radius = (freedom * (tail ** (-2 / freedom) - 1)).sqrt()  # P(R > radius) = tail
    x, z = radius * angle.cos(), radius * angle.sin()
    ratio = student.log_ratio(x.unsqueeze(-1), z.unsqueeze(-1))
    integral = (weights.unsqueeze(1) * weights * ratio).sum().item()
    assert integral == pytest.approx(student.mutual_information, abs=1e-4)
