"""Critics trained as classifiers of joint against marginal pairs, read out in nats."""

import math

import torch
from torch import Tensor

from mine_lightning.objectives.base import Objective
from mine_lightning.objectives.divergences import GAN
from mine_lightning.objectives.f_information import divergence_bound
from mine_lightning.objectives.scores import check_scores

__all__ = ["SMILE", "JensenShannonNWJ"]


class Logistic(Objective):
    r"""Base of the objectives that train by logistic regression (Jensen-Shannon, GAN).

    .. math:: \text{loss} = \overline{\ln(1 + e^{-T})} + \overline{\ln(1 + e^{T'})}

    The optimal score is the log density ratio. Loss and gradients are finite for any score.
    """

    def loss(self, joint: Tensor, marginal: Tensor) -> Tensor:
        return -divergence_bound(*check_scores(joint, marginal), GAN())


class SMILE(Logistic):
    r"""Jensen-Shannon training, Donsker-Varadhan read-out with clipped marginal scores.

    .. math:: \hat I = \overline{T} - \ln \overline{e^{\text{clip}(T', -\tau, \tau)}}

    The clip is in the estimate alone and on the marginal scores alone. It bounds the variance of
    the partition by :math:`e^{2 \tau} / 4 N` and adds a bias; the estimate is neither a lower nor
    an upper bound unless :math:`\tau = \infty`. Weakness: too high once pairs with ratios beyond
    :math:`e^\tau` carry the partition.

    References:
        Song and Ermon, "Understanding the Limitations of Variational Mutual Information
        Estimators", 2020, section 5.

    Args:
        tau: Where marginal scores are clipped, in nats; positive, ``inf`` for never. The authors
            report 1, 5 and infinity.

    Raises:
        ValueError: If ``tau`` is not positive.

    Example:
        >>> SMILE(tau=5.0).estimate(torch.tensor([9.0, 9.0]), torch.tensor([7.0, 7.0]))
        tensor(4.)
    """

    def __init__(self, tau: float = 5.0) -> None:
        super().__init__()
        if not tau > 0:
            raise ValueError(f"Expected `tau` to be positive, got {tau}.")
        self.tau = tau
        self.kind = "lower bound" if math.isinf(tau) else "neither"

    def terms(self, joint: Tensor, marginal: Tensor) -> tuple[Tensor, Tensor | None]:
        return joint, marginal.clamp(-self.tau, self.tau)

    def value(self, mean: Tensor, log_mean: Tensor) -> Tensor:
        return mean - log_mean

    def extra_repr(self) -> str:
        return f"tau={self.tau}"


class JensenShannonNWJ(Logistic):
    r"""Jensen-Shannon training, Nguyen-Wainwright-Jordan read-out: a lower bound.

    .. math:: \hat I = 1 + \overline{T} - \overline{e^{T'}}

    The score is a log density ratio, and the NWJ bound is read at :math:`T + 1`, where it is tight.
    The estimator published as "js" reads it at T and is lower by a constant that tends to 1/e =
    0.37 nats (0.53 bits).

    Weakness: the read-out has NWJ's variance, and overflows where a score exceeds 88 in float32;
    training does not.

    References:
        Poole et al., "On Variational Bounds of Mutual Information", 2019; Hjelm et al., "Deep
        InfoMax", 2019 (training).

    Example:
        >>> JensenShannonNWJ().estimate(torch.zeros(2), torch.zeros(2))
        tensor(0.)
    """

    def terms(self, joint: Tensor, marginal: Tensor) -> tuple[Tensor, Tensor | None]:
        return joint, marginal

    def value(self, mean: Tensor, log_mean: Tensor) -> Tensor:
        return 1 + mean - torch.exp(log_mean)
