r"""Baselines: the partition :math:`\mathbb{E}_{p(x) p(z)}[e^T]`, kept as a logarithm."""

import math

import torch
from torch import Tensor, nn

from mine_lightning.support.config import Configurable

__all__ = ["Baseline", "LearnableBaseline", "MovingAverageBaseline"]


def check_ma_rate(ma_rate: float) -> None:
    """Raise unless the rate of a moving average is in (0, 1]."""
    if not 0 < ma_rate <= 1:
        raise ValueError(f"Expected `ma_rate` to be in (0, 1], got {ma_rate}.")


def blend_logs(log_ema: Tensor, log_batch: Tensor, ma_rate: float) -> Tensor:
    """Return the logarithm of the moving average with the new batch in it.

    An average of nothing yet, -inf, becomes the batch.
    """
    if ma_rate == 1:
        return log_batch
    blended = torch.logaddexp(log_ema + math.log1p(-ma_rate), log_batch + math.log(ma_rate))
    return torch.where(torch.isneginf(log_ema), log_batch, blended)


class Baseline(Configurable, nn.Module):
    """Base of the baselines of :class:`TUBA` and :class:`InterpolatedBound`."""

    def forward(self) -> Tensor:
        r"""Return :math:`\ln a`, shape ``()``."""
        raise NotImplementedError

    def observe(self, log_mean: Tensor) -> Tensor:
        r"""Return :math:`\ln a` for a batch whose partition is ``log_mean``; learn in training."""
        raise NotImplementedError


class LearnableBaseline(Baseline):
    r"""One number, learnt with the critic.

    Args:
        log_value: Where :math:`\ln a` starts.

    Example:
        >>> LearnableBaseline(log_value=1.0)()
        Parameter containing:
        tensor(1., requires_grad=True)
    """

    def __init__(self, log_value: float = 0.0) -> None:
        super().__init__()
        self.log_value = nn.Parameter(torch.tensor(float(log_value)))

    def forward(self) -> Tensor:
        return self.log_value

    def observe(self, log_mean: Tensor) -> Tensor:
        return self.log_value


class MovingAverageBaseline(Baseline):
    """A moving average of the batches' partitions, in the buffer ``log_ema``.

    Before the first batch a is 1.

    Args:
        ma_rate: Weight of the new batch, in (0, 1].

    Raises:
        ValueError: If ``ma_rate`` is outside (0, 1].

    Example:
        >>> baseline = MovingAverageBaseline(ma_rate=0.5)
        >>> baseline.observe(torch.tensor(1.0)), baseline.observe(torch.tensor(1.0))
        (tensor(1.), tensor(1.))
    """

    log_ema: Tensor

    def __init__(self, ma_rate: float = 0.01) -> None:
        super().__init__()
        check_ma_rate(ma_rate)
        self.ma_rate = ma_rate
        self.register_buffer("log_ema", torch.tensor(-math.inf))

    def forward(self) -> Tensor:
        return torch.where(torch.isneginf(self.log_ema), 0.0, self.log_ema)

    def observe(self, log_mean: Tensor) -> Tensor:
        log_ema = blend_logs(self.log_ema, log_mean.detach(), self.ma_rate)
        if self.training:
            self.log_ema.copy_(log_ema)
        return log_ema
