"""Loaders that index whole minibatches: no per-sample work, no collate.

A batch is ``{"joint": (x, z), "marginal": z'}``; a stack is a list of such batches.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from mine_lightning.data.distributions.base import Distribution
from mine_lightning.data.loading.placement import placed
from mine_lightning.data.loading.stacks import Batch, Stack, Stacking
from mine_lightning.data.samplers import MarginalSampler
from mine_lightning.support.ambient import each_step

__all__ = [
    "DrawLoader",
    "EpochLoader",
    "EvaluationLoader",
    "MemberLoader",
    "Sampling",
    "TrainingLoader",
    "minibatches",
    "spawn_generator",
]

BLOCK_VALUES = 2**22


def spawn_generator(*seeds: int) -> torch.Generator:
    """Return a generator whose stream depends on all the given seeds."""
    state = 0
    for seed in seeds:
        state = (state * 6364136223846793005 + seed + 1442695040888963407) % 2**63
    return torch.Generator().manual_seed(state)


def gather(values: Tensor, rows: Tensor) -> Tensor:
    """Return ``values[rows]``, three times faster than indexing where rows are short."""
    return values.index_select(0, rows.flatten()).view(*rows.shape, *values.shape[1:])


@dataclass(frozen=True)
class Sampling:
    """What one of the processes of a run draws.

    Attributes:
        batch_size: Rows in a minibatch.
        marginal: Which rows are drawn apart.
        seed: Seed of everything random.
        rank: This process's place among ``world_size`` processes.
        world_size: Number of processes.
    """

    batch_size: int
    marginal: MarginalSampler
    seed: int = 0
    rank: int = 0
    world_size: int = 1

    def generator(self, *seeds: int) -> torch.Generator:
        """Return a generator whose stream depends on the seed and all those given."""
        return spawn_generator(self.seed, *seeds)


def minibatches(
    x: Tensor, z: Tensor, rows: Tensor, marginal: MarginalSampler, generator: torch.Generator
) -> Iterator[Batch]:
    """Yield minibatches of rows in random order, gathered in one go.

    Args:
        x: All rows, shape ``(N, ...)``.
        z: All rows, shape ``(N, ...)``.
        rows: Row numbers of each minibatch, shape ``(B, batch_size)``.
        marginal: Which rows are drawn apart.
        generator: Source of randomness.
    """
    partners = marginal.partners_of_shuffled(rows, len(x), generator)
    rows, partners = placed(rows, x.device), placed(partners, x.device)
    sides = gather(x, rows), gather(z, rows), gather(z, partners)
    for pair_x, pair_z, apart in zip(*sides, strict=True):
        yield {"joint": (pair_x, pair_z), "marginal": apart}


def most_at_once(x: Tensor, z: Tensor, batch_size: int) -> int:
    """Return how many minibatches to gather in one go, which bounds the memory."""
    values = batch_size * (x[0].numel() + 2 * z[0].numel())
    return max(1, min(64, BLOCK_VALUES // values))


class EpochLoader:
    """A restartable loader of training minibatches, in stacks.

    Every epoch draws from a generator of its own, seeded by seed, epoch and rank. The state is
    the epoch and the minibatches handed over in it, so a run resumed in the middle of an epoch
    continues with those that the uninterrupted run would have seen. Lightning restores the state
    only in the middle of an epoch, but announces every epoch by ``sampler.set_epoch``: the first
    announcement says where to begin.

    Args:
        batches: Minibatches in an epoch.
        stacking: How they are handed over; one by one by default.
    """

    def __init__(self, batches: int, stacking: Stacking | None = None) -> None:
        self.batches, self.stacking = batches, stacking or Stacking()
        self._epoch = self._next = self._position = self._stacks = 0
        self._resumed = self._announced = False

    def __len__(self) -> int:
        return self.stacking.count(self.batches)

    @each_step
    def __iter__(self) -> Iterator[Stack | Batch]:
        if not self._resumed:
            self._position = self._stacks = 0
        self._epoch, self._next, self._resumed = self._next, self._next + 1, False
        minibatches = self.minibatches(self._epoch, self._position)
        for end in self._ends():
            stack = Stack(islice(minibatches, end - self._position))
            self._position, self._stacks = end, self._stacks + 1
            yield stack if self.stacking.most > 1 else stack[0]

    def _ends(self) -> list[int]:
        """Return how many minibatches have been handed over at the end of each stack to come."""
        taken = self.stacking.stops.taken
        first = self._epoch * self.batches if taken is None else taken() - self._position
        done = self._stacks % len(self)
        return self.stacking.ends(self.batches, first, done, self._position)

    @property
    def sampler(self) -> "EpochLoader":
        """The loader itself, where Lightning looks for :meth:`set_epoch`."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Begin with this epoch, unless a state within an epoch was loaded; then count on."""
        if not self._announced and not self._resumed:
            self._next = epoch
        self._announced = True

    @property
    def device(self) -> torch.device:
        """Where the minibatches are made."""
        return torch.device("cpu")

    def minibatches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield the minibatches of one epoch from number ``start`` on."""
        return islice(self.epoch(epoch), start, None)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Yield the minibatches of one epoch."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self._epoch, "position": self._position, "stacks": self._stacks}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self._epoch, self._position = state["epoch"], state["position"]
        self._stacks = state["stacks"]
        self._resumed = self._position < self.batches
        self._next = self._epoch + (not self._resumed)


class TrainingLoader(EpochLoader):
    """Minibatches of a fixed sample, shuffled anew in every epoch.

    The last rows of an epoch that do not fill a minibatch wait for the next epoch's shuffle.

    Args:
        x: Training rows, shape ``(N, ...)``.
        z: Training rows, shape ``(N, ...)``.
        sampling: What this process draws; each takes its own rows.
        stacking: How minibatches are handed over; one by one by default.

    Raises:
        ValueError: If there are too few rows for a minibatch in each process.
    """

    def __init__(
        self, x: Tensor, z: Tensor, sampling: Sampling, stacking: Stacking | None = None
    ) -> None:
        size, processes = sampling.batch_size, sampling.world_size
        super().__init__(len(x) // (size * processes), stacking)
        if self.batches == 0:
            raise ValueError(
                f"Expected at least {size * processes} training rows for a minibatch of {size} in "
                f"each of {processes} processes, got {len(x)}: give more rows or a smaller "
                "`batch_size`."
            )
        self.x, self.z, self.sampling = x, z, sampling

    def epoch(self, epoch: int) -> Iterator[Batch]:
        s = self.sampling
        order = torch.randperm(len(self.x), generator=s.generator(epoch))
        mine = order[s.rank :: s.world_size][: self.batches * s.batch_size]
        generator = s.generator(epoch, 1 + s.rank)
        at_once = most_at_once(self.x, self.z, s.batch_size)
        for rows in mine.view(-1, s.batch_size).split(at_once):
            yield from minibatches(self.x, self.z, rows, s.marginal, generator)

    @property
    def device(self) -> torch.device:
        return self.x.device


class MemberLoader(EpochLoader):
    """Training minibatches for the members of an ensemble, stacked along a first dimension.

    Args:
        loaders: A loader for each member, alike but for their seeds.
    """

    def __init__(self, loaders: Sequence[EpochLoader]) -> None:
        first = loaders[0]
        super().__init__(first.batches, first.stacking)
        self.loaders = loaders

    @property
    def device(self) -> torch.device:
        return self.loaders[0].device

    def minibatches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        members = [loader.minibatches(epoch, start) for loader in self.loaders]
        for batches in zip(*members, strict=True):
            x, z = zip(*(batch["joint"] for batch in batches), strict=True)
            apart = torch.stack([batch["marginal"] for batch in batches])
            yield {"joint": (torch.stack(x), torch.stack(z)), "marginal": apart}


class DrawLoader(EpochLoader):
    """Fresh minibatches from a distribution, never the same rows twice.

    Args:
        distribution: Where the pairs come from.
        batches: Minibatches in what counts as an epoch.
        sampling: What this process draws; each draws its own rows.
        stacking: How minibatches are handed over; one by one by default.
    """

    def __init__(
        self,
        distribution: Distribution,
        batches: int,
        sampling: Sampling,
        stacking: Stacking | None = None,
    ) -> None:
        super().__init__(batches, stacking)
        self.distribution, self.sampling = distribution, sampling

    def epoch(self, epoch: int) -> Iterator[Batch]:
        for position in range(self.batches):
            yield self._draw(self.sampling.generator(epoch, position, 1 + self.sampling.rank))

    def _draw(self, generator: torch.Generator) -> Batch:
        x, z = self.distribution.sample(self.sampling.batch_size, generator)
        return {"joint": (x, z), "marginal": self.sampling.marginal(z, generator)}


class EvaluationLoader:
    """All rows of a split once, in order, in large chunks, with the same partners every time.

    Partners come from the whole split, not from the chunk. Chunks differ in size by one row at
    most. Several processes share the rows of each chunk without repeating any, so that the chunks,
    and the pairs in them, do not depend on the number of processes.

    Args:
        x: Rows, shape ``(N, ...)``.
        z: Rows, shape ``(N, ...)``.
        sampling: What this process draws; its ``batch_size`` is the largest number of rows in a
            chunk, of all processes together. A chunk of a single row becomes part of another.

    Raises:
        ValueError: If a chunk has fewer rows than there are processes.
    """

    def __init__(self, x: Tensor, z: Tensor, sampling: Sampling) -> None:
        self.x, self.z, processes = x, z, sampling.world_size
        self.partners = sampling.marginal.fix(len(x), sampling.generator())
        count = min(math.ceil(len(x) / sampling.batch_size), len(x) // 2)
        chunks = torch.arange(len(x)).tensor_split(max(1, count))
        if len(chunks[-1]) < processes:
            raise ValueError(
                f"Expected at least {processes} rows to evaluate at once in {processes} processes, "
                f"got {len(chunks[-1])} of {len(x)}: use fewer processes or a larger "
                "`eval_batch_size`."
            )
        self.chunks = [chunk[sampling.rank :: processes] for chunk in chunks]

    def __len__(self) -> int:
        return len(self.chunks)

    @each_step
    def __iter__(self) -> Iterator[Batch]:
        for rows in self.chunks:
            apart = self.z[self.partners(rows)]
            yield {"joint": (self.x[rows], self.z[rows]), "marginal": apart}
