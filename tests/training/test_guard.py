"""Numbers that are not finite: loud or skipped, and never kept."""

import copy
import math
from functools import partial
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint, OnExceptionCheckpoint
from torch import nn

from mine_lightning import (
    MINE,
    NWJ,
    ConcatCritic,
    GaussianDataModule,
    JensenShannonNWJ,
    MutualInformation,
    MutualInformationEstimator,
    MutualInformationLearner,
    MutualInformationStandardError,
    mutual_information,
)
from mine_lightning.metrics import EffectiveSampleSize, LogPartition
from shared import QUIET

pytestmark = [
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no"),
    # Lightning 2.6.6 warns so of its own OnExceptionCheckpoint
    pytest.mark.filterwarnings("ignore:.*ckpt_path=None.* was called without a model"),
    pytest.mark.filterwarnings("ignore:.*there is no last checkpoint available"),
]

SGD = partial(torch.optim.SGD, lr=0.05, momentum=0.9)


class Batches:
    """Six minibatches in stacks of three; what is done to each is given."""

    def __init__(self, harm: dict[int, float] | None = None, leave_out: bool = False) -> None:
        generator = torch.Generator().manual_seed(0)
        x, z, apart = torch.randn(3, 6, 16, 2, generator=generator)
        batches = []
        for number in range(6):
            factor = (harm or {}).get(number, 1.0)
            if factor == 1 or not leave_out:
                pair = (x[number] * factor, x[number] + z[number])
                batches.append({"joint": pair, "marginal": apart[number]})
        self.stacks = [batches[:3], batches[3:]]

    def __len__(self) -> int:
        return len(self.stacks)

    def __iter__(self):
        return iter(self.stacks)


def fit(batches: Batches, objective=None, critic=None, callbacks=(), **options):
    seed_everything(0, verbose=False)
    parts = copy.deepcopy((critic or ConcatCritic((8,)), objective))
    model = MutualInformationEstimator(*parts, **options)
    model.scores(batches.stacks[0][0])
    trainer = Trainer(
        **QUIET, max_epochs=1, callbacks=list(callbacks), enable_checkpointing=bool(callbacks)
    )
    trainer.fit(model, batches)
    return model, trainer


@pytest.mark.parametrize("harm", [math.nan, math.inf, 1e39])
@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.AdamW, SGD])
def test_a_skipped_minibatch_leaves_no_trace(harm: float, optimizer) -> None:
    options = {"optimizer": optimizer, "on_nonfinite": "skip"}
    model, trainer = fit(Batches({1: harm, 3: harm}), MINE(0.3), **options)
    without, _ = fit(Batches({1: harm, 3: harm}, leave_out=True), MINE(0.3), **options)
    for name, value in model.state_dict().items():
        assert torch.equal(value, without.state_dict()[name]), name
    ours, theirs = (m.optimizers().optimizer.state_dict()["state"] for m in (model, without))
    for entry, state in ours.items():
        for name, value in state.items():
            assert torch.equal(value, theirs[entry][name]), name
    assert trainer.callback_metrics["train/skipped"] == 2
    assert trainer.global_step == 6


def test_bad_minibatches_alone_end_with_the_steps_and_change_nothing() -> None:
    batches = Batches(dict.fromkeys(range(6), math.nan))
    model, trainer = fit(batches, on_nonfinite="skip")
    assert trainer.callback_metrics["train/skipped"] == 6
    states = model.optimizers().optimizer.state.values()
    assert not any(value.any() for state in states for value in state.values())
    assert model.objective.log_ema == -math.inf
    seed_everything(0, verbose=False)
    fresh = MutualInformationEstimator(ConcatCritic((8,)))
    fresh.scores(batches.stacks[0][0])
    for name, value in model.state_dict().items():
        assert torch.equal(value, fresh.state_dict()[name]), name


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
def test_the_count_of_skipped_minibatches_goes_on_after_a_restart(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path, filename="last")
    fit(Batches({1: math.nan}), on_nonfinite="skip", callbacks=[saver])
    model = MutualInformationEstimator(ConcatCritic((8,)), on_nonfinite="skip")
    trainer = Trainer(**QUIET, max_epochs=2, callbacks=[ModelCheckpoint(tmp_path)])
    batches = Batches({2: math.nan})
    model.scores(batches.stacks[1][0])
    trainer.fit(model, batches, ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    assert trainer.callback_metrics["train/skipped"] == 2


class Explodes(nn.Module):
    """A critic whose scores or gradients stop being finite where x is large."""

    def __init__(self, score: float = 1.0, slope: float = 1.0) -> None:
        super().__init__()
        self.score, self.slope = score, slope
        self.weight = nn.Parameter(torch.tensor(0.1))

    def forward(self, x, z):
        large = (x.abs().amax(-1) > 20).float()
        steep = (self.weight - self.weight.detach()) * self.slope * self.slope * large * z[..., 0]
        usual = self.weight * (x * z).sum(-1)
        return torch.where(large > 0, self.score, usual) + steep


CAUSES = {
    "data": (Batches({4: math.nan}), None, None, "values that are NaN or infinite: clean the"),
    "critic": (Batches({4: 1e6}), Explodes(math.inf), None, "scores overflow: scale the data"),
    "loss": (Batches({4: 1e6}), Explodes(200.0), NWJ(), "exponential .* overflows at .* 200: "),
    "gradient": (Batches({4: 1e6}), Explodes(1.0, 1e30), None, "optimizer's update overflows"),
}


@pytest.mark.parametrize(("batches", "critic", "objective", "cause"), CAUSES.values(), ids=CAUSES)
def test_the_error_names_step_objective_and_cause(batches, critic, objective, cause) -> None:
    objective = objective or MINE()
    name = rf"{type(objective).__name__}\({objective.extra_repr()}\)"
    message = rf"finite numbers at step 4 of {name}, got a loss of .*{cause}"
    with pytest.raises(FloatingPointError, match=message):
        fit(batches, objective, critic)


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("optimizer", [torch.optim.Adam, SGD])
def test_no_checkpoint_holds_bad_numbers(cause: str, optimizer, tmp_path: Path) -> None:
    batches, critic, objective, message = CAUSES[cause]
    savers = [
        ModelCheckpoint(
            tmp_path, filename="{step}", every_n_train_steps=1, save_last=True, save_top_k=-1,
            save_on_exception=True,
        ),
        OnExceptionCheckpoint(tmp_path),
    ]  # fmt: skip
    with pytest.raises(FloatingPointError, match=message):
        fit(batches, objective, critic, savers, optimizer=optimizer)
    paths = list(tmp_path.glob("*.ckpt"))
    assert len(paths) >= 3
    good, _ = fit(first_four(), objective, critic, optimizer=optimizer)
    for path in paths:
        checkpoint = torch.load(path, weights_only=True)
        states = checkpoint["optimizer_states"][0]["state"].values()
        tensors = [*checkpoint["state_dict"].values()]
        tensors += [value for state in states for value in state.values()]
        assert all(bool(value.isfinite().all()) for value in tensors), path
    exception = torch.load(tmp_path / "on_exception.ckpt", weights_only=True)
    assert exception["global_step"] == 4
    for name, value in exception["state_dict"].items():
        assert torch.equal(value, good.state_dict()[name]), name


def first_four() -> Batches:
    batches = Batches()
    batches.stacks[1] = batches.stacks[1][:1]
    return batches


def test_a_read_out_that_overflows_names_the_step() -> None:
    message = r"At step 6: Expected the estimate of JensenShannonNWJ\(\) to be finite, got -inf"
    with pytest.raises(FloatingPointError, match=message):
        fit(Batches({4: 1e6}), JensenShannonNWJ(), Explodes(200.0))


def test_an_evaluation_that_is_not_finite_is_an_error(tmp_path: Path) -> None:
    class Breaks(Callback):
        def on_validation_start(self, trainer, pl_module) -> None:
            if not trainer.sanity_checking:
                pl_module.critic.register_forward_hook(lambda *args: args[-1] / 0)

    data = GaussianDataModule(rows=300, correlation=0.5, batch_size=64, seed=0)
    model = MutualInformationEstimator()
    saver = OnExceptionCheckpoint(tmp_path)
    trainer = Trainer(**QUIET, max_epochs=1, callbacks=[Breaks(), saver])
    with pytest.raises(FloatingPointError, match=r"Expected the .* to be finite, got nan"):
        trainer.fit(model, data)
    weights = torch.load(tmp_path / "on_exception.ckpt", weights_only=True)["state_dict"]
    assert all(bool(value.isfinite().all()) for value in weights.values())


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize(
    "metric",
    [MutualInformation, MutualInformationStandardError, EffectiveSampleSize, LogPartition],
)
def test_metrics_of_scores_that_are_not_finite_raise(bad: float, metric) -> None:
    metric = metric()
    metric.update(torch.zeros(3), torch.tensor([0.0, bad, 0.0]))
    with pytest.raises(FloatingPointError, match=r"of DonskerVaradhan.* to be finite"):
        metric.compute()


def test_an_estimate_from_scores_that_are_not_finite_raises() -> None:
    with pytest.raises(FloatingPointError, match=r"estimate of NWJ\(\) to be finite, got -inf"):
        mutual_information(torch.zeros(2), torch.tensor([0.0, 1e4]), NWJ())
    scores = torch.zeros(2), torch.tensor([-math.inf, 0.0])  # a ratio of 0 is a number
    assert mutual_information(*scores) == pytest.approx(math.log(2))


@pytest.mark.parametrize("scale", [1e-38, 1e-30, 1.0, 1e18, 1e30])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_the_learner_does_not_depend_on_units(scale: float, offset: float) -> None:
    learners = [MutualInformationLearner(seed=1) for _ in range(2)]
    generator = torch.Generator().manual_seed(0)
    for _ in range(30):
        z = torch.randn(64, 1, generator=generator)
        x = z + torch.randn(64, 1, generator=generator)
        learners[0].update(x, z)
        learners[1].update((x + offset) * scale, z)
    ours, theirs = (learner.compute().mi.item() for learner in learners)
    assert abs(ours) > 1e-3
    assert theirs == pytest.approx(ours, abs=0.01)


def test_the_option_is_checked() -> None:
    with pytest.raises(ValueError, match="`on_nonfinite` to be 'raise' or 'skip', got 'ignore'"):
        MutualInformationEstimator(on_nonfinite="ignore")
