"""The critic that learns what a closed form leaves over."""

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mine_lightning.critics.encoders import ConvEncoder
from mine_lightning.critics.networks import Critic, SeparableCritic, score_pairs
from mine_lightning.monitor.window import Shape
from mine_lightning.objectives.pooling import widest
from mine_lightning.support.distributed import Processes
from mine_lightning.support.finite import any_bad

__all__ = ["Network", "RunningStandardize", "default_critic", "told_apart"]

FAR = 5.0  # standard deviations


def told_apart(scores: Tensor) -> Tensor:
    r"""Return InfoNCE of each row among candidates, its own first ones: at most ln M.

    .. math:: T_{ii} - \ln \frac 1M \sum_j e^{T_{ij}}

    Args:
        scores: Shape ``(N, M)``; the candidate i belongs to the row i.
    """
    return scores.diagonal() - scores.logsumexp(1) + math.log(scores.shape[1])


class RunningStandardize(nn.Module):
    r"""Bring every feature to mean 0 and standard deviation 1 by averages over recent batches.

    Beyond 5 standard deviations u the map is logarithmic, :math:`5 + \ln(1 + |u| - 5)`, and in the
    averages nothing counts as further off than 10: one outlier upsets neither the scores nor the
    scale. The map is invertible, so mutual information does not change. A feature's variance is
    taken as at least 1 % of the mean variance of all: a pixel that hardly varies is not blown up.

    Args:
        shape: Shape of a row.
        rate: Weight of a new batch in the averages, once there have been ``1 / rate`` batches.
        dtype: Type of the averages: squares of float32 numbers overflow in float32.
    """

    mean: Tensor
    variance: Tensor
    batches: Tensor

    def __init__(
        self, shape: Shape, rate: float = 0.01, dtype: torch.dtype = torch.float64
    ) -> None:
        super().__init__()
        self.rate = rate
        self.register_buffer("mean", torch.zeros(shape, dtype=dtype))
        self.register_buffer("variance", torch.ones(shape, dtype=dtype))
        self.register_buffer("batches", torch.tensor(0))

    def forward(self, rows: Tensor) -> Tensor:
        """Return the rows in float32."""
        floor = (0.01 * self.variance.mean()).clamp(min=torch.finfo(self.mean.dtype).tiny)
        scaled = (rows - self.mean) * torch.rsqrt(torch.maximum(self.variance, floor))
        size = scaled.abs()
        far = scaled.sign() * (FAR + torch.log1p((size - FAR).clamp(min=0)))
        return torch.where(size > FAR, far, scaled).float()

    @torch.no_grad()
    def update(self, rows: Tensor) -> None:
        r"""Move the averages towards a batch.

        Moments are taken around the mean so far, m, where they do not cancel:

        .. math::
            v \leftarrow (1 - w) v + w \overline{(x - m)^2} - w^2 \overline{(x - m)}^2, \qquad
            m \leftarrow m + w \overline{(x - m)}
        """
        rows, seen = rows.to(self.mean.dtype), int(self.batches)
        center = self.mean if seen else rows.mean(0)
        offsets = rows - center
        if seen:
            limit = torch.where(self.variance > 0, 2 * FAR * self.variance.sqrt(), math.inf)
            offsets = offsets.clamp(-limit, limit)
        first, second = offsets.mean(0), offsets.square().mean(0)
        weight = max(1 / (seen + 1), self.rate)
        variance = self.variance.lerp(second, weight) - (weight * first).square()
        self.variance.copy_(variance.clamp(min=0))
        self.mean.copy_(center + weight * first)
        self.batches += 1


class Network:
    r"""A critic g trained beside a closed form :math:`T_0`, by InfoNCE of :math:`T_0 + g`.

    Loss and gradients are bounded for any score.

    Args:
        critic: Critic to train.
        optimizer: Makes the optimizer from the parameters.
        x_shape: Shape of a row of x.
        z_shape: Shape of a row of z.
        device: Where the rows are.
    """

    def __init__(
        self,
        critic: nn.Module,
        optimizer: Callable[..., Optimizer],
        x_shape: Shape,
        z_shape: Shape,
        device: torch.device,
    ) -> None:
        self.critic = critic
        self.x_scale, self.z_scale = (
            RunningStandardize(shape, dtype=widest(device)) for shape in (x_shape, z_shape)
        )
        self.parts = nn.ModuleList([critic.float(), self.x_scale, self.z_scale]).train()
        empty = (torch.zeros(2, *shape, dtype=torch.float32) for shape in (x_shape, z_shape))
        self._score(*empty)
        self.parts.to(device)
        self.optimizer = optimizer([p for p in self.parts.parameters() if p.requires_grad])

    def scores(self, x: Tensor, z: Tensor) -> Tensor:
        """Score every x with every z, shape ``(N, M)``."""
        return self._score(self.x_scale(x), self.z_scale(z))

    def _score(self, x: Tensor, z: Tensor) -> Tensor:
        if isinstance(self.critic, SeparableCritic):  # one matrix product
            return self.critic.x_encoder(x) @ self.critic.z_encoder(z).T
        return score_pairs(self.critic, x.unsqueeze(1), z.unsqueeze(0))

    def learn(self, x: Tensor, z: Tensor, closed: Tensor, fresh: int) -> tuple[Tensor, bool]:
        """Score pairs, then take one optimizer step on them, unless it is not finite.

        Args:
            x: Rows, shape ``(N, ...)``.
            z: Rows, shape ``(N, ...)``.
            closed: Scores of the closed form, shape ``(N, N)``.
            fresh: How many of the first pairs have not been trained on.

        Returns:
            Gain and headroom of the fresh pairs, shape ``(2,)``, and whether there was a step. The
            gain is what the critic adds to the mean InfoNCE of the closed form's scores, or to 0
            where that is below; the headroom is what could be added at most.
        """
        bounds = told_apart(closed + self.scores(x, z))
        without = told_apart(closed[:fresh]).mean().clamp(min=0)
        gain = bounds.detach()[:fresh].mean() - without
        return torch.stack((gain, math.log(len(z)) - without)), self._step(-bounds.mean())

    def observe(self, x: Tensor, z: Tensor) -> None:
        """Let the scales of the inputs see a batch."""
        self.x_scale.update(x)
        self.z_scale.update(z)

    def _step(self, loss: Tensor) -> bool:
        self.optimizer.zero_grad()
        if loss.requires_grad:
            loss.backward()
        gradients = [p.grad for p in self.parts.parameters() if p.grad is not None]
        if any_bad([loss.detach(), *gradients], Processes()):
            return False
        self.optimizer.step()
        return True

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned."""
        self.parts.load_state_dict(state["parts"])
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))

    def state_dict(self) -> dict[str, Any]:
        """Return weights, scales and the optimizer's state."""
        return {"parts": dict(self.parts.state_dict()), "optimizer": self.optimizer.state_dict()}


def default_critic(x_shape: Shape, z_shape: Shape) -> Critic:
    """Return a critic for rows of these shapes, convolutional for ``(C, H, W)``."""
    x_encoder, z_encoder = (
        ConvEncoder() if len(shape) == 3 else None for shape in (x_shape, z_shape)
    )
    return SeparableCritic(x_encoder=x_encoder, z_encoder=z_encoder)
