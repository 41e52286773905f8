"""The one list of all objectives that the tests run over, each with a naive reference.

References are written as in the papers: ``exp().mean().log()`` in float64, no stable forms.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mine_lightning.objectives import (
    CLUB,
    MINE,
    NWJ,
    SMILE,
    TUBA,
    AnchoredInfoNCE,
    DivergenceBound,
    DonskerVaradhan,
    FDivergence,
    InfoNCE,
    InterpolatedBound,
    JensenShannonNWJ,
    LearnableBaseline,
    LeaveOneOut,
    Objective,
    divergences,
)
from normal_pair import train

Reference = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Case:
    """An objective, what its estimate and loss are, and what holds for it.

    ``joint`` is ``(N,)`` and ``marginal`` ``(N, K)`` in float64. ``neutral`` is the score that
    claims a density ratio of 1. ``loss`` is minus the estimate unless given; only gradients of
    losses are compared, so constants may differ.
    """

    make: Callable[[], Any]
    estimate: Reference
    loss: Reference | None = None
    neutral: float = 0.0
    independence: float = 0.0
    all_pairs: bool = False
    loss_overflows: bool = False
    estimate_overflows: bool = False

    @property
    def is_objective(self) -> bool:
        return isinstance(self.make(), Objective)

    def reference_loss(self, joint: Tensor, marginal: Tensor) -> Tensor:
        return (self.loss or (lambda j, m: -self.estimate(j, m)))(joint, marginal)


def dv(joint: Tensor, marginal: Tensor) -> Tensor:
    return joint.mean() - marginal.exp().mean().log()


def nwj(joint: Tensor, marginal: Tensor) -> Tensor:
    return joint.mean() - (marginal - 1).exp().mean()


def mine_loss(joint: Tensor, marginal: Tensor) -> Tensor:
    partition = marginal.exp().mean()
    return partition / partition.detach() - joint.mean()


def stable(joint: Tensor, log_mean: Tensor, pairs: int) -> Tensor:
    return joint[joint.detach() <= log_mean.detach() + math.log(pairs)].mean()


def stable_dv_loss(joint: Tensor, marginal: Tensor) -> Tensor:
    log_mean = marginal.exp().mean().log()
    return log_mean - stable(joint, log_mean, marginal.numel())


def stable_mine_loss(joint: Tensor, marginal: Tensor) -> Tensor:
    log_mean = marginal.exp().mean().log()
    return mine_loss(joint, marginal) + joint.mean() - stable(joint, log_mean, marginal.numel())


def tuba_first_loss(joint: Tensor, marginal: Tensor) -> Tensor:
    partition = marginal.exp().mean()
    return -(joint.mean() - partition / partition.detach())


def infonce(joint: Tensor, marginal: Tensor) -> Tensor:
    scores = torch.cat((joint[:, None], marginal), dim=1).exp()
    return (joint.exp() / scores.mean(1)).log().mean()


def infonce_without(joint: Tensor, marginal: Tensor) -> Tensor:
    return (joint.exp() / marginal.exp().mean(1)).log().mean()


def square(joint: Tensor, marginal: Tensor) -> Tensor:
    rows = len(joint)
    scores = torch.zeros(rows, rows, dtype=joint.dtype)
    for i in range(rows):
        others = [j for j in range(rows) if j != i]
        scores = scores.index_put((torch.tensor(i), torch.tensor(i)), joint[i])
        scores = scores.index_put((torch.full((rows - 1,), i), torch.tensor(others)), marginal[i])
    return scores


def symmetric_infonce(joint: Tensor, marginal: Tensor) -> Tensor:
    scores = square(joint, marginal).exp()
    positive = scores.diagonal()
    return ((positive / scores.mean(0)).log() + (positive / scores.mean(1)).log()).mean() / 2


def anchored_loss(anchor: float) -> Reference:
    def loss(joint: Tensor, marginal: Tensor) -> Tensor:
        total = torch.zeros((), dtype=joint.dtype)
        partners = marginal.shape[1]
        for positive, row in zip(joint.exp(), marginal.exp(), strict=True):
            for j in range(partners):
                total = total - (positive / (anchor + positive + row.sum() - row[j])).log()
            total = total - anchor * (anchor / (anchor + row.sum())).log()
        return total / len(joint) / (partners + anchor)

    return loss


def interpolated(alpha: float, baseline: float = 1.0) -> Reference:
    def estimate(joint: Tensor, marginal: Tensor) -> Tensor:
        total = torch.zeros((), dtype=joint.dtype)
        partners = marginal.shape[1]
        for positive, row in zip(joint.exp(), marginal.exp(), strict=True):
            for j in range(partners):
                mean = (positive + row.sum() - row[j]) / partners
                denominator = alpha * mean + (1 - alpha) * baseline
                total = total + (positive / denominator).log() / partners
            total = total + 1 - row.mean() / (alpha * row.mean() + (1 - alpha) * baseline)
        return total / len(joint)

    return estimate


def interpolated_first_loss(joint: Tensor, marginal: Tensor) -> Tensor:
    partition = marginal.exp().mean().detach()
    return -interpolated(0.3, partition)(joint, marginal)


def logistic_loss(joint: Tensor, marginal: Tensor) -> Tensor:
    return -(joint.sigmoid().log().mean() + (1 - marginal.sigmoid()).log().mean())


def smile(tau: float) -> Reference:
    def estimate(joint: Tensor, marginal: Tensor) -> Tensor:
        ratio = marginal.exp().clamp(math.exp(-tau), math.exp(tau) if tau < 700 else math.inf)
        return joint.mean() - ratio.mean().log()

    return estimate


def club(joint: Tensor, marginal: Tensor) -> Tensor:
    return joint.mean() - marginal.mean()


def leave_one_out(joint: Tensor, marginal: Tensor) -> Tensor:
    likelihood = square(joint, marginal).exp()
    others = (likelihood.sum(0) - likelihood.diagonal()) / (len(joint) - 1)
    return (likelihood.diagonal() / others).log().mean()


def likelihood_loss(joint: Tensor, marginal: Tensor) -> Tensor:
    return -joint.mean()


ACTIVATIONS = {
    "KullbackLeibler": lambda v: v,
    "ReverseKL": lambda v: -torch.exp(-v),
    "Pearson": lambda v: v,
    "SquaredHellinger": lambda v: 1 - torch.exp(-v),
    "JensenShannon": lambda v: math.log(2) - torch.log(1 + torch.exp(-v)),
    "GAN": lambda v: -torch.log(1 + torch.exp(-v)),
}
CONJUGATES = {
    "KullbackLeibler": lambda t: torch.exp(t - 1),
    "ReverseKL": lambda t: -1 - torch.log(-t),
    "Pearson": lambda t: t**2 / 4 + t,
    "SquaredHellinger": lambda t: t / (1 - t),
    "JensenShannon": lambda t: -torch.log(2 - torch.exp(t)),
    "GAN": lambda t: -torch.log(1 - torch.exp(t)),
}
RATIOS = {
    "KullbackLeibler": lambda v: torch.exp(v - 1),
    "ReverseKL": torch.exp,
    "Pearson": lambda v: (1 + v / 2).clamp(min=0.01),
    "SquaredHellinger": lambda v: torch.exp(2 * v),
    "JensenShannon": torch.exp,
    "GAN": torch.exp,
}
SCORES = {  # the score that encodes a log ratio: the inverse of `log_ratio`
    "KullbackLeibler": lambda log_ratio: log_ratio + 1,
    "ReverseKL": lambda log_ratio: log_ratio,
    "Pearson": lambda log_ratio: 2 * torch.expm1(log_ratio),
    "SquaredHellinger": lambda log_ratio: log_ratio / 2,
    "JensenShannon": lambda log_ratio: log_ratio,
    "GAN": lambda log_ratio: log_ratio,
}
MEMBERS = tuple(ACTIVATIONS)
EXPONENTIAL = ("KullbackLeibler", "ReverseKL", "SquaredHellinger")

members = pytest.mark.parametrize("member", MEMBERS)


def make_divergence(member: str) -> divergences.Divergence:
    return getattr(divergences, member)()


@cache
def trained_critic(member: str, rho: float, seed: int) -> nn.Module:
    return train(FDivergence(make_divergence(member)), rho, seed=seed)


def f_bound(member: str) -> Reference:
    g, conjugate = ACTIVATIONS[member], CONJUGATES[member]
    return lambda joint, marginal: g(joint).mean() - conjugate(g(marginal)).mean()


def f_information(member: str) -> Reference:
    ratio = RATIOS[member]
    return lambda joint, marginal: ratio(joint).log().mean() - ratio(marginal).mean().log()


def f_cases(member: str) -> dict[str, Case]:
    divergence = partial(make_divergence, member)
    bound = f_bound(member)
    shared = {
        "loss": lambda joint, marginal: -bound(joint, marginal),
        "neutral": float(member == "KullbackLeibler"),
        "loss_overflows": member in EXPONENTIAL,
    }
    return {
        f"f-{member}": Case(lambda: FDivergence(divergence()), f_information(member), **shared),
        f"f-{member}-plain": Case(
            lambda: FDivergence(divergence(), normalize=False),
            lambda joint, marginal: RATIOS[member](joint).log().mean(),
            **shared,
        ),
        f"bound-{member}": Case(
            lambda: DivergenceBound(divergence()),
            bound,
            independence=-math.log(4) if member == "GAN" else 0.0,
            estimate_overflows=member in EXPONENTIAL,
            **shared,
        ),
    }


CASES: dict[str, Case] = {
    "dv": Case(DonskerVaradhan, dv),
    "dv-stable": Case(lambda: DonskerVaradhan(stable=True), dv, stable_dv_loss),
    "mine": Case(MINE, dv, mine_loss),
    "mine-stable": Case(lambda: MINE(stable=True), dv, stable_mine_loss),
    "mine-rate-1": Case(lambda: MINE(ma_rate=1.0), dv),
    "nwj": Case(NWJ, nwj, neutral=1.0, loss_overflows=True, estimate_overflows=True),
    "nwj-stable": Case(
        lambda: NWJ(stable=True), nwj, neutral=1.0, loss_overflows=True, estimate_overflows=True
    ),
    "tuba": Case(
        TUBA,
        lambda joint, marginal: joint.mean() - marginal.exp().mean() + 1,
        tuba_first_loss,
        estimate_overflows=True,
    ),
    "tuba-learnable": Case(
        lambda: TUBA(LearnableBaseline(0.5)),
        lambda joint, marginal: joint.mean() - marginal.exp().mean() / math.exp(0.5) + 0.5,
        neutral=0.5,
        loss_overflows=True,
        estimate_overflows=True,
    ),
    "infonce": Case(InfoNCE, infonce),
    "infonce-without": Case(lambda: InfoNCE(include_positive=False), infonce_without),
    "infonce-temperature": Case(
        lambda: InfoNCE(temperature=0.5), lambda joint, marginal: infonce(2 * joint, 2 * marginal)
    ),
    "infonce-learnt-temperature": Case(
        lambda: InfoNCE(temperature=0.5, learn_temperature=True),
        lambda joint, marginal: infonce(2 * joint, 2 * marginal),
    ),
    "infonce-symmetric": Case(lambda: InfoNCE(symmetric=True), symmetric_infonce, all_pairs=True),
    "anchored": Case(AnchoredInfoNCE, lambda joint, marginal: joint.mean(), anchored_loss(1.0)),
    "anchored-5": Case(
        lambda: AnchoredInfoNCE(anchor=5.0),
        lambda joint, marginal: joint.mean(),
        anchored_loss(5.0),
    ),
    "interpolated": Case(
        lambda: InterpolatedBound(alpha=0.3), interpolated(0.3), interpolated_first_loss
    ),
    "interpolated-learnable": Case(
        lambda: InterpolatedBound(alpha=0.01, baseline=LearnableBaseline()), interpolated(0.01)
    ),
    "interpolated-1": Case(lambda: InterpolatedBound(alpha=1.0), interpolated(1.0)),
    "js": Case(
        JensenShannonNWJ,
        lambda joint, marginal: 1 + joint.mean() - marginal.exp().mean(),
        logistic_loss,
        estimate_overflows=True,
    ),
    "smile-1": Case(lambda: SMILE(tau=1.0), smile(1.0), logistic_loss),
    "smile-5": Case(SMILE, smile(5.0), logistic_loss),
    "smile-inf": Case(lambda: SMILE(tau=math.inf), smile(math.inf), logistic_loss),
    "club": Case(CLUB, club, likelihood_loss),
    "leave-one-out": Case(LeaveOneOut, leave_one_out, likelihood_loss, all_pairs=True),
    **{name: case for member in MEMBERS for name, case in f_cases(member).items()},
}

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def cases_where(condition: Callable[[Case], bool]) -> pytest.MarkDecorator:
    """Parametrise over the cases for which a condition holds."""
    chosen = {name: case for name, case in CASES.items() if condition(case)}
    return pytest.mark.parametrize("case", chosen.values(), ids=chosen)


every_objective = cases_where(lambda case: case.is_objective)


def draw_scores(
    rows: int = 7, partners: int | None = None, scale: float = 1.0, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Return float64 scores; with ``rows - 1`` partners by default, which serves every case."""
    generator = torch.Generator().manual_seed(seed)
    partners = rows - 1 if partners is None else partners
    joint = torch.randn(rows, generator=generator, dtype=torch.float64) * scale + 0.3 * scale
    marginal = torch.randn(rows, partners, generator=generator, dtype=torch.float64) * scale
    return joint, marginal


def gradient(objective: Objective, joint: Tensor, marginal: Tensor) -> tuple[Tensor, ...]:
    """Return the gradient of the loss by both kinds of scores."""
    joint, marginal = (s.detach().clone().requires_grad_() for s in (joint, marginal))
    return torch.autograd.grad(objective.loss(joint, marginal), [joint, marginal])
