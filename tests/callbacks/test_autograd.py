"""Gradients inside a host's inference mode."""

import pytest
import torch
from lightning.pytorch.demos.boring_classes import BoringModel

from mine_lightning.callbacks.autograd import AutogradMode


def test_a_run_that_trains_leaves_inference_mode_and_comes_back() -> None:
    callback = AutogradMode()
    with torch.inference_mode():
        callback.setup(None, None, "fit")
        assert not torch.is_inference_mode_enabled()
        assert torch.ones(1, requires_grad=True).exp().requires_grad
        callback.teardown(None, None, "fit")
        assert torch.is_inference_mode_enabled()
        callback.on_exception(None, None, KeyError())
        assert torch.is_inference_mode_enabled()


def test_an_error_brings_inference_mode_back() -> None:
    callback = AutogradMode()
    with torch.inference_mode():
        callback.setup(None, None, "fit")
        callback.on_exception(None, None, KeyError())
        assert torch.is_inference_mode_enabled()


@pytest.mark.parametrize("stage", ["validate", "test", "predict"])
def test_other_runs_stay_in_inference_mode(stage: str) -> None:
    with torch.inference_mode():
        AutogradMode().setup(None, BoringModel(), stage)
        assert torch.is_inference_mode_enabled()
