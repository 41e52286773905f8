"""The bivariate normal: samples, its log density ratio, integrals over it, trained critics."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from mine_lightning.critics.networks import ConcatCritic
from mine_lightning.objectives import Objective
from mine_lightning.objectives.scores import split_pairs


def mutual_information(rho: float) -> float:
    return -math.log1p(-(rho**2)) / 2


def log_ratio(x: Tensor, z: Tensor, rho: float) -> Tensor:
    """Return ln p(x, z) / p(x) p(z), in the coordinates (x + z) and (x - z)."""
    plus, minus = (x + z).square() / 2, (x - z).square() / 2
    return (plus * rho / (1 + rho) - minus * rho / (1 - rho)) / 2 + mutual_information(rho)


def correlation(nats: float, dim: int = 1) -> float:
    """Return the correlation of ``dim`` independent pairs that together share so many nats."""
    return math.sqrt(-math.expm1(-2 * nats / dim))


def draw(
    rows: int,
    rho: float,
    seed: int | torch.Generator = 0,
    dtype: torch.dtype = torch.float64,
    dim: int = 1,
) -> tuple[Tensor, Tensor]:
    """Return x and z, both ``(rows, dim)``, which correlate column by column."""
    generator = torch.Generator().manual_seed(seed) if isinstance(seed, int) else seed
    x, noise = torch.randn(2, rows, dim, generator=generator, dtype=dtype)
    return x, rho * x + math.sqrt(1 - rho**2) * noise


single = partial(draw, dtype=torch.float32)
"""As :func:`draw`, in single precision."""


def optimal_log_ratios(rows: int, rho: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return log ratios of joint pairs and of as many independent other pairs."""
    joint = log_ratio(*draw(rows, rho, seed), rho).squeeze(1)
    return joint, log_ratio(*draw(rows, 0.0, seed + 1), rho).squeeze(1)


class Plane:
    """A grid on which the trapezoidal rule is exact to rounding for what is integrated here."""

    def __init__(self, rho: float) -> None:
        long = torch.linspace(-30, 30, 601, dtype=torch.float64)
        short = torch.linspace(-10, 10, 401, dtype=torch.float64)
        plus, minus = torch.meshgrid(long, short, indexing="ij")
        self.x, self.z = (plus + minus) / math.sqrt(2), (plus - minus) / math.sqrt(2)
        self.cell = (long[1] - long[0]) * (short[1] - short[0])
        self.log_ratio = log_ratio(self.x, self.z, rho)
        self.log_apart = -(plus.square() + minus.square()) / 2 - math.log(2 * math.pi)
        self.log_joint = self.log_apart + self.log_ratio

    def bound(self, joint: Callable[[Tensor], Tensor], marginal: Callable[[Tensor], Tensor]):
        """Return E_P[joint] - E_Q[marginal] of functions of the log ratio."""
        p, q = self.log_joint.exp(), self.log_apart.exp()
        return ((p * joint(self.log_ratio) - q * marginal(self.log_ratio)) * self.cell).sum().item()


def train(
    objective: Objective,
    rho: float,
    critic: nn.Module | None = None,
    steps: int = 700,
    rows: int = 512,
    all_pairs: bool = False,
    seed: int = 0,
) -> nn.Module:
    """Train a small critic on fresh draws; a loop of plain PyTorch."""
    torch.manual_seed(seed)
    critic = ConcatCritic((32, 32), activation="tanh") if critic is None else critic
    critic(torch.zeros(1, 1), torch.zeros(1, 1))
    parameters = [*critic.parameters(), *objective.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-2)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        x, z = single(rows, rho, seed=10_000 * seed + step)
        loss = objective.loss(*score(critic, x, z, all_pairs))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        scheduler.step()
    objective.eval()
    return critic


def score(critic: nn.Module, x: Tensor, z: Tensor, all_pairs: bool) -> tuple[Tensor, Tensor]:
    if not all_pairs:
        return critic(x, z), critic(x, z.roll(1, 0))
    return split_pairs(critic(x.unsqueeze(1), z.unsqueeze(0)))


@torch.no_grad()
def held_out(critic: nn.Module, rho: float, rows: int = 200_000) -> tuple[Tensor, Tensor]:
    """Score fresh rows, each with two partners."""
    x, z = single(rows, rho, seed=10**6)
    return critic(x, z), torch.stack([critic(x, z.roll(k, 0)) for k in (1, 2)], dim=1)


@torch.no_grad()
def held_out_estimate(
    objective: Objective, critic: nn.Module, rho: float, rows: int = 20_000, block: int = 64
) -> float:
    """Estimate from fresh rows; for objectives of several samples, from blocks of all pairs."""
    x, z = single(rows, rho, seed=10**6)
    parts = zip(x.split(block), z.split(block), strict=True)
    scores = [score(critic, *part, all_pairs=True) for part in parts]
    return objective.pooled_estimate(scores).item()
