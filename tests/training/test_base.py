"""Training in stacks of minibatches: steps, schedules, checkpoints, curves."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import nn

from mine_lightning import (
    NWJ,
    GaussianDataModule,
    MutualInformationEstimator,
    SeparableCritic,
    TensorDataModule,
)
from shared import TRAINING_ALONE
from training_runs import ROWS, fit


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


def test_training_in_stacks_equals_training_one_by_one() -> None:
    states = []
    for stack in (1, 4, 16):
        seed_everything(0, verbose=False)
        data = GaussianDataModule(rows=2000, correlation=0.5, batch_size=64, seed=0)
        model = MutualInformationEstimator(minibatches_per_step=stack)
        trainer = fit(model, data, max_steps=50)
        assert trainer.global_step == 50
        states.append(model.state_dict())
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name
        assert torch.equal(value, states[2][name]), name


def test_gradient_clipping_bounds_the_step() -> None:
    seed_everything(0, verbose=False)
    data = GaussianDataModule(rows=600, correlation=0.9, batch_size=64, seed=0)
    model = MutualInformationEstimator(
        optimizer=partial(torch.optim.SGD, lr=1.0), gradient_clip_val=1e-3
    )
    data.setup()
    model.scores(next(iter(data.train_dataloader())))
    before = nn.utils.parameters_to_vector(model.critic.parameters()).detach()
    fit(model, data, max_steps=1)
    after = nn.utils.parameters_to_vector(model.critic.parameters()).detach()
    assert 0 < (after - before).norm() <= 1e-3 * (1 + 1e-4)


def test_a_learning_rate_schedule_is_stepped_every_epoch() -> None:
    data = GaussianDataModule(rows=600, correlation=0.5, batch_size=64, seed=0)
    model = MutualInformationEstimator(
        lr_scheduler=partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.1)
    )
    fit(model, data, max_epochs=3)
    assert model.optimizers().param_groups[0]["lr"] == pytest.approx(1e-6)


@pytest.mark.slow
def test_a_notebook_checkpoint_reloads_in_a_fresh_process(tmp_path: Path) -> None:
    seed_everything(0, verbose=False)
    data = GaussianDataModule(rows=1000, correlation=0.8, batch_size=64, seed=3)
    model = MutualInformationEstimator(
        SeparableCritic(embedding_dim=4, hidden_features=[16]),
        NWJ(),
        optimizer=partial(torch.optim.Adam, lr=2e-3),
    )
    checkpoint = ModelCheckpoint(tmp_path, monitor="val/mi", mode="max")
    trainer = fit(model, data, max_epochs=3, callbacks=[checkpoint], enable_checkpointing=True)
    (expected,) = trainer.test(model, data, ckpt_path="best", verbose=False, weights_only=True)
    script = (
        "import sys; from lightning.pytorch import Trainer\n"
        "from mine_lightning import GaussianDataModule, MutualInformationEstimator\n"
        "model = MutualInformationEstimator.load_from_checkpoint(sys.argv[1], weights_only=True)\n"
        "data = GaussianDataModule(rows=1000, correlation=0.8, batch_size=64, seed=3)\n"
        "trainer = Trainer(logger=False, enable_progress_bar=False)\n"
        "(result,) = trainer.test(model, data, verbose=False)\n"
        "print(repr(result['test/mi']), type(model.critic).__name__, model.critic._arguments)\n"
    )
    command = [sys.executable, "-c", script, checkpoint.best_model_path]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    value, critic, arguments = run.stdout.strip().splitlines()[-1].split(" ", 2)
    assert float(value) == expected["test/mi"]
    assert critic == "SeparableCritic"
    assert "'embedding_dim': 4" in arguments
