"""Short trainings, and how far apart they end."""

from functools import partial

import pytest
import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from torch.optim import Adam, AdamW

from mine_lightning import NWJ, ConcatCritic, MutualInformationEstimator, TensorDataModule
from mine_lightning.training.steps import HookedStep
from normal_pair import single
from shared import QUIET, TRAINING_ALONE

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


def fit(model, data, **kwargs) -> Trainer:
    trainer = Trainer(**{**QUIET, "enable_checkpointing": False, **kwargs})
    trainer.fit(model, data)
    return trainer
