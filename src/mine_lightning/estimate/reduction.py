"""Fewer columns where they are too many: those that matter, and principal components."""

import math
from typing import Self

import torch
from torch import Tensor

from mine_lightning.data.transforms import Standardize

__all__ = ["Reduction"]

ROWS_PER_COLUMN, ALWAYS = 8, 32
SCREENED_ROWS = 1_000


class Reduction:
    r"""Reduce two sides to at most a column for every eight training rows, and at least 32.

    A side with fewer columns is left as it is. Of another one, half of the columns kept are those
    with the largest rank correlations with any column of the other side, as long as they exceed
    the largest that is expected of noise, :math:`\sqrt{2 \ln(D_x D_z) / N}`, and half are its
    leading principal components. Both are fitted on training rows.

    Example:
        >>> x = torch.randn(400, 1000, generator=torch.Generator().manual_seed(0))
        >>> z = x[:, 500:501] + 0.5
        >>> reduction = Reduction().fit(x, z)
        >>> reduction.of_x(x).shape, reduction.of_z(z).shape
        (torch.Size([400, 26]), torch.Size([400, 1]))
    """

    def fit(self, x: Tensor, z: Tensor) -> Self:
        """Fit on training rows, shapes ``(N, D_x)`` and ``(N, D_z)``."""
        most = max(ALWAYS, len(x) // ROWS_PER_COLUMN)
        wide = [side.shape[1] > most for side in (x, z)]
        strengths = _strengths(x, z) if any(wide) else (x[0], z[0])
        self.x_side, self.z_side = (
            _Reduced(most).fit(side, strength) if is_wide else None
            for side, strength, is_wide in zip((x, z), strengths, wide, strict=True)
        )
        return self

    def of_x(self, x: Tensor) -> Tensor:
        """Return the columns kept of rows of x, shape ``(M, C)``."""
        return x if self.x_side is None else self.x_side(x)

    def of_z(self, z: Tensor) -> Tensor:
        """Return the columns kept of rows of z, likewise."""
        return z if self.z_side is None else self.z_side(z)


class _Reduced:
    def __init__(self, most: int) -> None:
        self.most = most

    def fit(self, rows: Tensor, strengths: Tensor) -> Self:
        chosen = strengths.topk(self.most // 2).indices
        self.columns = chosen[strengths[chosen] > 0]
        self.scale = Standardize().fit(rows)
        self.range = rows.amin(0), rows.amax(0)
        with torch.random.fork_rng(devices=[]):  # `svd_lowrank` takes no generator
            torch.manual_seed(0)
            scaled = self.scale(rows).float().cpu()  # whose generator is the same on every device
            self.components = torch.svd_lowrank(scaled, self.most // 2)[2].to(rows.device)
        return self

    def __call__(self, rows: Tensor) -> Tensor:
        standardised = self.scale(rows.clamp(*self.range)).float()
        leading = (standardised @ self.components).to(rows)
        return torch.cat([rows[:, self.columns], leading], dim=1)


def _strengths(x: Tensor, z: Tensor) -> list[Tensor]:
    """Return by how much each column's largest rank correlation exceeds that of noise."""
    a, b = (_ranks(side[:SCREENED_ROWS]) for side in (x, z))
    correlations = (a.T @ b / len(a)).abs_()
    noise = math.sqrt(2 * math.log(correlations.numel()) / len(a))
    return [correlations.amax(1) - noise, correlations.amax(0) - noise]


def _ranks(rows: Tensor) -> Tensor:
    """Return the ranks in each column, standardised, float32; equal values in order of rows."""
    ranks = rows.T.contiguous().argsort(1).argsort(1).T.float()
    return (ranks - ranks.mean(0)) / ranks.std(0).clamp(min=1e-12)
