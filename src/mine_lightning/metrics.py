r"""Metrics of critic scores: pooled over batches and processes, then turned into nats once.

They are faces of :class:`~mine_lightning.objectives.pooling.Pooled`: their states are its sums.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torchmetrics import Metric

from mine_lightning.objectives import DivergenceBound, DonskerVaradhan, Objective
from mine_lightning.objectives.base import Statistic, check_objective
from mine_lightning.objectives.divergences import Divergence
from mine_lightning.objectives.pooling import Pooled, narrow, widest
from mine_lightning.support.ambient import forget_threads
from mine_lightning.support.upstream import Axes, Drawn, draw

__all__ = [
    "EffectiveSampleSize",
    "FInformation",
    "LogPartition",
    "MutualInformation",
    "MutualInformationStandardError",
    "mutual_information",
]


DEFAULT = DonskerVaradhan()


def log_sum_exp(states: Tensor) -> Tensor:
    """Pool log-sum-exps stacked along the first dimension."""
    return torch.logsumexp(states, dim=0)


def identity(objective: Statistic) -> Tensor:
    """Return the bytes of the object's identity: equal for one and the same objective only."""
    return torch.tensor(list(id(objective).to_bytes(8, "little")))


def warned(objective: Objective, pooled: Pooled) -> Tensor:
    """Return the estimate in nats; warn if it is close to its ceiling."""
    value = objective.read(pooled)
    objective.warn_near_ceiling(value, pooled)
    return value


def checked(
    value: Tensor, pooled: Pooled, objective: Statistic, name: str = "estimate", least: int = 1
) -> Tensor:
    """Return a value of at least ``least`` rows if it is finite; with fewer rows it may be nan."""
    if not bool((value.isfinite() | (pooled.rows < least)).all()):
        objective.check_finite(value, name)
    return value


def mutual_information(
    joint: Tensor, marginal: Tensor, objective: Objective | None = None
) -> Tensor:
    r"""Estimate mutual information in nats from a critic's scores, for data of any kind.

    This is :class:`MutualInformation` of a single batch: ``objective.estimate`` summed in float64,
    with a warning near the ceiling of objectives that have one. For discrete labels use
    :func:`torchmetrics.functional.clustering.mutual_info_score`.

    Args:
        joint: Scores of pairs drawn together, shape ``(N,)``.
        marginal: Scores of pairs drawn apart, shape ``(N,)`` or ``(N, K)``.
        objective: The bound to report; Donsker-Varadhan by default.

    Returns:
        The estimate in nats, shape ``()``, in the scores' precision (float32 for half precision).

    Raises:
        ValueError: If a shape is another one, or ``objective`` is no objective.
        FloatingPointError: If the estimate is not finite.

    Example:
        >>> mutual_information(torch.tensor([1.0, 2.0, 1.5]), torch.tensor([0.0, -1.0, 0.5]))
        tensor(1.4945)
    """
    objective = chosen(objective)
    pooled = objective.pool(joint, marginal)
    return checked(narrow(warned(objective, pooled), joint.dtype), pooled, objective)


def chosen(objective: Objective | None) -> Objective:
    """Return the objective, for None a Donsker-Varadhan shared by all."""
    return DEFAULT if objective is None else check_objective(objective)


class PooledMetric(Metric):
    """Base of the metrics in this file: the states, :class:`Pooled`, and their update.

    The objective is read, not owned: its parameters and buffers are in no ``state_dict`` of the
    metric, and moving the metric does not move them. States are kept in float64 (float32 on devices
    without it) under every precision plugin; ``set_dtype`` changes the type of the result, which is
    float32 at least.

    :class:`~torchmetrics.MetricCollection` puts metrics with equal states after the first update
    into one compute group. The state ``identity`` tells objectives apart whatever the first batch
    was: metrics share a group, and one update, if they were given the same objective.
    """

    __jit_ignored_attributes__: ClassVar[list[str]] = ["device", "objective"]
    is_differentiable = True
    full_state_update = False

    objective: Statistic
    rows: Tensor
    pairs: Tensor
    term_sum: Tensor
    term_square_sum: Tensor
    log_sum: Tensor
    log_square_sum: Tensor

    def __init__(self, objective: Statistic, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        object.__setattr__(self, "objective", objective)  # no submodule
        nothing = Pooled.nothing(self.device)
        # first: torchmetrics 1.6 forms groups by the first state alone
        self.add_state("identity", identity(objective).to(nothing.rows), dist_reduce_fx="max")
        for name, default in nothing._asdict().items():
            self.add_state(name, default, log_sum_exp if name.startswith("log") else "sum")

    def update(self, joint: Tensor, marginal: Tensor) -> None:
        """Update the states with the scores of a batch.

        Args:
            joint: Scores of pairs drawn together, shape ``(N,)``.
            marginal: Scores of pairs drawn apart, shape ``(N,)`` or ``(N, K)``.

        Raises:
            ValueError: If a shape is another one.
        """
        forget_threads()
        pooled = self._pooled() + self.objective.pool(joint, marginal)
        for name, state in pooled._asdict().items():
            setattr(self, name, state)

    def plot(self, val: Tensor | Sequence[Tensor] | None = None, ax: Axes | None = None) -> Drawn:
        """Plot a single or multiple values from the metric.

        Args:
            val: A result of ``forward`` or ``compute`` or a list of them; ``compute`` is called if
                there is none.
            ax: A matplotlib axis to plot into.

        Returns:
            Figure and axis.

        Raises:
            ModuleNotFoundError: If matplotlib is not installed.

        Example:
            >>> metric = MutualInformation()
            >>> metric.update(torch.randn(10), torch.randn(10))
            >>> figure, axis = metric.plot()
        """
        return draw(self, val, ax)

    def _checked(self, value: Tensor, name: str = "estimate", least: int = 1) -> Tensor:
        value = narrow(value, self.dtype)
        return checked(value, self._pooled(), self.objective, name, least)

    def _pooled(self) -> Pooled:
        return Pooled(*(getattr(self, name) for name in Pooled._fields))

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> Self:
        super()._apply(fn, exclude_state=tuple(self._defaults))
        for name, default in self._defaults.items():
            assert isinstance(default, Tensor)
            self._defaults[name] = default.to(self.device, widest(self.device))
            setattr(self, name, getattr(self, name).to(self.device, widest(self.device)))
        return self


class ObjectiveMetric(PooledMetric):
    """Base of the metrics of an objective, Donsker-Varadhan by default."""

    objective: Objective

    def __init__(self, objective: Objective | None = None, **kwargs: Any) -> None:
        super().__init__(chosen(objective), **kwargs)


class MutualInformation(ObjectiveMetric):
    r"""Neural estimate of mutual information in nats from critic scores, for data of any kind.

    For discrete labels use :class:`torchmetrics.clustering.MutualInfoScore`: it counts label pairs.
    This metric takes the scores :math:`T(x, z)` of a trained critic, and :math:`X` and :math:`Z`
    may be continuous, discrete, images or anything else that the critic reads. By default it is the
    Donsker-Varadhan lower bound

    .. math::
        I(X; Z) \ge \frac{1}{N} \sum_{i=1}^N T(x_i, z_i)
        - \ln \frac{1}{N K} \sum_{i=1}^N \sum_{k=1}^K e^{T(x_i, z'_{ik})}

    in which :math:`N` counts the rows of all batches on all processes. Sums and log-sum-exps are
    pooled and the bound is applied once: the average of the bounds of batches is another, larger
    number. It may be negative, and is not clamped.

    As input to ``forward`` and ``update`` the metric accepts the following input:

    - ``joint`` (:class:`~torch.Tensor`): Scores of pairs drawn together, float tensor of shape
      ``(N,)``
    - ``marginal`` (:class:`~torch.Tensor`): Scores of pairs drawn apart, float tensor of shape
      ``(N,)``, or ``(N, K)`` with K partners for each row

    As output of ``forward`` and ``compute`` the metric returns the following output:

    - ``mutual_information`` (:class:`~torch.Tensor`): The estimate in nats, scalar tensor; nan
      before the first update

    Args:
        objective: The bound to report; Donsker-Varadhan by default.
        kwargs: Arguments of :class:`torchmetrics.Metric`.

    Raises:
        ValueError: If ``objective`` is no objective, or a keyword argument is unknown.

    Example:
        >>> metric = MutualInformation()
        >>> metric.update(torch.tensor([1.0, 2.0]), torch.tensor([0.0, -1.0]))
        >>> metric.update(torch.tensor([1.5]), torch.tensor([0.5]))
        >>> metric.compute()
        tensor(1.4945)
    """

    higher_is_better = True

    def compute(self) -> Tensor:
        """Compute the estimate in nats from all scores seen.

        Raises:
            FloatingPointError: If it is not finite.
        """
        return self._checked(warned(self.objective, self._pooled()))


class MutualInformationStandardError(ObjectiveMetric):
    """Standard error in nats of :class:`MutualInformation`, from the same critic scores.

    It is the sampling error of the estimate for this critic, by the delta method, see
    :meth:`Objective.standard_error`. It contains neither the bound's gap nor the bias of a
    logarithm of few effective rows (:class:`EffectiveSampleSize`).

    Input as for :class:`MutualInformation`; in one :class:`~torchmetrics.MetricCollection` both
    are updated once if they were given the same objective. As output of ``forward`` and ``compute``
    the metric returns the following output:

    - ``standard_error`` (:class:`~torch.Tensor`): The standard error in nats, scalar tensor; nan
      for less than two rows

    Args:
        objective: The bound whose error to report; Donsker-Varadhan by default.
        kwargs: Arguments of :class:`torchmetrics.Metric`.

    Raises:
        ValueError: If ``objective`` is no objective, or a keyword argument is unknown.

    Example:
        >>> from torchmetrics import MetricCollection
        >>> metrics = MetricCollection([MutualInformation(), MutualInformationStandardError()])
        >>> metrics.update(torch.tensor([1.0, 2.0, 1.5]), torch.tensor([0.0, -1.0, 0.5]))
        >>> metrics.compute()
        {'MutualInformation': tensor(1.4945), 'MutualInformationStandardError': tensor(0.4675)}
    """

    higher_is_better = False
    plot_lower_bound = 0.0

    def compute(self) -> Tensor:
        """Compute the standard error in nats from all scores seen.

        Raises:
            FloatingPointError: If it is not finite.
        """
        value = self.objective.standard_error(self._pooled())
        return self._checked(value, "standard error", least=2)


class FInformation(PooledMetric):
    r"""Lower bound on an f-information from critic scores: mutual information for no member but KL.

    .. math:: D_f\bigl(p(x, z) \| p(x) p(z)\bigr) \ge \overline{g_f(v)} - \overline{f^*(g_f(v'))}

    Input as for :class:`MutualInformation`, the raw scores :math:`v`; see
    :class:`~mine_lightning.DivergenceBound`. As output of ``forward`` and ``compute`` the metric
    returns the following output:

    - ``f_information`` (:class:`~torch.Tensor`): The bound, scalar tensor; nan before the first
      update

    Args:
        divergence: The member of the family; Kullback-Leibler by default.
        kwargs: Arguments of :class:`torchmetrics.Metric`.

    Raises:
        ValueError: If a keyword argument is unknown.

    Example:
        >>> from mine_lightning import Pearson
        >>> FInformation(Pearson())(torch.tensor([2.0, 2.0]), torch.tensor([0.0, 0.0]))
        tensor(2.)
    """

    def __init__(self, divergence: Divergence | None = None, **kwargs: Any) -> None:
        super().__init__(DivergenceBound(divergence), **kwargs)

    higher_is_better = True

    def compute(self) -> Tensor:
        """Compute the bound from all scores seen.

        Raises:
            FloatingPointError: If it is not finite.
        """
        return self._checked(self.objective.read(self._pooled()))


class EffectiveSampleSize(ObjectiveMetric):
    r"""Effective number of rows behind the exponential average of a neural estimate.

    .. math:: \text{ESS} = \frac{\bigl(\sum_i e^{l_i}\bigr)^2}{\sum_i e^{2 l_i}}

    It is :math:`N` if all rows carry the same weight and 1 if a single row carries everything. An
    estimate with few effective rows is not to be trusted: its logarithm is too low by about
    :math:`(1 / \text{ESS} - 1 / N) / 2` nats or, when few rows carry everything, by any amount. For
    an objective that pools no exponential average (InfoNCE) it is :math:`N`.

    It has a gradient with respect to the marginal scores only. ``is_differentiable`` says what
    torchmetrics means by it, whether there is one with respect to the first argument.

    Input as for :class:`MutualInformation`. As output of ``forward`` and ``compute`` the metric
    returns the following output:

    - ``effective_sample_size`` (:class:`~torch.Tensor`): A number of rows, scalar tensor

    Args:
        objective: The bound whose exponential average to look at; Donsker-Varadhan by default.
        kwargs: Arguments of :class:`torchmetrics.Metric`.

    Raises:
        ValueError: If ``objective`` is no objective, or a keyword argument is unknown.

    Example:
        >>> metric = EffectiveSampleSize()
        >>> metric(torch.zeros(4), torch.tensor([0.0, 0.0, 0.0, 0.0]))
        tensor(4.)
        >>> metric(torch.zeros(4), torch.tensor([100.0, 0.0, 0.0, 0.0]))
        tensor(1.)
    """

    is_differentiable = False
    higher_is_better = True
    plot_lower_bound = 0.0

    def compute(self) -> Tensor:
        """Compute the effective number of rows from all scores seen.

        Raises:
            FloatingPointError: If it is not finite.
        """
        return self._checked(self._pooled().effective_sample_size, "effective sample size")


class LogPartition(ObjectiveMetric):
    r"""Logarithm of the partition term of a neural estimate, in nats.

    .. math:: \ln \mathbb{E}_{p(x) p(z)}[e^T] \approx \ln \frac{1}{N K} \sum_{i k} e^{T'_{ik}}

    Subtracted from a score, it turns the Donsker-Varadhan family's critic into an estimate of the
    log density ratio of single pairs.

    It has a gradient with respect to the marginal scores only. ``is_differentiable`` says what
    torchmetrics means by it, whether there is one with respect to the first argument.

    Input as for :class:`MutualInformation`. As output of ``forward`` and ``compute`` the metric
    returns the following output:

    - ``log_partition`` (:class:`~torch.Tensor`): In nats, scalar tensor; nan before the first
      update

    Args:
        objective: What pools the scores, if not Donsker-Varadhan.
        kwargs: Arguments of :class:`torchmetrics.Metric`.

    Raises:
        ValueError: If ``objective`` is no objective, or a keyword argument is unknown.

    Example:
        >>> LogPartition()(torch.zeros(2), torch.tensor([3.0, 3.0]))
        tensor(3.)
    """

    is_differentiable = False

    def compute(self) -> Tensor:
        """Compute the logarithm from all scores seen.

        Raises:
            FloatingPointError: If it is not finite.
        """
        return self._checked(self._pooled().log_mean, "log partition")
