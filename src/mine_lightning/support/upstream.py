"""The private names of torch, Lightning and torchmetrics that this package rests on, and why."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher
from torch import Tensor, nn
from torch.optim import Optimizer
from torchmetrics import Metric
from torchmetrics.utilities.plot import _AX_TYPE, _PLOT_OUT_TYPE

__all__ = [
    "Axes",
    "Drawn",
    "adam_",
    "compile_errors",
    "convolve",
    "copy_",
    "counts_as_stepped",
    "draw",
    "has_step_hooks",
    "in_backward",
    "is_hooked",
    "lerp_",
    "logged_by_others",
    "logs_now",
    "norms",
    "note_step",
    "runs_compiled",
    "spawns",
    "state_key",
    "steps_between",
    "tracing_gradients",
    "with_tensors",
    "wraps_compiled",
]

Module = TypeVar("Module", bound=nn.Module)

Axes = _AX_TYPE
Drawn = _PLOT_OUT_TYPE


def in_backward() -> bool:
    """Whether autograd runs a backward pass: activation checkpointing calls modules again there."""
    return torch._C._current_graph_task_id() != -1


def logs_now(trainer: Trainer) -> bool:
    """Whether Lightning writes what is logged in this training step."""
    return trainer._logger_connector.should_update_logs


def logged_by_others(trainer: Trainer, hook: str) -> set[str]:
    """Return the keys that the host has logged lately outside of a hook of this package's own."""
    loop = trainer.fit_loop.epoch_loop
    metrics = [*loop._results.values(), *loop.val_loop._results.values()]
    return {metric.meta.name for metric in metrics if metric.meta.fx != hook}


def runs_compiled(module: nn.Module) -> bool:
    """Whether a module's own call is compiled: hooks may be left out of the graph."""
    by_lightning = isinstance(module, LightningModule) and module._compiler_ctx is not None
    return by_lightning or module._compiled_call_impl is not None


def wraps_compiled(module: nn.Module) -> bool:
    """Whether a module is what :func:`torch.compile` returns for another one."""
    return hasattr(module, "_orig_mod")


def is_hooked(part: nn.Module | Tensor) -> bool:
    """Whether somebody listens to a module's passes, or to the gradient of a weight."""
    names = "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"
    return any(getattr(part, name, None) for name in names)


def has_step_hooks(optimizer: Optimizer) -> bool:
    """Whether somebody listens to an optimizer's steps."""
    return bool(optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks)


def counts_as_stepped(optimizer: Optimizer) -> None:
    """Tell schedulers, which warn otherwise, that an optimizer has been stepped."""
    optimizer._opt_called = True  # type: ignore[attr-defined]


def note_step(optimizer: LightningOptimizer) -> None:
    """Let Lightning count a step that did not go through its wrapper."""
    optimizer._on_before_step()
    optimizer._on_after_step()


def adam_(*lists: Sequence[Tensor], decoupled: bool, **settings: Any) -> None:
    """Take a step of Adam, or of AdamW, in one kernel: the optimizer's own costs three times it."""
    update: Any = torch._fused_adamw_ if decoupled else torch._fused_adam_
    update(*lists, **settings)


def lerp_(tensors: Sequence[Tensor], ends: Sequence[Tensor], share: float | Tensor) -> None:
    """Move tensors towards others by a share of the way, a number or on their device."""
    shares = [share] * len(tensors) if isinstance(share, Tensor) else share
    torch._foreach_lerp_(list(tensors), list(ends), shares)


def copy_(tensors: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    """Copy tensors into others in one kernel."""
    torch._foreach_copy_(list(tensors), list(sources))


def norms(tensors: Sequence[Tensor], order: float) -> list[Tensor]:
    """Return the norm of each tensor, by one kernel."""
    return list(torch._foreach_norm(list(tensors), order))


def with_tensors(module: Module, change: Callable[[Any], Any]) -> Module:
    """Return a module with its tensors changed and all else shared: a deep copy takes long."""
    changed = copy.copy(module)
    for name in ("_parameters", "_buffers"):
        tensors = getattr(module, name).items()
        setattr(changed, name, {key: None if t is None else change(t) for key, t in tensors})
    parts = module._modules.items()
    changed._modules = {
        k: None if part is None else with_tensors(part, change) for k, part in parts
    }
    return changed


def convolve(layer: Any, images: Tensor, weight: Tensor) -> Tensor:
    """Apply a convolution, with its padding and strides, with another weight."""
    return layer._conv_forward(images, weight, layer.bias)


def compile_errors() -> tuple[type[Exception], type[Exception]]:
    """Return what the compiler raises, and what it raises where it meets what it cannot trace."""
    from torch._dynamo.exc import TorchDynamoException, Unsupported

    return TorchDynamoException, Unsupported


@contextmanager
def tracing_gradients() -> Iterator[None]:
    """Let the compiler trace :func:`torch.autograd.grad` into a graph."""
    with torch._dynamo.config.patch(trace_autograd_ops=True):
        yield


def steps_between(callback: ModelCheckpoint) -> int:
    """Return after how many optimizer steps a callback saves; 0 where it goes by epochs."""
    return callback._every_n_train_steps


def spawns(trainer: Trainer) -> bool:
    """Whether a Trainer's processes run the training alone, and not the whole program."""
    return isinstance(trainer.strategy.launcher, _MultiProcessingLauncher)


def state_key(callback: Callback, **settings: Any) -> str:
    """Return the name of a callback's state in a checkpoint."""
    return callback._generate_state_key(**settings)


def draw(metric: Metric, value: Any, axes: Axes | None) -> Drawn:
    """Plot a metric as torchmetrics does."""
    return metric._plot(value, axes)
