"""The LightningModule: the contract, the first example, checkpoints and evaluation."""

import copy
import subprocess
import sys
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import nn

from mine_lightning import (
    CLUB,
    MINE,
    NWJ,
    BilinearCritic,
    ConcatCritic,
    ConditionalGaussian,
    DonskerVaradhan,
    GaussianDataModule,
    InfoNCE,
    MutualInformationEstimator,
    Partners,
    SeparableCritic,
)
from normal_pair import single
from shared import QUIET

OBJECTIVES = [DonskerVaradhan(), MINE(), NWJ(), InfoNCE()]
CRITICS = [ConcatCritic(), SeparableCritic(), BilinearCritic()]


def pairs(rows: int = 64, seed: int = 0) -> dict:
    generator = torch.Generator().manual_seed(seed)
    x, z = single(rows, 0.4, generator)
    return {"joint": (x, z), "marginal": z[torch.randperm(rows, generator=generator)]}


def fit(model, data, **kwargs) -> Trainer:
    trainer = Trainer(**{**QUIET, "enable_checkpointing": False, **kwargs})
    trainer.fit(model, data)
    return trainer


def test_calling_the_module_gives_a_differentiable_estimate() -> None:
    batch = pairs()
    batch["joint"][0].requires_grad_()
    estimate = MutualInformationEstimator()(batch)
    assert estimate.shape == ()
    assert abs(estimate.item()) < 0.1
    estimate.backward()
    assert batch["joint"][0].grad.abs().sum() > 0


@pytest.mark.trained
def test_the_smallest_use_learns_the_truth(seed: int, outcome) -> None:
    seed_everything(seed, verbose=False)
    model = MutualInformationEstimator()
    model(pairs())
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for step in range(1500):
        batch = pairs(256, seed=10_000 * seed + step)
        loss = model.objective.loss(*model.scores(batch))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        estimate = model(pairs(100_000, seed=-1)).item()
    outcome(estimate - 0.0872, -0.015, 0.015)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: type(o).__name__)
@pytest.mark.parametrize("critic", CRITICS, ids=lambda c: type(c).__name__)
@pytest.mark.parametrize("all_pairs", [False, True])
def test_every_objective_trains_with_every_critic(objective, critic, all_pairs) -> None:
    data = GaussianDataModule(rows=600, correlation=0.5, batch_size=64, seed=0)
    model = MutualInformationEstimator(
        copy.deepcopy(critic), copy.deepcopy(objective), all_pairs=all_pairs
    )
    trainer = fit(model, data, max_epochs=2)
    assert torch.isfinite(trainer.callback_metrics["val/mi"])
    assert trainer.global_step == 2 * (360 // 64)


def test_a_plain_module_serves_as_critic() -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))

        def forward(self, x, z):
            assert x.ndim == z.ndim == 2
            return self.net(torch.cat((x, z), dim=1)).squeeze(-1)

    model = MutualInformationEstimator(Plain(), all_pairs=True)
    assert model(pairs()).shape == ()
    assert MutualInformationEstimator(Plain())(pairs()).shape == ()


def test_partners_of_the_batch_give_one_score_each() -> None:
    batch = pairs(32)
    batch["marginal"] = Partners(5)(batch["joint"][1])
    joint, marginal = MutualInformationEstimator().scores(batch)
    assert joint.shape == (32,)
    assert marginal.shape == (32, 5)


def test_all_pairs_scores_are_split_into_the_diagonal_and_the_rest() -> None:
    batch = pairs(6)
    model = MutualInformationEstimator(all_pairs=True)
    joint, marginal = model.scores(batch)
    x, z = batch["joint"]
    for i in range(6):
        assert torch.allclose(joint[i], model.critic(x[i], z[i]))
        others = [model.critic(x[i], z[j]) for j in range(6) if j != i]
        assert torch.allclose(marginal[i], torch.stack(others), atol=1e-6)


def test_the_reported_estimates_are_pooled_not_averaged() -> None:
    data = GaussianDataModule(rows=700, correlation=0.9, batch_size=64, eval_batch_size=32, seed=0)
    model = MutualInformationEstimator()
    trainer = fit(model, data, max_epochs=3)
    joint, marginal = zip(*[model.scores(b) for b in data.val_dataloader()], strict=True)
    pooled = model.objective.estimate(torch.cat(joint), torch.cat(marginal))
    assert trainer.callback_metrics["val/mi"].item() == pytest.approx(pooled.item(), abs=1e-5)


def test_small_critics_train_on_one_thread_and_the_number_is_restored() -> None:
    seen = []

    class Watch(Callback):
        def on_train_batch_end(self, *args) -> None:
            seen.append(torch.get_num_threads())

        def on_train_epoch_end(self, *args) -> None:
            raise KeyError("stop")

    torch.set_num_threads(2)
    data = GaussianDataModule(rows=600, correlation=0.5, batch_size=64, seed=0)
    fit(MutualInformationEstimator(), data, max_steps=3)
    assert torch.get_num_threads() == 2
    with pytest.raises(KeyError):
        fit(MutualInformationEstimator(), data, max_epochs=1, callbacks=[Watch()])
    assert set(seen) == {1}
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)


def test_evaluation_leaves_the_moving_average_alone() -> None:
    data = GaussianDataModule(rows=600, correlation=0.5, batch_size=64, seed=0)
    model = MutualInformationEstimator()
    trainer = fit(model, data, max_epochs=1)
    before = model.objective.log_ema.clone()
    assert torch.isfinite(before)
    trainer.validate(model, data, verbose=False)
    trainer.test(model, data, verbose=False)
    assert torch.equal(model.objective.log_ema, before)


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


@pytest.mark.trained
def test_pointwise_values_average_to_the_estimate(seed: int, outcome) -> None:
    seed_everything(seed, verbose=False)
    data = GaussianDataModule(rows=5000, correlation=0.8, batch_size=128, seed=seed)
    model = MutualInformationEstimator()
    trainer = fit(model, data, max_epochs=15)
    values = torch.cat(trainer.predict(model, data))
    assert values.shape == (5000,)
    outcome(values.mean() - data.true_mi, -0.06, 0.06)
    with torch.no_grad():
        model.critic.head[-1].bias += 2
    trainer.validate(model, data, verbose=False)
    shifted = torch.cat(trainer.predict(model, data))
    torch.testing.assert_close(shifted, values, rtol=0, atol=1e-4)


def test_pointwise_values_of_an_upper_bound_are_refused() -> None:
    model = MutualInformationEstimator(ConditionalGaussian(), CLUB())
    with pytest.raises(ValueError, match=r"got CLUB\(\), whose critic is a conditional density"):
        model.predict_step(pairs(), 0)


def test_logging_goes_to_any_logger_on_the_step_axis(tmp_path: Path) -> None:
    data = GaussianDataModule(rows=1000, correlation=0.5, batch_size=32, seed=0)
    logger = CSVLogger(tmp_path)
    fit(MutualInformationEstimator(), data, max_epochs=3, logger=logger, log_every_n_steps=10)
    frame = pd.read_csv(Path(logger.log_dir) / "metrics.csv")
    for column in ("train/loss", "train/mi", "val/mi", "val/mi_standard_error", "mi/truth"):
        assert frame[column].notna().any(), column
    assert frame.dropna(subset="val/mi")["step"].tolist() == [18, 36, 54]


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ((torch.zeros(4, 1),), "keys `joint` and `marginal`, got a tuple"),
        ({"joint": 1}, r"keys `joint` and `marginal`, got keys \['joint'\]"),
        ({"joint": torch.zeros(3, 4, 1), "marginal": 1}, r"to be a pair \(x, z\)"),
        (
            {"joint": (torch.zeros(4, 1), torch.zeros(5, 1)), "marginal": torch.zeros(5, 1)},
            r"got x \(4, 1\), z \(5, 1\) and \(5, 1\)",
        ),
        (
            {"joint": (torch.zeros(4, 1), torch.zeros(4, 1)), "marginal": torch.zeros(4, 2)},
            r"got x \(4, 1\), z \(4, 1\) and \(4, 2\)",
        ),
    ],
)
def test_a_batch_that_breaks_the_contract_is_refused(batch, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MutualInformationEstimator()(batch)


@pytest.mark.parametrize("all_pairs", [False, True])
def test_a_critic_that_returns_a_column_is_refused(all_pairs: bool) -> None:
    class Column(nn.Module):
        def forward(self, x, z):
            return x * z

    with pytest.raises(ValueError, match=r"one score for each pair.*\.squeeze\(-1\)"):
        MutualInformationEstimator(Column(), all_pairs=all_pairs)(pairs())


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (
            {"gradient_clip_val": 0.0},
            "Expected `gradient_clip_val` to be positive and finite, got 0.0.",
        ),
        (
            {"minibatches_per_step": 0},
            "Expected `minibatches_per_step` to be an integer of at least 1, got 0.",
        ),
        ({"critic": MINE()}, "`critic` to score pairs, got MINE: give it as `objective`."),
    ],
)
def test_bad_arguments_are_refused(kwargs, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MutualInformationEstimator(**kwargs)


def test_unknown_sizes_without_a_datamodule_are_refused() -> None:
    loader = [pairs()]
    with pytest.raises(ValueError, match="call the module on one batch first"):
        Trainer(**QUIET, max_steps=1).fit(MutualInformationEstimator(), loader, loader)
