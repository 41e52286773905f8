"""One optimizer step: through Lightning, or bare where nothing hangs on its hooks.

A critic's step takes a fraction of a millisecond, as long as the hooks that Lightning calls around
it. Where a run is long, :mod:`mine_lightning.compilation` makes the whole step one graph.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch import Tensor
from torch.optim import Optimizer

__all__ = ["BareStep", "Forward", "HookedStep", "fused", "is_bare"]

Forward = Callable[[Any], tuple[Tensor, Any]]

UNSCALED = ("32-true", "64-true", "bf16-true", "bf16-mixed")
HOOKS = (
    "backward",
    "on_after_backward",
    "on_before_backward",
    "on_before_optimizer_step",
    "on_before_zero_grad",
    "optimizer_step",
    "optimizer_zero_grad",
    "configure_gradient_clipping",
)


class HookedStep:
    """One optimizer step through Lightning: every strategy, precision and hook has its part.

    Args:
        module: The module being trained, which optimises manually.
        forward: Turns a batch into the loss, shape ``()``, and what to hand back.
        gradient_clip_val: Largest norm of the gradient; no clipping by default.
    """

    def __init__(
        self, module: LightningModule, forward: Forward, gradient_clip_val: float | None = None
    ) -> None:
        self.module, self.forward, self.gradient_clip_val = module, forward, gradient_clip_val
        self.optimizer: Any = module.optimizers()

    def __call__(self, batch: Any) -> tuple[Tensor, Any]:
        """Take one step; return the loss and what ``forward`` hands back, from before it."""
        loss, others = self.forward(batch)
        self.optimizer.zero_grad()
        self.module.manual_backward(loss)
        if self.gradient_clip_val is not None:
            self.module.clip_gradients(self.optimizer, self.gradient_clip_val)
        self.optimizer.step()
        return loss.detach(), others


class BareStep(HookedStep):
    """One optimizer step without the hooks, for where :func:`is_bare` says that none is used."""

    def __init__(
        self, module: LightningModule, forward: Forward, gradient_clip_val: float | None = None
    ) -> None:
        super().__init__(module, forward, gradient_clip_val)
        self.bare: Optimizer = self.optimizer.optimizer
        self.weights = [weight for group in self.bare.param_groups for weight in group["params"]]

    def __call__(self, batch: Any) -> tuple[Tensor, Any]:
        self.optimizer._on_before_step()
        result = self.take(batch)
        self.optimizer._on_after_step()
        return result

    def take(self, batch: Any) -> tuple[Tensor, Any]:
        """Take the step, which is counted by the caller."""
        loss, others = self.forward(batch)
        with torch.no_grad():
            for weight, gradient in zip(self.weights, self.gradients(loss), strict=True):
                weight.grad = gradient
            self.bare.step()
        return loss.detach(), others

    def gradients(self, loss: Tensor) -> list[Tensor]:
        """Return the gradient of every weight, clipped; zero where the loss does not feel it.

        Fused kernels read memory in order, whatever the strides say.
        """
        found = torch.autograd.grad(loss, self.weights, materialize_grads=True)
        gradients = [gradient.contiguous() for gradient in found]
        if self.gradient_clip_val is None:
            return gradients
        return clipped(gradients, self.gradient_clip_val)


def clipped(gradients: Sequence[Tensor], largest: float) -> list[Tensor]:
    """Scale gradients down to a largest norm, as :func:`torch.nn.utils.clip_grad_norm_` does."""
    norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
    share = (largest / (norm + 1e-6)).clamp(max=1)
    return [gradient * share for gradient in gradients]


def fused(optimizer: Optimizer) -> Optimizer:
    """Let an optimizer update all parameters in one kernel, where it can and was not told how."""
    for group in optimizer.param_groups:
        unset = "fused" in group and group["fused"] is None and group["foreach"] is None
        if unset and all(p.device.type in ("cpu", "cuda") for p in group["params"]):
            group["fused"] = True
    return optimizer


def is_bare(module: Any) -> bool:
    """Whether one device is trained without gradient scaling, and nobody hooks into a step."""
    trainer = module.trainer
    single = type(trainer.strategy) is SingleDeviceStrategy and trainer.precision in UNSCALED
    listeners = [module, *trainer.callbacks]
    return single and not any(overrides(listener, hook) for listener in listeners for hook in HOOKS)


def overrides(listener: Any, hook: str) -> bool:
    """Whether a module or a callback has a method in the place of Lightning's own."""
    own = getattr(type(listener), hook, None)
    return own not in (None, getattr(LightningModule, hook, None), getattr(Callback, hook, None))
