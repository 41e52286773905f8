r"""Pooled scores: the six sums that every estimate here, and its standard error, is a function of.

Sums of batches add up to the sums of all their rows, so memory does not grow with the rows, and
what is read from them is exact: an average of the estimates of batches is another, larger number.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Pooled", "narrow", "widest"]


class Pooled(NamedTuple):
    r"""Sums over rows, which add: ``pool(a) + pool(b)`` are those of both batches.

    With :math:`r_i` the term of a row to average and :math:`e^{l_i}` the exponential of its log
    terms, averaged over its partners; a row without log terms has :math:`l_i = 0`. The sums are in
    float64 (float32 on devices without it), of any one shape.

    Example:
        >>> from mine_lightning import DonskerVaradhan
        >>> objective = DonskerVaradhan()
        >>> first = objective.pool(torch.tensor([1.0, 2.0]), torch.tensor([0.0, -1.0]))
        >>> second = objective.pool(torch.tensor([1.5]), torch.tensor([0.5]))
        >>> objective.read(first + second)
        tensor(1.4945, dtype=torch.float64)
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
    r""":math:`\ln \sum_i e^{l_i}`"""
    log_square_sum: Tensor
    r""":math:`\ln \sum_i e^{2 l_i}`"""

    @classmethod
    def of(cls, terms: Tensor, logs: Tensor | None, pairs: int) -> "Pooled":
        """Sum up the rows of a batch.

        Args:
            terms: The terms to average, shape ``(N,)``.
            logs: The log terms, averaged over the partners, shape ``(N,)``, if there are any.
            pairs: The number of marginal scores.
        """
        dtype = widest(terms.device)
        terms, logs = terms.to(dtype), terms.new_zeros(len(terms)) if logs is None else logs
        logs = logs.to(dtype)
        return cls(
            rows=terms.new_full((), len(terms)),
            pairs=terms.new_full((), pairs),
            term_sum=terms.sum(),
            term_square_sum=terms.square().sum(),
            log_sum=logs.logsumexp(0),
            log_square_sum=(2 * logs).logsumexp(0),
        )

    @classmethod
    def nothing(cls, device: torch.device | None = None) -> "Pooled":
        """Return the sums of no rows."""
        sums = (0.0, 0.0, 0.0, 0.0, -math.inf, -math.inf)
        dtype = widest(device or torch.get_default_device())
        return cls(*torch.tensor(sums, dtype=dtype, device=device).unbind())

    def __add__(self, other: "Pooled") -> "Pooled":  # type: ignore[override]
        """Return the sums of the rows of both."""
        plain = [a + b for a, b in zip(self[:4], other[:4], strict=True)]
        logs = [torch.logaddexp(a, b) for a, b in zip(self[4:], other[4:], strict=True)]
        return Pooled(*plain, *logs)

    def total(self) -> "Pooled":
        """Return the sums along the first dimension."""
        return Pooled(*(s.sum(0) for s in self[:4]), *(s.logsumexp(0) for s in self[4:]))

    @property
    def mean(self) -> Tensor:
        r"""The mean term :math:`\bar r`; nan where there are no rows."""
        return self.term_sum / self.rows

    @property
    def log_mean(self) -> Tensor:
        r"""The log-mean-exp :math:`\bar l` of the log terms; nan where there are no rows."""
        return self.log_sum - self.rows.log()

    @property
    def effective_sample_size(self) -> Tensor:
        r"""The effective number of rows, :math:`(\sum_i e^{l_i})^2 / \sum_i e^{2 l_i}`."""
        return torch.exp(2 * self.log_sum - self.log_square_sum)

    @property
    def variance(self) -> Tensor:
        r"""The variance :math:`\overline{r^2} - \bar r^2` of a term."""
        return self.term_square_sum / self.rows - self.mean.square()

    @property
    def log_variance(self) -> Tensor:
        r"""The relative variance :math:`\overline{e^{2 l}} / \overline{e^l}^2 - 1`."""
        return self.rows / self.effective_sample_size - 1


def widest(device: torch.device) -> torch.dtype:
    """Return the widest floating point type of the device: Apple's GPUs have no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def narrow(value: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the value in ``dtype``, but never in half precision."""
    return value.to(torch.promote_types(dtype, torch.float32))
