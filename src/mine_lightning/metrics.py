r"""Metrics of critic scores: pooled over batches and processes, then turned into nats once.

Everything stands on six sums (:class:`Pooled`), so memory does not grow with the rows. Scores that
are not finite, or too large for an exponential of the bound, give a result that is not finite.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.plot import _AX_TYPE, _PLOT_OUT_TYPE
from typing_extensions import Self

from mine_lightning.objectives import DonskerVaradhan, Objective
from mine_lightning.objectives.scores import check_scores, log_mean_exp

__all__ = [
    "EffectiveSampleSize",
    "LogPartition",
    "MutualInformation",
    "MutualInformationStandardError",
    "mutual_information",
]


DEFAULT = DonskerVaradhan()


class Pooled(NamedTuple):
    r"""The sums that an estimate and its standard error are functions of.

    With :math:`r_i` the terms to average and :math:`e^{l_i}` the exponential of a row's log terms,
    averaged over its partners.
    """

    rows: Tensor
    """The number of rows :math:`N`."""
    pairs: Tensor
    """The number of marginal scores, :math:`N` times the partners of each row."""
    term_sum: Tensor
    r""":math:`\sum_i r_i`"""
    term_square_sum: Tensor
    r""":math:`\sum_i r_i^2`"""
    log_sum: Tensor
    r""":math:`\ln \sum_i e^{l_i}`, or -inf if the objective has no log terms."""
    log_square_sum: Tensor
    r""":math:`\ln \sum_i e^{2 l_i}`, or -inf if the objective has no log terms."""


def log_sum_exp(states: Tensor) -> Tensor:
    """Pool log-sum-exps stacked along the first dimension."""
    return torch.logsumexp(states, dim=0)


def widest(device: torch.device) -> torch.dtype:
    """Return the widest floating point type of the device: Apple's GPUs have no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def narrow(value: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the value in ``dtype``, but never in half precision."""
    return value.to(torch.promote_types(dtype, torch.float32))


def pools_logs(objective: Objective, like: Tensor) -> bool:
    """Return whether the objective, on the device of ``like``, pools a log-mean-exp."""
    return objective.terms(like.new_zeros(2), like.new_zeros(2, 1))[1] is not None


def identity(objective: Objective) -> Tensor:
    """Return the bytes of the object's identity: equal for one and the same objective only."""
    return torch.tensor(list(id(objective).to_bytes(8, "little")))


def _mutual_information_update(joint: Tensor, marginal: Tensor, objective: Objective) -> Pooled:
    """Sum up a batch of scores; a row with K partners counts once."""
    rows, logs = objective.terms(*check_scores(joint, marginal))
    rows = rows.to(widest(rows.device))
    log_sum = log_square_sum = rows.new_full((), -math.inf)
    if logs is not None:
        logs = log_mean_exp(logs.reshape(len(rows), -1), dim=1).to(rows.dtype)
        log_sum, log_square_sum = logs.logsumexp(0), (2 * logs).logsumexp(0)
    return Pooled(
        rows=rows.new_full((), len(rows)),
        pairs=rows.new_full((), marginal.numel()),
        term_sum=rows.sum(),
        term_square_sum=rows.square().sum(),
        log_sum=log_sum,
        log_square_sum=log_square_sum,
    )


def _means(pooled: Pooled, objective: Objective) -> tuple[Tensor, Tensor | None]:
    """Return what :meth:`Objective.value` takes; nan where there are no rows."""
    log_mean = pooled.log_sum - pooled.rows.log()
    if not pools_logs(objective, pooled.rows):
        return pooled.term_sum / pooled.rows, None
    return pooled.term_sum / pooled.rows, log_mean


def _mutual_information_compute(pooled: Pooled, objective: Objective) -> Tensor:
    """Turn pooled sums into the estimate in nats; warn if it is close to its ceiling."""
    value = objective.value(*_means(pooled, objective))
    if math.isfinite(objective.ceiling(1)):  # reading numbers off a GPU stalls it: only if needed
        estimate = float(value.detach())
        if math.isfinite(estimate):
            objective.warn_near_ceiling(estimate, math.ceil(pooled.pairs / pooled.rows))
    return value


def _sample_size_compute(pooled: Pooled, objective: Objective) -> Tensor:
    """Turn pooled sums into the effective number of rows behind the exponential average."""
    if not pools_logs(objective, pooled.rows):
        return pooled.rows
    return torch.exp(2 * pooled.log_sum - pooled.log_square_sum)


def _standard_error_compute(pooled: Pooled, objective: Objective) -> Tensor:
    """Turn pooled sums into the standard error of the estimate in nats."""
    mean, log_mean = _means(pooled, objective)
    variance = pooled.term_square_sum / pooled.rows - mean.square()
    if log_mean is None:
        slope = torch.func.grad(objective.value)(mean, None)
        total = slope.square() * variance
    else:
        slope, log_slope = torch.func.grad(objective.value, (0, 1))(mean, log_mean)
        log_variance = pooled.rows / _sample_size_compute(pooled, objective) - 1
        total = slope.square() * variance + log_slope.square() * log_variance
    return torch.sqrt(total.clamp(min=0) / (pooled.rows - 1))


def checked(
    value: Tensor, pooled: Pooled, objective: Objective, name: str = "estimate", least: int = 1
) -> Tensor:
    """Return a value of at least ``least`` rows if it is finite; with fewer rows it may be nan."""
    if not bool(value.isfinite() | (pooled.rows < least)):
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
    objective = check_objective(objective)
    pooled = _mutual_information_update(joint, marginal, objective)
    value = narrow(_mutual_information_compute(pooled, objective), joint.dtype)
    return checked(value, pooled, objective)


def check_objective(objective: Objective | None) -> Objective:
    """Return the objective, for None a Donsker-Varadhan shared by all.

    Raises:
        ValueError: If it is something else.
    """
    if objective is None:
        return DEFAULT
    if not isinstance(objective, Objective):
        raise ValueError(f"Expected `objective` to be an `Objective` or None, got {objective!r}.")
    return objective


class PooledMetric(Metric):
    """Base of the metrics in this file: the states and their update.

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

    objective: Objective
    rows: Tensor
    pairs: Tensor
    term_sum: Tensor
    term_square_sum: Tensor
    log_sum: Tensor
    log_square_sum: Tensor

    def __init__(self, objective: Objective | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        object.__setattr__(self, "objective", check_objective(objective))  # no submodule
        dtype = widest(self.device)
        self.add_state("identity", identity(self.objective).to(dtype), dist_reduce_fx="max")
        for name in ("rows", "pairs", "term_sum", "term_square_sum"):
            self.add_state(name, torch.tensor(0.0, dtype=dtype), dist_reduce_fx="sum")
        for name in ("log_sum", "log_square_sum"):
            self.add_state(name, torch.tensor(-math.inf, dtype=dtype), dist_reduce_fx=log_sum_exp)

    def update(self, joint: Tensor, marginal: Tensor) -> None:
        """Update the states with the scores of a batch.

        Args:
            joint: Scores of pairs drawn together, shape ``(N,)``.
            marginal: Scores of pairs drawn apart, shape ``(N,)`` or ``(N, K)``.

        Raises:
            ValueError: If a shape is another one.
        """
        batch = _mutual_information_update(joint, marginal, self.objective)
        self.rows = self.rows + batch.rows
        self.pairs = self.pairs + batch.pairs
        self.term_sum = self.term_sum + batch.term_sum
        self.term_square_sum = self.term_square_sum + batch.term_square_sum
        self.log_sum = torch.logaddexp(self.log_sum, batch.log_sum)
        self.log_square_sum = torch.logaddexp(self.log_square_sum, batch.log_square_sum)

    def plot(
        self, val: Tensor | Sequence[Tensor] | None = None, ax: _AX_TYPE | None = None
    ) -> _PLOT_OUT_TYPE:
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
        return self._plot(val, ax)

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


class MutualInformation(PooledMetric):
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
        kwargs: Additional keyword arguments, see :ref:`Metric kwargs` for more info.

    Raises:
        ValueError: If ``objective`` is no objective, or a keyword argument is unknown.

    Example:
        >>> metric = MutualInformation()
        >>> metric.update(torch.tensor([1.0, 2.0]), torch.tensor([0.0, -1.0]))
        >>> metric.update(torch.tensor([1.5]), torch.tensor([0.5]))
        >>> metric.compute()
        tensor(1.4945)
    """

    def compute(self) -> Tensor:
        """Compute the estimate in nats from all scores seen.

        Raises:
            FloatingPointError: If it is not finite.
        """
        return self._checked(_mutual_information_compute(self._pooled(), self.objective))


class MutualInformationStandardError(PooledMetric):
    r"""Standard error in nats of :class:`MutualInformation`, from the same critic scores.

    An estimate is a function :math:`v` of the mean :math:`\bar r` of row terms and the
    log-mean-exp :math:`\bar l` of row log terms. The delta method gives

    .. math::
        \text{se}^2 = \frac{1}{N - 1} \biggl[
        \Bigl(\frac{\partial v}{\partial \bar r}\Bigr)^2 \bigl(\overline{r^2} - \bar r^2\bigr)
        + \Bigl(\frac{\partial v}{\partial \bar l}\Bigr)^2
        \Bigl(\frac{\overline{e^{2 l}}}{\overline{e^l}^2} - 1\Bigr) \biggr]

    A row's :math:`K` partners are averaged first, as they share its :math:`x`. The covariance of
    both parts is left out: rows share :math:`x`, and :math:`z` where partners come from the batch,
    but with the optimal critic :math:`\mathbb{E}[e^T | x] = \mathbb{E}[e^T | z] = 1` under the
    product of the marginals, and both parts are uncorrelated to first order. For the same reason
    partners that several rows share add no first-order term. Objectives whose row terms share
    partners by themselves (CLUB, LeaveOneOut, InfoNCE over a batch) are treated as if rows were
    independent.

    It is the sampling error of the estimate for this critic. It contains neither the bound's gap
    nor the bias of a logarithm of few effective rows (:class:`EffectiveSampleSize`); where those
    are few it is itself too small.

    Input as for :class:`MutualInformation`; in one :class:`~torchmetrics.MetricCollection` both
    are updated once if they were given the same objective. As output of ``forward`` and ``compute``
    the metric returns the following output:

    - ``standard_error`` (:class:`~torch.Tensor`): The standard error in nats, scalar tensor; nan
      for less than two rows

    Args:
        objective: The bound whose error to report; Donsker-Varadhan by default.
        kwargs: Additional keyword arguments, see :ref:`Metric kwargs` for more info.

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
        value = _standard_error_compute(self._pooled(), self.objective)
        return self._checked(value, "standard error", least=2)


class EffectiveSampleSize(PooledMetric):
    r"""Effective number of rows behind the exponential average of a neural estimate.

    .. math:: \text{ESS} = \frac{\bigl(\sum_i e^{l_i}\bigr)^2}{\sum_i e^{2 l_i}}

    It is :math:`N` if all rows carry the same weight and 1 if a single row carries everything. An
    estimate with few effective rows is not to be trusted: its logarithm is too low by about
    :math:`(1 / \text{ESS} - 1 / N) / 2` nats or, when few rows carry everything, by any amount. For
    an objective that pools no exponential average (InfoNCE) it is :math:`N`.

    Input as for :class:`MutualInformation`. As output of ``forward`` and ``compute`` the metric
    returns the following output:

    - ``effective_sample_size`` (:class:`~torch.Tensor`): A number of rows, scalar tensor

    Args:
        objective: The bound whose exponential average to look at; Donsker-Varadhan by default.
        kwargs: Additional keyword arguments, see :ref:`Metric kwargs` for more info.

    Raises:
        ValueError: If ``objective`` is no objective, or a keyword argument is unknown.

    Example:
        >>> metric = EffectiveSampleSize()
        >>> metric(torch.zeros(4), torch.tensor([0.0, 0.0, 0.0, 0.0]))
        tensor(4.)
        >>> metric(torch.zeros(4), torch.tensor([100.0, 0.0, 0.0, 0.0]))
        tensor(1.)
    """

    higher_is_better = True
    plot_lower_bound = 0.0

    def compute(self) -> Tensor:
        """Compute the effective number of rows from all scores seen.

        Raises:
            FloatingPointError: If it is not finite.
        """
        value = _sample_size_compute(self._pooled(), self.objective)
        return self._checked(value, "effective sample size")


class LogPartition(PooledMetric):
    r"""Logarithm of the partition term of a neural estimate, in nats.

    .. math:: \ln \mathbb{E}_{p(x) p(z)}[e^T] \approx \ln \frac{1}{N K} \sum_{i k} e^{T'_{ik}}

    Subtracted from a score, it turns the Donsker-Varadhan family's critic into an estimate of the
    log density ratio of single pairs.

    Input as for :class:`MutualInformation`. As output of ``forward`` and ``compute`` the metric
    returns the following output:

    - ``log_partition`` (:class:`~torch.Tensor`): In nats, scalar tensor; nan before the first
      update

    Args:
        kwargs: Additional keyword arguments, see :ref:`Metric kwargs` for more info.

    Raises:
        ValueError: If a keyword argument is unknown.

    Example:
        >>> LogPartition()(torch.zeros(2), torch.tensor([3.0, 3.0]))
        tensor(3.)
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def compute(self) -> Tensor:
        """Compute the logarithm from all scores seen.

        Raises:
            FloatingPointError: If it is not finite.
        """
        return self._checked(self.log_sum - self.rows.log(), "log partition")
