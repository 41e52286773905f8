"""Lower bounds of several samples: a row's own partner among others."""

import math

import torch
from torch import Tensor, nn

from mine_lightning.objectives.base import Objective
from mine_lightning.objectives.baselines import Baseline, MovingAverageBaseline
from mine_lightning.objectives.scores import (
    candidates,
    check_scores,
    log_mean_exp,
    log_sum_without,
    other_rows,
)
from mine_lightning.support.arguments import check_positive

__all__ = ["AnchoredInfoNCE", "InfoNCE", "InterpolatedBound"]


class InfoNCE(Objective):
    r"""InfoNCE: tell the row's own partner from :math:`K` others.

    .. math::
        \text{loss} = -\frac{1}{N} \sum_i
        \Bigl(T_i - \ln \frac{e^{T_i} + \sum_k e^{T'_{ik}}}{K + 1}\Bigr)

    By default the positive is one of the :math:`K + 1` candidates: a lower bound of little variance
    whose weakness is its ceiling, :math:`\ln(K + 1)`; an estimate within 5 % of it raises a
    warning, once. Negatives are those that the batch brings, or with
    ``MutualInformationEstimator(all_pairs=True)`` the batch's other z.

    The critic learns the log density ratio up to a function of x (``symmetric``: up to a constant).

    References:
        van den Oord et al., "CPC", 2018, eq. 4; Poole et al., 2019, eq. 10; Radford et al., "CLIP",
        2021, figure 3 (symmetric).

    Args:
        include_positive: Whether the positive is among the candidates. Without it there is no
            ceiling, but the estimate is neither a lower nor an upper bound, and a row needs several
            partners: with one alone the value, a difference of two scores, grows without end.
        temperature: What scores are divided by. Loss and estimate divide alike: the bound holds for
            the critic :math:`T / \text{temperature}`, which is the one trained.
        learn_temperature: Whether the temperature is learnt with the critic, starting from
            ``temperature``. It is for critics that cannot scale their scores, such as cosines.
        symmetric: Let z choose among the x as well, and average both. Needs all pairs of a batch.

    Raises:
        ValueError: If ``temperature`` is not positive; with ``symmetric``, if scores are not those
            of all pairs.

    Example:
        >>> InfoNCE().ceiling(partners=255)  # ln 256
        5.545...
    """

    def __init__(
        self,
        include_positive: bool = True,
        temperature: float = 1.0,
        learn_temperature: bool = False,
        symmetric: bool = False,
    ) -> None:
        super().__init__()
        check_positive("temperature", temperature)
        self.include_positive, self.symmetric = include_positive, symmetric
        self.kind = "lower bound" if include_positive else "neither"
        self.initial_temperature = temperature
        start = torch.tensor(math.log(temperature))
        self.log_temperature = nn.Parameter(start) if learn_temperature else None

    @property
    def temperature(self) -> Tensor | float:
        """What scores are divided by."""
        if self.log_temperature is None:
            return self.initial_temperature
        return self.log_temperature.exp()

    def loss(self, joint: Tensor, marginal: Tensor) -> Tensor:
        return -self.batch_value(joint, marginal)

    def terms(self, joint: Tensor, marginal: Tensor) -> tuple[Tensor, Tensor | None]:
        joint = joint / self.temperature
        marginal = marginal.reshape(len(joint), -1) / self.temperature
        rows = self._against(joint, marginal)
        if self.symmetric:
            rows = (rows + self._against(joint, other_rows(joint, marginal))) / 2
        return rows, None

    def _against(self, joint: Tensor, marginal: Tensor) -> Tensor:
        """Return the terms of rows that choose among their partners, shape ``(N,)``."""
        return joint - log_mean_exp(candidates(joint, marginal, self.include_positive), dim=1)

    def value(self, mean: Tensor, log_mean: Tensor) -> Tensor:
        return mean

    def log_ratio(self, scores: Tensor) -> Tensor:
        return scores / self.temperature

    def ceiling(self, partners: int) -> float:
        return math.log(partners + 1) if self.include_positive else math.inf

    def extra_repr(self) -> str:
        temperature = torch.as_tensor(self.temperature).item()
        return (
            f"include_positive={self.include_positive}, temperature={temperature:.4g}, "
            f"symmetric={self.symmetric}"
        )


class AnchoredInfoNCE(Objective):
    r"""InfoNCE with an anchor: tell which of K candidates is the row's own, or that none is.

    .. math::
        \text{loss} = -\frac{1}{(K + \nu) N} \sum_i \Bigl(
        \sum_j \ln \frac{e^{T_i}}{\nu + e^{T_i} + \sum_{k \ne j} e^{T'_{ik}}}
        + \nu \ln \frac{\nu}{\nu + \sum_k e^{T'_{ik}}}\Bigr)

    The first part has the row's own partner in the place of partner j; the second, in which all
    candidates are drawn apart, tells the critic how large a score is. The optimal score is the log
    density ratio itself, where :class:`InfoNCE` learns it up to a function of x. With one partner
    and :math:`\nu = 1` this is logistic regression, as in
    :class:`~mine_lightning.JensenShannonNWJ`.

    .. math:: \hat I = \overline{T}

    There is no ceiling. Weakness: the estimate is neither a lower nor an upper bound; it is as good
    as the scores are. Loss and gradients are finite for any score.

    References:
        "Contrastive Predictive Coding Done Right for Mutual Information Estimation",
        arXiv 2510.25983, 2025.

    Args:
        anchor: Weight :math:`\nu` of the case that no candidate is the row's own; positive.

    Raises:
        ValueError: If ``anchor`` is not positive.

    Example:
        >>> AnchoredInfoNCE().loss(torch.zeros(2), torch.zeros(2))  # logistic regression: ln 2
        tensor(0.6931)
    """

    def __init__(self, anchor: float = 1.0) -> None:
        super().__init__()
        if not 0 < anchor < math.inf:
            raise ValueError(f"Expected `anchor` to be positive, got {anchor}.")
        self.anchor = anchor
        self.kind = "neither"

    def loss(self, joint: Tensor, marginal: Tensor) -> Tensor:
        joint, marginal = check_scores(joint, marginal)
        marginal = marginal.reshape(len(joint), -1)
        anchor = joint.new_tensor(math.log(self.anchor))
        others = log_sum_without(candidates(joint, marginal))[:, 1:]  # (N, K)
        own = (joint.unsqueeze(1) - torch.logaddexp(others, anchor)).sum(1)
        none = anchor - torch.logaddexp(marginal.logsumexp(1), anchor)
        return -(own + self.anchor * none).mean() / (marginal.shape[1] + self.anchor)

    def terms(self, joint: Tensor, marginal: Tensor) -> tuple[Tensor, Tensor | None]:
        return joint, None

    def value(self, mean: Tensor, log_mean: Tensor) -> Tensor:
        return mean

    def extra_repr(self) -> str:
        return f"anchor={self.anchor}"


class InterpolatedBound(Objective):
    r"""The interpolated (alpha-) bound between :class:`TUBA` and InfoNCE: a lower bound.

    .. math::
        \text{loss} = -1 - \frac{1}{N} \sum_i \Bigl(
        \frac 1K \sum_j \ln \frac{e^{T_i}}{\alpha m_{i, -j} + (1 - \alpha) a}
        - \frac{m_i}{\alpha m_i + (1 - \alpha) a}\Bigr)

    A small alpha allows more than InfoNCE's ceiling, about :math:`\ln(K / \alpha)`, for more
    variance; an estimate within 5 % of it raises a warning, once. Nothing overflows: the last
    fraction is at most :math:`1 / \alpha`. Weakness: alpha has to be chosen, and the baseline
    learnt.

    :math:`m_i` is the mean of :math:`e^T` over the row's :math:`K` partners; :math:`m_{i, -j}` has
    the positive in the place of partner j. Both are means of :math:`K`, as the proof needs.

    References:
        Poole et al., "On Variational Bounds of Mutual Information", 2019, section 2.4.

    Args:
        alpha: Weight of the row's own mean, in (0, 1]. At 1 it is InfoNCE with K candidates.
        baseline: What a is; :class:`MovingAverageBaseline` by default.

    Raises:
        ValueError: If ``alpha`` is outside (0, 1].

    Example:
        >>> InterpolatedBound(alpha=0.01).ceiling(partners=100)  # ln 10,000
        9.210...
    """

    def __init__(self, alpha: float = 0.01, baseline: Baseline | None = None) -> None:
        super().__init__()
        if not 0 < alpha <= 1:
            raise ValueError(
                f"Expected `alpha` to be in (0, 1], got {alpha}. At 0 the bound is `TUBA`."
            )
        self.alpha = alpha
        self.baseline = MovingAverageBaseline() if baseline is None else baseline

    def loss(self, joint: Tensor, marginal: Tensor) -> Tensor:
        joint, marginal = check_scores(joint, marginal)
        log_baseline = self.baseline.observe(log_mean_exp(marginal))
        return -interpolated_rows(joint, marginal, self.alpha, log_baseline).mean()

    def terms(self, joint: Tensor, marginal: Tensor) -> tuple[Tensor, Tensor | None]:
        return interpolated_rows(joint, marginal, self.alpha, self.baseline()), None

    def value(self, mean: Tensor, log_mean: Tensor) -> Tensor:
        return mean

    def ceiling(self, partners: int) -> float:
        return math.log(partners / self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"


def interpolated_rows(
    joint: Tensor, marginal: Tensor, alpha: float, log_baseline: Tensor | float
) -> Tensor:
    """Return the terms of :class:`InterpolatedBound`, shape ``(N,)``."""
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
