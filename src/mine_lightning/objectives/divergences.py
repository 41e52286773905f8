r"""The f-divergence family as data.

For a convex generator f with f(1) = 0 and conjugate f*, and a raw score v,

.. math:: D_f(P \| Q) \ge \mathbb{E}_P[g_f(v)] - \mathbb{E}_Q[f^*(g_f(v))]

with equality where :math:`g_f(v) = f'(p / q)`, so that v gives the density ratio:

================== ===================== ================== ================= ==================
divergence         :math:`g_f(v)`        :math:`f^*(t)`     at independence   :math:`\ln p / q`
================== ===================== ================== ================= ==================
Kullback-Leibler   v                     exp(t - 1)         0                 v - 1
reverse KL         -exp(-v)              -1 - ln(-t)        0                 v
Pearson            v                     t^2 / 4 + t        0                 ln(1 + v / 2)
squared Hellinger  1 - exp(-v)           t / (1 - t)        0                 2 v
Jensen-Shannon     ln 2 - ln(1 + e^-v)   -ln(2 - e^t)       0                 v
GAN                -ln(1 + e^-v)         -ln(1 - e^t)       -ln 4             v
================== ===================== ================== ================= ==================

``conjugate`` is :math:`f^*(g_f(v))`, composed and simplified on paper: no member computes the
logarithm of an exponential. Members with an exponential left (all but Pearson, Jensen-Shannon and
GAN) overflow by definition where it does.

References:
    Nowozin, Cseke and Tomioka, "f-GAN", 2016, tables 1, 2 and 6. A much-copied version of the table
    has 1 / (1 - t) for squared Hellinger: the same gradients, every value too low by 1.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import softplus

from mine_lightning.support.config import Configurable

__all__ = [
    "GAN",
    "Divergence",
    "JensenShannon",
    "KullbackLeibler",
    "Pearson",
    "ReverseKL",
    "SquaredHellinger",
]


@dataclass(frozen=True)
class Divergence(Configurable):
    """Base of the members: three functions of the raw score and one number.

    Attributes:
        independence: The value of the divergence where P and Q are equal.
    """

    independence: ClassVar[float] = 0.0

    def activation(self, score: Tensor) -> Tensor:
        """Return :math:`g_f(v)`, which is averaged over P."""
        raise NotImplementedError

    def conjugate(self, score: Tensor) -> Tensor:
        """Return :math:`f^*(g_f(v))`, which is averaged over Q."""
        raise NotImplementedError

    def log_ratio(self, score: Tensor) -> Tensor:
        r"""Return :math:`\ln p / q` as the score v encodes it."""
        raise NotImplementedError


@dataclass(frozen=True)
class KullbackLeibler(Divergence):
    r""":math:`f(u) = u \ln u`: the mutual information itself, bounded as NWJ bounds it.

    Example:
        >>> KullbackLeibler().conjugate(torch.tensor(1.0))
        tensor(1.)
    """

    def activation(self, score: Tensor) -> Tensor:
        return score

    def conjugate(self, score: Tensor) -> Tensor:
        return torch.exp(score - 1)

    def log_ratio(self, score: Tensor) -> Tensor:
        return score - 1


@dataclass(frozen=True)
class ReverseKL(Divergence):
    r""":math:`f(u) = -\ln u`: the lautum information.

    Example:
        >>> ReverseKL().activation(torch.tensor(0.0))
        tensor(-1.)
    """

    def activation(self, score: Tensor) -> Tensor:
        return -torch.exp(-score)

    def conjugate(self, score: Tensor) -> Tensor:
        return score - 1

    def log_ratio(self, score: Tensor) -> Tensor:
        return score


@dataclass(frozen=True)
class Pearson(Divergence):
    r""":math:`f(u) = (u - 1)^2`: chi-square, in which the score is linear in the ratio.

    A score below -2 claims a negative ratio. The log ratio then stops at ``ln(floor)``. On the true
    ratio a floor raises the mean log ratio by at most ``floor / e`` nats, as
    :math:`\mathbb{E}_P[\ln(\epsilon q / p)_+] = \mathbb{E}_Q[\frac pq \ln(\epsilon q / p)_+]`
    :math:`\le \epsilon / e`.

    Args:
        floor: Smallest density ratio that the log ratio admits, in (0, 1).

    Raises:
        ValueError: If ``floor`` is outside (0, 1).

    Example:
        >>> Pearson().log_ratio(torch.tensor([0.0, -2.0, -50.0]))
        tensor([ 0.0000, -4.6052, -4.6052])
    """

    floor: float = 0.01

    def __post_init__(self) -> None:
        if not 0 < self.floor < 1:
            raise ValueError(f"Expected `floor` to be in (0, 1), got {self.floor}.")

    def activation(self, score: Tensor) -> Tensor:
        return score

    def conjugate(self, score: Tensor) -> Tensor:
        return score.square() / 4 + score

    def log_ratio(self, score: Tensor) -> Tensor:
        return torch.log((1 + score / 2).clamp(min=self.floor))


@dataclass(frozen=True)
class SquaredHellinger(Divergence):
    r""":math:`f(u) = (\sqrt u - 1)^2`: between 0 and 2.

    Example:
        >>> SquaredHellinger().conjugate(torch.tensor(0.0))
        tensor(0.)
    """

    def activation(self, score: Tensor) -> Tensor:
        return -torch.expm1(-score)

    def conjugate(self, score: Tensor) -> Tensor:
        return torch.expm1(score)

    def log_ratio(self, score: Tensor) -> Tensor:
        return 2 * score


@dataclass(frozen=True)
class JensenShannon(Divergence):
    r""":math:`f(u) = u \ln u - (u + 1) \ln \frac{u + 1}{2}`: between 0 and ln 4.

    This published generator is *twice* the Jensen-Shannon divergence.

    Example:
        >>> JensenShannon().activation(torch.tensor([0.0, 1e4]))
        tensor([0.0000, 0.6931])
    """

    def activation(self, score: Tensor) -> Tensor:
        return math.log(2) - softplus(-score)

    def conjugate(self, score: Tensor) -> Tensor:
        return softplus(score) - math.log(2)

    def log_ratio(self, score: Tensor) -> Tensor:
        return score


@dataclass(frozen=True)
class GAN(Divergence):
    r""":math:`f(u) = u \ln u - (u + 1) \ln(u + 1)`: logistic regression, between -ln 4 and 0.

    Example:
        >>> GAN().activation(torch.tensor([0.0, -1e4]))
        tensor([-6.9315e-01, -1.0000e+04])
    """

    independence: ClassVar[float] = -math.log(4)

    def activation(self, score: Tensor) -> Tensor:
        return -softplus(-score)

    def conjugate(self, score: Tensor) -> Tensor:
        return softplus(score)

    def log_ratio(self, score: Tensor) -> Tensor:
        return score
