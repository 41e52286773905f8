"""The contract of all objectives."""

import math
import operator
import warnings
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Literal, Self

import torch
from torch import Tensor, nn

from mine_lightning.objectives.pooling import Pooled, narrow
from mine_lightning.objectives.scores import check_scores, log_mean_exp
from mine_lightning.support.config import Configurable

__all__ = ["Kind", "Objective", "Statistic", "check_objective"]

Kind = Literal["lower bound", "upper bound", "neither"]


class Statistic(Configurable, nn.Module):
    r"""A number read from the pooled scores of a critic, and the loss that trains a critic for it.

    Subclasses implement ``loss``, ``terms`` and ``value``. Moving averages and learnt numbers stay
    in float32 where a module is brought to half precision, whose steps are too coarse for them.
    """

    def forward(self, joint: Tensor, marginal: Tensor) -> Tensor:
        """Compute :meth:`loss`."""
        return self.loss(joint, marginal)

    def loss(self, joint: Tensor, marginal: Tensor) -> Tensor:
        """Compute the loss to minimise.

        Args:
            joint: Scores of pairs drawn together, shape ``(N,)``.
            marginal: Scores of pairs drawn apart, shape ``(N,)`` or ``(N, K)``.

        Returns:
            The loss, shape ``()``. It is not checked, which would wait for the device at every
            step: see :meth:`check_finite`.

        Raises:
            ValueError: If a shape is another one.
        """
        raise NotImplementedError

    def terms(self, joint: Tensor, marginal: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the terms to average, ``(N,)``, and those to pool by log-mean-exp, if any."""
        raise NotImplementedError

    def value(self, mean: Tensor, log_mean: Tensor) -> Tensor:
        """Return the estimate from the mean term and the log-mean-exp, 0 without log terms."""
        raise NotImplementedError

    def batch_value(self, joint: Tensor, marginal: Tensor) -> Tensor:
        """Compute the estimate of one batch as losses and functions do.

        Args:
            joint: Scores of pairs drawn together, shape ``(N,)``.
            marginal: Scores of pairs drawn apart, shape ``(N,)`` or ``(N, K)``.

        Returns:
            The estimate in nats, shape ``()``, summed in the scores' precision and not checked.

        Raises:
            ValueError: If a shape is another one.
        """
        terms, logs = self.terms(*check_scores(joint, marginal))
        log_mean = terms.new_zeros(()) if logs is None else log_mean_exp(logs)
        return self.value(terms.mean(), log_mean)

    def pool(self, joint: Tensor, marginal: Tensor) -> Pooled:
        """Sum up the scores of a batch; a row with K partners counts once.

        Args:
            joint: Scores of pairs drawn together, shape ``(N,)``.
            marginal: Scores of pairs drawn apart, shape ``(N,)`` or ``(N, K)``.

        Returns:
            The sums, each of shape ``()``. Those of several batches and processes add.

        Raises:
            ValueError: If a shape is another one.
        """
        terms, logs = self.terms(*check_scores(joint, marginal))
        if logs is not None:
            logs = log_mean_exp(logs.reshape(len(terms), -1), dim=1)
        return Pooled.of(terms, logs, marginal.numel())

    def read(self, pooled: Pooled) -> Tensor:
        """Turn sums into the estimate.

        Returns:
            The estimate in nats, not checked; nan where there are no rows.
        """
        return self.value(pooled.mean, pooled.log_mean)

    def standard_error(self, pooled: Pooled) -> Tensor:
        r"""Turn sums into the standard error of the estimate.

        An estimate is a function :math:`v` of the mean :math:`\bar r` of row terms and the
        log-mean-exp :math:`\bar l` of row log terms. The delta method gives

        .. math::
            \text{se}^2 = \frac{1}{N - 1} \biggl[
            \Bigl(\frac{\partial v}{\partial \bar r}\Bigr)^2 \bigl(\overline{r^2} - \bar r^2\bigr)
            + \Bigl(\frac{\partial v}{\partial \bar l}\Bigr)^2
            \Bigl(\frac{\overline{e^{2 l}}}{\overline{e^l}^2} - 1\Bigr) \biggr]

        A row's :math:`K` partners are averaged first, as they share its :math:`x`. The covariance
        of both parts is left out: rows share :math:`x`, and :math:`z` where partners come from the
        batch, but with the optimal critic :math:`\mathbb{E}[e^T | x] = \mathbb{E}[e^T | z] = 1`
        under the product of the marginals, and both parts are uncorrelated to first order. For the
        same reason partners that several rows share add no first-order term. Objectives whose row
        terms share partners by themselves (CLUB, LeaveOneOut, InfoNCE over a batch) are treated as
        if rows were independent.

        It is the sampling error of the estimate for this critic. It contains neither the bound's
        gap nor the bias of a logarithm of few effective rows
        (:attr:`~mine_lightning.objectives.pooling.Pooled.effective_sample_size`); where those are
        few it is itself too small.

        Returns:
            In nats; nan for less than two rows.
        """
        slopes = torch.func.grad(lambda *means: self.value(*means).sum(), (0, 1))
        slope, log_slope = slopes(pooled.mean, pooled.log_mean)
        total = slope.square() * pooled.variance + log_slope.square() * pooled.log_variance
        return torch.sqrt(total.clamp(min=0) / (pooled.rows - 1))

    def estimate(self, joint: Tensor, marginal: Tensor) -> Tensor:
        """Compute the estimate from the scores of a batch.

        Args:
            joint: Scores of pairs drawn together, shape ``(N,)``.
            marginal: Scores of pairs drawn apart, shape ``(N,)`` or ``(N, K)``.

        Returns:
            The estimate in nats, shape ``()``; it may be negative.

        Raises:
            ValueError: If a shape is another one.
            FloatingPointError: If the estimate is not finite.
        """
        return self.check_finite(self.pooled_estimate([(joint, marginal)]))

    def pooled_estimate(self, batches: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """Compute the estimate from the scores of several batches, pooled and not averaged.

        Args:
            batches: ``joint`` and ``marginal`` of each batch, as for :meth:`estimate`. They are
                not put together first: objectives over all pairs of a batch keep to the batch.

        Returns:
            The estimate in nats, shape ``()``, in the scores' precision (float32 for half
            precision). It is not checked, which would wait for the device: see
            :meth:`check_finite`.

        Raises:
            ValueError: If a shape is another one.
        """
        return narrow(self.read(self._pool_all(batches)), batches[0][0].dtype)

    def _pool_all(self, batches: Sequence[tuple[Tensor, Tensor]]) -> Pooled:
        """Sum up all batches; those of one shape in a single pass."""
        if len({(joint.shape, marginal.shape) for joint, marginal in batches}) == 1:
            return torch.vmap(self.pool)(*map(torch.stack, zip(*batches, strict=True))).total()
        return reduce(operator.add, [self.pool(*scores) for scores in batches])

    @property
    def label(self) -> str:
        """What errors call it."""
        return f"{type(self).__name__}({self.extra_repr()})"

    def check_finite(self, value: Tensor, name: str = "estimate") -> Tensor:
        """Return the value if it is finite.

        Args:
            value: A loss or an estimate, shape ``()``.
            name: What the error calls it.

        Raises:
            FloatingPointError: If it is not.
        """
        if not bool(torch.isfinite(value).all()):
            raise FloatingPointError(
                f"Expected the {name} of {self.label} to be finite, got {value.tolist()}:"
                f" scores are not finite, or so large that an exponential of "
                f"this objective overflows. Scale the data, lower the learning rate, set "
                "`stable=True` where the objective has it, or use one without such exponentials "
                "(MINE, InfoNCE, SMILE)."
            )
        return value

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        def not_to_half(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            half = moved.dtype in (torch.float16, torch.bfloat16)
            return tensor.to(moved.device, torch.float32) if half else moved

        return super()._apply(not_to_half, recurse)


class Objective(Statistic):
    """Base of all objectives: a loss to minimise and an estimate of mutual information in nats.

    Attributes:
        kind: Whether the estimate is, in expectation over enough rows, a lower bound, an upper
            bound or neither.
    """

    kind: Kind = "lower bound"
    _warned = False

    def log_ratio(self, scores: Tensor) -> Tensor:
        r"""Return the log density ratio :math:`\ln p(x, z) / p(x) p(z)` up to a constant."""
        return scores

    def ceiling(self, partners: int) -> float:
        """Return the largest estimate, in nats, that ``partners`` for each row allow."""
        return math.inf

    def warn_near_ceiling(self, estimate: Tensor, pooled: Pooled) -> None:
        """Warn, once, if an estimate comes within 5 % of its ceiling.

        Args:
            estimate: In nats, shape ``()``.
            pooled: What it was read from.
        """
        if self._warned or math.isinf(self.ceiling(1)):  # numbers of a GPU: only if needed
            return
        nats, partners = estimate.max().item(), (pooled.pairs / pooled.rows).max().item()
        if not math.isfinite(nats) or nats < 0.95 * self.ceiling(math.ceil(partners)):
            return
        ceiling = self.ceiling(math.ceil(partners))
        self._warned = True
        warnings.warn(
            f"The {type(self).__name__} estimate {nats:.3f} is within 5 % of its ceiling "
            f"ln {round(math.exp(ceiling))} = {ceiling:.3f} nats: the mutual information may "
            f"be larger. Use more partners for each row.",
            stacklevel=2,
        )


def check_objective(objective: object) -> Objective:
    """Return an objective.

    Raises:
        ValueError: If it is something else, such as the bound on a divergence.
    """
    if not isinstance(objective, Objective):
        hint = (
            ": its estimate is not mutual information" if isinstance(objective, Statistic) else ""
        )
        raise ValueError(
            f"Expected `objective` to be an `Objective` or None, got {objective!r}{hint}."
        )
    return objective
