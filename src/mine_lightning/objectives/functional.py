r"""Pure functions of critic scores: scores in, nats out.

Throughout, ``joint`` holds the scores :math:`T(x_i, z_i)` of :math:`N` pairs drawn together and
``marginal`` the scores :math:`T(x_i, z'_{ik})` of pairs drawn apart, with one partner
(shape ``(N,)``) or :math:`K` partners (shape ``(N, K)``) for each row.

Scores that are not finite, or too large for an exponential of the formula, give a result that is
not finite; :meth:`mine_lightning.Objective.estimate` raises an error instead.
"""

import math

import torch
from torch import Tensor

from mine_lightning.objectives.divergences import Divergence
from mine_lightning.objectives.scores import (
    candidates,
    check_scores,
    log_mean_exp,
    log_sum_without,
    other_rows,
)

__all__ = [
    "club",
    "donsker_varadhan",
    "f_divergence",
    "infonce",
    "interpolated_bound",
    "leave_one_out",
    "nwj",
    "smile",
    "tuba",
]


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
        The bound in nats, shape ``()``; -inf where the exponential overflows.

    Raises:
        ValueError: If a shape is another one.

    Example:
        >>> nwj(torch.tensor([1.0, 1.0]), torch.tensor([1.0, 1.0]))
        tensor(0.)
    """
    joint, marginal = check_scores(joint, marginal)
    return joint.mean() - torch.exp(log_mean_exp(marginal) - 1)


def tuba(joint: Tensor, marginal: Tensor, log_baseline: Tensor | float = 0.0) -> Tensor:
    r"""Compute the bound of Barber and Agakov, made tractable and unnormalised (TUBA).

    .. math::
        I(X; Z) \ge \mathbb{E}_{p(x, z)}[T] - \tfrac 1a \mathbb{E}_{p(x) p(z)}[e^T] - \ln a + 1

    for any baseline a > 0. At :math:`\ln a = 1` it is :func:`nwj`, at
    :math:`a = \mathbb{E}_{p(x) p(z)}[e^T]`, where it is largest, :func:`donsker_varadhan`.

    References:
        Poole et al., "On Variational Bounds of Mutual Information", 2019, section 2.2.

    Args:
        joint: Scores of pairs drawn together, shape ``(N,)``.
        marginal: Scores of pairs drawn apart, shape ``(N,)`` or ``(N, K)``.
        log_baseline: :math:`\ln a`.

    Returns:
        The bound in nats, shape ``()``; -inf where the exponential overflows.

    Raises:
        ValueError: If a shape is another one.

    Example:
        >>> tuba(torch.tensor([1.0, 1.0]), torch.tensor([0.0, 0.0]))
        tensor(1.)
    """
    joint, marginal = check_scores(joint, marginal)
    return joint.mean() - torch.exp(log_mean_exp(marginal) - log_baseline) - log_baseline + 1


def infonce(
    joint: Tensor,
    marginal: Tensor,
    include_positive: bool = True,
    temperature: Tensor | float = 1.0,
    symmetric: bool = False,
) -> Tensor:
    r"""Compute the InfoNCE lower bound.

    .. math::
        I(X; Z) \ge \frac{1}{N} \sum_i
        \Bigl(T(x_i, z_i) - \ln \frac{1}{|C_i|} \sum_{z \in C_i} e^{T(x_i, z)}\Bigr)

    The candidates :math:`C_i` are the :math:`K` partners of row :math:`i` and, with
    ``include_positive``, its own :math:`z_i`. Then the bound cannot exceed :math:`\ln(K + 1)`.
    Without the positive among them there is no ceiling, but it is no longer a lower bound for every
    critic.

    References:
        van den Oord et al., "CPC", 2018, eq. 4; Poole et al., 2019, eq. 10; Radford et al., "CLIP",
        2021, figure 3 (symmetric).

    Args:
        joint: Scores of pairs drawn together, shape ``(N,)``.
        marginal: Scores of pairs drawn apart, shape ``(N,)`` or ``(N, K)``.
        include_positive: Whether the positive is among the candidates.
        temperature: What scores are divided by.
        symmetric: Average with the bound in which z chooses among the x; ``marginal`` has to hold
            all other pairs of the batch, see :func:`all_pairs`.

    Returns:
        The bound in nats, shape ``()``.

    Raises:
        ValueError: If a shape is another one.

    Example:
        >>> infonce(torch.tensor([100.0, 100.0]), torch.tensor([0.0, 0.0]))  # its ceiling: ln 2
        tensor(0.6931)
    """
    joint, marginal = check_scores(joint, marginal)
    return infonce_rows(joint, marginal, include_positive, temperature, symmetric).mean()


def infonce_rows(
    joint: Tensor,
    marginal: Tensor,
    include_positive: bool = True,
    temperature: Tensor | float = 1.0,
    symmetric: bool = False,
) -> Tensor:
    """Return the terms, shape ``(N,)``, of which :func:`infonce` is the mean."""
    joint, marginal = joint / temperature, marginal.reshape(len(joint), -1) / temperature
    rows = joint - log_mean_exp(candidates(joint, marginal, include_positive), dim=1)
    if not symmetric:
        return rows
    columns = other_rows(joint, marginal)
    return (rows + joint - log_mean_exp(candidates(joint, columns, include_positive), dim=1)) / 2


def interpolated_bound(
    joint: Tensor, marginal: Tensor, alpha: float, log_baseline: Tensor | float = 0.0
) -> Tensor:
    r"""Compute the interpolated (alpha-) lower bound, between :func:`tuba` and :func:`infonce`.

    .. math::
        I(X; Z) \ge 1
        + \mathbb{E}\Bigl[\ln \frac{e^{T(x_i, z_i)}}{\alpha m_{i, -j} + (1 - \alpha) a}\Bigr]
        - \mathbb{E}\Bigl[\frac{m_i}{\alpha m_i + (1 - \alpha) a}\Bigr]

    :math:`m_i` is the mean of :math:`e^T` over the row's :math:`K` partners; :math:`m_{i, -j}` has
    the positive in the place of partner j, averaged over j. Both are means of :math:`K`, as the
    proof needs. At :math:`\alpha \to 0` this is :func:`tuba`, at 1 :func:`infonce` with
    :math:`K - 1` of the partners beside the positive; its ceiling is about :math:`\ln(K / \alpha)`.

    References:
        Poole et al., "On Variational Bounds of Mutual Information", 2019, section 2.4.

    Args:
        joint: Scores of pairs drawn together, shape ``(N,)``.
        marginal: Scores of pairs drawn apart, shape ``(N,)`` or ``(N, K)``.
        alpha: Weight of the row's own mean, in (0, 1].
        log_baseline: :math:`\ln a`.

    Returns:
        The bound in nats, shape ``()``.

    Raises:
        ValueError: If a shape is another one.

    Example:
        >>> interpolated_bound(torch.tensor([1.0, 1.0]), torch.zeros(2, 3), alpha=1.0)
        tensor(0.5472)
    """
    joint, marginal = check_scores(joint, marginal)
    return interpolated_rows(joint, marginal, alpha, log_baseline).mean()


def interpolated_rows(
    joint: Tensor, marginal: Tensor, alpha: float, log_baseline: Tensor | float
) -> Tensor:
    """Return the terms, shape ``(N,)``, of which :func:`interpolated_bound` is the mean."""
    marginal = marginal.reshape(len(joint), -1)
    partners = marginal.shape[1]
    baseline = torch.as_tensor(log_baseline, dtype=joint.dtype, device=joint.device)

    def mix(log_mean: Tensor) -> Tensor:
        if alpha == 1:
            return log_mean
        return torch.logaddexp(log_mean + math.log(alpha), baseline + math.log1p(-alpha))

    others = log_sum_without(candidates(joint, marginal))[:, 1:] - math.log(partners)
    log_mean = log_mean_exp(marginal, dim=1)
    return 1 + joint - mix(others).mean(1) - torch.exp(log_mean - mix(log_mean))


def smile(joint: Tensor, marginal: Tensor, tau: float = 5.0) -> Tensor:
    r"""Compute SMILE: Donsker-Varadhan with the marginal scores clipped.

    .. math::
        \hat I = \mathbb{E}_{p(x, z)}[T]
        - \ln \mathbb{E}_{p(x) p(z)}\bigl[e^{\text{clip}(T, -\tau, \tau)}\bigr]

    Only the marginal scores are clipped. It is a bound for :math:`\tau = \infty` alone, where it is
    :func:`donsker_varadhan`.

    References:
        Song and Ermon, "Understanding the Limitations of Variational Mutual Information
        Estimators", 2020, section 5.

    Args:
        joint: Scores of pairs drawn together, shape ``(N,)``.
        marginal: Scores of pairs drawn apart, shape ``(N,)`` or ``(N, K)``.
        tau: Where marginal scores are clipped, in nats.

    Returns:
        The estimate in nats, shape ``()``.

    Raises:
        ValueError: If a shape is another one.

    Example:
        >>> smile(torch.tensor([9.0, 9.0]), torch.tensor([7.0, 7.0]), tau=5.0)
        tensor(4.)
    """
    joint, marginal = check_scores(joint, marginal)
    return joint.mean() - log_mean_exp(marginal.clamp(-tau, tau))


def f_divergence(joint: Tensor, marginal: Tensor, divergence: Divergence) -> Tensor:
    r"""Compute the variational lower bound on an f-information.

    .. math::
        D_f\bigl(p(x, z) \| p(x) p(z)\bigr) \ge
        \mathbb{E}_{p(x, z)}[g_f(v)] - \mathbb{E}_{p(x) p(z)}[f^*(g_f(v))]

    It is mutual information for :class:`~mine_lightning.KullbackLeibler` alone.

    References:
        Nowozin, Cseke and Tomioka, "f-GAN", 2016, eq. 4.

    Args:
        joint: Raw scores v of pairs drawn together, shape ``(N,)``.
        marginal: Raw scores v of pairs drawn apart, shape ``(N,)`` or ``(N, K)``.
        divergence: The member of the family.

    Returns:
        The bound, shape ``()``; -inf where an exponential of the member overflows.

    Raises:
        ValueError: If a shape is another one.

    Example:
        >>> from mine_lightning.objectives.divergences import GAN
        >>> f_divergence(torch.zeros(2), torch.zeros(2), GAN())  # -ln 4: as if independent
        tensor(-1.3863)
    """
    joint, marginal = check_scores(joint, marginal)
    return divergence.activation(joint).mean() - divergence.conjugate(marginal).mean()


def club(joint: Tensor, marginal: Tensor) -> Tensor:
    r"""Compute the contrastive log-ratio upper bound (CLUB).

    .. math:: I(X; Z) \le \mathbb{E}_{p(x, z)}[\ln q(z | x)] - \mathbb{E}_{p(x) p(z)}[\ln q(z | x)]

    for the true conditional q, or one closer to it than the product of the marginals is.

    References:
        Cheng et al., "CLUB", 2020, sections 3.1 and 3.2.

    Args:
        joint: :math:`\ln q(z_i | x_i)` of pairs drawn together, shape ``(N,)``.
        marginal: :math:`\ln q(z'_{ik} | x_i)` of pairs drawn apart, shape ``(N,)`` or ``(N, K)``.

    Returns:
        The bound in nats, shape ``()``.

    Raises:
        ValueError: If a shape is another one.

    Example:
        >>> club(torch.tensor([-1.0, -1.0]), torch.tensor([-2.0, -4.0]))
        tensor(2.)
    """
    joint, marginal = check_scores(joint, marginal)
    return joint.mean() - marginal.mean()


def leave_one_out(joint: Tensor, marginal: Tensor) -> Tensor:
    r"""Compute the leave-one-out upper bound (L1Out).

    .. math::
        I(X; Z) \le \frac{1}{N} \sum_i \Bigl(\ln q(z_i | x_i)
        - \ln \frac{1}{N - 1} \sum_{j \ne i} q(z_i | x_j)\Bigr)

    for the true conditional q: the rows' other x stand for the marginal of z.

    References:
        Poole et al., "On Variational Bounds of Mutual Information", 2019, section 2.5.

    Args:
        joint: :math:`\ln q(z_i | x_i)`, shape ``(N,)``.
        marginal: :math:`\ln q(z_j | x_i)` of all other pairs, shape ``(N, N - 1)``.

    Returns:
        The bound in nats, shape ``()``.

    Raises:
        ValueError: If a shape is another one.

    Example:
        >>> leave_one_out(torch.tensor([0.0, 0.0]), torch.tensor([[-1.0], [-3.0]]))
        tensor(2.)
    """
    joint, marginal = check_scores(joint, marginal)
    return (joint - log_mean_exp(other_rows(joint, marginal), dim=1)).mean()
