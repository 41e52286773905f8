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
    the batches that the uninterrupted run would have seen.
    """

    def __init__(self, batches: int, stack: int, seed: int) -> None:
        self.batches, self.stack, self.seed = batches, stack, seed
        self._epoch, self._position, self._start = -1, 0, 0

    def __len__(self) -> int:
        return math.ceil(self.batches / self.stack)

    def __iter__(self) -> Iterator[Batch | list[Batch]]:
        start, self._start = self._start, 0
        self._epoch += start == 0
        stacks = self.epoch(self._epoch)
        for position, batches in enumerate(stacks, start=1):
            if position > start:
                self._position = position
                yield batches if self.stack > 1 else batches[0]

    def epoch(self, epoch: int) -> Iterator[list[Batch]]:
        """Yield the stacks of one epoch."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self._epoch, "position": self._position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self._epoch, self._position = state["epoch"], state["position"]
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

    Raises:
        ValueError: If there are too few rows for a minibatch in each process.
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
        if self.batches == 0:
            raise ValueError(
                f"Expected at least {batch_size * world_size} training rows for a minibatch of "
                f"{batch_size} in each of {world_size} processes, got {len(x)}: give more rows or "
                "a smaller `batch_size`."
            )
        self.x, self.z, self.batch_size, self.sampler = x, z, batch_size, sampler
        self.rank, self.world_size = rank, world_size

    def epoch(self, epoch: int) -> Iterator[list[Batch]]:
        order = torch.randperm(len(self.x), generator=spawn_generator(self.seed, epoch))
        mine = order[self.rank :: self.world_size][: self.batches * self.batch_size]
        generator = spawn_generator(self.seed, epoch, 1 + self.rank)
        for rows in mine.view(-1, self.batch_size).split(self._block()):
            partners = self.sampler.partners(rows, len(self.x), generator)
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
        self.distribution, self.batch_size, self.sampler = distribution, batch_size, sampler
        self.rank = rank

    def epoch(self, epoch: int) -> Iterator[list[Batch]]:
        for position, first in enumerate(range(0, self.batches, self.stack)):
            generator = spawn_generator(self.seed, epoch, position, 1 + self.rank)
            count = min(self.stack, self.batches - first)
            yield [self._draw(generator) for _ in range(count)]

    def _draw(self, generator: torch.Generator) -> Batch:
        x, z = self.distribution.sample(self.batch_size, generator)
        return {"joint": (x, z), "marginal": self.sampler(z, generator)}


class EvaluationLoader:
    """All rows of a split once, in order, in large chunks, with the same partners every time.

    Partners come from the whole split, not from the chunk. Chunks differ in size by one row at
    most. Several processes share the rows of each chunk without repeating any, so that the chunks,
    and the pairs in them, do not depend on the number of processes.

    Args:
        x: Rows, shape ``(N, ...)``.
        z: Rows, shape ``(N, ...)``.
        batch_size: Largest number of rows in a chunk, of all processes together; a chunk of a
            single row becomes part of another.
        sampler: Which rows are drawn apart.
        seed: Seed of the partners.
        rank: This process's place among ``world_size`` processes.
        world_size: Number of processes.

    Raises:
        ValueError: If a chunk has fewer rows than there are processes.
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
        self.x, self.z = x, z
        rows = torch.arange(len(x))
        self.partners = sampler.partners(rows, len(x), spawn_generator(seed))
        chunks = rows.tensor_split(max(1, min(math.ceil(len(x) / batch_size), len(x) // 2)))
        if len(chunks[-1]) < world_size:
            raise ValueError(
                f"Expected at least {world_size} rows to evaluate at once in {world_size} "
                f"processes, got {len(chunks[-1])} of {len(x)}: use fewer processes or a larger "
                "`eval_batch_size`."
            )
        self.chunks = [chunk[rank::world_size] for chunk in chunks]

    def __len__(self) -> int:
        return len(self.chunks)

    def __iter__(self) -> Iterator[Batch]:
        for rows in self.chunks:
            apart = self.z[self.partners[rows]]
            yield {"joint": (self.x[rows], self.z[rows]), "marginal": apart}
