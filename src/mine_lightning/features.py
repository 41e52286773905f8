"""What a critic is shown of one side: normal scores, radii, and cosines of the ranks."""

import math

import torch
from torch import Tensor
from typing_extensions import Self

from mine_lightning.transforms import RankToNormal, Standardize, Transform

__all__ = ["Features"]

LARGEST = 6.0  # standard deviations
COSINES = 8


class Features(Transform):
    r"""Turn rows of one variable into inputs of a network, all of order one.

    * the coordinates u: the variable after an invertible transform, standardised;
    * for two columns or more, the ranks of two radii as normal scores: :math:`\sum_j u_j^2`, and
      the same of the values scaled by median and interquartile range, which knows of heavy tails;
    * for one column, :math:`u^2` and :math:`\cos(\pi k \Phi(u))`, k = 2, ..., 8, for dependence
      that oscillates.

    Everything is fitted on training rows.

    Args:
        transform: The invertible transform; :class:`~mine_lightning.RankToNormal` by default.

    Example:
        >>> rows = torch.randn(100, 3)
        >>> Features().fit(rows)(rows).shape
        torch.Size([100, 5])
    """

    def __init__(self, transform: Transform | None = None) -> None:
        self.transform = RankToNormal() if transform is None else transform

    def fit(self, rows: Tensor) -> Self:
        self.transform.fit(rows)
        self.standardize = Standardize().fit(self._flat(rows))
        coordinates, values = self.coordinates(rows), rows.double().flatten(1)
        low, self.center, high = values.quantile(_QUARTILES.to(values), dim=0)
        spread = values.std(dim=0).clamp(min=1e-12)
        self.scale = torch.where(high > low, (high - low) / 1.349, spread)
        if coordinates.shape[1] > 1:
            self.radii = RankToNormal().fit(self._radii(rows, coordinates))
        return self

    def coordinates(self, rows: Tensor) -> Tensor:
        """Return u of each row, shape ``(M, D)``, float64."""
        return self.standardize(self._flat(rows))

    def modulated(self, rows: Tensor) -> Tensor:
        """Return u beside u times the normal score of the first radius, shape ``(M, 2 D)``.

        Correlations of these show where a dependence turns with the distance from the centre. One
        column has no radius: u alone, shape ``(M, 1)``.
        """
        u = self.coordinates(rows)
        if u.shape[1] == 1:
            return u
        return torch.cat([u, u * self.radii(self._radii(rows, u))[:, :1]], dim=1)

    def _flat(self, rows: Tensor) -> Tensor:
        return self.transform(rows.double()).flatten(1)

    def _radii(self, rows: Tensor, coordinates: Tensor) -> Tensor:
        scaled = (rows.double().flatten(1) - self.center) / self.scale
        return torch.stack([coordinates.square().sum(1), scaled.square().sum(1)], dim=1)

    def __call__(self, rows: Tensor) -> Tensor:
        """Return the inputs of each row, shape ``(M, F)``, float32."""
        u = self.coordinates(rows)
        if u.shape[1] > 1:
            more = [self.radii(self._radii(rows, u))]
        else:
            phase = math.pi * torch.special.ndtr(u)
            cosines = [torch.cos(k * phase) for k in range(2, COSINES + 1)]
            more = [(u * u - 1) / math.sqrt(2), *cosines]
        return torch.cat([u, *more], dim=1).clamp(-LARGEST, LARGEST).float()


_QUARTILES = torch.tensor([0.25, 0.5, 0.75])
