"""Steps fused and compiled, and where they are not."""

from functools import partial

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from torch.optim import SGD, Adam

from mine_lightning import NWJ, InfoNCE, MutualInformationEstimator, TensorDataModule
from mine_lightning.training.compilation import AdamStep, CompiledStep, planned_steps
from mine_lightning.training.steps import BareStep, HookedStep
from shared import TRAINING_ALONE
from training_runs import OPTIMIZERS, ROWS, compiles, difference, train


@compiles
@pytest.mark.slow
@pytest.mark.parametrize(("name", "clip"), [("Adam with decay", 0.05), ("AdamW", None)])
def test_compiled_steps_equal_eager_ones_to_rounding(name, clip) -> None:
    kwargs = {"optimizer": OPTIMIZERS[name], "gradient_clip_val": clip}
    eager, compiled = (
        train(kind, 9, hidden=(8,), compile=kind is None, **kwargs) for kind in (AdamStep, None)
    )
    assert compiled.kind is CompiledStep
    assert compiled._step is None
    assert difference(eager, compiled) < 1e-6


@compiles
@pytest.mark.slow
def test_a_compiled_run_follows_the_schedule_of_the_learning_rate() -> None:
    schedule = partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.1)
    kwargs = {"lr_scheduler": schedule, "hidden": (8,)}
    eager, compiled = (train(None, 27, compile=c, **kwargs) for c in (False, True))
    assert difference(eager, compiled) < 1e-6


@compiles
def test_every_run_is_compiled_however_many_there_are() -> None:
    with torch._dynamo.config.patch(recompile_limit=1):
        eager, *compiled = (train(None, 9, hidden=(8,), compile=c) for c in (False, True, True))
    for model in compiled:
        assert model.graph is not None
        assert difference(eager, model) < 1e-6


@compiles
def test_a_step_that_cannot_be_compiled_is_taken_eagerly_and_said() -> None:
    class Stubborn(NWJ):
        def loss(self, joint, marginal):
            torch._dynamo.graph_break()
            return super().loss(joint, marginal)

    with pytest.warns(UserWarning, match="Training goes on without compilation, which failed"):
        compiled = train(None, objective=Stubborn(), compile=True)
    assert difference(compiled, train(None, objective=Stubborn())) == 0


@pytest.mark.parametrize(
    ("kwargs", "kind"),
    [
        ({}, AdamStep),
        ({"optimizer": partial(Adam, foreach=True)}, BareStep),
        ({"optimizer": partial(Adam, amsgrad=True)}, BareStep),
        ({"optimizer": partial(SGD, lr=1e-3)}, BareStep),
        ({"trainer": {"strategy": "ddp", "devices": 1, "accelerator": "cpu"}}, HookedStep),
        ({"trainer": {"precision": "bf16-mixed"}}, AdamStep),
    ],
)
def test_the_fastest_step_that_a_run_allows_is_chosen(kwargs, kind) -> None:
    assert train(None, 2, **kwargs).kind is kind
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def test_compilation_that_a_run_does_not_allow_is_said() -> None:
    with pytest.warns(UserWarning, match="`compile=True` needs Adam or AdamW on one CPU or GPU"):
        train(None, 2, optimizer=partial(SGD, lr=1e-3), compile=True)


def test_auto_compiles_by_the_planned_number_of_steps() -> None:
    seen = []

    class Plan(Callback):
        def on_train_start(self, trainer, pl_module) -> None:
            seen.append(planned_steps(trainer))
            trainer.should_stop = True

    data = TensorDataModule(*ROWS, batch_size=64, seed=0)  # 600 rows: 9 minibatches an epoch
    for bounds in ({"max_epochs": 7}, {"max_epochs": 7, "max_steps": 20}, {"max_steps": 70}):
        model = MutualInformationEstimator(objective=InfoNCE())
        Trainer(callbacks=[Plan()], min_epochs=0, **bounds, **TRAINING_ALONE).fit(model, data)
    assert seen == [63, 20, 70]
