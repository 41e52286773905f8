"""Loaders that index whole minibatches: no per-sample work, no collate.

A batch is ``{"joint": (x, z), "marginal": z'}``; a stack is a list of such batches.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from mine_lightning.data.distributions import Distribution
from mine_lightning.data.samplers import MarginalSampler

__all__ = ["Batch", "DrawLoader", "EvaluationLoader", "TrainingLoader"]

Batch = dict[str, Any]
BLOCK_VALUES = 2**22


def spawn_generator(*seeds: int) -> torch.Generator:
    """Return a generator whose stream depends on all the given seeds."""
    state = 0
    for seed in seeds:
        state = (state * 6364136223846793005 + seed + 1442695040888963407) % 2**63
    return torch.Generator().manual_seed(state)


class EpochLoader:
    """A restartable loader of training batches, in stacks of ``stack``.

    Every epoch draws from a generator of its own, seeded by seed, epoch and rank. The state is
    the epoch and the position in it, so a run resumed in the middle of an epoch continues with
    the batches that the uninterrupted run would have seen. Lightning restores the state only in the
    middle of an epoch, but announces every epoch by ``sampler.set_epoch``: the first announcement
    says where to begin.
    """

    def __init__(self, batches: int, stack: int, seed: int) -> None:
        self.batches, self.stack, self.seed = batches, stack, seed
        self._epoch = self._position = self._next = self._start = 0
        self._announced = False

    def __len__(self) -> int:
        return math.ceil(self.batches / self.stack)

    def __iter__(self) -> Iterator[Batch | list[Batch]]:
        start, self._start = self._start, 0
        self._epoch, self._next = self._next, self._next + 1
        stacks = self.epoch(self._epoch)
        for position, batches in enumerate(stacks, start=1):
            if position > start:
                self._position = position
                yield batches if self.stack > 1 else batches[0]

    @property
    def sampler(self) -> "EpochLoader":
        """The loader itself, where Lightning looks for :meth:`set_epoch`."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Begin with this epoch, from its start unless it is the one loaded; then count on."""
        if not self._announced and epoch != self._next:
            self._next, self._start = epoch, 0
        self._announced = True

    def epoch(self, epoch: int) -> Iterator[list[Batch]]:
        """Yield the stacks of one epoch."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self._epoch, "position": self._position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self._epoch, self._position = state["epoch"], state["position"]
        self._next = self._epoch + self._position // len(self)
        self._start = self._position % len(self)


class TrainingLoader(EpochLoader):
    """Minibatches of a fixed sample, shuffled anew in every epoch.

    The last rows of an epoch that do not fill a minibatch wait for the next epoch's shuffle.

    Args:
        x: Training rows, shape ``(N, ...)``.
        z: Training rows, shape ``(N, ...)``.
        batch_size: Rows in a minibatch.
        sampler: Which rows are drawn apart.
        seed: Seed of the order and the partners.
        stack: Number of minibatches yielded at once, as a list if there are several.
        rank: This process's place among ``world_size`` processes; each takes its own rows.
        world_size: Number of processes.
    """

    def __init__(
        self,
        x: Tensor,
        z: Tensor,
        batch_size: int,
        sampler: MarginalSampler,
        seed: int = 0,
        stack: int = 1,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__(len(x) // (batch_size * world_size), stack, seed)
        self.x, self.z, self.batch_size, self.marginal = x, z, batch_size, sampler
        self.rank, self.world_size = rank, world_size

    def epoch(self, epoch: int) -> Iterator[list[Batch]]:
        order = torch.randperm(len(self.x), generator=spawn_generator(self.seed, epoch))
        mine = order[self.rank :: self.world_size][: self.batches * self.batch_size]
        generator = spawn_generator(self.seed, epoch, 1 + self.rank)
        for rows in mine.view(-1, self.batch_size).split(self._block()):
            partners = self.marginal.partners(rows, len(self.x), generator)
            batches = [
                {"joint": (x, z), "marginal": apart}
                for x, z, apart in zip(self.x[rows], self.z[rows], self.z[partners], strict=True)
            ]
            for first in range(0, len(batches), self.stack):
                yield batches[first : first + self.stack]

    def _block(self) -> int:
        """Return how many minibatches to gather at once: whole stacks, of bounded size."""
        values = self.batch_size * (self.x[0].numel() + 2 * self.z[0].numel())
        return self.stack * max(1, min(64, BLOCK_VALUES // values) // self.stack)


class DrawLoader(EpochLoader):
    """Fresh minibatches from a distribution, never the same rows twice.

    Args:
        distribution: Where the pairs come from.
        batches: Minibatches in what counts as an epoch.
        batch_size: Rows in a minibatch.
        sampler: Which rows are drawn apart.
        seed: Seed of the draws.
        stack: Number of minibatches yielded at once, as a list if there are several.
        rank: This process's number; each draws its own rows.
    """

    def __init__(
        self,
        distribution: Distribution,
        batches: int,
        batch_size: int,
        sampler: MarginalSampler,
        seed: int = 0,
        stack: int = 1,
        rank: int = 0,
    ) -> None:
        super().__init__(batches, stack, seed)
        self.distribution, self.batch_size, self.marginal = distribution, batch_size, sampler
        self.rank = rank

    def epoch(self, epoch: int) -> Iterator[list[Batch]]:
        for position, first in enumerate(range(0, self.batches, self.stack)):
            generator = spawn_generator(self.seed, epoch, position, 1 + self.rank)
            count = min(self.stack, self.batches - first)
            yield [self._draw(generator) for _ in range(count)]

    def _draw(self, generator: torch.Generator) -> Batch:
        x, z = self.distribution.sample(self.batch_size, generator)
        return {"joint": (x, z), "marginal": self.marginal(z, generator)}


class EvaluationLoader:
    """All rows of a split once, in order, in large chunks, with the same partners every time.

    Partners come from the whole split, not from the chunk. Several processes share the rows
    without repeating any.

    Args:
        x: Rows, shape ``(N, ...)``.
        z: Rows, shape ``(N, ...)``.
        batch_size: Rows in a chunk.
        sampler: Which rows are drawn apart.
        seed: Seed of the partners.
        rank: This process's place among ``world_size`` processes.
        world_size: Number of processes.
    """

    def __init__(
        self,
        x: Tensor,
        z: Tensor,
        batch_size: int,
        sampler: MarginalSampler,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.x, self.z, self.batch_size = x, z, batch_size
        rows = torch.arange(len(x))
        self.partners = sampler.partners(rows, len(x), spawn_generator(seed))
        self.rows = rows[rank::world_size]

    def __len__(self) -> int:
        return math.ceil(len(self.rows) / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for rows in self.rows.split(self.batch_size):
            apart = self.z[self.partners[rows]]
            yield {"joint": (self.x[rows], self.z[rows]), "marginal": apart}
