"""The ensemble as a LightningModule: each member is the critic trained alone."""

import copy
from functools import partial

import pytest
import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from torch import nn

from mine_lightning import (
    CLUB,
    MINE,
    NWJ,
    TUBA,
    BilinearCritic,
    ConcatCritic,
    ConditionalGaussian,
    GaussianDataModule,
    InfoNCE,
    MutualInformationEnsemble,
    MutualInformationEstimator,
    SeparableCritic,
)
from mine_lightning.objectives import LearnableBaseline
from shared import NO_FILES


class Plain(nn.Module):
    """A critic that knows nothing of this package."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return self.layers(torch.cat((x, z), dim=1)).squeeze(-1)


def data(**kwargs) -> GaussianDataModule:
    return GaussianDataModule(rows=1000, correlation=0.8, batch_size=64, seed=3, **kwargs)


def fit(model, *loaders, **kwargs) -> Trainer:
    trainer = Trainer(**{**NO_FILES, "max_steps": 12, "limit_val_batches": 0, **kwargs})
    trainer.fit(model, *(loaders or [data()]))
    return trainer


@pytest.mark.parametrize("all_pairs", [False, True])
@pytest.mark.parametrize("clip", [None, 0.1])
@pytest.mark.parametrize(
    "critic",
    [ConcatCritic((8,)), SeparableCritic(4, (8,)), BilinearCritic(), Plain()],
    ids=lambda critic: type(critic).__name__,
)
def test_a_member_equals_its_critic_trained_alone(critic, all_pairs: bool, clip) -> None:
    kwargs = {"all_pairs": all_pairs, "gradient_clip_val": clip}
    kwargs["optimizer"] = partial(torch.optim.SGD, lr=0.05)
    model = MutualInformationEnsemble(3, critic, NWJ(), seed=0, **kwargs)
    module = data()
    module.setup()
    fit(model, max_steps=0)  # finds the input sizes
    alone = [model.critic.member(member) for member in range(3)]
    fit(model)
    for member, start in enumerate(alone):
        single = MutualInformationEstimator(start, NWJ(), **kwargs)
        fit(single, module.training_loader(module.seed + member), module.val_dataloader())
        grown = dict(model.critic.member(member).named_parameters())
        for name, weight in start.named_parameters():
            torch.testing.assert_close(weight, grown[name], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "objective",
    [MINE(0.1), TUBA(), TUBA(LearnableBaseline()), InfoNCE(learn_temperature=True)],
    ids=["mine", "tuba", "tuba learnt", "infonce learnt"],
)
def test_the_state_of_a_members_objective_is_its_own(objective) -> None:
    model = MutualInformationEnsemble(
        3, ConcatCritic((8,)), objective, seed=0, optimizer=partial(torch.optim.SGD, lr=0.05)
    )
    module = data()
    module.setup()
    fit(model, max_steps=0)
    critics = [model.critic.member(member) for member in range(3)]
    fit(model)
    states = [dict(model.objective.member(member).state_dict()) for member in range(3)]
    for member, critic in enumerate(critics):
        single = MutualInformationEstimator(
            critic, copy.deepcopy(objective), optimizer=model.optimizer
        )
        fit(single, module.training_loader(module.seed + member), module.val_dataloader())
        for name, value in single.objective.state_dict().items():
            torch.testing.assert_close(value, states[member][name], atol=2e-5, rtol=1e-4)
    assert len({float(next(iter(state.values()))) for state in states}) == 3


def test_estimates_are_those_of_the_members() -> None:
    seed_everything(0, verbose=False)
    model, module = MutualInformationEnsemble(4, seed=1), data()
    trainer = fit(model, module, max_steps=-1, max_epochs=15, limit_val_batches=1.0)
    (logged,) = trainer.test(model, module, verbose=False)
    estimates = []
    for member in range(4):
        single = MutualInformationEstimator(
            model.critic.member(member), model.objective.member(member)
        )
        (alone,) = Trainer(**NO_FILES).test(single, module, verbose=False)
        estimates.append(alone["test/mi"])
        for name in ("", "_standard_error"):
            own = logged[f"test/mi_{member}{name}"]
            assert own == pytest.approx(alone[f"test/mi{name}"], abs=1e-5)
    assert logged["test/mi"] == pytest.approx(sum(estimates) / 4, abs=1e-5)
    spread = torch.tensor(estimates).std().item()
    assert logged["test/mi_spread"] == pytest.approx(spread, abs=1e-5)
    assert logged["mi/truth"] == pytest.approx(0.5108, abs=1e-4)
    values = torch.cat(trainer.predict(model, module))
    assert values.shape == (1000,)
    assert values.mean().item() == pytest.approx(logged["mi/truth"], abs=0.15)


def test_an_ensemble_reloads_from_its_checkpoint_without_arguments(tmp_path) -> None:
    model = MutualInformationEnsemble(2, SeparableCritic(4, (8,)), TUBA(), seed=0)
    trainer = fit(model)
    trainer.save_checkpoint(tmp_path / "ensemble.ckpt")
    again = MutualInformationEnsemble.load_from_checkpoint(
        tmp_path / "ensemble.ckpt", weights_only=True
    )
    for name, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert type(again.critic.critic) is SeparableCritic


def test_pointwise_values_of_an_upper_bound_are_refused() -> None:
    model = MutualInformationEnsemble(2, ConditionalGaussian(), CLUB())
    with pytest.raises(ValueError, match=r"got CLUB\(\), whose critic is a conditional density"):
        model.predict_step({}, 0)


@pytest.mark.parametrize("members", [0, 1, True, 2.0])
def test_a_bad_number_of_members_is_refused(members) -> None:
    with pytest.raises(ValueError, match="Expected `members` to be an integer of at least 2, got"):
        MutualInformationEnsemble(members)


def test_a_minibatch_without_members_is_refused() -> None:
    x, z, apart = torch.randn(3, 8, 1).unbind()
    with pytest.raises(ValueError, match="Expected"):
        MutualInformationEnsemble(2).loss({"joint": (x, z), "marginal": apart})


def test_every_member_may_have_a_thread() -> None:
    seen = []

    class Watch(Callback):
        def on_train_batch_end(self, *args) -> None:
            seen.append(torch.get_num_threads())

    torch.set_num_threads(4)
    for members in (3, 5):
        fit(MutualInformationEnsemble(members, seed=0), callbacks=[Watch()])
    assert set(seen) == {3, 4}
    assert torch.get_num_threads() == 4
    torch.set_num_threads(1)


@pytest.mark.slow
def test_an_ensemble_compiles() -> None:
    finished = []
    for compile in (False, True):
        model = MutualInformationEnsemble(3, ConcatCritic((8,)), NWJ(), seed=0, compile=compile)
        fit(model)
        finished.append(model.state_dict())
    for name, value in finished[0].items():
        torch.testing.assert_close(finished[1][name], value, atol=1e-5, rtol=1e-4)
