"""Who listens to an optimizer step, and where nobody has to be asked."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy

from mine_lightning.support.hooks import HOOKS, fused, is_bare, is_hooked


def listener(base: type, *hooks: str) -> Any:
    """Return a module or a callback with methods of its own."""
    return type("Listener", (base,), {hook: lambda self, *args: None for hook in hooks})()


def running(module: Any, *callbacks: Any, **settings: Any) -> Any:
    """Return a module in a run on one device, or one with other settings."""
    usual = {"strategy": SingleDeviceStrategy(), "precision": "32-true"} | settings
    vars(module)["trainer"] = SimpleNamespace(callbacks=callbacks, **usual)
    return module


class Host:
    """Stand in for a module of Lightning, whose trainer cannot be any object."""

    optimizer_step = LightningModule.optimizer_step


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_of_a_module_or_a_callback_is_found(hook: str) -> None:
    assert is_hooked(running(listener(Host, hook)))
    assert is_hooked(running(Host(), Callback(), listener(Callback, hook)))


def test_lightnings_own_methods_and_other_hooks_are_none() -> None:
    assert not is_hooked(running(Host(), Callback(), listener(Callback, "on_train_batch_end")))


@pytest.mark.parametrize(
    "settings",
    [{"strategy": DDPStrategy()}, {"precision": "16-mixed"}],
    ids=["processes", "scaled gradients"],
)
def test_steps_are_bare_on_one_device_without_scaling(settings: dict[str, Any]) -> None:
    assert is_bare(running(Host(), Callback()))
    assert not is_bare(running(Host(), Callback(), **settings))
    assert not is_bare(running(Host(), listener(Callback, "on_before_zero_grad")))


@pytest.mark.parametrize(
    ("options", "expected"), [({}, True), ({"foreach": True}, None), ({"fused": False}, False)]
)
def test_one_kernel_updates_all_unless_told_otherwise(options: dict, expected: object) -> None:
    weights = [torch.nn.Parameter(torch.ones(2))]
    assert fused(torch.optim.Adam(weights, **options)).param_groups[0]["fused"] is expected
