"""The closed form of a mixture of normal distributions of x and z together."""

import math
import warnings
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Self

import torch
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor
from torch.nn import functional as F

from mine_lightning.critics.gaussian import (
    CanonicalPairs,
    all_pairs,
    gaussian_log_ratio,
    population,
    singular_values,
    whitening,
)
from mine_lightning.estimate.features import Described
from mine_lightning.estimate.ratios.base import LogRatio

__all__ = ["NormalMixture"]

# `benchmarks/constants.py`: with 7 errors change by .0008 ± .0011 nats, with 30 by .0001 ± .0005.
STEPS = 15  # of expectation maximisation
FLOOR = 1e-4  # of variances, beside a variance of 1: atoms and collinear columns stay finite
MOST_COLUMNS, ROWS_PER_COLUMN = 160, 20  # of both sides together
LEAST_ROWS = 2  # of a component, for each column of a side


class Component:
    """A normal component: the log densities of its marginals, and their log ratio.

    The canonical correlations are those of the population, see
    :func:`~mine_lightning.critics.gaussian.canonical_pairs`, and the covariances of the
    marginals are shrunk, as the rows of a component are few.
    """

    def __init__(self, x: Tensor, z: Tensor, weights: Tensor) -> None:
        rows, size = float(weights.sum()), len(weights)
        self.log_share = math.log(rows / size)
        self.means = [weights @ side / rows for side in (x, z)]
        a, b = ((side - mean) for side, mean in zip((x, z), self.means, strict=True))
        within = [_covariance(side, side, weights) for side in (a, b)]
        white = [whitening(_floored(c)) for c in within]
        u, sample, vh = singular_values(white[0].T @ _covariance(a, b, weights) @ white[1])
        shares = [w.shape[1] / rows for w in white]
        rho = population(sample, *shares)
        self.pairs = CanonicalPairs(white[0] @ u, white[1] @ vh.T, rho)
        self.factors = [factor(_shrunk(_floored(c), rows)) for c in within]

    def log_density(self, rows: Tensor, side: int) -> Tensor:
        """Return the log of share times marginal density, up to a constant, shape ``(M,)``."""
        factor = self.factors[side]
        scaled = torch.linalg.solve_triangular(factor, (rows - self.means[side]).T, upper=False)
        return self.log_share - scaled.square().sum(0) / 2 - factor.diagonal().log().sum()

    def variates(self, rows: Tensor, side: int) -> Tensor:
        directions = (self.pairs.x_directions, self.pairs.z_directions)[side]
        return (rows - self.means[side]) @ directions


class NormalMixture(LogRatio):
    r"""Regimes: a mixture of normal distributions of x and z together.

    The marginals are mixtures with the same shares :math:`\pi_k`. With their posteriors
    :math:`\pi_k(x), \pi_k(z)` and the log ratio :math:`T_k` of component k,

    .. math:: T = \ln \sum_k \frac{\pi_k(x) \, \pi_k(z)}{\pi_k} e^{T_k(x, z)}

    The number of components, from 2 to 5, is chosen on validation rows; only three are tried where
    three are no better than one.
    """

    components: list[Component]

    @classmethod
    def suits(cls, x: Described, z: Described) -> bool:
        columns = x.values.shape[1] + z.values.shape[1]
        return columns <= min(MOST_COLUMNS, len(x.values) / ROWS_PER_COLUMN)

    def fit(self, x: Described, z: Described) -> Self:
        self.training = x.values, z.values
        self._split(3)
        return super().fit(x, z)

    def confirm(self, x: Described, z: Described) -> Self:
        found = [(self.losses(x, z).mean().item(), self.components)]
        for size in (1, 2, 4, 5):
            self._split(size)
            found.append((self.losses(x, z).mean().item(), self.components))
            if min(found, key=itemgetter(0)) is not (found[-1] if size > 2 else found[0]):
                break
        self.components = min(found, key=itemgetter(0))[1]
        del self.training
        return self

    def _split(self, size: int) -> None:
        x, z = self.training
        weights = responsibilities(torch.cat([x, z], dim=1), size)
        least = LEAST_ROWS * max(x.shape[1], z.shape[1])
        self.components = [Component(x, z, w) for w in weights.T if w.sum() > least]

    def encode_x(self, x: Described) -> Tensor:
        return self._encode(x.values, 0)

    def encode_z(self, z: Described) -> Tensor:
        return self._encode(z.values, 1)

    def _encode(self, rows: Tensor, side: int) -> Tensor:
        """Return the log posteriors, then the variates of each component."""
        densities = [component.log_density(rows, side) for component in self.components]
        posteriors = torch.stack(densities, dim=1).log_softmax(1)
        return torch.cat([posteriors, *(c.variates(rows, side) for c in self.components)], dim=1)

    def _parts(self, rows: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield log posterior and variates of each component."""
        count = len(self.components)
        posteriors, variates = rows[..., :count], rows[..., count:].chunk(count, dim=-1)
        yield from zip(posteriors.unbind(-1), variates, strict=True)

    def pairwise(self, a: Tensor, b: Tensor) -> Tensor:
        parts = zip(self.components, self._parts(a), self._parts(b), strict=True)
        return _log_sum(
            p + q - k.log_share + gaussian_log_ratio(u, v, k.pairs.correlations)
            for k, (p, u), (q, v) in parts
        )

    def crosswise(self, a: Tensor, b: Tensor) -> Tensor:
        parts = zip(self.components, self._parts(a), self._parts(b), strict=True)
        return _log_sum(
            p.unsqueeze(1) + q - k.log_share + all_pairs(u, v, k.pairs.correlations)
            for k, (p, u), (q, v) in parts
        )


def _log_sum(terms: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(terms)).logsumexp(0)


def responsibilities(rows: Tensor, size: int) -> Tensor:
    """Return the share of each normal component in each row, by expectation maximisation.

    Args:
        rows: Shape ``(N, D)``, standardised.
        size: Number K of components.

    Returns:
        Shape ``(N, K)``, float64.
    """
    if size == 1:
        return rows.new_ones(len(rows), 1, dtype=torch.float64)
    rows = rows.float()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different rows than components
        labels = KMeans(size, n_init=1, random_state=0).fit_predict(rows.cpu().numpy())
    shares = F.one_hot(torch.from_numpy(labels).long(), size).to(rows)
    for _ in range(STEPS):
        shares = _log_densities(rows, shares.T).softmax(0).T
    return shares.double()


def _log_densities(rows: Tensor, weights: Tensor) -> Tensor:
    """Return the log densities of the normals fitted to weighted rows, times their shares.

    Args:
        rows: Shape ``(N, D)``.
        weights: Shape ``(K, N)``.

    Returns:
        Shape ``(K, N)``.
    """
    totals = weights.sum(1).clamp(min=1)
    centred = rows - (weights @ rows / totals.unsqueeze(1)).unsqueeze(1)  # (K, N, D)
    covariances = (centred * weights.unsqueeze(2)).mT @ centred / totals.view(-1, 1, 1)
    factors = factor(_floored(covariances))
    scaled = torch.linalg.solve_triangular(factors, centred.mT, upper=False)
    spreads = factors.diagonal(dim1=1, dim2=2).log().sum(1)
    return (totals.log() - spreads).unsqueeze(1) - scaled.square().sum(1) / 2


def _covariance(a: Tensor, b: Tensor, weights: Tensor) -> Tensor:
    return (a * weights.unsqueeze(1)).T @ b / weights.sum().clamp(min=1)


def _floored(covariance: Tensor) -> Tensor:
    return covariance + FLOOR * torch.eye(covariance.shape[-1]).to(covariance)


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


def _shrunk(covariance: Tensor, rows: float) -> Tensor:
    r"""Shrink a covariance towards a multiple of the identity.

    References:
        Chen, Wiesel, Eldar and Hero, "Shrinkage Algorithms for MMSE Covariance Estimation", 2010.
    """
    size, trace = len(covariance), covariance.trace()
    square = covariance.square().sum()
    spread = square - trace**2 / size
    share = ((1 - 2 / size) * square + trace**2) / ((rows + 1 - 2 / size) * spread)
    share = share.nan_to_num(1.0).clamp(0, 1)
    return (1 - share) * covariance + share * trace / size * torch.eye(size).to(covariance)
