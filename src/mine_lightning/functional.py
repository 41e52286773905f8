r"""Pure functions of critic scores: scores in, nats out.

Throughout, ``joint`` holds the scores :math:`T(x_i, z_i)` of :math:`N` pairs drawn together and
``marginal`` the scores :math:`T(x_i, z'_{ik})` of pairs drawn apart, with one partner
(shape ``(N,)``) or :math:`K` partners (shape ``(N, K)``) for each row. Each function is the
estimate of one batch by the objective that it names, which has the formula and its source; for
several batches pool (:meth:`mine_lightning.Objective.pool`) instead of averaging.

Scores that are not finite, or too large for an exponential of the formula, give a result that is
not finite; :meth:`mine_lightning.Objective.estimate` raises an error instead.
"""

from torch import Tensor

from mine_lightning.objectives.contrastive import InfoNCE, interpolated_rows
from mine_lightning.objectives.divergences import Divergence
from mine_lightning.objectives.f_information import divergence_bound
from mine_lightning.objectives.logistic import SMILE
from mine_lightning.objectives.scores import check_scores, log_mean_exp
from mine_lightning.objectives.upper import CLUB, LeaveOneOut
from mine_lightning.objectives.variational import NWJ, DonskerVaradhan, tuba_value

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
    r"""Compute the lower bound of :class:`~mine_lightning.DonskerVaradhan`.

    Args:
        joint: Scores of pairs drawn together, shape ``(N,)``.
        marginal: Scores of pairs drawn apart, shape ``(N,)`` or ``(N, K)``.

    Returns:
        The bound in nats, shape ``()``.

    Raises:
        ValueError: If a shape is another one.

    Example:
        >>> import torch
        >>> donsker_varadhan(torch.tensor([1.0, 1.0]), torch.tensor([0.0, 0.0]))
        tensor(1.)
    """
    return DonskerVaradhan().batch_value(joint, marginal)


def nwj(joint: Tensor, marginal: Tensor) -> Tensor:
    r"""Compute the lower bound of :class:`~mine_lightning.NWJ`, also called f-GAN KL or MINE-f.

    It never exceeds :func:`donsker_varadhan` of the same scores and meets it where
    :math:`\mathbb{E}[e^{T - 1}] = 1`.

    Args:
        joint: Scores of pairs drawn together, shape ``(N,)``.
        marginal: Scores of pairs drawn apart, shape ``(N,)`` or ``(N, K)``.

    Returns:
        The bound in nats, shape ``()``; -inf where the exponential overflows.

    Raises:
        ValueError: If a shape is another one.

    Example:
        >>> import torch
        >>> nwj(torch.tensor([1.0, 1.0]), torch.tensor([1.0, 1.0]))
        tensor(0.)
    """
    return NWJ().batch_value(joint, marginal)


def tuba(joint: Tensor, marginal: Tensor, log_baseline: Tensor | float = 0.0) -> Tensor:
    r"""Compute the lower bound of :class:`~mine_lightning.TUBA` with a given baseline.

    At :math:`\ln a = 1` it is :func:`nwj`, at :math:`a = \mathbb{E}_{p(x) p(z)}[e^T]`, where it is
    largest, :func:`donsker_varadhan`.

    Args:
        joint: Scores of pairs drawn together, shape ``(N,)``.
        marginal: Scores of pairs drawn apart, shape ``(N,)`` or ``(N, K)``.
        log_baseline: :math:`\ln a`.

    Returns:
        The bound in nats, shape ``()``; -inf where the exponential overflows.

    Raises:
        ValueError: If a shape is another one.

    Example:
        >>> import torch
        >>> tuba(torch.tensor([1.0, 1.0]), torch.tensor([0.0, 0.0]))
        tensor(1.)
    """
    joint, marginal = check_scores(joint, marginal)
    return tuba_value(joint.mean(), log_mean_exp(marginal), log_baseline)


def infonce(
    joint: Tensor,
    marginal: Tensor,
    include_positive: bool = True,
    temperature: float = 1.0,
    symmetric: bool = False,
) -> Tensor:
    r"""Compute the lower bound of :class:`~mine_lightning.InfoNCE`.

    Args:
        joint: Scores of pairs drawn together, shape ``(N,)``.
        marginal: Scores of pairs drawn apart, shape ``(N,)`` or ``(N, K)``.
        include_positive: Whether the positive is among the candidates.
        temperature: What scores are divided by.
        symmetric: Average with the bound in which z chooses among the x; ``marginal`` has to hold
            all other pairs of the batch, see :func:`~mine_lightning.objectives.scores.all_pairs`.

    Returns:
        The bound in nats, shape ``()``.

    Raises:
        ValueError: If a shape is another one.

    Example:
        >>> import torch
        >>> infonce(torch.tensor([100.0, 100.0]), torch.tensor([0.0, 0.0]))  # its ceiling: ln 2
        tensor(0.6931)
    """
    return InfoNCE(include_positive, temperature, symmetric=symmetric).batch_value(joint, marginal)


def interpolated_bound(
    joint: Tensor, marginal: Tensor, alpha: float, log_baseline: Tensor | float = 0.0
) -> Tensor:
    r"""Compute the lower bound of :class:`~mine_lightning.objectives.InterpolatedBound`.

    At :math:`\alpha \to 0` it is :func:`tuba`, at 1 :func:`infonce` with :math:`K - 1` of the
    partners beside the positive.

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
        >>> import torch
        >>> interpolated_bound(torch.tensor([1.0, 1.0]), torch.zeros(2, 3), alpha=1.0)
        tensor(0.5472)
    """
    joint, marginal = check_scores(joint, marginal)
    return interpolated_rows(joint, marginal, alpha, log_baseline).mean()


def smile(joint: Tensor, marginal: Tensor, tau: float = 5.0) -> Tensor:
    r"""Compute the estimate of :class:`~mine_lightning.SMILE`.

    It is a bound for :math:`\tau = \infty` alone.

    Args:
        joint: Scores of pairs drawn together, shape ``(N,)``.
        marginal: Scores of pairs drawn apart, shape ``(N,)`` or ``(N, K)``.
        tau: Where marginal scores are clipped, in nats.

    Returns:
        The estimate in nats, shape ``()``.

    Raises:
        ValueError: If a shape is another one.

    Example:
        >>> import torch
        >>> smile(torch.tensor([9.0, 9.0]), torch.tensor([7.0, 7.0]), tau=5.0)
        tensor(4.)
    """
    return SMILE(tau).batch_value(joint, marginal)


def f_divergence(joint: Tensor, marginal: Tensor, divergence: Divergence) -> Tensor:
    r"""Compute the bound of :class:`~mine_lightning.DivergenceBound`.

    It is mutual information for :class:`~mine_lightning.KullbackLeibler` alone.

    Args:
        joint: Raw scores v of pairs drawn together, shape ``(N,)``.
        marginal: Raw scores v of pairs drawn apart, shape ``(N,)`` or ``(N, K)``.
        divergence: The member of the family.

    Returns:
        The bound, shape ``()``; -inf where an exponential of the member overflows.

    Raises:
        ValueError: If a shape is another one.

    Example:
        >>> import torch
        >>> from mine_lightning.objectives.divergences import GAN
        >>> f_divergence(torch.zeros(2), torch.zeros(2), GAN())  # -ln 4: as if independent
        tensor(-1.3863)
    """
    return divergence_bound(*check_scores(joint, marginal), divergence)


def club(joint: Tensor, marginal: Tensor) -> Tensor:
    r"""Compute the upper bound of :class:`~mine_lightning.CLUB`.

    Args:
        joint: :math:`\ln q(z_i | x_i)` of pairs drawn together, shape ``(N,)``.
        marginal: :math:`\ln q(z'_{ik} | x_i)` of pairs drawn apart, shape ``(N,)`` or ``(N, K)``.

    Returns:
        The bound in nats, shape ``()``.

    Raises:
        ValueError: If a shape is another one.

    Example:
        >>> import torch
        >>> club(torch.tensor([-1.0, -1.0]), torch.tensor([-2.0, -4.0]))
        tensor(2.)
    """
    return CLUB().batch_value(joint, marginal)


def leave_one_out(joint: Tensor, marginal: Tensor) -> Tensor:
    r"""Compute the upper bound of :class:`~mine_lightning.LeaveOneOut`.

    Args:
        joint: :math:`\ln q(z_i | x_i)`, shape ``(N,)``.
        marginal: :math:`\ln q(z_j | x_i)` of all other pairs, shape ``(N, N - 1)``.

    Returns:
        The bound in nats, shape ``()``.

    Raises:
        ValueError: If a shape is another one.

    Example:
        >>> import torch
        >>> leave_one_out(torch.tensor([0.0, 0.0]), torch.tensor([[-1.0], [-3.0]]))
        tensor(2.)
    """
    return LeaveOneOut().batch_value(joint, marginal)
