"""The closed form of a mixture of normal distributions of x and z together."""

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from mine_lightning.critics.gaussian import (
    all_pairs,
    gaussian_log_ratio,
    population,
    singular_values,
    whitening,
)
from mine_lightning.estimate.features import Described
from mine_lightning.estimate.ratios.base import Fit, LogRatio
from mine_lightning.estimate.ratios.samples import PerSample, against

__all__ = ["NormalMixture"]

# `benchmarks/constants.py`: with 7 errors change by .0008 ± .0011 nats, with 30 by .0001 ± .0005.
STEPS = 15  # of expectation maximisation
# On 60 random mixtures of 2 to 5 normals, of 200 to 2,000 rows, the loss on rows held out is larger
# by .016 nats with 3, and by .002 with 30.
MEANS = 10  # steps of k-means, which it begins from
FLOOR = 1e-4  # of variances, beside a variance of 1: atoms and collinear columns stay finite
MOST_COLUMNS, ROWS_PER_COLUMN = 160, 20  # of both sides together
LEAST_ROWS = 2  # of a component, for each column of a side
SIZES = 3, 1, 2, 4, 5  # numbers of components, in the order in which they are tried


@dataclass(eq=False)
class Marginals(PerSample):
    """The normal components of one side, K of each sample.

    Attributes:
        means: Shape ``(*, K, D)``.
        factors: Cholesky factors of their covariances, shrunk, shape ``(*, K, D, D)``.
        directions: Of the canonical variates, shape ``(*, K, D, R)``.
    """

    means: Tensor
    factors: Tensor
    directions: Tensor

    def log_densities(self, rows: Tensor) -> Tensor:
        """Return them of rows, shape ``(*, M, D)``, up to a constant, shape ``(*, M, K)``."""
        return _log_densities(self._centred(rows), self.factors).mT

    def variates(self, rows: Tensor) -> Tensor:
        """Return the variates of each component, side by side, shape ``(*, M, K R)``."""
        return (self.directions.mT @ self._centred(rows)).flatten(-3, -2).mT

    def _centred(self, rows: Tensor) -> Tensor:
        return rows.mT.unsqueeze(-3) - self.means.unsqueeze(-1)  # (*, K, D, M)


class Components(PerSample):
    """Normal components: the log densities of their marginals, and their log ratios.

    The canonical correlations are those of the population, see
    :func:`~mine_lightning.critics.gaussian.canonical_pairs`, and the covariances of the
    marginals are shrunk, as the rows of a component are few.

    Args:
        x: Rows, shape ``(S, N, D_x)``.
        z: Rows, shape ``(S, N, D_z)``.
        weights: The share of each component in each row, shape ``(S, K, N)``.
    """

    def __init__(self, x: Tensor, z: Tensor, weights: Tensor) -> None:
        rows = weights.sum(-1, keepdim=True)  # (S, K, 1)
        self.kept = rows.squeeze(-1) > LEAST_ROWS * max(x.shape[-1], z.shape[-1])
        rows = rows.clamp(min=1)
        self.log_shares = (rows.squeeze(-1) / weights.shape[-1]).log()
        means = [weights @ side / rows for side in (x, z)]
        a, b = (
            s.mT.unsqueeze(-3) - m.unsqueeze(-1) for s, m in zip((x, z), means, strict=True)
        )  # (S, K, D, N)
        within = [_floored(_covariances(side, side, weights)) for side in (a, b)]
        white = [whitening(covariance) for covariance in within]
        u, sample, vh = singular_values(white[0].mT @ _covariances(a, b, weights) @ white[1])
        shares = [w.any(-2).sum(-1, keepdim=True) / rows for w in white]
        self.correlations = population(sample, *shares)
        self.x_side, self.z_side = (
            Marginals(mean, factor(_shrunk(covariance, rows.unsqueeze(-1))), directions)
            for mean, covariance, directions in zip(
                means, within, (white[0] @ u, white[1] @ vh.mT), strict=True
            )
        )

    def encode(self, rows: Tensor, side: Marginals) -> Tensor:
        """Return the log posteriors, then the variates of each component."""
        return torch.cat([self._posteriors(rows, side), side.variates(rows)], dim=-1)

    def _posteriors(self, rows: Tensor, side: Marginals) -> Tensor:
        densities = side.log_densities(rows) + self.log_shares.unsqueeze(-2)
        return densities.masked_fill(~self.kept.unsqueeze(-2), -math.inf).log_softmax(-1)

    def split(self, code: Tensor) -> tuple[Tensor, Tensor]:
        """Return log posteriors, shape ``(*, ..., K)``, and variates, ``(*, ..., K, R)``."""
        count, variates = self.correlations.shape[-2:]
        posteriors, rest = code.tensor_split([count], dim=-1)
        return posteriors, rest.unflatten(-1, (count, variates))

    def trimmed(self) -> Self:
        """Leave out components that hold next to no rows, of one sample."""
        kept = self.kept.nonzero().flatten()
        for held in (self, self.x_side, self.z_side):
            vars(held).update({k: v[kept] for k, v in vars(held).items() if torch.is_tensor(v)})
        return self


class NormalMixture(LogRatio):
    r"""Regimes: a mixture of normal distributions of x and z together.

    The marginals are mixtures with the same shares :math:`\pi_k`. With their posteriors
    :math:`\pi_k(x), \pi_k(z)` and the log ratio :math:`T_k` of component k,

    .. math:: T = \ln \sum_k \frac{\pi_k(x) \, \pi_k(z)}{\pi_k} e^{T_k(x, z)}

    The number of components, from 2 to 5, is chosen on validation rows; only three are tried where
    three are no better than one.

    Args:
        size: The number of components.
    """

    components: Components

    def __init__(self, size: int = 3) -> None:
        self.size = size

    @classmethod
    def suits(cls, x: Described, z: Described) -> bool:
        columns = x.values.shape[-1] + z.values.shape[-1]
        return columns <= min(MOST_COLUMNS, x.values.shape[-2] / ROWS_PER_COLUMN)

    @classmethod
    def fit_each(
        cls, x: Described, z: Described, x_val: Described, z_val: Described
    ) -> list[Fit[Self]]:
        found: dict[int, Fit[Self]] = {}
        places, least = torch.arange(len(x.values)), torch.full((len(x.values),), math.inf).double()
        for size in SIZES:
            if len(places) == 0:
                break
            mixture = cls(size).fit(x.samples(places), z.samples(places))
            losses = mixture.losses(x_val.samples(places), z_val.samples(places))
            means = losses.mean(-1).cpu()
            better = ~(means >= least[places])
            for place in better.nonzero().flatten().tolist():
                found[int(places[place])] = Fit(mixture, place, len(places), losses[place])
            least[places] = torch.where(better, means, least[places])
            places = places[better if size > 2 else ~better]
        return [found[place] for place in range(len(found))]

    def fit(self, x: Described, z: Described) -> Self:
        weights = responsibilities(torch.cat([x.values, z.values], dim=-1), self.size)
        self.components = Components(x.values, z.values, weights)
        return super().fit(x, z)

    def trimmed(self) -> Self:
        self.components.trimmed()
        return self

    def encode_x(self, x: Described) -> Tensor:
        return self.components.encode(x.values, self.components.x_side)

    def encode_z(self, z: Described) -> Tensor:
        return self.components.encode(z.values, self.components.z_side)

    def pairwise(self, a: Tensor, b: Tensor) -> Tensor:
        (p, u), (q, v) = map(self.components.split, (a, b))
        shares, rho = self.components.log_shares, self.components.correlations
        within = gaussian_log_ratio(u, v, against(rho.flatten(-2), b).unflatten(-1, rho.shape[-2:]))
        return (p + q - against(shares, q) + within).logsumexp(-1)

    def crosswise(self, a: Tensor, b: Tensor) -> Tensor:
        (p, u), (q, v) = map(self.components.split, (a, b))
        shares, rho = self.components.log_shares, self.components.correlations
        within = all_pairs(u.movedim(-2, -3), v.movedim(-2, -3), rho)  # (*, K, N, M)
        within += p.mT.unsqueeze(-1) - shares[..., None, None]
        return (within + q.mT.unsqueeze(-2)).logsumexp(-3)


def responsibilities(rows: Tensor, size: int) -> Tensor:
    """Return the share of each normal component in each row, by expectation maximisation.

    Args:
        rows: Standardised rows of S samples, in random order, shape ``(S, N, D)``.
        size: Number K of components.

    Returns:
        Shape ``(S, K, N)``, float64.
    """
    if size == 1:
        return rows.new_ones(len(rows), 1, rows.shape[1], dtype=torch.float64)
    columns = rows.float().mT.contiguous()  # (S, D, N): what is next to each other is summed
    shares = clusters(columns, size)
    for _ in range(STEPS):
        shares = _expected(columns, shares)
    return shares.double()


def clusters(columns: Tensor, size: int) -> Tensor:
    """Return which row is in which of K clusters, by k-means; shape likewise.

    The centres are rows at first, each drawn with a probability proportional to its squared
    distance to those before.

    Args:
        columns: Columns of S samples, shape ``(S, D, N)``.
        size: Number K of clusters.

    References:
        Arthur and Vassilvitskii, "k-means++: The Advantages of Careful Seeding", 2007.
    """
    race = torch.empty(size, columns.shape[2])
    race.exponential_(generator=torch.Generator().manual_seed(0))
    centres = columns[:, :, :1]  # (S, D, K)
    for waits in race[1:].to(columns.device):  # the first to arrive is drawn as its speed is large
        far = (_distances(columns, centres).amin(1) / waits).argmax(1)
        drawn = columns.gather(2, far.view(-1, 1, 1).expand(-1, columns.shape[1], 1))
        centres = torch.cat([centres, drawn], dim=2)
    for _ in range(MEANS):
        far = _distances(columns, centres)
        nearest = (far == far.amin(1, keepdim=True)).to(columns)
        shares = nearest / nearest.sum(1, keepdim=True)  # centres that are the same share a row
        counts = shares.sum(2).unsqueeze(1)
        centres = torch.where(counts > 0, columns @ shares.mT / counts.clamp(min=1), centres)
    return shares


def _distances(columns: Tensor, centres: Tensor) -> Tensor:
    """Return the squared distances of all rows to K centres, ``(S, K, N)``."""
    return (columns.unsqueeze(1) - centres.mT.unsqueeze(3)).square().sum(2)


def _expected(columns: Tensor, weights: Tensor) -> Tensor:
    """Return the shares of the normals that are fitted to weighted rows, shape ``(S, K, N)``."""
    totals = weights.sum(2, keepdim=True).clamp(min=1)
    means = weights @ columns.mT / totals
    centred = columns.unsqueeze(1) - means.unsqueeze(3)  # (S, K, D, N)
    factors = factor(_floored(_covariances(centred, centred, weights)))
    return (totals.log() + _log_densities(centred, factors)).softmax(1)


def _log_densities(centred: Tensor, factors: Tensor) -> Tensor:
    """Return log densities up to a constant, ``(*, N)``, of columns less their means."""
    unit = torch.eye(factors.shape[-1]).to(factors).expand_as(factors)
    scaled = torch.linalg.solve_triangular(factors, unit, upper=False) @ centred
    spreads = factors.diagonal(dim1=-2, dim2=-1).log().sum(-1, keepdim=True)
    return -scaled.square().sum(-2) / 2 - spreads


def _covariances(a: Tensor, b: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted means of the products of centred columns, ``(S, K, D, E)``."""
    totals = weights.sum(-1).clamp(min=1)[..., None, None]
    return (a * weights.unsqueeze(-2)) @ b.mT / totals


def _floored(covariances: Tensor) -> Tensor:
    return covariances + FLOOR * torch.eye(covariances.shape[-1]).to(covariances)


def factor(covariances: Tensor) -> Tensor:
    """Return the Cholesky factors of covariances, of which some may be singular to rounding.

    Args:
        covariances: Shape ``(*, D, D)``; one outlier may make a variance so large that the floor is
            lost beside it.
    """
    factors, failed = torch.linalg.cholesky_ex(covariances)
    if failed.any():
        spread = covariances.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
        unit = torch.eye(covariances.shape[-1]).to(covariances)
        factors = torch.linalg.cholesky(covariances + FLOOR * spread * unit)
    return factors


def _shrunk(covariances: Tensor, rows: Tensor) -> Tensor:
    r"""Shrink covariances, of so many rows each, towards multiples of the identity.

    References:
        Chen, Wiesel, Eldar and Hero, "Shrinkage Algorithms for MMSE Covariance Estimation", 2010.
    """
    size = covariances.shape[-1]
    trace = covariances.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
    square = covariances.square().sum((-2, -1), keepdim=True)
    spread = square - trace**2 / size
    share = ((1 - 2 / size) * square + trace**2) / ((rows + 1 - 2 / size) * spread)
    share = share.nan_to_num(1.0).clamp(0, 1)
    return (1 - share) * covariances + share * trace / size * torch.eye(size).to(covariances)
