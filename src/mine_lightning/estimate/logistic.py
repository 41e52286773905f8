"""Scores of networks added to those of closed forms, and the logistic loss of both together."""

import torch
from torch import Tensor
from torch.nn import functional as F

from mine_lightning.estimate.readout import corrected_terms

__all__ = ["measured", "own_first", "row_losses", "row_slopes", "supported"]


def supported(offset: Tensor, limit: float) -> Tensor:
    r"""Return the share of the network's output that is added to scores of the closed form.

    .. math:: \frac{1}{1 + e^{T_0 - \ln N}}

    Of N rows, pairs drawn apart hardly contradict a score beyond :math:`\ln N`: the loss does not
    feel how large it is, and there the closed form stands alone.
    """
    return torch.sigmoid(limit - offset)


def own_first(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Split scores, ``(E, N, 1 + K)``, into those of rows with their own z and the others."""
    return scores[:, :, 0], scores[:, :, 1:]


def row_losses(joint: Tensor, marginal: Tensor) -> Tensor:
    """Return the logistic loss of each row, shape ``(E, N)``, from all of its partners."""
    return F.softplus(-joint) + F.softplus(marginal).mean(-1)


def row_slopes(scores: Tensor) -> Tensor:
    """Return the gradient of the sum of the :func:`row_losses` by scores, ``(E, N, 1 + K)``."""
    slopes = torch.sigmoid(scores)
    slopes[:, :, 1:] /= slopes.shape[2] - 1
    slopes[:, :, 0] -= 1
    return slopes


def measured(joint: Tensor, marginal: Tensor) -> tuple[Tensor, Tensor]:
    """Return the loss of each row, and the nats of each fold."""
    joint, marginal = joint.double(), marginal.double()
    return row_losses(joint, marginal).float(), corrected_terms(joint, marginal).mean(1)
