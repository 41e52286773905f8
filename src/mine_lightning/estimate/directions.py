"""Directions along which two sides are correlated, found on some rows and confirmed on others."""

import math
from typing import Self

import torch
from torch import Tensor

from mine_lightning.critics.gaussian import canonical_pairs
from mine_lightning.data.transforms import Standardize

__all__ = ["CommonDirections", "bounded"]

BOUND = 2.5  # standard deviations at which a variate levels off


class CommonDirections:
    """The leading canonical variates of two sides, as bounded inputs of a network.

    In many dimensions a network finds the few directions that matter late, or never. Those of the
    canonical correlations are cheap to find; each is kept if its correlation on validation rows is
    at least half of that on training rows, and three standard errors from 0.

    Args:
        most: Largest number of pairs.

    Example:
        >>> x = torch.randn(1000, 20, generator=torch.Generator().manual_seed(0)).double()
        >>> z = x.roll(1, 0).clone()
        >>> z[:, 0] = x[:, 3] + z[:, 0]
        >>> directions = CommonDirections().fit(x[:800], z[:800], x[800:], z[800:])
        >>> directions.of_x(x).shape, directions.of_z(z).shape
        (torch.Size([1000, 1]), torch.Size([1000, 1]))
    """

    def __init__(self, most: int = 16) -> None:
        self.most = most

    def fit(self, x: Tensor, z: Tensor, x_val: Tensor, z_val: Tensor) -> Self:
        """Find pairs of directions on training rows, and confirm them on validation rows."""
        self.x_scale, self.z_scale = Standardize().fit(x), Standardize().fit(z)
        self.pairs = canonical_pairs(self.x_scale(x), self.z_scale(z))
        a = self.x_scale(x_val) @ self.pairs.x_directions
        b = self.z_scale(z_val) @ self.pairs.z_directions
        a, b = (_scored(v) for v in (a, b))
        least = (0.5 * self.pairs.correlations).clamp(min=3 / math.sqrt(len(x_val)))
        kept = (a * b).mean(0) > least
        kept[self.most :] = False
        self.pairs = self.pairs[kept]
        return self

    @property
    def count(self) -> int:
        """The number of pairs kept."""
        return len(self.pairs.correlations)

    @property
    def strength(self) -> float:
        """The largest correlation, 0 without any."""
        return max(self.pairs.correlations.tolist(), default=0.0)

    def of_x(self, x: Tensor) -> Tensor:
        """Return the variates of rows of x, shape ``(M, R)``, float32."""
        return bounded(self.x_scale(x) @ self.pairs.x_directions)

    def of_z(self, z: Tensor) -> Tensor:
        """Return the variates of rows of z, shape ``(M, R)``, float32."""
        return bounded(self.z_scale(z) @ self.pairs.z_directions)


def _scored(variates: Tensor) -> Tensor:
    """Standardise columns, of which there may be none, and bound them."""
    centred = variates - variates.mean(0)
    return (centred / centred.square().mean(0).sqrt().clamp(min=1e-12)).clamp(-4, 4)


def bounded(variates: Tensor) -> Tensor:
    """Return variates that level off at 2.5 standard deviations, float32."""
    return (BOUND * torch.tanh(variates / BOUND)).float()
