"""The contract of all objectives."""

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from typing_extensions import Self

from mine_lightning.objectives.scores import check_scores, log_mean_exp
from mine_lightning.support.config import Configurable

__all__ = ["Kind", "Objective"]

Kind = Literal["lower bound", "upper bound", "neither"]


class Objective(Configurable, nn.Module):
    """Base of all objectives: a loss to minimise and an estimate in nats.

    Subclasses implement ``loss``, ``terms`` and ``value``. Moving averages and learnt numbers stay
    in float32 where a module is brought to half precision, whose steps are too coarse for them.

    Attributes:
        kind: Whether the estimate is, in expectation over enough rows, a lower bound, an upper
            bound or neither.
    """

    kind: Kind = "lower bound"
    _warned = False

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

    def value(self, mean: Tensor, log_mean: Tensor | None) -> Tensor:
        """Return the estimate in nats from the pooled terms."""
        raise NotImplementedError

    def estimate(self, joint: Tensor, marginal: Tensor) -> Tensor:
        """Compute the estimate of the mutual information.

        Args:
            joint: Scores of pairs drawn together, shape ``(N,)``.
            marginal: Scores of pairs drawn apart, shape ``(N,)`` or ``(N, K)``.

        Returns:
            The estimate in nats, shape ``()``; it may be negative.

        Raises:
            ValueError: If a shape is another one.
            FloatingPointError: If the estimate is not finite.
        """
        return self.pooled_estimate([(joint, marginal)])

    def pooled_estimate(self, batches: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """Compute the estimate from the scores of several batches, pooled and not averaged.

        Args:
            batches: ``joint`` and ``marginal`` of each batch, as for :meth:`estimate`. They are
                not put together first: objectives over all pairs of a batch keep to the batch.

        Returns:
            The estimate in nats, shape ``()``.

        Raises:
            ValueError: If a shape is another one.
            FloatingPointError: If the estimate is not finite.
        """
        rows, *logs = self._reduced_all(batches)
        log_mean = log_mean_exp(logs[0]) if logs else None
        return self.check_finite(self.value(rows.mean(), log_mean))

    def _reduced_all(self, batches: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, ...]:
        """Return the terms of all batches; of those of one shape in a single pass."""
        if len({(joint.shape, marginal.shape) for joint, marginal in batches}) == 1:
            return torch.vmap(self._reduced)(*map(torch.stack, zip(*batches, strict=True)))
        reduced = [self._reduced(*scores) for scores in batches]
        return tuple(torch.cat(terms) for terms in zip(*reduced, strict=True))

    def _reduced(self, joint: Tensor, marginal: Tensor) -> tuple[Tensor, ...]:
        """Return the terms of a batch, ``(N,)``, and its log terms, if there are any."""
        rows, logs = self.terms(*check_scores(joint, marginal))
        if logs is None:
            return (rows,)
        return rows, log_mean_exp(logs.reshape(len(rows), -1), dim=1)

    def check_finite(self, value: Tensor, name: str = "estimate") -> Tensor:
        """Return the value if it is finite.

        Args:
            value: A loss or an estimate, shape ``()``.
            name: What the error calls it.

        Raises:
            FloatingPointError: If it is not.
        """
        if not bool(torch.isfinite(value)):
            raise FloatingPointError(
                f"Expected the {name} of {type(self).__name__}({self.extra_repr()}) to be finite, "
                f"got {value.item()}: scores are not finite, or so large that an exponential of "
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

    def log_ratio(self, scores: Tensor) -> Tensor:
        r"""Return the log density ratio :math:`\ln p(x, z) / p(x) p(z)` up to a constant."""
        return scores

    def ceiling(self, partners: int) -> float:
        """Return the largest estimate, in nats, that ``partners`` for each row allow."""
        return math.inf

    def warn_near_ceiling(self, estimate: float, partners: int) -> None:
        """Warn, once, if an estimate comes within 5 % of its ceiling."""
        ceiling = self.ceiling(partners)
        if self._warned or not estimate >= 0.95 * ceiling:  # nan: nothing to warn of
            return
        self._warned = True
        warnings.warn(
            f"The {type(self).__name__} estimate {estimate:.3f} is within 5 % of its ceiling "
            f"ln {round(math.exp(ceiling))} = {ceiling:.3f} nats: the mutual information may "
            f"be larger. Use more partners for each row.",
            stacklevel=2,
        )
