"""The reverse pass of a concat critic, against autograd."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn

from mine_lightning import (
    TUBA,
    ConcatCritic,
    LearnableBaseline,
    MutualInformationEnsemble,
    MutualInformationEstimator,
    SeparableCritic,
    TensorDataModule,
)
from mine_lightning.critics.backprop import Backprop
from mine_lightning.critics.ensemble import CriticEnsemble
from mine_lightning.critics.layers import ACTIVATIONS


def pairs(*members: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(*members, 1, 6, 3, generator=generator)
    return x, torch.randn(*members, 4, 6, 2, generator=generator)


def built(critic: nn.Module, x: Tensor, z: Tensor) -> Any:
    torch.manual_seed(1)
    critic(x, z)
    return critic


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(5,), (5, 7), (5, 7, 4)], ids=str)
@pytest.mark.parametrize("members", [(), (3,)], ids=["one", "three"])
def test_scores_and_gradients_are_those_of_autograd(
    activation: str, hidden: tuple[int, ...], members: tuple[int, ...]
) -> None:
    x, z = pairs(*members)
    critic = ConcatCritic(hidden, activation)
    if members:
        ensemble = built(CriticEnsemble(critic, *members), x, z)
        critic = ensemble.critic
        expected = ensemble(x, z)
    else:
        expected = built(critic, x, z)(x, z)
    network = Backprop.of(critic)
    assert network is not None
    assert network.holds(x, z)
    scores, tape = network.score(x, z)
    torch.testing.assert_close(scores, expected)
    slope = torch.randn(scores.shape)
    found = network.backward(slope, tape)
    weights = list(critic.parameters())
    gradients = torch.autograd.grad(expected, weights, slope)
    assert len(network.parameters) == len(weights)
    network.arrange(weights)
    for place, gradient in zip(network.places, gradients, strict=True):
        torch.testing.assert_close(found[place], gradient)


def hooked() -> ConcatCritic:
    critic = ConcatCritic((5,))
    critic.head[0].register_forward_hook(lambda *_: None)
    return critic


def masked() -> ConcatCritic:
    critic = ConcatCritic((5,))
    critic.head[0].weight.register_hook(lambda gradient: gradient / 2)
    return critic


def frozen() -> ConcatCritic:
    critic = ConcatCritic((5,))
    critic.head[0].weight.requires_grad_(False)
    return critic


def parametrized() -> ConcatCritic:
    critic = ConcatCritic((5,))
    nn.utils.parametrizations.weight_norm(critic.head[0])
    return critic


class Shifted(ConcatCritic):
    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        return super().forward(x, z) + 1


MORE = {
    "hook": hooked,
    "weight hook": masked,
    "frozen": frozen,
    "weight norm": parametrized,
    "subclass": Shifted,
    "separable": SeparableCritic,
    "spectral": lambda: ConcatCritic((5,), spectral_norm=True),
    "chunks": lambda: ConcatCritic((5,), chunk_size=4),
    "encoder": lambda: ConcatCritic((5,), x_encoder=nn.Linear(3, 3)),
}


@pytest.mark.parametrize("build", MORE.values(), ids=MORE)
def test_a_critic_that_does_more_is_left_to_autograd(build: Callable[[], nn.Module]) -> None:
    assert Backprop.of(build()) is None


def test_pairs_that_the_critic_scores_in_another_way_are_not_held() -> None:
    x, z = pairs()
    network = Backprop.of(built(ConcatCritic((5,)), x, z))
    assert network is not None
    assert not network.holds(x.expand(4, 6, 3), z[:1])
    wide = torch.zeros(1, 6, 33)
    other = Backprop.of(built(ConcatCritic((5,)), wide, z))
    assert other is not None
    assert not other.holds(wide, z)
    with pytest.raises(ValueError, match="Expected `x` of 3 and `z` of 2 features, got 33 and 2"):
        network.holds(wide, z)
    assert not network.holds(torch.zeros(1, 10**6, 3), torch.zeros(2, 10**6, 2))


def fitted(kind: Callable[..., Any], by_hand: bool, monkeypatch: pytest.MonkeyPatch) -> Any:
    if not by_hand:
        monkeypatch.setattr(Backprop, "holds", lambda *_: False)
    torch.manual_seed(0)
    x, z = torch.randn(2, 512, 2)
    model = kind(critic=ConcatCritic((8, 8)), objective=TUBA(LearnableBaseline()))
    trainer = Trainer(
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, TensorDataModule(x, z + x, batch_size=32))
    return model


@pytest.mark.parametrize("kind", [MutualInformationEstimator, MutualInformationEnsemble])
def test_training_by_hand_is_training_by_autograd(
    kind: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    hand, autograd = (fitted(kind, by_hand, monkeypatch) for by_hand in (True, False))
    for one, other in zip(hand.parameters(), autograd.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


class Halved(MutualInformationEstimator):
    def scores(self, batch: Any, processes: Any = None) -> tuple[Tensor, Tensor]:
        joint, marginal = super().scores(batch, processes)
        return joint / 2, marginal / 2


def test_a_subclass_that_scores_differently_is_left_to_autograd() -> None:
    batch = {"joint": (torch.zeros(4, 2), torch.zeros(4, 2)), "marginal": torch.zeros(4, 2)}
    for kind, by_hand in ((MutualInformationEstimator, True), (Halved, False)):
        model = kind()
        model.scores(batch)
        assert (model.backprop() is not None) == by_hand
