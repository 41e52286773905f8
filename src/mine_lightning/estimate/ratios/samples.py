"""Fit closed forms to several samples at once, such as those of all folds."""

import copy
from typing import Any, Self

import torch
from torch import Tensor

from mine_lightning.critics.gaussian import CanonicalPairs
from mine_lightning.data.transforms import Transform

__all__ = ["EachSample", "PerSample", "against"]


class PerSample:
    """What is fitted to S samples at once, in tensors with a first dimension of S."""

    def of_sample(self, place: int, samples: int) -> Self:
        """Return what was fitted to one of them."""
        one = copy.copy(self)
        vars(one).update({k: _part(v, place, samples) for k, v in vars(self).items()})
        return one


def _part(value: Any, place: int, samples: int) -> Any:
    """Return what is of one sample; a copy, as a view would hold the memory of all."""
    if isinstance(value, PerSample):
        return value.of_sample(place, samples)
    if isinstance(value, CanonicalPairs):
        parts = value.x_directions, value.z_directions, value.correlations
        return CanonicalPairs(*(part[place].clone() for part in parts))
    return value[place].clone() if torch.is_tensor(value) else value


class EachSample(PerSample):
    """A transform of the columns of several samples, fitted to the rows of each.

    Args:
        transform: The transform.

    Example:
        >>> from mine_lightning import Standardize
        >>> rows = torch.tensor([[[1.0], [3.0]], [[10.0], [30.0]]])
        >>> EachSample(Standardize()).fit_transform(rows).flatten()
        tensor([-1.,  1., -1.,  1.])
    """

    def __init__(self, transform: Transform) -> None:
        self.transform = transform

    def fit_transform(self, rows: Tensor) -> Tensor:
        """Fit on rows, shape ``(*, N, D)``, and return them transformed."""
        return self._as(rows, self.transform.fit_transform(self._columns(rows)))

    def __call__(self, rows: Tensor) -> Tensor:
        """Return rows transformed, shape ``(*, M, D)``."""
        return self._as(rows, self.transform(self._columns(rows)))

    def of_sample(self, place: int, samples: int) -> Self:
        one = copy.copy(self.transform)
        learned = {k: v for k, v in vars(one).items() if torch.is_tensor(v)}
        vars(one).update({k: v.chunk(samples)[place].clone() for k, v in learned.items()})
        return type(self)(one)

    def _columns(self, rows: Tensor) -> Tensor:
        return rows.movedim(-2, 0).flatten(1)

    def _as(self, rows: Tensor, columns: Tensor) -> Tensor:
        return columns.view(rows.movedim(-2, 0).shape).movedim(0, -2)


def against(parameter: Tensor, rows: Tensor) -> Tensor:
    """View a parameter of samples, shape ``(*, R)``, so that it broadcasts with their rows.

    Args:
        parameter: The parameter.
        rows: Shape ``(*, ..., R)``.

    Example:
        >>> against(torch.ones(5, 2), torch.ones(5, 100, 1, 2)).shape
        torch.Size([5, 1, 1, 2])
    """
    ones = [1] * (rows.ndim - parameter.ndim)
    return parameter.view(*parameter.shape[:-1], *ones, parameter.shape[-1])
