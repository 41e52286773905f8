r"""Pure functions of critic scores: scores in, nats out.

Throughout, ``joint`` holds the scores :math:`T(x_i, z_i)` of :math:`N` pairs drawn together and
``marginal`` the scores :math:`T(x_i, z'_{ik})` of pairs drawn apart, with one partner
(shape ``(N,)``) or :math:`K` partners (shape ``(N, K)``) for each row.
"""

import math

import torch
from torch import Tensor

__all__ = ["check_scores", "donsker_varadhan", "infonce", "log_mean_exp", "nwj"]


def widen(scores: Tensor) -> Tensor:
    """Return half-precision scores as float32, others unchanged: exponentials need the range."""
    return scores.float() if scores.dtype in (torch.float16, torch.bfloat16) else scores


def check_scores(joint: Tensor, marginal: Tensor) -> tuple[Tensor, Tensor]:
    """Check the scores' shapes once, at the door, and widen half precision to float32.

    Args:
        joint: Scores of pairs drawn together, shape ``(N,)``.
        marginal: Scores of pairs drawn apart, shape ``(N,)`` or ``(N, K)``.

    Returns:
        Both, in float32 or wider.

    Raises:
        ValueError: If a shape is another one. Broadcasting ``(N, 1)`` against ``(N,)`` would give
            ``(N, N)`` and a wrong estimate without an error.
    """
    if joint.ndim != 1 or len(joint) == 0:
        raise ValueError(
            f"Expected `joint` to hold one score for each pair, shape (N,) with N >= 1, "
            f"got {tuple(joint.shape)}. A critic that returns (N, 1) needs `.squeeze(-1)`."
        )
    if marginal.ndim not in (1, 2) or len(marginal) != len(joint) or marginal.numel() == 0:
        raise ValueError(
            f"Expected `marginal` to have shape (N,) or (N, K) with N = {len(joint)} as `joint`, "
            f"got {tuple(marginal.shape)}."
        )
    if not (joint.is_floating_point() and marginal.is_floating_point()):
        raise ValueError(
            f"Expected `joint` and `marginal` to be floating point scores, "
            f"got {joint.dtype} and {marginal.dtype}."
        )
    return widen(joint), widen(marginal)


def log_mean_exp(scores: Tensor, dim: int | tuple[int, ...] | None = None) -> Tensor:
    r"""Compute :math:`\ln \frac{1}{n} \sum_i e^{t_i}` without overflow.

    Args:
        scores: Tensor of scores, any shape; half precision is widened to float32.
        dim: Dimension or dimensions to reduce; all of them by default.

    Returns:
        The reduced tensor, in nats.

    Example:
        >>> log_mean_exp(torch.tensor([1000.0, 1000.0]))
        tensor(1000.)
    """
    scores = widen(scores)
    dims = tuple(range(scores.ndim)) if dim is None else (dim,) if isinstance(dim, int) else dim
    count = math.prod(scores.shape[d] for d in dims)
    return torch.logsumexp(scores, dims) - math.log(count)


def donsker_varadhan(joint: Tensor, marginal: Tensor) -> Tensor:
    r"""Compute the Donsker-Varadhan lower bound.

    .. math:: I(X; Z) \ge \mathbb{E}_{p(x, z)}[T] - \ln \mathbb{E}_{p(x) p(z)}[e^T]

    The bound does not change when a constant is added to every score. On a finite sample the
    logarithm of the mean is biased low and the estimate therefore high; pool scores over as many
    rows as there are (:class:`~mine_lightning.MutualInformation`) instead of averaging estimates.

    References:
        Donsker and Varadhan 1983; Belghazi et al., "MINE", 2018, Theorem 1.

    Args:
        joint: Scores of pairs drawn together, shape ``(N,)``.
        marginal: Scores of pairs drawn apart, shape ``(N,)`` or ``(N, K)``.

    Returns:
        The bound in nats, shape ``()``.

    Raises:
        ValueError: If a shape is another one.

    Example:
        >>> donsker_varadhan(torch.tensor([1.0, 1.0]), torch.tensor([0.0, 0.0]))
        tensor(1.)
    """
    joint, marginal = check_scores(joint, marginal)
    return joint.mean() - log_mean_exp(marginal)


def nwj(joint: Tensor, marginal: Tensor) -> Tensor:
    r"""Compute the Nguyen-Wainwright-Jordan lower bound, also called f-GAN KL or MINE-f.

    .. math:: I(X; Z) \ge \mathbb{E}_{p(x, z)}[T] - \mathbb{E}_{p(x) p(z)}[e^{T - 1}]

    It never exceeds :func:`donsker_varadhan` of the same scores and meets it where
    :math:`\mathbb{E}[e^{T - 1}] = 1`.

    References:
        Nguyen, Wainwright and Jordan 2010, eq. 25; Belghazi et al., "MINE", 2018, eq. 8.

    Args:
        joint: Scores of pairs drawn together, shape ``(N,)``.
        marginal: Scores of pairs drawn apart, shape ``(N,)`` or ``(N, K)``.

    Returns:
        The bound in nats, shape ``()``.

    Raises:
        ValueError: If a shape is another one.

    Example:
        >>> nwj(torch.tensor([1.0, 1.0]), torch.tensor([1.0, 1.0]))
        tensor(0.)
    """
    joint, marginal = check_scores(joint, marginal)
    return joint.mean() - torch.exp(log_mean_exp(marginal) - 1)


def infonce(joint: Tensor, marginal: Tensor, include_positive: bool = True) -> Tensor:
    r"""Compute the InfoNCE lower bound.

    .. math::
        I(X; Z) \ge \frac{1}{N} \sum_i
        \Bigl(T(x_i, z_i) - \ln \frac{1}{|C_i|} \sum_{z \in C_i} e^{T(x_i, z)}\Bigr)

    The candidates :math:`C_i` are the :math:`K` partners of row :math:`i` and, with
    ``include_positive``, its own :math:`z_i`. Then the bound cannot exceed :math:`\ln(K + 1)`.
    Without the positive among them there is no ceiling, but it is no longer a lower bound for every
    critic.

    References:
        van den Oord et al., "CPC", 2018, eq. 4; Poole et al., 2019, eq. 10.

    Args:
        joint: Scores of pairs drawn together, shape ``(N,)``.
        marginal: Scores of pairs drawn apart, shape ``(N,)`` or ``(N, K)``.
        include_positive: Whether the positive is among the candidates.

    Returns:
        The bound in nats, shape ``()``.

    Raises:
        ValueError: If a shape is another one.

    Example:
        >>> infonce(torch.tensor([100.0, 100.0]), torch.tensor([0.0, 0.0]))  # its ceiling: ln 2
        tensor(0.6931)
    """
    joint, marginal = check_scores(joint, marginal)
    return infonce_rows(joint, marginal, include_positive).mean()


def infonce_rows(joint: Tensor, marginal: Tensor, include_positive: bool = True) -> Tensor:
    """Return the terms, shape ``(N,)``, of which :func:`infonce` is the mean."""
    candidates = marginal.reshape(len(joint), -1)
    if include_positive:
        candidates = torch.cat((joint.unsqueeze(1), candidates), dim=1)  # (N, 1 + K)
    return joint - log_mean_exp(candidates, dim=1)
