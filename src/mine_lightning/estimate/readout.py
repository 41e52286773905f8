"""From the scores of a log-ratio critic to nats: corrected to first order, bounded above."""

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["TILT", "corrected_terms", "normalized_terms"]

TILT = 2.0  # nats


def corrected_terms(joint: Tensor, marginal: Tensor, tilt: float = TILT) -> Tensor:
    r"""Compute the terms whose mean is the mutual information, corrected for the critic's error.

    .. math::
        T(x_i, z_i) + w(T(x_i, z_i)) - \overline{w(T') e^{T'}}, \quad
        w(T) = \frac{1}{1 + e^{T - c}}

    The mean of the last two terms is 0 for the true log ratio, and cancels the error of a critic
    near it to first order where :math:`T \ll c`. With w = 1 it would be the bound of
    Nguyen, Wainwright and Jordan; with w, which bounds :math:`w e^T` by :math:`e^c`, one partner
    with a large score cannot ruin the mean.

    Args:
        joint: Scores of pairs drawn together, shape ``(*, N)``.
        marginal: Scores of pairs drawn apart, shape ``(*, N, K)``.
        tilt: The score c at which the correction fades out, in nats.

    Returns:
        Shape ``(*, N)``, in nats.

    Example:
        >>> corrected_terms(torch.tensor([1.0, 20.0]), torch.tensor([[-1.0], [20.0]]))
        tensor([ 1.3806, 12.6109])
    """
    apart = torch.exp(marginal - F.softplus(marginal - tilt)).mean(-1)
    return joint + torch.sigmoid(tilt - joint) - apart


def normalized_terms(joint: Tensor, marginal: Tensor, log_weights: Tensor) -> Tensor:
    r"""Compute the terms of the exact conditional distribution of a discrete variable.

    .. math:: T(x_i, z_i) - \ln \sum_c p_c e^{T(x_i, c)}

    With :math:`q(c | x) \propto p_c e^{T(x, c)}` it is :math:`\ln q(z_i | x_i) / p(z_i)`, whose
    mean is the entropy of z less the cross-entropy of a classifier: a lower bound on the mutual
    information for any critic.

    References:
        Barber and Agakov, "The IM algorithm", 2003.

    Args:
        joint: Scores of pairs drawn together, shape ``(*, N)``.
        marginal: Scores of each x with every value of z, shape ``(*, N, C)``.
        log_weights: :math:`\ln p_c`, shape ``(C,)``.

    Returns:
        Shape ``(*, N)``, in nats.

    Example:
        >>> log_weights = torch.tensor([0.5, 0.5]).log()
        >>> normalized_terms(torch.tensor([0.0]), torch.tensor([[0.0, -100.0]]), log_weights)
        tensor([0.6931])
    """
    return joint - torch.logsumexp(marginal + log_weights, dim=-1)
