"""The part of a learner that exists once the shapes are known."""

import copy
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mine_lightning.critics.networks import score_pairs
from mine_lightning.data.samplers import Partners
from mine_lightning.objectives import Objective
from mine_lightning.objectives.pooling import Pooled, widest
from mine_lightning.support.distributed import Processes
from mine_lightning.support.finite import Snapshot

__all__ = ["Batch", "Network", "RunningStandardize", "Shape", "Window"]

Shape = tuple[int, ...]
FAR = 5.0  # standard deviations


class Batch(NamedTuple):
    """This process's rows, how many rows each process has, and the partners of each row."""

    x: Tensor
    z: Tensor
    rows: list[int]
    partners: int


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
    def update(self, rows: Tensor, count: int, processes: Processes) -> None:
        r"""Move the averages towards a batch with ``count`` rows on all processes.

        Moments are taken around the mean so far, m, where they do not cancel:

        .. math::
            v \leftarrow (1 - w) v + w \overline{(x - m)^2} - w^2 \overline{(x - m)}^2, \qquad
            m \leftarrow m + w \overline{(x - m)}
        """
        rows = rows.to(self.mean.dtype)
        center, known = self.mean, self.batches > 0
        if not known:
            center = rows.sum(0) / count
            processes.sum_([center])
        limit = torch.where(known & (self.variance > 0), 2 * FAR * self.variance.sqrt(), math.inf)
        offsets = (rows - center).clamp(-limit, limit)
        first, second = offsets.sum(0) / count, offsets.square().sum(0) / count
        processes.sum_([first, second])
        self.batches += 1
        weight = torch.clamp(1 / self.batches, min=self.rate).to(self.mean.dtype)
        variance = self.variance.lerp(second, weight) - (weight * first).square()
        self.variance.copy_(variance.clamp(min=0))
        self.mean.copy_(center + weight * first)


class Window:
    """The pooled sums of the latest batches."""

    def __init__(self, length: int, device: torch.device) -> None:
        self.sums = torch.stack(Pooled.nothing(device)).repeat(length, 1)
        self.pushed = 0

    def push(self, pooled: Pooled) -> None:
        """Put the sums of a batch in the place of the oldest."""
        self.sums[self.pushed % len(self.sums)] = torch.stack(pooled)
        self.pushed += 1


class Network:
    """A critic, an objective and an optimizer with the sums and rows that they leave behind.

    Args:
        critic: Critic to train.
        objective: What to train on and to report.
        x_shape: Shape of a row of x.
        z_shape: Shape of a row of z.
        device: Where all of it lives.
        optimizer: Makes the optimizer from the parameters.
        window: Batches whose scores are pooled.
    """

    def __init__(
        self,
        critic: nn.Module,
        objective: Objective,
        x_shape: Shape,
        z_shape: Shape,
        device: torch.device,
        optimizer: Callable[..., Optimizer],
        window: int,
    ) -> None:
        self.critic, self.objective = critic, objective
        self.x_shape, self.z_shape, self.device = x_shape, z_shape, device
        self.x_scale, self.z_scale = (
            RunningStandardize(shape, dtype=widest(device)) for shape in (x_shape, z_shape)
        )
        parts = [critic.float(), objective.float(), self.x_scale, self.z_scale]
        self.parts = nn.ModuleList(parts).train()
        score_pairs(critic, torch.zeros(2, 1, *x_shape), torch.zeros(2, 1, *z_shape))
        self.parts.to(device)
        self.parameters = [p for p in self.parts.parameters() if p.requires_grad]
        self.optimizer = optimizer(self.parameters)
        self.window = Window(window, device)
        self.recent = [torch.empty(0, *shape, device=device) for shape in (x_shape, z_shape)]

    def state_dict(self) -> dict[str, Any]:
        """Return everything as primitives and tensors."""
        return {
            "x_shape": list(self.x_shape),
            "z_shape": list(self.z_shape),
            "parts": dict(self.parts.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "window": self.window.sums.clone(),
            "pushed": self.window.pushed,
            "recent": list(self.recent),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned."""
        self.parts.load_state_dict(state["parts"])
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        sums = state["window"].to(self.window.sums)
        length = min(len(sums), len(self.window.sums))
        self.window.sums[:length] = sums[:length]
        self.window.pushed = state["pushed"]
        self.recent = [rows.to(self.device, copy=True) for rows in state["recent"]]

    def cast(self, x: Tensor | None, z: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the rows, or no rows where there are none.

        Raises:
            ValueError: If the shape of a row is not that of the rows so far.
        """
        if x is None or z is None:
            return self.recent[0][:0], self.recent[1][:0]
        shapes = tuple(x.shape[1:]), tuple(z.shape[1:])
        if shapes != (self.x_shape, self.z_shape):
            raise ValueError(
                f"Expected rows of x and z with the shapes {self.x_shape} and {self.z_shape} of "
                f"those before, got {shapes[0]} and {shapes[1]}."
            )
        return x, z

    def scores(self, batch: Batch, processes: Processes, generator: torch.Generator) -> Tensor:
        """Score every row's own pair and its partners, ``(N, 1 + K)`` over all processes.

        Partners come from the rows of all processes.
        """
        x, z = self.x_scale(batch.x), self.z_scale(batch.z)
        everyone = processes.gather(z, batch.rows)
        rows = torch.arange(len(everyone))
        mine = rows.split(batch.rows)[processes.rank]
        apart = Partners(batch.partners).partners(rows, len(rows), generator)[mine]
        if len(x) == 0:
            own = x.new_zeros(0, 1 + batch.partners)
        else:
            candidates = torch.cat((z.unsqueeze(1), everyone[apart]), dim=1)
            own = score_pairs(self.critic, x.unsqueeze(1), candidates)
        return processes.gather(own, batch.rows)

    def snapshot(self) -> Callable[[], None]:
        """Return a function that puts everything back as it is now."""
        tensors = [*self.parts.buffers(), self.window.sums]
        kept, pushed, recent = Snapshot(tensors, self.optimizer), self.window.pushed, self.recent

        def restore() -> None:
            kept.restore()
            self.window.pushed, self.recent = pushed, recent

        return restore

    def push(self, scores: Tensor) -> None:
        """Add the scores of a batch to the window."""
        scores = scores.detach()
        self.window.push(self.objective.pool(scores[:, 0], scores[:, 1:]))

    def train(self, scores: Tensor, processes: Processes, gradient_clip_val: float | None) -> None:
        """Take one optimizer step: the loss of all scores, the gradients of all processes."""
        loss = self.objective.loss(scores[:, 0], scores[:, 1:])
        self.optimizer.zero_grad(set_to_none=False)
        if loss.requires_grad:
            loss.backward()
        if processes.count > 1:
            self._average_gradients(processes)
        if gradient_clip_val is not None:
            nn.utils.clip_grad_norm_(self.parameters, gradient_clip_val)
        self.optimizer.step()

    def _average_gradients(self, processes: Processes) -> None:
        """Average the gradients over the processes, as DistributedDataParallel does."""
        for parameter in self.parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        processes.mean_([p.grad for p in self.parameters if p.grad is not None])

    def observe(self, batch: Batch, processes: Processes) -> None:
        """Let the running averages see a batch."""
        for scale, rows in ((self.x_scale, batch.x), (self.z_scale, batch.z)):
            scale.update(rows, sum(batch.rows), processes)

    def remember(self, batch: Batch, capacity: int) -> None:
        """Keep the latest ``capacity`` rows."""
        if capacity:
            pairs = zip(self.recent, batch[:2], strict=True)
            self.recent = [torch.cat(pair)[-capacity:] for pair in pairs]

    def with_recent(self, batch: Batch, processes: Processes, generator: torch.Generator) -> Batch:
        """Return a batch with as many recent rows beside its own, as far as there are as many."""
        extra = min(len(self.recent[0]), len(batch.x))
        index = torch.randperm(len(self.recent[0]), generator=generator)[:extra].to(self.device)
        x, z = (
            torch.cat((rows, old[index])) for rows, old in zip(batch[:2], self.recent, strict=True)
        )
        return Batch(x, z, processes.rows(len(x)), batch.partners)
