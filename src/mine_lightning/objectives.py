r"""Objectives: what a critic is trained on, and the estimate in nats that its scores give.

Every estimate here is a function of two pooled numbers: the mean of a term for each row and the
log-mean-exp of the marginal scores. :meth:`Objective.terms` gives the terms,
:meth:`Objective.value` the estimate; pooling them over batches and processes before applying
``value`` once is exact, averaging the estimates of batches is not.
"""

import math
import warnings
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from mine_lightning.config import Configurable
from mine_lightning.functional import (
    check_scores,
    donsker_varadhan,
    infonce,
    infonce_rows,
    log_mean_exp,
    nwj,
)

__all__ = ["MINE", "NWJ", "DonskerVaradhan", "InfoNCE", "Objective"]

Kind = Literal["lower bound", "upper bound", "neither"]


class Objective(Configurable, nn.Module):
    """Base of all objectives: a loss to minimise and an estimate in nats.

    Subclasses implement ``loss``, ``terms`` and ``value``.

    Attributes:
        kind: Whether the estimate is, in expectation over enough rows, a lower bound, an upper
            bound or neither.
    """

    kind: ClassVar[Kind] = "lower bound"

    def loss(self, joint: Tensor, marginal: Tensor) -> Tensor:
        """Compute the loss to minimise.

        Args:
            joint: Scores of pairs drawn together, shape ``(N,)``.
            marginal: Scores of pairs drawn apart, shape ``(N,)`` or ``(N, K)``.

        Returns:
            The loss, shape ``()``.

        Raises:
            ValueError: If a shape is another one.
        """
        raise NotImplementedError

    def terms(self, joint: Tensor, marginal: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the terms to average, ``(N,)``, and those to pool by log-mean-exp, if any."""
        raise NotImplementedError

    def value(self, mean: Tensor, log_mean: Tensor | None) -> Tensor:
        """Return the estimate in nats from the pooled terms."""
        raise NotImplementedError

    def estimate(self, joint: Tensor, marginal: Tensor) -> Tensor:
        """Compute the estimate of the mutual information.

        Args:
            joint: Scores of pairs drawn together, shape ``(N,)``.
            marginal: Scores of pairs drawn apart, shape ``(N,)`` or ``(N, K)``.

        Returns:
            The estimate in nats, shape ``()``; it may be negative.

        Raises:
            ValueError: If a shape is another one.
        """
        rows, logs = self.terms(*check_scores(joint, marginal))
        return self.value(rows.mean(), None if logs is None else log_mean_exp(logs))

    def log_ratio(self, scores: Tensor) -> Tensor:
        r"""Return the log density ratio :math:`\ln p(x, z) / p(x) p(z)` up to a constant."""
        return scores

    def ceiling(self, partners: int) -> float:
        """Return the largest estimate, in nats, that ``partners`` for each row allow."""
        return math.inf

    def warn_near_ceiling(self, estimate: float, partners: int) -> None:
        """Warn if an estimate comes within 5 % of its ceiling."""
        ceiling = self.ceiling(partners)
        if estimate >= 0.95 * ceiling:
            warnings.warn(
                f"The {type(self).__name__} estimate {estimate:.3f} is within 5 % of its ceiling "
                f"ln {round(math.exp(ceiling))} = {ceiling:.3f} nats: the mutual information may "
                f"be larger. Use more partners for each row.",
                stacklevel=2,
            )


class DonskerVaradhan(Objective):
    r"""The plain Donsker-Varadhan bound, trained on itself.

    .. math:: \text{loss} = -\bigl(\overline{T} - \ln \overline{e^{T'}}\bigr)

    The gradient of the logarithm of a minibatch mean is biased (Belghazi et al. 2018, section 3.2);
    :class:`MINE` corrects it. See :func:`~mine_lightning.functional.donsker_varadhan`.

    Example:
        >>> objective = DonskerVaradhan()
        >>> objective.estimate(torch.tensor([1.0, 1.0]), torch.tensor([0.0, 0.0]))
        tensor(1.)
    """

    def loss(self, joint: Tensor, marginal: Tensor) -> Tensor:
        return -donsker_varadhan(joint, marginal)

    def terms(self, joint: Tensor, marginal: Tensor) -> tuple[Tensor, Tensor | None]:
        return joint, marginal

    def value(self, mean: Tensor, log_mean: Tensor | None) -> Tensor:
        assert log_mean is not None
        return mean - log_mean


class MINE(DonskerVaradhan):
    r"""Donsker-Varadhan with the moving-average correction of the gradient's bias.

    .. math::
        \nabla \text{loss} = \frac{\overline{\nabla T' \, e^{T'}}}{\text{EMA}(\overline{e^{T'}})}
        - \overline{\nabla T}

    The estimate is the Donsker-Varadhan bound. The average is kept as a logarithm in the buffer
    ``log_ema``: it is in the checkpoint, moves with the device, starts at the first batch's value
    and changes only in :meth:`loss` and only in training mode.

    References:
        Belghazi et al., "MINE: Mutual Information Neural Estimation", 2018, eq. 12.

    Args:
        ma_rate: Weight of the new batch in the moving average, in (0, 1]:
            ``ema <- (1 - ma_rate) * ema + ma_rate * batch``. At 1 the gradient is that of
            :class:`DonskerVaradhan`.

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

    def __init__(self, ma_rate: float = 0.01) -> None:
        super().__init__()
        if not 0 < ma_rate <= 1:
            raise ValueError(f"Expected `ma_rate` to be in (0, 1], got {ma_rate}.")
        self.ma_rate = ma_rate
        self.register_buffer("log_ema", torch.tensor(-math.inf))

    def loss(self, joint: Tensor, marginal: Tensor) -> Tensor:
        joint, marginal = check_scores(joint, marginal)
        log_mean = log_mean_exp(marginal)
        log_ema = self._blend(log_mean.detach())
        if self.training:
            self.log_ema.copy_(log_ema)
        return torch.exp(log_mean - log_ema) - joint.mean()

    def _blend(self, log_batch: Tensor) -> Tensor:
        """Return the logarithm of the moving average with the new batch in it."""
        if self.ma_rate == 1:
            return log_batch
        keep, new = math.log1p(-self.ma_rate), math.log(self.ma_rate)
        blended = torch.logaddexp(self.log_ema + keep, log_batch + new)
        return torch.where(torch.isneginf(self.log_ema), log_batch, blended)


class NWJ(Objective):
    r"""The Nguyen-Wainwright-Jordan bound ("MINE-f"): unbiased gradient, large variance.

    .. math:: \text{loss} = -\bigl(\overline{T} - \overline{e^{T' - 1}}\bigr)

    See :func:`~mine_lightning.functional.nwj`. The exponential is part of the bound, so scores
    beyond about 88 overflow in float32.

    Example:
        >>> NWJ().estimate(torch.tensor([1.0, 1.0]), torch.tensor([1.0, 1.0]))
        tensor(0.)
    """

    def loss(self, joint: Tensor, marginal: Tensor) -> Tensor:
        return -nwj(joint, marginal)

    def terms(self, joint: Tensor, marginal: Tensor) -> tuple[Tensor, Tensor | None]:
        return joint, marginal

    def value(self, mean: Tensor, log_mean: Tensor | None) -> Tensor:
        assert log_mean is not None
        return mean - torch.exp(log_mean - 1)

    def log_ratio(self, scores: Tensor) -> Tensor:
        return scores - 1


class InfoNCE(Objective):
    r"""InfoNCE: tell the row's own partner from :math:`K` others.

    By default the positive is one of the :math:`K + 1` candidates, and the estimate cannot exceed
    :math:`\ln(K + 1)`; one within 5 % of that ceiling raises a warning, once. See
    :func:`~mine_lightning.functional.infonce`.

    Args:
        include_positive: Whether the positive is among the candidates. Without it there is no
            ceiling, but the estimate is no lower bound for every critic.

    Example:
        >>> InfoNCE().ceiling(partners=255)  # ln 256
        5.545...
    """

    def __init__(self, include_positive: bool = True) -> None:
        super().__init__()
        self.include_positive = include_positive
        self._warned = False

    def loss(self, joint: Tensor, marginal: Tensor) -> Tensor:
        return -infonce(joint, marginal, self.include_positive)

    def terms(self, joint: Tensor, marginal: Tensor) -> tuple[Tensor, Tensor | None]:
        return infonce_rows(joint, marginal, self.include_positive), None

    def value(self, mean: Tensor, log_mean: Tensor | None) -> Tensor:
        return mean

    def ceiling(self, partners: int) -> float:
        return math.log(partners + 1) if self.include_positive else math.inf

    def warn_near_ceiling(self, estimate: float, partners: int) -> None:
        if not self._warned and estimate >= 0.95 * self.ceiling(partners):
            self._warned = True
            super().warn_near_ceiling(estimate, partners)
