"""Variational lower bounds of one sample: Donsker-Varadhan, MINE, NWJ and TUBA."""

import math

import torch
from torch import Tensor

from mine_lightning.objectives.base import Objective
from mine_lightning.objectives.baselines import (
    Baseline,
    MovingAverageBaseline,
    blend_logs,
    check_ma_rate,
)
from mine_lightning.objectives.scores import check_scores, log_mean_exp

__all__ = ["MINE", "NWJ", "TUBA", "DonskerVaradhan", "tuba_value"]


def supported(joint: Tensor, log_mean: Tensor | float, pairs: int) -> Tensor:
    r"""Whether marginal scores could contradict each joint one: :math:`e^T` is at most their sum.

    Args:
        joint: Joint scores, any shape.
        log_mean: Logarithm of the mean :math:`e^{T'}`.
        pairs: Number of marginal scores.
    """
    return joint <= log_mean + math.log(pairs)


class DonskerVaradhan(Objective):
    r"""The plain Donsker-Varadhan bound, trained on itself: a lower bound.

    .. math:: \text{loss} = -\bigl(\overline{T} - \ln \overline{e^{T'}}\bigr)

    Weakness: the gradient of the logarithm of a minibatch mean is biased (Belghazi et al. 2018,
    section 3.2), which :class:`MINE` corrects; nothing holds the scores' constant, which drifts;
    and where the information comes near :math:`\ln M`, for M marginal scores in a minibatch, the
    scores explode: a region that holds more than 1/M of the joint pairs and less than 1/M of the
    marginal ones is rarely contradicted. With ``stable``, the loss leaves such scores alone,

    .. math::
        \text{loss} = \ln \overline{e^{T'}} - \frac{\sum_i w_i T_i}{\sum_i w_i}, \quad
        w_i = \begin{cases} 1 & T_i \le \ln \sum_j e^{T'_j} \\ 0 & \text{otherwise,} \end{cases}

    and its minimum for a ratio below M is that of the bound. The estimate is the bound itself,

    .. math:: I(X; Z) \ge \mathbb{E}_{p(x, z)}[T] - \ln \mathbb{E}_{p(x) p(z)}[e^T],

    which does not change when a constant is added to every score. On a finite sample the logarithm
    of the mean is biased low and the estimate therefore high.

    References:
        Donsker and Varadhan 1983; Belghazi et al., "MINE", 2018. No minibatch of M can support
        more than about :math:`\ln M`: McAllester and Stratos, "Formal Limitations on the
        Measurement of Mutual Information", 2020.

    Args:
        stable: Whether joint scores that the marginal ones cannot contradict are left alone.

    Example:
        >>> objective = DonskerVaradhan()
        >>> objective.estimate(torch.tensor([1.0, 1.0]), torch.tensor([0.0, 0.0]))
        tensor(1.)
    """

    def __init__(self, stable: bool = False) -> None:
        super().__init__()
        self.stable = stable

    def loss(self, joint: Tensor, marginal: Tensor) -> Tensor:
        joint, marginal = check_scores(joint, marginal)
        log_mean = log_mean_exp(marginal)
        return log_mean - self.mean_score(joint, log_mean, marginal.numel())

    def mean_score(self, joint: Tensor, log_mean: Tensor, pairs: int) -> Tensor:
        """Return the mean joint score, with ``stable`` of those that the marginal ones support."""
        if not self.stable:
            return joint.mean()
        kept = supported(joint, log_mean, pairs)
        return torch.where(kept, joint, 0).sum() / kept.sum().clamp_min(1)

    def extra_repr(self) -> str:
        return "stable=True" if self.stable else ""

    def terms(self, joint: Tensor, marginal: Tensor) -> tuple[Tensor, Tensor | None]:
        return joint, marginal

    def value(self, mean: Tensor, log_mean: Tensor) -> Tensor:
        return mean - log_mean


class MINE(DonskerVaradhan):
    r"""Donsker-Varadhan with the moving-average correction of the gradient's bias: a lower bound.

    .. math::
        \nabla \text{loss} = \frac{\overline{\nabla T' \, e^{T'}}}{\text{EMA}(\overline{e^{T'}})}
        - \overline{\nabla T}

    The estimate is the Donsker-Varadhan bound. The average is kept as a logarithm in the buffer
    ``log_ema``: it is in the checkpoint, moves with the device, starts at the first batch's value
    and changes only in :meth:`loss` and only in training mode.

    Weakness: the average lags behind a partition that moves fast, and the variance of the estimate
    grows exponentially with the mutual information.

    References:
        Belghazi et al., "MINE: Mutual Information Neural Estimation", 2018, eq. 12.

    Args:
        ma_rate: Weight of the new batch in the moving average, in (0, 1]:
            ``ema <- (1 - ma_rate) * ema + ma_rate * batch``. At 1 the gradient is that of
            :class:`DonskerVaradhan`.
        stable: As for :class:`DonskerVaradhan`, with the moving average.

    Raises:
        ValueError: If ``ma_rate`` is outside (0, 1].

    Example:
        >>> objective = MINE(ma_rate=0.01)
        >>> joint, marginal = torch.tensor([1.0, 1.0]), torch.tensor([0.0, 0.0])
        >>> objective.loss(joint, marginal)  # exp(0) / EMA(exp(0)) - 1
        tensor(0.)
        >>> objective.log_ema
        tensor(0.)
    """

    log_ema: Tensor

    def __init__(self, ma_rate: float = 0.01, stable: bool = False) -> None:
        super().__init__(stable)
        check_ma_rate(ma_rate)
        self.ma_rate = ma_rate
        self.register_buffer("log_ema", torch.tensor(-math.inf))

    def loss(self, joint: Tensor, marginal: Tensor) -> Tensor:
        joint, marginal = check_scores(joint, marginal)
        log_mean = log_mean_exp(marginal)
        log_ema = blend_logs(self.log_ema, log_mean.detach(), self.ma_rate)
        if self.training:
            self.log_ema.copy_(log_ema)
        return torch.exp(log_mean - log_ema) - self.mean_score(joint, log_ema, marginal.numel())

    def extra_repr(self) -> str:
        return f"ma_rate={self.ma_rate}" + (", stable=True" if self.stable else "")


class NWJ(Objective):
    r"""The Nguyen-Wainwright-Jordan bound ("MINE-f"): a lower bound with an unbiased gradient.

    .. math:: \text{loss} = -\bigl(\overline{T} - \overline{e^{T' - 1}}\bigr)

    .. math:: I(X; Z) \ge \mathbb{E}_{p(x, z)}[T] - \mathbb{E}_{p(x) p(z)}[e^{T - 1}]

    Weakness: large variance; the exponential is part of
    the bound, so marginal scores beyond about 88 overflow in float32. With ``stable`` the loss
    leaves joint scores of :math:`T > 1 + \ln M` alone, for the reason that
    :class:`DonskerVaradhan` gives: they would claim ratios beyond the number M of marginal scores.

    References:
        Nguyen, Wainwright and Jordan 2010, eq. 25; Belghazi et al., "MINE", 2018, eq. 8.

    Args:
        stable: Whether joint scores that the marginal ones cannot contradict are left alone.

    Example:
        >>> NWJ().estimate(torch.tensor([1.0, 1.0]), torch.tensor([1.0, 1.0]))
        tensor(0.)
    """

    def __init__(self, stable: bool = False) -> None:
        super().__init__()
        self.stable = stable

    def loss(self, joint: Tensor, marginal: Tensor) -> Tensor:
        if self.stable:
            joint, marginal = check_scores(joint, marginal)
            joint = torch.where(supported(joint, 1.0, marginal.numel()), joint, joint.detach())
        return -self.batch_value(joint, marginal)

    def extra_repr(self) -> str:
        return "stable=True" if self.stable else ""

    def terms(self, joint: Tensor, marginal: Tensor) -> tuple[Tensor, Tensor | None]:
        return joint, marginal

    def value(self, mean: Tensor, log_mean: Tensor) -> Tensor:
        return mean - torch.exp(log_mean - 1)

    def log_ratio(self, scores: Tensor) -> Tensor:
        return scores - 1


class TUBA(Objective):
    r"""The unnormalised Barber-Agakov bound with a baseline: a lower bound.

    .. math:: \text{loss} = -\bigl(\overline{T} - \overline{e^{T'}} / a - \ln a + 1\bigr)

    With the moving average as baseline its gradient is that of :class:`MINE`, and its estimate,
    unlike Donsker-Varadhan's, a lower bound in expectation for any number of rows:

    .. math::
        I(X; Z) \ge \mathbb{E}_{p(x, z)}[T] - \tfrac 1a \mathbb{E}_{p(x) p(z)}[e^T] - \ln a + 1

    Weakness: a baseline that is off by a factor :math:`c` costs :math:`c - 1 - \ln c` nats, and the
    exponential overflows where scores exceed :math:`\ln a` by about 88 in float32.

    References:
        Poole et al., "On Variational Bounds of Mutual Information", 2019, section 2.2.

    Args:
        baseline: What a is; :class:`MovingAverageBaseline` by default.

    Example:
        >>> from mine_lightning.objectives import LearnableBaseline
        >>> objective = TUBA(LearnableBaseline(log_value=1.0))  # at ln a = 1: NWJ
        >>> objective.estimate(torch.tensor([1.0, 1.0]), torch.tensor([1.0, 1.0])).item()
        0.0
    """

    def __init__(self, baseline: Baseline | None = None) -> None:
        super().__init__()
        self.baseline = MovingAverageBaseline() if baseline is None else baseline

    def loss(self, joint: Tensor, marginal: Tensor) -> Tensor:
        joint, marginal = check_scores(joint, marginal)
        log_mean = log_mean_exp(marginal)
        return -tuba_value(joint.mean(), log_mean, self.baseline.observe(log_mean))

    def terms(self, joint: Tensor, marginal: Tensor) -> tuple[Tensor, Tensor | None]:
        return joint, marginal

    def value(self, mean: Tensor, log_mean: Tensor) -> Tensor:
        return tuba_value(mean, log_mean, self.baseline())

    def log_ratio(self, scores: Tensor) -> Tensor:
        return scores - self.baseline()


def tuba_value(mean: Tensor, log_mean: Tensor, log_baseline: Tensor | float) -> Tensor:
    """Return the bound of :class:`TUBA` from the two pooled numbers and the baseline."""
    return mean - torch.exp(log_mean - log_baseline) - log_baseline + 1
