"""Steps of the folds' critics, whichever way they are taken."""

from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from devices import NAME, Waits, needs_a_device, on_the_device
from mine_lightning import estimate_mutual_information
from mine_lightning.estimate import crossfit, folds, minibatches
from mine_lightning.estimate.steps import CapturedSteps, FusedSteps, HookedSteps
from recorders import Refuses, Replays


class Watch(Callback):
    """Hook into the backward pass, which a step by hand does not have."""

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        pass


class Note(Callback):
    """Note how steps are taken, after another way has perhaps been put into its place."""

    def __init__(self, graphs: type[Replays] | None = None) -> None:
        self.graphs = graphs
        self.made: list[Replays] = []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        if self.graphs is not None and type(pl_module._steps) is FusedSteps:
            pl_module._steps = CapturedSteps(pl_module, self._make)
        self.kind = type(pl_module._steps)

    def _make(self) -> Replays:
        assert self.graphs is not None
        self.made.append(self.graphs())
        return self.made[-1]


def estimate(*callbacks: Callback, rows: int = 1500, **arguments: Any) -> Any:
    x, noise = torch.randn(2, rows, 2, generator=torch.Generator().manual_seed(0))
    given = {"folds": 2, "max_epochs": 6, "progress_bar": False, **arguments}
    return estimate_mutual_information(x, x.square() + noise, callbacks=list(callbacks), **given)


@pytest.mark.parametrize(
    ("options", "hook", "kind"),
    [
        ({}, False, FusedSteps),
        ({}, True, HookedSteps),
        ({"precision": "bf16-mixed"}, False, HookedSteps),
    ],
)
def test_steps_without_hooks_are_those_that_lightning_takes(options, hook, kind) -> None:
    note = Note()
    usual = estimate(Watch())
    found = estimate(note, *([Watch()] if hook else []), **options)
    assert note.kind is kind
    assert (found.learning_curve[0] != found.learning_curve[-1]).any()
    room = 0.05 if options else 1e-3
    np.testing.assert_allclose(found.learning_curve, usual.learning_curve, atol=room)


def test_replayed_steps_are_those_taken_as_usual() -> None:
    replays = Note(Replays)
    usual, replayed = estimate(), estimate(replays)
    counts = [recorder.replayed for recorder in replays.made]
    assert replays.kind is CapturedSteps
    assert min(counts) > 0
    assert len(counts) == 1  # every stack of minibatches is as long
    assert np.array_equal(replayed.terms, usual.terms)
    assert np.array_equal(replayed.learning_curve, usual.learning_curve)


def test_stacks_of_several_lengths_have_a_graph_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folds, "BATCH_SIZE", 64)  # of 17 minibatches, 16 are one stack
    replays = Note(Replays)
    usual, replayed = (estimate(*c, rows=2600, max_epochs=3) for c in ([], [replays]))
    assert [recorder.replayed > 0 for recorder in replays.made] == [True, True]
    assert np.array_equal(replayed.terms, usual.terms)


@pytest.mark.filterwarnings("ignore:Training goes on without a CUDA graph")
def test_steps_that_cannot_be_recorded_are_taken_as_usual_and_said() -> None:
    with pytest.warns(UserWarning, match="Training goes on without a CUDA graph, which failed: op"):
        refused = estimate(Note(Refuses))
    assert np.array_equal(refused.terms, estimate().terms)


def by_one_kernel(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    for group in optimizer.param_groups:
        group["fused"] = True
    return optimizer


@needs_a_device
def test_a_device_replays_what_the_cpu_does_and_hardly_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(minibatches, "fits", lambda values, device: device.type == NAME)
    monkeypatch.setattr(crossfit, "fused", by_one_kernel)
    replays, waits = Note(Replays), Waits()
    found = estimate(replays, waits, **on_the_device())
    assert replays.kind is CapturedSteps
    assert all(recorder.replayed > 1 for recorder in replays.made)
    assert waits.seen.total() * 1024 < 30 * waits.steps
    np.testing.assert_allclose(found.terms, estimate().terms, atol=1e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_replays_what_the_cpu_does() -> None:
    note = Note()
    found = estimate(note, accelerator="gpu")
    assert note.kind is CapturedSteps
    assert found.nats == pytest.approx(estimate(accelerator="cpu").nats, abs=1e-3)
