"""The private names of torch and Lightning that this package rests on, and why."""

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn

__all__ = ["in_backward", "logged_by_others", "logs_now", "runs_compiled"]


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
