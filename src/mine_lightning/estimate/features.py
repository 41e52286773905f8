"""What a critic is shown of one side: normal scores, radii, and cosines of the ranks."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from typing_extensions import Self

from mine_lightning.data.transforms import RankToNormal, Standardize, Transform

__all__ = ["Described", "Features"]

LARGEST = 6.0  # standard deviations
COSINES = 8
MOST_FUNCTIONS, LEAST_ROWS = 200, 10  # functions of a side, and rows for each of them


class Described(NamedTuple):
    """Rows of one variable as a critic sees them.

    Attributes:
        coordinates: The transformed, standardised columns u, shape ``(M, D)``, float64.
        inputs: What a network is shown, shape ``(M, F)``, float32.
        functions: Functions of u, float64, whose correlations with those of the other side show
            dependence of two kinds:

            * ``modulated``: u beside u times the normal score of the first radius, for dependence
              that turns with the distance from the centre. One column has no radius: u alone.
            * ``waves``: u beside :math:`\\cos(\\pi k \\Phi(u_j))`, k = 3, ..., 8, for columns that
              oscillate among others that do not; left out where they are too many for the rows.
    """

    coordinates: Tensor
    inputs: Tensor
    functions: dict[str, Tensor]


class Features:
    r"""Describe rows of one variable by numbers of order one, fitted on training rows.

    * the coordinates u: the variable after an invertible transform, standardised;
    * for two columns or more, the ranks of two radii as normal scores: :math:`\sum_j u_j^2`, and
      the same of the values scaled by median and interquartile range, which knows of heavy tails;
    * for one column, :math:`u^2` and :math:`\cos(\pi k \Phi(u))`, k = 2, ..., 8, for dependence
      that oscillates.

    Args:
        transform: The invertible transform; :class:`~mine_lightning.RankToNormal` by default.

    Example:
        >>> rows = torch.randn(100, 3)
        >>> Features().fit(rows)(rows).inputs.shape
        torch.Size([100, 5])
    """

    def __init__(self, transform: Transform | None = None) -> None:
        self.transform = RankToNormal() if transform is None else transform

    def fit(self, rows: Tensor) -> Self:
        """Fit on training rows, shape ``(N, ...)``."""
        rows = rows.double()
        transformed = self.transform.fit(rows)(rows).flatten(1)
        self.standardize = Standardize().fit(transformed)
        coordinates, values = self.standardize(transformed), rows.flatten(1)
        low, self.center, high = values.quantile(_QUARTILES.to(values), dim=0)
        spread = values.std(dim=0).clamp(min=1e-12)
        self.scale = torch.where(high > low, (high - low) / 1.349, spread)
        self.most = min(MOST_FUNCTIONS, len(rows) // LEAST_ROWS)
        if coordinates.shape[1] > 1:
            self.radii = RankToNormal().fit(self._radii(values, coordinates))
        return self

    def __call__(self, rows: Tensor) -> Described:
        """Describe rows, shape ``(M, ...)``."""
        rows = rows.double()
        u = self.standardize(self.transform(rows).flatten(1))
        if u.shape[1] == 1:
            inputs = torch.cat([u, (u * u - 1) / math.sqrt(2), _waves(u)], dim=1)
            modulated = u
        else:
            radii = self.radii(self._radii(rows.flatten(1), u))
            inputs, modulated = torch.cat([u, radii], 1), torch.cat([u, u * radii[:, :1]], 1)
        functions = {"modulated": modulated}
        if COSINES * u.shape[1] <= self.most:
            functions["waves"] = torch.cat([u, _waves(u)[:, u.shape[1] :]], dim=1)
        return Described(u, inputs.clamp(-LARGEST, LARGEST).float(), functions)

    def _radii(self, values: Tensor, coordinates: Tensor) -> Tensor:
        scaled = (values - self.center) / self.scale
        return torch.stack([coordinates.square().sum(1), scaled.square().sum(1)], dim=1)


def _waves(u: Tensor) -> Tensor:
    """Return cosines of the ranks, k = 2, ..., 8, those of all columns for each k in turn."""
    phase = math.pi * torch.special.ndtr(u)
    return torch.cat([torch.cos(k * phase) for k in range(2, COSINES + 1)], dim=1)


_QUARTILES = torch.tensor([0.25, 0.5, 0.75])
