r"""The closed-form critic of jointly normal variables, from canonical correlations.

Its scores depend on a few linear combinations of each side only, the canonical variates.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = [
    "CanonicalPairs",
    "all_pairs",
    "canonical_pairs",
    "gaussian_log_ratio",
    "singular_values",
    "whitening",
]

LARGEST = 1 - 1e-13  # correlation: beyond it 1 - rho^2 is rounding


@dataclass(frozen=True)
class CanonicalPairs:
    """Pairs of directions in x and z, and the correlations along them, perhaps of several samples.

    Attributes:
        x_directions: Shape ``(*, D_x, R)``; ``x @ x_directions`` are uncorrelated with variance 1.
        z_directions: Shape ``(*, D_z, R)``, likewise.
        correlations: Population correlation of each pair, largest first, shape ``(*, R)``.
    """

    x_directions: Tensor
    z_directions: Tensor
    correlations: Tensor

    def to(self, device: torch.device) -> "CanonicalPairs":
        """Return the pairs on a device."""
        parts = self.x_directions, self.z_directions, self.correlations
        return CanonicalPairs(*(part.to(device) for part in parts))

    def __getitem__(self, chosen: Tensor | slice) -> "CanonicalPairs":
        """Return some of the pairs, by a mask of shape ``(R,)`` or a slice."""
        parts = self.x_directions, self.z_directions, self.correlations
        return CanonicalPairs(*(part[..., chosen] for part in parts))

    @property
    def count(self) -> int:
        """The number of pairs up to the last one that correlates, in any of the samples."""
        return int((self.correlations > 0).sum(-1).max())


def canonical_pairs(x: Tensor, z: Tensor, weak: bool = False) -> CanonicalPairs:
    r"""Find the canonical correlations above the noise, shrunk to their population values.

    With :math:`g_x = D_x / N` and :math:`g_z = D_z / N`, the squared sample correlations of
    independent variables fill the interval up to
    :math:`(\sqrt{g_x (1 - g_z)} + \sqrt{g_z (1 - g_x)})^2`. A population correlation
    :math:`\rho` beyond it appears, in the sample, at

    .. math::
        \hat\rho^2 = \bigl(\rho^2 (1 - g_x) + g_x\bigr) \bigl(\rho^2 (1 - g_z) + g_z\bigr) / \rho^2

    which is solved for :math:`\rho`. Of the pairs within the noise none can be told alone, but all
    of them together can: with ``weak`` they are kept, shrunk by the one factor

    .. math:: \Bigl(1 - \frac{(D_x - r) (D_z - r)}{N \sum \hat\rho^2}\Bigr)_+

    in which r counts the pairs beyond the noise and the sum is over the others.

    References:
        Hotelling 1936; Bao, Hu, Pan and Zhou, "Canonical Correlation Coefficients of
        High-Dimensional Gaussian Vectors: Finite Rank Case", 2019; James and Stein, "Estimation
        with Quadratic Loss", 1961.

    Args:
        x: Rows with mean 0, shape ``(*, N, D_x)``, float64: of one sample, or of several.
        z: Rows with mean 0, shape ``(*, N, D_z)``, float64.
        weak: Whether to keep the pairs within the noise.

    Returns:
        The pairs, none where the dimensions are not below N together. Of several samples as many
        as the one with the most has; where another has fewer, correlations are 0.

    Example:
        >>> x, noise = torch.randn(2, 5000, 1, generator=torch.Generator().manual_seed(0)).double()
        >>> canonical_pairs(x, 0.8 * x + 0.6 * noise).correlations.round(decimals=1)
        tensor([0.8000], dtype=torch.float64)
    """
    rows = x.shape[-2]
    x_white, z_white = (whitening(side.mT @ side / rows) for side in (x, z))
    cross = (x @ x_white).mT @ (z @ z_white) / rows
    pairs = _decomposed(x_white.cpu(), z_white.cpu(), cross.cpu(), rows, weak)
    return pairs[: pairs.count].to(x.device)


def _decomposed(
    x_white: Tensor, z_white: Tensor, cross: Tensor, rows: int, weak: bool
) -> CanonicalPairs:
    """Return the pairs by the covariance of so many whitened rows."""
    u, sample, vh = singular_values(cross)
    x_rank, z_rank = (w.any(-2).sum(-1, keepdim=True).to(sample) for w in (x_white, z_white))
    x_share, z_share = x_rank / rows, z_rank / rows
    edge = (x_share * (1 - z_share)).clamp(min=0).sqrt()
    edge = edge + (z_share * (1 - x_share)).clamp(min=0).sqrt()
    told = (sample > edge + 2 / math.sqrt(rows)) & (x_share + z_share < 1)
    rest = _together(sample, told, x_rank, z_rank, rows) if weak else torch.zeros_like(sample)
    rest = torch.where(x_share + z_share < 1, rest, 0)
    rho = torch.where(told, population(sample, x_share, z_share), rest)
    return CanonicalPairs(x_white @ u, z_white @ vh.mT, rho)


def _together(sample: Tensor, told: Tensor, x_rank: Tensor, z_rank: Tensor, rows: int) -> Tensor:
    """Shrink the sample correlations within the noise by the one factor of James and Stein."""
    beyond = told.sum(-1, keepdim=True)
    noise = (x_rank - beyond) * (z_rank - beyond) / rows
    energy = torch.where(told, 0, sample).square().sum(-1, keepdim=True).clamp(min=1e-300)
    return sample * (1 - noise / energy).clamp(min=0)


def whitening(covariance: Tensor) -> Tensor:
    """Return directions along which rows of a covariance are uncorrelated with variance 1.

    In the place of a direction without variance are zeros. They are found on the CPU: an
    accelerator takes longer for a few hundred columns, and gives vectors another sign, which what
    is learned depends on.

    Args:
        covariance: Shape ``(*, D, D)``.

    Returns:
        Shape ``(*, D, D)``.
    """
    variances, directions = torch.linalg.eigh(covariance.cpu())
    kept = variances > 1e-10 * variances[..., -1:].clamp(min=1e-300)
    scales = torch.where(kept, variances, math.inf).rsqrt()
    return (directions * scales.unsqueeze(-2)).to(covariance.device)


def singular_values(matrix: Tensor) -> list[Tensor]:
    """Return U, S and V^T of matrices, the thin ones, found on the CPU as in :func:`whitening`."""
    found = torch.linalg.svd(matrix.cpu(), full_matrices=False)
    return [part.to(matrix.device) for part in found]


def population(sample: Tensor, x_share: Tensor, z_share: Tensor) -> Tensor:
    """Solve the sample correlations for those of the population."""
    square = sample.clamp(max=LARGEST) ** 2
    a, c = (1 - x_share) * (1 - z_share), x_share * z_share
    b = z_share * (1 - x_share) + x_share * (1 - z_share) - square
    root = (b * b - 4 * a * c).clamp(min=0).sqrt()
    return ((root - b) / (2 * a)).clamp(1e-6, LARGEST).sqrt()


def gaussian_log_ratio(x: Tensor, z: Tensor, correlations: Tensor) -> Tensor:
    r"""Compute the log density ratio of canonical variates that are jointly normal.

    .. math::
        \ln \frac{p(x, z)}{p(x) p(z)} = \sum_r \frac{z_r^2}{2}
        - \frac{(z_r - \rho_r x_r)^2}{2 (1 - \rho_r^2)} - \frac 12 \ln(1 - \rho_r^2)

    Args:
        x: Canonical variates, shape ``(*, R)``.
        z: Canonical variates, shape ``(*, R)``; the batch dimensions ``*`` broadcast.
        correlations: Shape ``(*, R)``; a pair with correlation 0 adds nothing.

    Returns:
        The log ratio in nats, shape ``(*,)``.

    Example:
        >>> gaussian_log_ratio(torch.ones(1), torch.ones(1), torch.tensor([0.6]))
        tensor(0.5981)
    """
    rest = 1 - correlations**2
    residual = (z - correlations * x) / rest.sqrt()
    return (z**2 - residual**2 - rest.log()).sum(-1) / 2


def all_pairs(x: Tensor, z: Tensor, correlations: Tensor) -> Tensor:
    """Compute :func:`gaussian_log_ratio` of N rows with M rows by one matrix product.

    Args:
        x: Canonical variates, shape ``(*, N, R)``, float64: near a correlation of 1 terms cancel.
        z: Canonical variates, shape ``(*, M, R)``.
        correlations: Shape ``(*, R)``.

    Returns:
        Shape ``(*, N, M)``.

    Example:
        >>> x, z, correlations = torch.randn(3, 2), torch.randn(4, 2), torch.tensor([0.6, 0.1])
        >>> each = gaussian_log_ratio(x.unsqueeze(1), z, correlations)
        >>> torch.allclose(all_pairs(x, z, correlations), each, atol=1e-5)
        True
    """
    rho, rest = correlations.unsqueeze(-2), (1 - correlations**2).unsqueeze(-2)
    halves = (rho**2 / (2 * rest)).mT
    rows, columns = x**2 @ halves + rest.log().sum(-1, keepdim=True) / 2, z**2 @ halves
    return (x * (rho / rest) @ z.mT).sub_(columns.mT).sub_(rows)
