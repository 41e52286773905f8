"""Closed-form log ratios: each knows its own kind of data, and the best one is chosen."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from closed_forms import confirmed
from mine_lightning.estimate.features import Described, Features
from mine_lightning.estimate.ratios import FAMILY, LogRatio, SplitRows, _simplest, choose
from mine_lightning.estimate.ratios.base import Fit, Independence, logistic_losses
from mine_lightning.estimate.ratios.canonical import (
    DirectionAndRadius,
    IndependentComponents,
    NormalScores,
    Values,
)
from mine_lightning.estimate.ratios.copulas import (
    CommonFunctions,
    MatchedColumns,
    MatchedProducts,
    Oscillations,
)
from mine_lightning.estimate.ratios.mixtures import NormalMixture, factor

ROWS = 4_000
TRAIN, VAL, HELD = torch.arange(ROWS).split([2_400, 600, 1_000])


def normal(d: int, rho: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    u, noise = torch.randn(2, ROWS, d, generator=torch.Generator().manual_seed(seed)).double()
    return u, rho * u + math.sqrt(1 - rho**2) * noise


def cubes() -> tuple[Tensor, Tensor, float]:
    u, v = normal(2, 0.8)
    return u**3, v.exp(), -math.log(1 - 0.64)


def sums() -> tuple[Tensor, Tensor, float]:
    u, v = normal(2, 0.999)
    return u, v, -math.log(1 - 0.999**2)


def mixed_sources() -> tuple[Tensor, Tensor, float]:
    u, v = normal(3, 0.8)
    mixing = torch.tensor([[1.0, 0.6, 0.3], [-0.4, 1.0, 0.5], [0.2, -0.7, 1.0]]).double()
    return torch.sinh(1.5 * u) @ mixing, torch.tanh(2 * v) @ mixing.T, -1.5 * math.log(1 - 0.64)


def elliptical() -> tuple[Tensor, Tensor, float]:
    """A common scale of normal pairs that is all but the same for both sides."""
    u, v = normal(8, 0.8)
    scale = torch.randn(ROWS, 1, generator=torch.Generator().manual_seed(1)).double().abs()
    return u / scale, v / scale, math.nan


def regimes() -> tuple[Tensor, Tensor, float]:
    """Two regimes far apart in both sides: ln 2 nats beside those of the regimes."""
    u, v = normal(2, 0.9)
    side = torch.where(torch.arange(ROWS) % 2 == 0, 1.0, -1.0).double().unsqueeze(1)
    x, z = u + 8 * side, side * v + 8 * side
    return x, z, math.log(2) - math.log(1 - 0.81)


def uniform_noise() -> tuple[Tensor, Tensor, float]:
    generator = torch.Generator().manual_seed(0)
    x, noise = torch.rand(2, ROWS, 3, generator=generator).double()
    return x, x + noise - 0.5, 3 * 0.5


def sign_of_a_product() -> tuple[Tensor, Tensor, float]:
    generator = torch.Generator().manual_seed(0)
    x, noise = torch.randn(2, ROWS, 2, generator=generator).double()
    kept = torch.rand(ROWS, generator=generator) < 0.95
    z = torch.where(kept, 1.0, -1.0) * x.prod(1).sign() * noise[:, 0].abs()
    return x, z.unsqueeze(1), math.log(2) + 0.95 * math.log(0.95) + 0.05 * math.log(0.05)


def oscillation(periods: int = 2) -> tuple[Tensor, Tensor, float]:
    """A cosine with uniform noise, whose entropy is an integral over the density of the cosine."""
    x, noise = torch.rand(2, ROWS, 1, generator=torch.Generator().manual_seed(0)).double()
    z, levels = torch.linspace(-1.5, 1.5, 3_001), torch.cos(math.pi * torch.linspace(0, 1, 3_001))
    density = ((z.unsqueeze(1) - levels).abs() < 0.5).double().mean(1)
    truth = -torch.trapezoid(torch.xlogy(density, density), z).item()
    return x, torch.cos(2 * math.pi * periods * x) + noise - 0.5, truth


KINDS: dict[type[LogRatio], Callable[[], tuple[Tensor, Tensor, float]]] = {
    NormalScores: cubes,
    Values: sums,
    IndependentComponents: mixed_sources,
    DirectionAndRadius: elliptical,
    NormalMixture: regimes,
    MatchedColumns: uniform_noise,
    MatchedProducts: sign_of_a_product,
    CommonFunctions: oscillation,
    Oscillations: lambda: oscillation(12),
}


def described(x: Tensor, z: Tensor) -> tuple[Described, Described]:
    return Features().fit(x[TRAIN])(x), Features().fit(z[TRAIN])(z)


def parted(x: Described, z: Described) -> SplitRows:
    return SplitRows(*(side.take(rows) for rows in (TRAIN, VAL) for side in (x, z)))


def fitted(kind: type[LogRatio], x: Described, z: Described) -> LogRatio:
    return confirmed(kind, *parted(x, z))


def test_every_member_has_a_kind_of_data_here() -> None:
    assert set(KINDS) == set(FAMILY)


@pytest.mark.parametrize("kind", FAMILY)
def test_a_closed_form_knows_its_own_kind(kind: type[LogRatio]) -> None:
    x, z, truth = KINDS[kind]()
    a, b = described(x, z)
    held = a.take(HELD), b.take(HELD)
    terms = fitted(kind, a, b).log_ratio(*held)
    if not math.isnan(truth):
        error = 4 * terms.std().item() / math.sqrt(len(HELD))
        assert terms.mean().item() == pytest.approx(truth, abs=error + 0.1 * truth + 0.1)
    losses = {other: fitted(other, a, b).losses(*held).mean() for other in (kind, NormalScores)}
    assert losses[kind] < min(losses[NormalScores] * 1.01, 2 * math.log(2))


@pytest.mark.parametrize("kind", FAMILY)
def test_pairs_and_tables_agree_and_scores_have_a_floor(kind: type[LogRatio]) -> None:
    a, b = described(*KINDS[kind]()[:2])
    ratio = fitted(kind, a, b)
    x, z = ratio.encode_x(a.take(HELD)), ratio.encode_z(b.take(HELD))
    table = ratio.crosswise(x[:20], z[:30])
    each = torch.stack([ratio.pairwise(row, z[:30]) for row in x[:20].unsqueeze(1)])
    torch.testing.assert_close(table, each)
    torch.testing.assert_close(ratio.pairwise(x[:20], z[:20]), table.diagonal())
    apart = ratio.score(x, z.roll(1, 0))
    assert apart.min() >= -math.log(len(TRAIN))
    assert apart.exp().mean() < 2  # of a ratio it is 1


@pytest.mark.parametrize(
    "kind", [cubes, mixed_sources, regimes, uniform_noise, sign_of_a_product, oscillation]
)
def test_the_chosen_form_is_hardly_worse_than_any_on_rows_held_out(kind: Callable) -> None:
    a, b = described(*kind()[:2])
    held = a.take(HELD), b.take(HELD)
    (chosen,) = choose([parted(a, b)])
    losses = [fitted(other, a, b).losses(*held).mean().item() for other in FAMILY]
    assert chosen.ratio.losses(*held).mean().item() < 1.1 * min(losses) + 0.01
    assert set(chosen.losses) <= {member.__name__ for member in FAMILY}


def test_independent_columns_have_a_ratio_of_one() -> None:
    x, z = normal(3, 0.0)
    (chosen,) = choose([parted(*described(x, z))])
    assert isinstance(chosen.ratio, Independence)
    assert chosen.ratio.log_ratio(*described(x, z)).abs().max() < 1e-15


def test_the_loss_is_least_for_the_true_ratio() -> None:
    x, z = normal(1, 0.8)
    ratio = fitted(Values, *described(x, z))
    a, b = (
        encode(side)
        for encode, side in zip((ratio.encode_x, ratio.encode_z), described(x, z), strict=True)
    )
    joint, table = ratio.pairwise(a, b), ratio.crosswise(a, b[:200])
    losses = [logistic_losses(s * joint, s * table).mean() for s in (0.7, 1.0, 1.4)]
    assert losses[1] < min(losses[0], losses[2])


@pytest.mark.parametrize("kind", [CommonFunctions, MatchedProducts, Oscillations])
def test_functions_of_few_columns_are_not_counted_again_where_scores_are_large(kind) -> None:
    """All functions of a column that is all but known are: one of them says what all say."""
    rho = 1 - 1e-7
    u, v = normal(2, rho)
    x, z = Features().fit(u[TRAIN]), Features().fit(v[TRAIN])
    fitted, chosen = ((x(u[rows]), z(v[rows])) for rows in (TRAIN, VAL))
    ratio = confirmed(kind, *fitted, *chosen)
    assert ratio.log_ratio(*chosen).mean() < 1.1 * -math.log(1 - rho**2)


def test_losses_of_far_less_than_a_pair_prefer_nothing() -> None:
    none, less = torch.full((500,), 1e-8), torch.full((500,), 1e-20)
    first, second, much = (Fit(NormalScores(), 0, 1, loss) for loss in (none, less, 1e3 * none))
    assert _simplest([first, second]) is first
    assert _simplest([much, second]) is second


def test_a_component_with_an_outlier_has_a_factor() -> None:
    covariances = torch.eye(2).expand(2, 2, 2).clone()
    covariances[1] = 1e9 * torch.ones(2, 2)
    factors = factor(covariances)
    assert factors.isfinite().all()
    assert torch.equal(factors[1] @ factors[1].T > 0, torch.ones(2, 2) > 0)
