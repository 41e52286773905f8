"""Optimizer steps that nobody listens to, which may leave Lightning's hooks out."""

from typing import Any

from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch.optim import Optimizer

__all__ = ["fused", "is_bare", "is_hooked"]

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
    return single and not is_hooked(module)


def is_hooked(module: Any) -> bool:
    """Whether the module or a callback hooks into a step."""
    listeners = [module, *module.trainer.callbacks]
    return any(overrides(listener, hook) for listener in listeners for hook in HOOKS)


def overrides(listener: Any, hook: str) -> bool:
    """Whether a module or a callback has a method in the place of Lightning's own."""
    own = getattr(type(listener), hook, None)
    return own not in (None, getattr(LightningModule, hook, None), getattr(Callback, hook, None))
