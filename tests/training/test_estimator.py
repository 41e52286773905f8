"""The LightningModule: the contract, the first example, checkpoints and evaluation."""

import copy
from pathlib import Path

import pandas as pd
import pytest
import torch
from lightning.pytorch import Trainer, seed_everything
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
from training_runs import fit

OBJECTIVES = [DonskerVaradhan(), MINE(), NWJ(), InfoNCE()]
CRITICS = [ConcatCritic(), SeparableCritic(), BilinearCritic()]


def pairs(rows: int = 64, seed: int = 0) -> dict:
    generator = torch.Generator().manual_seed(seed)
    x, z = single(rows, 0.4, generator)
    return {"joint": (x, z), "marginal": z[torch.randperm(rows, generator=generator)]}


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


def test_evaluation_leaves_the_moving_average_alone() -> None:
    data = GaussianDataModule(rows=600, correlation=0.5, batch_size=64, seed=0)
    model = MutualInformationEstimator()
    trainer = fit(model, data, max_epochs=1)
    before = model.objective.log_ema.clone()
    assert torch.isfinite(before)
    trainer.validate(model, data, verbose=False)
    trainer.test(model, data, verbose=False)
    assert torch.equal(model.objective.log_ema, before)


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
