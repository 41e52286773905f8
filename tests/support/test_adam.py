"""Adam's update on the optimizer's own state."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from mine_lightning.support.adam import FusedAdam, is_fused_adam

KINDS: dict[str, tuple[type[Optimizer], dict[str, Any]]] = {
    "Adam": (Adam, {"lr": 1e-2}),
    "Adam with decay": (Adam, {"lr": 1e-2, "weight_decay": 0.1, "betas": (0.8, 0.95)}),
    "AdamW": (AdamW, {"lr": 1e-2, "weight_decay": 0.1, "eps": 1e-4}),
}


def optimizer(kind: str, weights: list[Tensor], **more: Any) -> Optimizer:
    """Return an optimizer of two groups, the second ten times as fast."""
    cls, settings = KINDS[kind]
    groups = [{"params": weights[:2]}, {"params": weights[2:], "lr": 0.1}]
    return cls(groups, **{"fused": True, **settings, **more})


def weights() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(n, 2, generator=generator)) for n in (3, 4, 5)]


def gradients(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(n, 2, generator=generator) for n in (3, 4, 5)]


def step(chosen: Optimizer, mine: list[Tensor], seed: int) -> None:
    for weight, gradient in zip(mine, gradients(seed), strict=True):
        weight.grad = gradient
    chosen.step()


@pytest.mark.parametrize("kind", KINDS)
def test_updates_are_the_optimizers_own_steps(kind: str) -> None:
    mine, theirs = weights(), weights()
    own, usual = optimizer(kind, mine), optimizer(kind, theirs)
    adam = FusedAdam(own)
    for seed in range(3):
        own.param_groups[0]["lr"] = usual.param_groups[0]["lr"] = 0.01 / (1 + seed)
        adam.note_rates()
        adam.update(gradients(seed))
        step(usual, theirs, seed)
    step(own, mine, seed=3)  # and the optimizer itself goes on from there
    step(usual, theirs, seed=3)
    assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


def test_updates_go_on_from_the_state_of_the_optimizer() -> None:
    mine = weights()
    own = optimizer("Adam", mine)
    step(own, mine, seed=0)
    state = copy.deepcopy(own.state_dict())
    theirs = [nn.Parameter(weight.detach().clone()) for weight in mine]
    other = optimizer("Adam", theirs)
    other.load_state_dict(state)
    step(own, mine, seed=1)
    adam = FusedAdam(other)
    adam.note_rates()
    adam.update(gradients(1))
    assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


@pytest.mark.parametrize(
    ("options", "fused"),
    [
        ({}, True),
        ({"fused": False}, False),
        ({"amsgrad": True}, False),
        ({"maximize": True}, False),
    ],
)
def test_only_adam_as_published_is_updated_so(options: dict[str, Any], fused: bool) -> None:
    assert is_fused_adam(optimizer("AdamW", weights(), **options)) is fused


def test_other_optimizers_and_those_with_listeners_are_left_alone() -> None:
    class Mine(Adam):
        pass

    hooked = optimizer("Adam", weights())
    hooked.register_step_pre_hook(lambda *args: None)
    others = [SGD(weights(), lr=0.1), Mine(weights(), fused=True), hooked]
    assert not any(map(is_fused_adam, others))
