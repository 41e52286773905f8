"""One optimizer step: through Lightning, or bare where nothing hangs on its hooks.

A critic's step takes a fraction of a millisecond, as long as the hooks that Lightning calls around
it. Where a run is long, :mod:`mine_lightning.training.compilation` makes the whole step one graph.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from mine_lightning.support.upstream import note_step

__all__ = ["BareStep", "HookedStep"]


class HookedStep:
    """One optimizer step through Lightning: every strategy, precision and hook has its part.

    Args:
        module: The module being trained, which optimises manually: a
            :class:`~mine_lightning.training.base.StackedTraining`.
    """

    def __init__(self, module: Any) -> None:
        self.module = module
        self.optimizer: Any = module.optimizers()
        groups = self.optimizer.param_groups
        self.weights = [weight for group in groups for weight in group["params"]]

    def __call__(self, batches: Sequence[Any]) -> list[tuple[Tensor, Any]]:
        """Take one step for each minibatch.

        Returns:
            The loss and what the module hands back, from before each step.
        """
        return self.take_all(batches)

    def take_all(self, batches: Sequence[Any]) -> list[tuple[Tensor, Any]]:
        """Take a step for each minibatch of a stack."""
        self.prepare()
        return self.take_steps(batches)

    def prepare(self) -> None:
        """Get ready for the steps of a stack."""

    def take_steps(self, batches: Sequence[Any]) -> list[tuple[Tensor, Any]]:
        """Take a step for each minibatch, as a part of :meth:`take_all`."""
        return [self.take(batch) for batch in batches]

    def take(self, batch: Any) -> tuple[Tensor, Any]:
        """Take one step."""
        loss, others = self.module.loss(batch)
        self.optimizer.zero_grad()
        self.module.manual_backward(loss)
        self._clip()
        self.optimizer.step()
        return loss.detach(), others

    @torch.no_grad()
    def _clip(self) -> None:
        """Clip the gradients, which a scaler of 16-bit training has made larger, in place."""
        if self.module.gradient_clip_val is None:
            return
        scaler = getattr(self.module.trainer.precision_plugin, "scaler", None)
        if scaler is not None:
            scaler.unscale_(self.optimizer.optimizer)
        found = [weight.grad for weight in self.weights if weight.grad is not None]
        for gradient, smaller in zip(found, self.module.clip(found), strict=True):
            gradient.copy_(smaller)


class BareStep(HookedStep):
    """One optimizer step without the hooks, for where :func:`is_bare` says that none is used."""

    def __init__(self, module: Any) -> None:
        super().__init__(module)
        self.bare: Optimizer = self.optimizer.optimizer

    def __call__(self, batches: Sequence[Any]) -> list[tuple[Tensor, Any]]:
        taken = super().__call__(batches)
        for _ in taken:
            note_step(self.optimizer)
        return taken

    def take(self, batch: Any) -> tuple[Tensor, Any]:
        loss, others, gradients = self.differentiate(batch)
        for weight, gradient in zip(self.weights, gradients, strict=True):
            weight.grad = gradient
        self.bare.step()
        return loss, others

    def differentiate(self, batch: Any) -> tuple[Tensor, Any, list[Tensor]]:
        """Return the loss, what the module hands back, and the gradients, clipped."""
        loss, others, gradients = self.module.differentiate(batch, self.weights)
        with torch.no_grad():
            return loss, others, self.module.clip(gradients)


def clipped(gradients: Sequence[Tensor], largest: float) -> list[Tensor]:
    """Scale gradients down to a largest norm, as :func:`torch.nn.utils.clip_grad_norm_` does."""
    norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
    share = (largest / (norm + 1e-6)).clamp(max=1)
    return [gradient * share for gradient in gradients]
