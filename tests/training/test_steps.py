"""One optimizer step, whichever way it is taken: through Lightning, bare, fused, compiled."""

from functools import partial

import pandas as pd
import pytest
import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.optim import SGD, Adam, AdamW

from mine_lightning import (
    NWJ,
    ConcatCritic,
    InfoNCE,
    MutualInformationEstimator,
    TensorDataModule,
)
from mine_lightning.training.compilation import AdamStep, CompiledStep, planned_steps
from mine_lightning.training.steps import BareStep, HookedStep
from normal_pair import single
from shared import TRAINING_ALONE

compiles = pytest.mark.skipif(
    not hasattr(torch._dynamo.config, "trace_autograd_ops"),
    reason="this PyTorch cannot compile gradients inside a graph",
)


ROWS = single(1000, 0.45, dim=3)


def train(kind: type[HookedStep] | None, steps: int = 20, **kwargs) -> MutualInformationEstimator:
    """Train with the given kind of step, or with the one that the run chooses."""
    seed_everything(0, verbose=False)
    trainer_kwargs = {**TRAINING_ALONE, **kwargs.pop("trainer", {})}
    if "hidden" in kwargs:  # built here, after seeding
        kwargs["critic"] = ConcatCritic(kwargs.pop("hidden"))
    kwargs = {"objective": NWJ(), "compile": False, **kwargs}
    model = MutualInformationEstimator(**kwargs)

    class Choose(Callback):
        def on_train_batch_start(self, trainer, pl_module, *args) -> None:
            if kind is not None and type(model._step) is not kind:
                model._step = kind(model)
            model.kind = type(model._step)

        def on_train_epoch_end(self, trainer, pl_module) -> None:
            model.graph = getattr(model._step, "_graph", None)

    trainer = Trainer(max_steps=steps, callbacks=[Choose()], **trainer_kwargs)
    trainer.fit(model, TensorDataModule(*ROWS, batch_size=64, seed=0))
    assert trainer.global_step == steps
    return model


def difference(a: MutualInformationEstimator, b: MutualInformationEstimator) -> float:
    return max(
        (x - y).abs().max().item() for x, y in zip(a.parameters(), b.parameters(), strict=True)
    )


OPTIMIZERS = {
    "Adam": Adam,
    "Adam with decay": partial(Adam, lr=2e-3, weight_decay=0.1),
    "AdamW": partial(AdamW, betas=(0.8, 0.95), weight_decay=0.1),
}


@pytest.mark.parametrize("clip", [None, 0.05])
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_bare_and_fused_steps_equal_those_through_lightning(optimizer, clip) -> None:
    through = train(HookedStep, optimizer=optimizer, gradient_clip_val=clip)
    for kind in (BareStep, AdamStep):
        assert difference(train(kind, optimizer=optimizer, gradient_clip_val=clip), through) < 1e-7


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


def test_a_callback_that_listens_to_gradients_is_called_at_every_step() -> None:
    norms = []

    class Norms(Callback):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
            norms.append(pl_module.critic.first.weight.grad.norm().item())

    model = MutualInformationEstimator(objective=NWJ())
    trainer = Trainer(max_steps=5, callbacks=[Norms()], **TRAINING_ALONE)
    trainer.fit(model, TensorDataModule(*ROWS, batch_size=64, seed=0))
    assert len(norms) == 5
    assert min(norms) > 0


def test_a_weight_that_the_loss_does_not_feel_stays() -> None:
    class Idle(ConcatCritic):
        def __init__(self) -> None:
            super().__init__((8,))
            self.idle = torch.nn.Parameter(torch.ones(3))

    for kind in (BareStep, AdamStep):
        assert torch.equal(train(kind, critic=Idle()).critic.idle, torch.ones(3))


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


@pytest.mark.parametrize("every", [1, 7, 10])
def test_step_checkpoints_are_saved_at_their_steps(every: int, tmp_path) -> None:
    saved = ModelCheckpoint(tmp_path, every_n_train_steps=every, save_top_k=-1)
    kwargs = {**TRAINING_ALONE, "enable_checkpointing": True}
    model = MutualInformationEstimator(objective=NWJ())
    Trainer(max_steps=40, callbacks=[saved], **kwargs).fit(
        model, TensorDataModule(*ROWS, batch_size=64, seed=0)
    )
    steps = sorted(
        torch.load(path, weights_only=True)["global_step"] for path in tmp_path.glob("*.ckpt")
    )
    assert steps == list(range(every, 41, every))


def test_an_option_that_counts_batches_counts_minibatches() -> None:
    model = MutualInformationEstimator(objective=NWJ())
    trainer = Trainer(max_epochs=2, **{**TRAINING_ALONE, "limit_train_batches": 3})
    trainer.fit(model, TensorDataModule(*ROWS, batch_size=64, seed=0))
    assert trainer.global_step == 6


def test_the_curve_is_logged_at_its_steps(tmp_path) -> None:
    logger = CSVLogger(tmp_path)
    Trainer(max_steps=40, log_every_n_steps=6, **{**TRAINING_ALONE, "logger": logger}).fit(
        MutualInformationEstimator(), TensorDataModule(*ROWS, batch_size=64, seed=0)
    )
    frame = pd.read_csv(f"{logger.log_dir}/metrics.csv").dropna(subset="train/mi")
    assert frame["step"].tolist() == [6, 12, 18, 24, 30, 36]
