"""Which z every x is scored with, where a row of z stands in several pairs."""

import torch
from torch import Tensor

__all__ = ["candidates", "ring", "ring_gradient", "rows_at"]


def candidates(rows: Tensor, places: Tensor | None) -> Tensor:
    """Return the candidates of each row.

    Args:
        rows: Rows, shape ``(E, M, D)``.
        places: Where the candidates stand among them, shape ``(E, N, K)``; if None, they are those
            of a :func:`ring`.

    Returns:
        Shape ``(E, K, N, D)``.
    """
    return ring(rows) if places is None else rows_at(rows, places.mT)


def ring(rows: Tensor) -> Tensor:
    """Return all rows and, for each of them, the next one; that of the last is the first.

    In rows of random order, the next one is drawn apart. On a device, unlike those at places, its
    gradients are always summed in the same order.

    Args:
        rows: Shape ``(E, N, *)``.

    Returns:
        Shape ``(E, 2, N, *)``.

    Example:
        >>> ring(torch.tensor([[1, 2, 3]]))
        tensor([[[1, 2, 3],
                 [2, 3, 1]]])
    """
    return torch.stack([rows, rows.roll(-1, 1)], dim=1)


def ring_gradient(gradient: Tensor) -> Tensor:
    """Return the gradient by rows, given that by the result of :func:`ring`.

    Example:
        >>> ring_gradient(torch.tensor([[[1.0, 2.0, 0.0], [0.0, 0.0, 5.0]]]))
        tensor([[6., 2., 0.]])
    """
    own, following = gradient.unbind(1)
    return own + following.roll(1, 1)


def rows_at(rows: Tensor, places: Tensor) -> Tensor:
    """Return the rows, ``(E, M, D)``, at places within each first index, ``(E, *)``."""
    chosen = places.flatten(1).unsqueeze(2).expand(-1, -1, rows.shape[2])
    return rows.gather(1, chosen).view(*places.shape, -1)
