"""The f-divergence family: two numbers from one critic."""

from torch import Tensor

from mine_lightning.divergences import Divergence, KullbackLeibler
from mine_lightning.functional import f_divergence
from mine_lightning.objectives.base import Objective

__all__ = ["DivergenceBound", "FDivergence"]


class DivergenceBound(Objective):
    r"""The variational lower bound on an f-information, trained on itself.

    .. math:: \text{loss} = -\bigl(\overline{g_f(v)} - \overline{f^*(g_f(v'))}\bigr)

    Its estimate is **not** mutual information, unless the divergence is Kullback-Leibler:
    :class:`FDivergence` reads that out. As an objective of its own it can be pooled over batches:
    ``MutualInformation(DivergenceBound(Pearson()))``. See
    :func:`~mine_lightning.functional.f_divergence`.

    Weakness: divergences with an exponential (Kullback-Leibler, reverse KL, squared Hellinger)
    overflow where a score exceeds about 88 in float32.

    References:
        Nowozin, Cseke and Tomioka, "f-GAN", 2016, eq. 4 and table 6.

    Args:
        divergence: The member of the family; Kullback-Leibler by default.

    Example:
        >>> import torch
        >>> from mine_lightning.divergences import Pearson
        >>> DivergenceBound(Pearson()).estimate(torch.tensor([2.0, 2.0]), torch.tensor([0.0, 0.0]))
        tensor(2.)
    """

    def __init__(self, divergence: Divergence | None = None) -> None:
        super().__init__()
        self.divergence = KullbackLeibler() if divergence is None else divergence

    def loss(self, joint: Tensor, marginal: Tensor) -> Tensor:
        return -f_divergence(joint, marginal, self.divergence)

    def terms(self, joint: Tensor, marginal: Tensor) -> tuple[Tensor, Tensor | None]:
        conjugate = self.divergence.conjugate(marginal).reshape(len(joint), -1).mean(1)
        return self.divergence.activation(joint) - conjugate, None

    def value(self, mean: Tensor, log_mean: Tensor | None) -> Tensor:
        return mean

    def log_ratio(self, scores: Tensor) -> Tensor:
        return self.divergence.log_ratio(scores)

    def extra_repr(self) -> str:
        return repr(self.divergence)


class FDivergence(DivergenceBound):
    r"""Train on an f-divergence, report mutual information from the log density ratio.

    .. math::
        \text{loss} = -\bigl(\overline{g_f(v)} - \overline{f^*(g_f(v'))}\bigr), \qquad
        \hat I = \overline{r(v)} - \ln \overline{e^{r(v')}}

    r(v) is the log density ratio that the score encodes. Putting it through Donsker-Varadhan gives
    a lower bound whatever the critic; :attr:`bound` is the other number, the bound on the
    divergence itself.

    Args:
        divergence: The member of the family; Kullback-Leibler by default.
        normalize: Whether the read-out subtracts the partition, which is 0 for the true ratio.

    Example:
        >>> import torch
        >>> from mine_lightning.divergences import SquaredHellinger
        >>> objective = FDivergence(SquaredHellinger())
        >>> joint, marginal = torch.tensor([1.0, 1.0]), torch.tensor([0.0, 0.0])
        >>> objective.estimate(joint, marginal)  # nats
        tensor(2.)
        >>> objective.bound.estimate(joint, marginal)  # squared Hellinger: 1 - exp(-1)
        tensor(0.6321)
    """

    def __init__(self, divergence: Divergence | None = None, normalize: bool = True) -> None:
        super().__init__(divergence)
        self.normalize = normalize
        self.kind = "lower bound" if normalize else "neither"

    @property
    def bound(self) -> DivergenceBound:
        """The objective that reports the bound on the divergence itself."""
        return DivergenceBound(self.divergence)

    def terms(self, joint: Tensor, marginal: Tensor) -> tuple[Tensor, Tensor | None]:
        return self.log_ratio(joint), self.log_ratio(marginal) if self.normalize else None

    def value(self, mean: Tensor, log_mean: Tensor | None) -> Tensor:
        return mean if log_mean is None else mean - log_mean
