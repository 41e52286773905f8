"""CLUB and leave-one-out; the sandwich of both sides."""

import math

import pytest
import torch
from torch.distributions import Categorical, Normal

from mine_lightning.critics.densities import ConditionalCategorical, ConditionalGaussian
from mine_lightning.objectives import CLUB, JensenShannonNWJ, LeaveOneOut
from normal_pair import draw, held_out, held_out_estimate, mutual_information, score, train


def club_of_a_normal_pair(rho: float) -> float:
    return rho**2 / (1 - rho**2)


class TrueConditional(torch.nn.Module):
    def __init__(self, rho: float) -> None:
        super().__init__()
        self.rho = rho

    def forward(self, x, z):
        scale = math.sqrt(1 - self.rho**2)
        return Normal(self.rho * x, scale).log_prob(z).squeeze(-1)


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("seed", range(3))
def test_club_of_the_true_conditional_meets_its_closed_form(rho, seed):
    rows = 20_000
    critic = TrueConditional(rho)
    (x, z), (apart, _) = draw(rows, rho, seed), draw(rows, rho, seed + 100)
    joint, marginal = critic(x, z), critic(x, apart)
    error = 4 * math.sqrt((joint.var() + marginal.var()) / rows)
    estimate = CLUB().estimate(joint, marginal).item()
    assert abs(estimate - club_of_a_normal_pair(rho)) <= error + 1e-9
    assert club_of_a_normal_pair(rho) >= mutual_information(rho)


@pytest.mark.parametrize("rho", [0.3, 0.6, 0.9])
def test_leave_one_out_lies_between_the_truth_and_club(rho):
    critic = TrueConditional(rho)
    value = held_out_estimate(LeaveOneOut(), critic, rho, rows=64_000)
    error = 4 * math.sqrt(2 / 64_000)
    assert mutual_information(rho) - error < value < club_of_a_normal_pair(rho) + error
    assert value == pytest.approx(mutual_information(rho), abs=0.05)


@pytest.mark.trained
@pytest.mark.slow
@pytest.mark.parametrize("rho", [0.3, 0.6, 0.9])
def test_a_trained_sandwich_holds_the_truth(rho, seed, outcome):
    lower, upper = JensenShannonNWJ(), CLUB()
    below = lower.estimate(*held_out(train(lower, rho, seed=seed), rho)).item()
    conditional = train(upper, rho, ConditionalGaussian((32, 32), activation="tanh"), seed=seed)
    above = upper.estimate(*held_out(conditional, rho)).item()
    tight = held_out_estimate(LeaveOneOut(), conditional, rho)
    truth = mutual_information(rho)
    outcome(below / truth, 0.95, 1.05, of="below")
    outcome(above / club_of_a_normal_pair(rho), 0.9, 1.1, of="above")
    outcome(tight - truth, -0.03, 0.05, of="tight")


@pytest.mark.trained
@pytest.mark.slow
def test_a_label_is_held_between_both_sides(seed, outcome):
    generator = torch.Generator().manual_seed(seed)
    centers = torch.tensor([-2.0, 0.0, 2.0])

    def labelled(rows):
        label = torch.randint(3, (rows, 1), generator=generator)
        return centers[label] + torch.randn(rows, 1, generator=generator), label

    grid = torch.linspace(-10, 10, 4001).unsqueeze(1)
    posterior = Categorical(logits=Normal(centers, 1.0).log_prob(grid))
    density = Normal(centers, 1.0).log_prob(grid).exp().mean(1)
    truth = math.log(3) - (density * posterior.entropy()).sum().item() * (20 / 4000)

    torch.manual_seed(seed)
    critic, objective = ConditionalCategorical(3, (32,)), CLUB()
    critic(*labelled(2))
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-2)
    for _ in range(300):
        x, z = labelled(256)
        optimizer.zero_grad()
        objective.loss(critic(x, z), critic(x, z.roll(1, 0))).backward()
        optimizer.step()
    with torch.no_grad():
        x, z = labelled(20_000)
        above = objective.estimate(critic(x, z), critic(x, z.roll(1, 0))).item()
        parts = [
            score(critic, *part, all_pairs=True)
            for part in zip(x.split(100), z.split(100), strict=True)
        ]
        tight = sum(LeaveOneOut().estimate(*part).item() for part in parts) / len(parts)
    outcome(tight / truth, 0.95, 1.05, of="tight")
    outcome(above - tight, low=0, of="room")
