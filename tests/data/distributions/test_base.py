import math
import re

import numpy as np
import pytest
import torch
from jsonargparse import ArgumentParser
from scipy import integrate

from mine_lightning.data.distributions.base import (
    Bimodal,
    Distribution,
    GaussianPairs,
    Independent,
    Transformed,
    UniformAdditive,
)
from mine_lightning.data.distributions.elliptical import (
    DenseNormal,
    MultivariateNormal,
    MultivariateStudent,
    SparseNormal,
)
from mine_lightning.data.distributions.warps import Cube, NormalCDF, Spiral, SwissRoll, Wiggly
from parsing import instantiate
from shared import COVARIANCE, seeded

DISTRIBUTIONS = {
    "pairs": GaussianPairs(3, correlation=-0.6),
    "pairs for a target": GaussianPairs(20, target=2.0),
    "normal": MultivariateNormal(COVARIANCE, x_dim=2),
    "dense": DenseNormal(2, 4, correlation=0.3),
    "sparse": SparseNormal(4, 3, pairs=2, correlation=-0.8),
    "student": MultivariateStudent(2, 1, 2.5, dispersion=COVARIANCE),
    "cauchy": MultivariateStudent(1, 1, 1.0),
    "narrow noise": UniformAdditive(0.1),
    "wide noise": UniformAdditive(0.75),
    "bimodal": Bimodal(),
    "swiss roll": Transformed(
        Transformed(GaussianPairs(correlation=0.7), NormalCDF()), SwissRoll(), Cube()
    ),
    "wiggly": Transformed(GaussianPairs(2, correlation=0.5), Wiggly([[0.4, 1.0, 0.2]]), Spiral()),
    "independent": Independent(SparseNormal(2, 2)),
}


@pytest.fixture(params=DISTRIBUTIONS.values(), ids=DISTRIBUTIONS.keys())
def distribution(request):
    return request.param


def test_sample_has_the_stated_shapes_and_dtype(distribution):
    x, z = distribution.sample(7, seeded())
    assert x.shape == (7, distribution.x_dim)
    assert z.shape == (7, distribution.z_dim)
    assert x.dtype == z.dtype == torch.float32
    assert x.isfinite().all()
    assert z.isfinite().all()


def test_sample_depends_on_its_generator_alone(distribution):
    torch.manual_seed(1)
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = distribution.sample(50, seeded(3))
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
    torch.manual_seed(2)
    again, other = distribution.sample(50, seeded(3)), distribution.sample(50, seeded(4))
    for a, b, c in zip(first, again, other, strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)


def test_sample_without_a_generator_follows_the_global_seed(distribution):
    torch.manual_seed(5)
    first = distribution.sample(20)
    following = distribution.sample(20)
    torch.manual_seed(5)
    again = distribution.sample(20)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, following, strict=True))


def test_log_ratio_averages_to_the_mutual_information(distribution):
    rows = 200_000
    ratio = distribution.log_ratio(*distribution.sample(rows, seeded())).double()
    assert ratio.isfinite().all()
    standard_error = ratio.std().item() / math.sqrt(rows)
    error = abs(ratio.mean().item() - distribution.mutual_information)
    assert error <= 4 * standard_error


@pytest.mark.parametrize(
    "name", ["pairs", "normal", "dense", "wide noise", "narrow noise", "wiggly"]
)
def test_density_ratio_averages_to_one_over_pairs_drawn_apart(name):
    distribution = DISTRIBUTIONS[name]
    rows = 200_000
    ratio = distribution.log_ratio(*Independent(distribution).sample(rows, seeded())).double().exp()
    assert abs(ratio.mean().item() - 1) < 5 * ratio.std().item() / math.sqrt(rows)


def test_log_ratio_broadcasts_like_a_critic(distribution):
    x, z = distribution.sample(6, seeded())
    table = distribution.log_ratio(x.unsqueeze(1), z.unsqueeze(0))
    assert table.shape == (6, 6)
    torch.testing.assert_close(table.diagonal(), distribution.log_ratio(x, z))
    torch.testing.assert_close(table[2], distribution.log_ratio(x[2], z))
    assert distribution.log_ratio(x[0], z[0]).shape == ()


def test_warps_leave_the_log_ratio_unchanged():
    base = DISTRIBUTIONS["wiggly"].base
    before = base.log_ratio(*base.sample(1000, seeded()))
    after = DISTRIBUTIONS["wiggly"].log_ratio(*DISTRIBUTIONS["wiggly"].sample(1000, seeded()))
    torch.testing.assert_close(before, after, rtol=0, atol=1e-4)


def test_config_builds_the_same_distribution(distribution):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--distribution", type=Distribution)
    parsed = parser.parse_object({"distribution": distribution.config()})
    built = instantiate(parser, parsed).distribution
    assert type(built) is type(distribution)
    assert built.mutual_information == distribution.mutual_information
    for ours, theirs in zip(
        distribution.sample(5, seeded()), built.sample(5, seeded()), strict=True
    ):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("dim", [1, 2, 20])
@pytest.mark.parametrize("target", [0.0, 0.1, 2.0, 8.0])
def test_target_is_met(dim, target):
    pairs = GaussianPairs(dim, target=target)
    assert pairs.mutual_information == target
    recomputed = GaussianPairs(dim, pairs.correlation).mutual_information
    assert recomputed == pytest.approx(target, abs=1e-8)


def test_pairs_are_a_multivariate_normal():
    pairs, sparse = GaussianPairs(3, 0.8), SparseNormal(3, 3, pairs=3, correlation=0.8)
    x, z = pairs.sample(100, seeded())
    assert pairs.mutual_information == pytest.approx(sparse.mutual_information, abs=1e-12)
    torch.testing.assert_close(pairs.log_ratio(x, z), sparse.log_ratio(x, z))


@pytest.mark.parametrize("noise", [0.01, 0.1, 0.5, 0.75, 3.0])
def test_additive_information_is_the_integral_of_its_density(noise):
    def integrand(z: float) -> float:
        density = (min(1.0, z + noise) - max(0.0, z - noise)) / (2 * noise)
        return -density * math.log(density)

    entropy, _ = integrate.quad(
        integrand, -noise, 1 + noise, points=sorted({noise, 1 - noise}), epsabs=1e-11
    )
    expected = entropy - math.log(2 * noise)
    assert UniformAdditive(noise).mutual_information == pytest.approx(expected, abs=1e-9)


def test_additive_pairs_further_apart_than_the_noise_never_occur():
    x = torch.tensor([[0.5], [0.5]])
    z = torch.tensor([[0.59], [0.61]])
    assert UniformAdditive(0.1).log_ratio(x, z).isneginf().tolist() == [False, True]


def test_independent_keeps_the_marginals_and_breaks_the_pairing():
    base = GaussianPairs(correlation=0.9)
    x, z = Independent(base).sample(100_000, seeded())
    assert abs(torch.cat((x, z), dim=1).T.corrcoef()[0, 1]) < 0.02
    assert z.std().item() == pytest.approx(1, abs=0.01)
    assert Independent(base).mutual_information == 0


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: GaussianPairs(2),
            "Expected exactly one of `correlation` and `target`, got None and None.",
        ),
        (
            lambda: GaussianPairs(2, 0.5, 1.0),
            "Expected exactly one of `correlation` and `target`, got 0.5 and 1.0.",
        ),
        (lambda: GaussianPairs(0, 0.5), "Expected `dim` to be an integer of at least 1, got 0."),
        (
            lambda: GaussianPairs(1.5, 0.5),
            "Expected `dim` to be an integer of at least 1, got 1.5.",
        ),
        (
            lambda: GaussianPairs(correlation=-1.0),
            "Expected `correlation` to be in (-1, 1), got -1.0.",
        ),
        (
            lambda: GaussianPairs(correlation=math.nan),
            "Expected `correlation` to be in (-1, 1), got nan.",
        ),
        (
            lambda: GaussianPairs(target=-0.1),
            "Expected `target` to be finite and not negative, got -0.1.",
        ),
        (
            lambda: GaussianPairs(target=100.0),
            "Expected `target` to need a correlation below 1, got 100.0 for 1 pairs.",
        ),
        (
            lambda: MultivariateNormal([[1.0, 0.0], [0.0]], 1),
            "Expected `covariance` to be a square matrix, got 2 rows of lengths [1, 2].",
        ),
        (
            lambda: MultivariateNormal([], 1),
            "Expected `covariance` to be a square matrix, got 0 rows of lengths [].",
        ),
        (
            lambda: MultivariateNormal([[1.0, 0.5], [0.4, 1.0]], 1),
            "Expected `covariance` to be finite and symmetric, got [[1.0, 0.5], [0.4, 1.0]].",
        ),
        (
            lambda: MultivariateNormal([[1.0, math.nan], [math.nan, 1.0]], 1),
            "Expected `covariance` to be finite and symmetric, got [[1.0, nan], [nan, 1.0]].",
        ),
        (
            lambda: MultivariateNormal([[1.0, 2.0], [2.0, 1.0]], 1),
            "Expected `covariance` to be positive definite, got a smallest eigenvalue of -1.",
        ),
        (
            lambda: MultivariateNormal([[0.0, 0.0], [0.0, 0.0]], 1),
            "Expected `covariance` to be positive definite, got a smallest eigenvalue of 0.",
        ),
        (
            lambda: MultivariateNormal(COVARIANCE, 3),
            "Expected `x_dim` to be in [1, 2], got 3.",
        ),
        (
            lambda: MultivariateNormal(COVARIANCE, 0),
            "Expected `x_dim` to be an integer of at least 1, got 0.",
        ),
        (
            lambda: DenseNormal(2, 2, -0.5),
            "Expected `covariance` to be positive definite, got a smallest eigenvalue of -0.5.",
        ),
        (lambda: DenseNormal(2, 2, 1.0), "Expected `correlation` to be in (-1, 1), got 1.0."),
        (
            lambda: SparseNormal(3, 1),
            "Expected `pairs` to be in [0, 1], the smaller of `x_dim` and `z_dim`, got 2.",
        ),
        (
            lambda: MultivariateStudent(1, 0, 2.0),
            "Expected `z_dim` to be an integer of at least 1, got 0.",
        ),
        (
            lambda: MultivariateStudent(1, 1, 0.0),
            "Expected `degrees_of_freedom` to be positive and finite, got 0.0.",
        ),
        (
            lambda: MultivariateStudent(1, 1, 2.0, COVARIANCE),
            "Expected `dispersion` to have x_dim + z_dim = 2 rows, got 3.",
        ),
        (
            lambda: UniformAdditive(-1.0),
            "Expected `noise` to be positive and finite, got -1.0.",
        ),
        (lambda: Bimodal(2.0), "Expected `correlation` to be in (-1, 1), got 2.0."),
        (
            lambda: Transformed(GaussianPairs(2, 0.5), z_warp=SwissRoll()),
            "Expected a variable of 1 dimension for SwissRoll, got 2.",
        ),
        (
            lambda: GaussianPairs(2, 0.5).sample(0),
            "Expected `rows` to be an integer of at least 1, got 0.",
        ),
        (
            lambda: GaussianPairs(2, 0.5).log_ratio(torch.ones(4, 3), torch.ones(4, 2)),
            "Expected `x` to have shape (*, 2), got (4, 3).",
        ),
        (
            lambda: GaussianPairs(2, 0.5).log_ratio(torch.ones(4, 2), torch.ones(4)),
            "Expected `z` to have shape (*, 2), got (4,).",
        ),
    ],
)
def test_errors_at_the_door(build, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        build()
