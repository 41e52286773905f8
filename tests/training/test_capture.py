"""Steps replayed from a recording, on a CPU with a recorder that runs the work anew."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from torch.optim import AdamW

from mine_lightning import (
    MINE,
    NWJ,
    ConcatCritic,
    InfoNCE,
    MutualInformationEnsemble,
    MutualInformationEstimator,
    TensorDataModule,
)
from mine_lightning.training.capture import CAPTURED, CapturedStep
from mine_lightning.training.compilation import AdamStep, choose_step
from recorders import Refuses, Replays
from shared import TRAINING_ALONE


class Wrap(Callback):
    """Take the steps of a run through a recorder."""

    def __init__(self, graphs: Replays | None) -> None:
        self.graphs = graphs

    def on_train_batch_start(self, trainer, pl_module, *args) -> None:
        if self.graphs is not None and type(pl_module._step) is AdamStep:
            pl_module._step = CapturedStep(pl_module._step, self.graphs)


def train(graphs: Replays | None, make: Callable[[], Any], steps: int = 100) -> list[torch.Tensor]:
    """Train, and return the weights, buffers and the losses shown."""
    seed_everything(0, verbose=False)
    x, noise = torch.randn(2, 2000, 3, generator=torch.Generator().manual_seed(0))
    model, trainer = make(), Trainer(max_steps=steps, callbacks=[Wrap(graphs)], **TRAINING_ALONE)
    trainer.fit(model, TensorDataModule(x, 0.5 * x + noise, batch_size=40, seed=0))
    assert trainer.global_step == steps
    return [*model.state_dict().values(), trainer.callback_metrics["train/loss"]]


MAKERS: dict[str, Callable[[], Any]] = {
    "NWJ": lambda: MutualInformationEstimator(ConcatCritic((8,)), NWJ(), compile=False),
    "MINE": lambda: MutualInformationEstimator(ConcatCritic((8,)), MINE(0.1), compile=False),
    "all pairs": lambda: MutualInformationEstimator(
        ConcatCritic((8,)), InfoNCE(), all_pairs=True, compile=False
    ),
    "schedule": lambda: MutualInformationEstimator(
        ConcatCritic((8,)),
        NWJ(),
        optimizer=partial(AdamW, lr=1e-2),
        lr_scheduler=partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.3),
        gradient_clip_val=0.1,
        compile=False,
    ),
    "ensemble": lambda: MutualInformationEnsemble(3, ConcatCritic((8,)), compile=False),
}


@pytest.mark.parametrize("name", MAKERS)
def test_replayed_steps_are_those_taken_as_usual(name: str) -> None:
    graphs = Replays()
    usual, replayed = train(None, MAKERS[name]), train(graphs, MAKERS[name])
    assert graphs.replayed > 1
    assert all(torch.equal(a, b) for a, b in zip(usual, replayed, strict=True))


def test_each_stack_keeps_its_own_losses_and_scores() -> None:
    stacks: list[list[Any]] = []

    class Watch(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
            pl_module._step = Recorder(pl_module._step)

    class Recorder(CapturedStep):
        def __init__(self, step: Any) -> None:
            super().__init__(step.usual if isinstance(step, CapturedStep) else step, Replays())

        def take_all(self, batches: Any) -> Any:
            taken = super().take_all(batches)
            stacks.append([(loss, *scores) for loss, scores in taken])
            return taken

    seed_everything(0, verbose=False)
    x = torch.randn(4 * CAPTURED * 10, 2, generator=torch.Generator().manual_seed(0))
    data = TensorDataModule(x, x + 0.1, batch_size=10, seed=0)
    model = MutualInformationEstimator(ConcatCritic((4,)), NWJ(), compile=False)
    Trainer(max_steps=2 * CAPTURED, callbacks=[Watch()], **TRAINING_ALONE).fit(model, data)
    losses = torch.stack([loss for stack in stacks for loss, *_ in stack])
    assert len(losses.unique()) == 2 * CAPTURED


def test_what_cannot_be_recorded_is_trained_as_usual_and_said() -> None:
    with pytest.warns(UserWarning, match="Training goes on without a CUDA graph, which failed: op"):
        refused = train(Refuses(), MAKERS["NWJ"])
    usual = train(None, MAKERS["NWJ"])
    assert all(torch.equal(a, b) for a, b in zip(usual, refused, strict=True))


def test_minibatches_of_another_shape_are_trained_as_usual() -> None:
    graphs, counts = Replays(), []

    class Odd(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
            halves = [
                {"joint": tuple(side[:20] for side in b["joint"]), "marginal": b["marginal"][:20]}
                for b in batch[:CAPTURED]
            ]
            before = graphs.replayed
            taken = pl_module._step.take_all(halves)
            counts.append((len(taken[0][1][0]), graphs.replayed - before))

    x = torch.randn(4000, 2, generator=torch.Generator().manual_seed(0))
    options = {**TRAINING_ALONE, "callbacks": [Wrap(graphs), Odd()], "max_steps": 64}
    model = MutualInformationEstimator(ConcatCritic((4,)), NWJ(), compile=False)
    Trainer(**options).fit(model, TensorDataModule(x, x + 1, batch_size=40, seed=0))
    assert graphs.replayed > 0
    assert set(counts) == {(20, 0)}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", MAKERS)
def test_a_gpu_replays_what_it_would_have_done(name: str) -> None:
    class Force(Callback):
        def __init__(self, captured: bool) -> None:
            self.captured = captured

        def on_train_start(self, trainer, pl_module) -> None:
            pl_module._step = choose_step(pl_module, "auto" if self.captured else False)
            assert isinstance(pl_module._step, CapturedStep) == self.captured

    def run(captured: bool) -> list[torch.Tensor]:
        seed_everything(0, verbose=False)
        x, noise = torch.randn(2, 2000, 3, generator=torch.Generator().manual_seed(0))
        model = MAKERS[name]()
        options = {**TRAINING_ALONE, "accelerator": "gpu", "devices": 1}
        Trainer(max_steps=100, callbacks=[Force(captured)], **options).fit(
            model, TensorDataModule(x, 0.5 * x + noise, batch_size=40, seed=0)
        )
        return list(model.state_dict().values())

    for a, b in zip(run(False), run(True), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
