"""A member of an ensemble is the same critic alone."""

import copy

import pytest
import torch
from torch import nn

from mine_lightning import BilinearCritic, ConcatCritic, CriticEnsemble, SeparableCritic
from mine_lightning.critics.ensemble import copy_members
from mine_lightning.objectives.logistic import JensenShannonNWJ

CRITICS = [
    ConcatCritic((16, 16)),
    ConcatCritic((8,), "silu", spectral_norm=True),
    ConcatCritic((8,), x_encoder=nn.Linear(4, 3)),
    SeparableCritic(4, (8,)),
    BilinearCritic(),
]


class Summed(nn.Module):
    """A critic that knows nothing of this package."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 1)

    def forward(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return self.layer(torch.cat([x, z], dim=-1)).squeeze(-1)


def rows(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x, z, apart = (torch.randn(3, 20, d, generator=generator) for d in (4, 2, 2))
    return x, z, apart


@pytest.mark.parametrize("critic", [*CRITICS, Summed()], ids=str)
def test_a_member_trained_in_the_ensemble_equals_it_trained_alone(critic: nn.Module) -> None:
    ensemble = CriticEnsemble(critic, members=3, seed=0)
    ensemble(*rows()[:2])
    alone = [ensemble.member(index) for index in range(3)]
    loss = JensenShannonNWJ().loss
    together = torch.optim.Adam(ensemble.parameters(), lr=1e-2)
    apart = [torch.optim.Adam(member.parameters(), lr=1e-2) for member in alone]
    for step in range(10):
        x, z, other = rows(step)
        joint, marginal = ensemble(x, z), ensemble(x, other)
        together.zero_grad()
        torch.stack(
            [loss(*scores) for scores in zip(joint, marginal, strict=True)]
        ).sum().backward()
        together.step()
        for index, (member, optimizer) in enumerate(zip(alone, apart, strict=True)):
            optimizer.zero_grad()
            loss(member(x[index], z[index]), member(x[index], other[index])).backward()
            optimizer.step()
    scores = ensemble(x, z)
    expected = torch.stack([m(a, b) for m, a, b in zip(alone, x, z, strict=True)])
    torch.testing.assert_close(scores, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("critic", CRITICS[:2] + CRITICS[3:], ids=str)
def test_batch_dimensions_broadcast(critic: nn.Module) -> None:
    ensemble = CriticEnsemble(critic, members=3, seed=0)
    x, z = torch.randn(3, 5, 1, 4), torch.randn(3, 5, 7, 2)
    scores = ensemble(x, z)
    assert scores.shape == (3, 5, 7)
    torch.testing.assert_close(scores[1, 2], ensemble.member(1)(x[1, 2], z[1, 2]))


def test_members_differ_and_the_seed_repeats_them() -> None:
    x, z, _ = rows()
    first, same, other = (CriticEnsemble(ConcatCritic(), 3, seed=s)(x, z) for s in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    shared = CriticEnsemble(ConcatCritic(), 3, seed=1)(
        x[:1].expand(3, -1, -1), z[:1].expand(3, -1, -1)
    )
    assert not torch.equal(shared[0], shared[1])


def test_names_are_the_critics_own_and_a_fresh_ensemble_loads_them() -> None:
    x, z, _ = rows()
    ensemble = CriticEnsemble(ConcatCritic((16, 16)), 3)
    expected = ensemble(x, z)
    state = ensemble.state_dict()
    assert state["critic.first.weight"].shape[:2] == (3, 16)
    fresh = CriticEnsemble(ConcatCritic((16, 16)), 3)
    fresh.load_state_dict(state)
    assert torch.equal(fresh(x, z), expected)


def test_global_randomness_is_left_alone() -> None:
    (x, z, _), critic = rows(), ConcatCritic()
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    CriticEnsemble(critic, 3, seed=5)(x, z)
    assert torch.equal(torch.rand(1), expected)


def test_members_are_copied_by_choice() -> None:
    x, z, _ = rows()
    first, second = (CriticEnsemble(ConcatCritic(), 3, seed=s) for s in (1, 2))
    before, other = first(x, z), second(x, z)
    copy_members(first, second, torch.tensor([False, True, False]))
    after = first(x, z)
    assert torch.equal(after[1], other[1])
    assert torch.equal(after[[0, 2]], before[[0, 2]])
    assert torch.equal(copy.deepcopy(first)(x, z), after)


def test_mistakes_are_named() -> None:
    with pytest.raises(
        ValueError, match=r"Expected `members` to be an integer of at least 1, got 0\."
    ):
        CriticEnsemble(ConcatCritic(), members=0)
    with pytest.raises(ValueError, match="Expected x and z for each of 3 members"):
        CriticEnsemble(ConcatCritic(), 3)(torch.randn(2, 5, 1), torch.randn(2, 5, 1))
    with pytest.raises(ValueError, match=r"Expected `index` in \[0, 3\), got 3\."):
        CriticEnsemble(ConcatCritic(), 3).member(3)
