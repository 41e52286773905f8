import math
import re

import pytest
import torch

from mine_lightning.data.distributions.warps import (
    Asinh,
    Cube,
    HalfCube,
    NormalCDF,
    NormalToMixture,
    Spiral,
    SwissRoll,
    Warp,
    Wiggly,
    invert_increasing,
)

WARPS = [
    Asinh(),
    Cube(),
    HalfCube(),
    NormalCDF(),
    NormalToMixture([-2.0, 0.0, 5.0], [0.2, 0.3, 0.5]),
    Spiral((2, 0)),
    Wiggly([[0.4, 1.0, 0.0], [0.2, 1.7, 1.0]]),
    Wiggly([]),
]


def name(warp: Warp) -> str:
    return type(warp).__name__


@pytest.mark.parametrize("warp", WARPS, ids=name)
def test_inverse_undoes_the_warp(warp):
    rows = torch.randn(1000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    warped = warp(rows)
    assert warped.shape[1] == warp.output_dim(3)
    torch.testing.assert_close(warp.inverse(warped), rows, rtol=0, atol=1e-9)


@pytest.mark.parametrize("warp", [*WARPS, SwissRoll()], ids=name)
def test_warp_leaves_its_argument_alone(warp):
    rows = torch.full((4, 1 if isinstance(warp, SwissRoll) else 3), 0.25)
    before = rows.clone()
    warp.inverse(warp(rows))
    assert torch.equal(rows, before)


@pytest.mark.parametrize("warp", [w for w in WARPS if not isinstance(w, Spiral)], ids=name)
def test_elementwise_warps_increase(warp):
    line = torch.linspace(-4, 4, 2001, dtype=torch.float64).unsqueeze(1)
    assert (warp(line).diff(dim=0) > 0).all()


def test_swiss_roll_is_a_spiral_of_growing_radius():
    u = torch.linspace(0, 1, 500, dtype=torch.float64).unsqueeze(1)
    rolled = SwissRoll()(u)
    assert rolled.shape == (500, SwissRoll().output_dim(1))
    torch.testing.assert_close(SwissRoll().inverse(rolled), u)
    torch.testing.assert_close(rolled[0], rolled.new_tensor([0.0, -1.5 * math.pi / 21]))
    assert (rolled.norm(dim=1).diff() > 0).all()


def test_spiral_is_the_matrix_exponential_of_its_generator():
    row = torch.tensor([0.3, -1.2, 0.7, 2.0], dtype=torch.float64)
    generator = torch.zeros(4, 4, dtype=torch.float64)
    generator[1, 2], generator[2, 1] = -1, 1
    expected = torch.linalg.matrix_exp(generator * row.square().sum() / 4) @ row
    torch.testing.assert_close(Spiral((1, 2))(row.unsqueeze(0))[0], expected)


def test_mixture_has_the_mixtures_distribution_function():
    normal = torch.randn(2000, 1, generator=torch.Generator().manual_seed(0)).double()
    y = NormalToMixture([0.0, 5.0], [0.3, 0.7])(normal)
    cdf = 0.3 * torch.special.ndtr(y) + 0.7 * torch.special.ndtr(y - 5)
    torch.testing.assert_close(cdf, torch.special.ndtr(normal), rtol=0, atol=1e-12)


def test_normal_cdf_inverts_what_float32_rounds_to_one():
    assert NormalCDF().inverse(torch.tensor([[0.0, 1.0]])).isfinite().all()


def test_bisection_is_elementwise():
    cubes = torch.tensor([8.0, 27.0, -1.0], dtype=torch.float64)
    roots = invert_increasing(lambda y: y**3, cubes, cubes.new_full((3,), -5), cubes * 0 + 5)
    torch.testing.assert_close(roots, cubes.new_tensor([2.0, 3.0, -1.0]))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: NormalToMixture([0.0], [0.5, 0.5]),
            "Expected `means` and `weights` to have one entry for each component, got 1 and 2.",
        ),
        (
            lambda: NormalToMixture([], []),
            "Expected `means` and `weights` to have one entry for each component, got 0 and 0.",
        ),
        (
            lambda: NormalToMixture([0.0, 1.0], [0.5, 0.6]),
            "Expected `weights` to be positive with sum 1, got [0.5, 0.6].",
        ),
        (
            lambda: NormalToMixture([0.0, 1.0], [1.5, -0.5]),
            "Expected `weights` to be positive with sum 1, got [1.5, -0.5].",
        ),
        (
            lambda: NormalToMixture([0.0, math.nan], [0.5, 0.5]),
            "Expected `means` to be finite, got [0.0, nan].",
        ),
        (
            lambda: Wiggly([[0.4, 1.0]]),
            "Expected each of `waves` to be [amplitude, frequency, phase], got [[0.4, 1.0]].",
        ),
        (
            lambda: Wiggly([[0.5, 1.0, 0.0], [0.25, -2.0, 1.0]]),
            "Expected the sum of |amplitude * frequency| over `waves` to be below 1, got 1: "
            "the map would not be invertible.",
        ),
        (lambda: Spiral((1, 1)), "Expected `plane` to be two different axes, got [1, 1]."),
        (lambda: Spiral((-1, 0)), "Expected `plane` to be two different axes, got [-1, 0]."),
        (
            lambda: Spiral((0, 3)).output_dim(3),
            "Expected `plane` to name axes below the dimension 3, got [0, 3].",
        ),
        (
            lambda: SwissRoll().output_dim(2),
            "Expected a variable of 1 dimension for SwissRoll, got 2.",
        ),
    ],
)
def test_errors_at_the_door(build, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        build()
