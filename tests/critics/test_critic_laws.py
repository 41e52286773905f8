"""The laws of the bounds hold for the scores of every critic, trained or not."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mine_lightning import (
    MINE,
    NWJ,
    BilinearCritic,
    ConcatCritic,
    Critic,
    DonskerVaradhan,
    InfoNCE,
    MutualInformation,
    Objective,
    Partners,
    SeparableCritic,
)

CRITICS: dict[str, Callable[[], Critic]] = {
    "concat": ConcatCritic,
    "concat, tanh": lambda: ConcatCritic(hidden_features=[16], activation="tanh"),
    "separable": SeparableCritic,
    "bilinear": BilinearCritic,
}
OBJECTIVES = [DonskerVaradhan, MINE, NWJ, InfoNCE]


@pytest.fixture(params=CRITICS, ids=str)
def critic(request: pytest.FixtureRequest) -> Critic:
    """A critic that has taken a few large random steps, so that its scores are not about zero."""
    torch.manual_seed(0)
    critic = CRITICS[request.param]()
    critic(torch.randn(2, 3), torch.randn(2, 2))
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return critic


def scores(critic: nn.Module, rows: int = 64, partners: int = 7, seed: int = 1) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x, z = torch.randn(rows, 3, generator=generator), torch.randn(rows, 2, generator=generator)
    apart = Partners(partners)(z, generator)
    return [critic(x, z), critic(x.unsqueeze(1), apart)]


def test_nwj_never_exceeds_donsker_varadhan(critic: Critic) -> None:
    joint, marginal = scores(critic)
    assert NWJ().estimate(joint, marginal) <= DonskerVaradhan().estimate(joint, marginal) + 1e-6


def test_donsker_varadhan_ignores_a_constant(critic: Critic) -> None:
    joint, marginal = scores(critic)
    expected = DonskerVaradhan().estimate(joint, marginal)
    for constant in (-50.0, 3.0, 1000.0):
        shifted = DonskerVaradhan().estimate(joint + constant, marginal + constant)
        assert shifted.item() == pytest.approx(expected.item(), abs=1e-3)


def test_nwj_of_normalised_scores_is_donsker_varadhan(critic: Critic) -> None:
    joint, marginal = scores(critic)
    shift = 1 - marginal.logsumexp((0, 1)) + math.log(marginal.numel())
    tight = NWJ().estimate(joint + shift, marginal + shift)
    expected = DonskerVaradhan().estimate(joint, marginal)
    assert tight.item() == pytest.approx(expected.item(), abs=1e-4)


@pytest.mark.filterwarnings("ignore:The InfoNCE estimate")
def test_infonce_stays_below_its_ceiling(critic: Critic) -> None:
    for partners in (1, 7, 63):
        joint, marginal = scores(critic, partners=partners)
        assert InfoNCE().estimate(100 * joint, 100 * marginal) <= math.log(partners + 1) + 1e-5


@pytest.mark.parametrize("objective", [DonskerVaradhan(), MINE(), InfoNCE()], ids=str)
def test_a_critic_that_says_nothing_finds_nothing(critic: Critic, objective: Objective) -> None:
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.zero_()
    assert objective.estimate(*scores(critic)).item() == pytest.approx(0, abs=1e-6)
    assert NWJ().estimate(*(s + 1 for s in scores(critic))).item() == pytest.approx(0, abs=1e-6)


def test_mine_without_memory_has_the_gradient_of_donsker_varadhan(critic: Critic) -> None:
    def gradient(objective: Objective) -> Tensor:
        critic.zero_grad()
        objective.loss(*scores(critic)).backward()
        return torch.cat([p.grad.flatten() for p in critic.parameters() if p.grad is not None])

    torch.testing.assert_close(gradient(MINE(ma_rate=1.0)), gradient(DonskerVaradhan()))


@pytest.mark.parametrize("kind", OBJECTIVES, ids=lambda kind: kind.__name__)
def test_evaluation_leaves_every_buffer_alone(critic: Critic, kind: type[Objective]) -> None:
    objective = kind()
    objective.loss(*scores(critic))
    before = {name: buffer.clone() for name, buffer in objective.named_buffers()}
    objective.eval()
    objective.loss(*scores(critic, seed=2))
    objective.estimate(*scores(critic, seed=2))
    for name, buffer in objective.named_buffers():
        assert torch.equal(buffer, before[name])


@pytest.mark.filterwarnings("ignore:The InfoNCE estimate")
@pytest.mark.parametrize("kind", OBJECTIVES, ids=lambda kind: kind.__name__)
def test_the_pooled_metric_is_the_estimate_of_all_scores(
    critic: Critic, kind: type[Objective]
) -> None:
    batches = [scores(critic, rows=rows, seed=rows) for rows in (16, 64, 9)]
    metric = MutualInformation(kind())
    for batch in batches:
        metric.update(*batch)
    joint, marginal = (torch.cat(parts) for parts in zip(*batches, strict=True))
    expected = kind().estimate(joint, marginal)
    assert metric.compute().item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-5)
