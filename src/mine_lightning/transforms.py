"""Invertible per-variable transforms: they leave the mutual information unchanged.

Each is fitted on training rows only and then applied to all rows.
"""

import torch
from torch import Tensor
from typing_extensions import Self

from mine_lightning.config import Configurable

__all__ = ["Standardize", "Transform"]


class Transform(Configurable):
    """Base of the transforms: ``fit`` on training rows, then call on any rows."""

    def fit(self, rows: Tensor) -> Self:
        """Learn the transform from training rows, shape ``(N, ...)``, and return it."""
        raise NotImplementedError

    def __call__(self, rows: Tensor) -> Tensor:
        """Apply the fitted transform to rows, shape ``(M, ...)``."""
        raise NotImplementedError


class Standardize(Transform):
    r"""Shift and scale every column to mean 0 and standard deviation 1 on the training rows.

    .. math:: x \mapsto (x - \bar{x}) / s_x

    A column that is constant on the training rows is only shifted.

    Example:
        >>> Standardize().fit(torch.tensor([[1.0], [3.0]]))(torch.tensor([[3.0], [5.0]]))
        tensor([[1.],
                [3.]])
    """

    def fit(self, rows: Tensor) -> Self:
        wide = rows.double()
        scale = wide.std(dim=0, correction=0)
        self.mean = wide.mean(dim=0)
        self.scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        return self

    def __call__(self, rows: Tensor) -> Tensor:
        return ((rows.double() - self.mean) / self.scale).to(rows.dtype)
