"""The update of Adam by one kernel, which costs a third of the optimizer's own step."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim import Adam, AdamW, Optimizer

from mine_lightning.support.upstream import adam_, counts_as_stepped, has_step_hooks

__all__ = ["FusedAdam", "Group", "is_fused_adam"]


def is_fused_adam(optimizer: Optimizer) -> bool:
    """Whether an optimizer is Adam or AdamW as published, updated by one kernel."""
    if type(optimizer) not in (Adam, AdamW) or has_step_hooks(optimizer):
        return False
    variants = ("amsgrad", "maximize", "differentiable", "capturable")
    plain = not any(group[name] for group in optimizer.param_groups for name in variants)
    return plain and all(group["fused"] for group in optimizer.param_groups)


class Group(NamedTuple):
    """Weights that share their settings, with Adam's state of each; ``steps`` views ``counts``.

    The ``rate`` is the learning rate, on the weights' device: where a graph reads it anew.
    """

    settings: dict[str, Any]
    weights: list[Tensor]
    rate: Tensor
    counts: Tensor
    steps: list[Tensor]
    first_moments: list[Tensor]
    second_moments: list[Tensor]


class FusedAdam:
    """The update of an optimizer that :func:`is_fused_adam`, on the optimizer's own state.

    Checkpoints, learning-rate schedules and a later step of the optimizer itself see no difference.

    Args:
        optimizer: The optimizer.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.decoupled = isinstance(optimizer, AdamW)
        groups = [settings for settings in optimizer.param_groups if settings["params"]]
        self.groups = [adam_group(optimizer, settings) for settings in groups]
        counts_as_stepped(optimizer)

    def note_rates(self) -> None:
        """Note the learning rates, which a schedule may have changed."""
        for group in self.groups:
            group.rate.fill_(group.settings["lr"])

    @torch.no_grad()
    def update(self, gradients: Iterable[Tensor]) -> None:
        """Take a step, given the gradients of the weights of all groups in order."""
        left = iter(gradients)
        for group in self.groups:
            self._update(group, [next(left) for _ in group.weights])

    def _update(self, group: Group, gradients: list[Tensor]) -> None:
        first_decay, second_decay = group.settings["betas"]
        group.counts.add_(1)
        adam_(
            group.weights,
            gradients,
            group.first_moments,
            group.second_moments,
            [],
            group.steps,
            decoupled=self.decoupled,
            lr=group.rate,
            beta1=first_decay,
            beta2=second_decay,
            weight_decay=group.settings["weight_decay"],
            eps=group.settings["eps"],
            amsgrad=False,
            maximize=False,
        )


def adam_group(optimizer: Optimizer, settings: dict[str, Any]) -> Group:
    """Return a group with its state, begun as the optimizer itself would where there is none."""
    for weight in settings["params"]:
        state = optimizer.state[weight]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32, device=weight.device)
            state["exp_avg"], state["exp_avg_sq"] = (
                torch.zeros_like(weight),
                torch.zeros_like(weight),
            )
    states = [optimizer.state[weight] for weight in settings["params"]]
    counts = torch.stack([state["step"] for state in states])
    for state, count in zip(states, counts.unbind(), strict=True):
        state["step"] = count
    names = ("step", "exp_avg", "exp_avg_sq")
    moments = ([state[name] for state in states] for name in names)
    exact = torch.float32 if counts.is_cuda else torch.float64  # what the fused kernels read
    rate = torch.zeros((), dtype=exact, device=counts.device)
    return Group(settings, settings["params"], rate, counts, *moments)
