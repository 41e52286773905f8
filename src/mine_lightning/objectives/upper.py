r"""Upper bounds: the critic is a conditional density, :math:`\ln q(z | x)`.

With a lower bound from another objective they make a sandwich. Critics are in
:mod:`mine_lightning.critics.densities`.
"""

from torch import Tensor

from mine_lightning.objectives.base import Kind, Objective
from mine_lightning.objectives.scores import check_scores, log_mean_exp, other_rows

__all__ = ["CLUB", "LeaveOneOut"]


class Likelihood(Objective):
    r"""Base of the upper bounds: maximum likelihood of the joint pairs.

    .. math:: \text{loss} = -\frac{1}{N} \sum_i \ln q(z_i | x_i)

    The score is a log density ratio up to a function of z, not up to a constant: there are no
    pointwise values in it.
    """

    kind: Kind = "upper bound"

    def loss(self, joint: Tensor, marginal: Tensor) -> Tensor:
        return -check_scores(joint, marginal)[0].mean()

    def value(self, mean: Tensor, log_mean: Tensor) -> Tensor:
        return mean


class CLUB(Likelihood):
    r"""The contrastive log-ratio upper bound.

    .. math:: \hat I = \overline{\ln q(z | x)} - \overline{\ln q(z' | x)}

    An upper bound for the true conditional, or for a q that is closer to it than the product of
    the marginals is. Weakness: loose, as it averages :math:`-\ln q` over unlikely pairs: for a
    normal pair it is :math:`\rho^2 / (1 - \rho^2)`, the symmetric divergence.

    References:
        Cheng et al., "CLUB", 2020, sections 3.1 and 3.2.

    Example:
        >>> import torch
        >>> CLUB().estimate(torch.tensor([-1.0, -1.0]), torch.tensor([-2.0, -4.0]))
        tensor(2.)
    """

    def terms(self, joint: Tensor, marginal: Tensor) -> tuple[Tensor, Tensor | None]:
        return joint - marginal.reshape(len(joint), -1).mean(1), None


class LeaveOneOut(Likelihood):
    r"""The leave-one-out upper bound (L1Out): the other rows' x stand for the marginal of z.

    .. math::
        \hat I = \frac{1}{N} \sum_i \Bigl(\ln q(z_i | x_i)
        - \ln \frac{1}{N - 1} \sum_{j \ne i} q(z_i | x_j)\Bigr)

    An upper bound in expectation for the true conditional, tighter than :class:`CLUB`. Needs all
    pairs of a batch, ``MutualInformationEstimator(all_pairs=True)``. Weakness: loose in small
    batches when the conditional is narrow, and :math:`N^2` scores.

    References:
        Poole et al., "On Variational Bounds of Mutual Information", 2019, section 2.5.

    Raises:
        ValueError: If the scores are not those of all pairs of a batch.

    Example:
        >>> import torch
        >>> LeaveOneOut().estimate(torch.tensor([0.0, 0.0]), torch.tensor([[-1.0], [-3.0]]))
        tensor(2.)
    """

    def terms(self, joint: Tensor, marginal: Tensor) -> tuple[Tensor, Tensor | None]:
        return joint - log_mean_exp(other_rows(joint, marginal), dim=1), None
