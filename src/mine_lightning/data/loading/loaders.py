"""Loaders that index whole minibatches: no per-sample work, no collate.

A batch is ``{"joint": (x, z), "marginal": z'}``; a stack is a list of such batches.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import islice

import torch
from torch import Tensor

from mine_lightning.data.distributions.base import Distribution
from mine_lightning.data.loading.placement import placed
from mine_lightning.data.loading.stacks import Batch, Stack, Stops, stack_count, stack_ends
from mine_lightning.data.samplers import MarginalSampler

__all__ = ["Batch", "DrawLoader", "EvaluationLoader", "MemberLoader", "TrainingLoader"]

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


class EpochLoader:
    """A restartable loader of training minibatches, in stacks of at most ``stack``.

    Every epoch draws from a generator of its own, seeded by seed, epoch and rank. The state is
    the epoch and the minibatches handed over in it, so a run resumed in the middle of an epoch
    continues with those that the uninterrupted run would have seen. Lightning restores the state
    only in the middle of an epoch, but announces every epoch by ``sampler.set_epoch``: the first
    announcement says where to begin.

    Args:
        batches: Minibatches in an epoch.
        seed: Seed of everything random.
        stack: Most minibatches yielded at once.
        stops: Optimizer steps after which a stack has to end.
    """

    def __init__(self, batches: int, seed: int, stack: int = 1, stops: Stops | None = None) -> None:
        self.batches, self.seed, self.stack = batches, seed, stack
        self.stops = Stops() if stops is None else stops
        self._epoch = self._next = self._position = self._stacks = 0
        self._resumed = self._announced = False

    def __len__(self) -> int:
        return stack_count(self.batches, self.stack, self.stops)

    def __iter__(self) -> Iterator[Stack | Batch]:
        if not self._resumed:
            self._position = self._stacks = 0
        self._epoch, self._next, self._resumed = self._next, self._next + 1, False
        minibatches = self.minibatches(self._epoch, self._position)
        for end in self._ends():
            stack = Stack(islice(minibatches, end - self._position))
            self._position, self._stacks = end, self._stacks + 1
            yield stack if self.stack > 1 else stack[0]

    def _ends(self) -> list[int]:
        """Return how many minibatches have been handed over at the end of each stack to come."""
        taken = self.stops.taken
        first = self._epoch * self.batches if taken is None else taken() - self._position
        done = self._stacks % len(self)
        return stack_ends(self.batches, self.stack, self.stops, first, done, self._position)

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
        batch_size: Rows in a minibatch.
        sampler: Which rows are drawn apart.
        seed: Seed of the order and the partners.
        stack: Most minibatches yielded at once.
        rank: This process's place among ``world_size`` processes; each takes its own rows.
        world_size: Number of processes.
        stops: Optimizer steps after which a stack has to end.

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
        stops: Stops | None = None,
    ) -> None:
        super().__init__(len(x) // (batch_size * world_size), seed, stack, stops)
        if self.batches == 0:
            raise ValueError(
                f"Expected at least {batch_size * world_size} training rows for a minibatch of "
                f"{batch_size} in each of {world_size} processes, got {len(x)}: give more rows or "
                "a smaller `batch_size`."
            )
        self.x, self.z, self.batch_size, self.marginal = x, z, batch_size, sampler
        self.rank, self.world_size = rank, world_size

    def epoch(self, epoch: int) -> Iterator[Batch]:
        order = torch.randperm(len(self.x), generator=spawn_generator(self.seed, epoch))
        mine = order[self.rank :: self.world_size][: self.batches * self.batch_size]
        generator = spawn_generator(self.seed, epoch, 1 + self.rank)
        for rows in mine.view(-1, self.batch_size).split(self._block()):
            partners = self.marginal.partners_of_shuffled(rows, len(self.x), generator)
            rows, partners = placed(rows, self.device), placed(partners, self.device)
            sides = gather(self.x, rows), gather(self.z, rows), gather(self.z, partners)
            for x, z, apart in zip(*sides, strict=True):
                yield {"joint": (x, z), "marginal": apart}

    @property
    def device(self) -> torch.device:
        return self.x.device

    def _block(self) -> int:
        """Return how many minibatches to gather at once, which bounds the memory."""
        values = self.batch_size * (self.x[0].numel() + 2 * self.z[0].numel())
        return max(1, min(64, BLOCK_VALUES // values))


class MemberLoader(EpochLoader):
    """Training minibatches for the members of an ensemble, stacked along a first dimension.

    Args:
        loaders: A loader for each member, alike but for their seeds.
    """

    def __init__(self, loaders: Sequence[EpochLoader]) -> None:
        first = loaders[0]
        super().__init__(first.batches, first.seed, first.stack, first.stops)
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
        batch_size: Rows in a minibatch.
        sampler: Which rows are drawn apart.
        seed: Seed of the draws.
        stack: Most minibatches yielded at once.
        rank: This process's number; each draws its own rows.
        stops: Optimizer steps after which a stack has to end.
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
        stops: Stops | None = None,
    ) -> None:
        super().__init__(batches, seed, stack, stops)
        self.distribution, self.batch_size, self.marginal = distribution, batch_size, sampler
        self.rank = rank

    def epoch(self, epoch: int) -> Iterator[Batch]:
        for position in range(self.batches):
            yield self._draw(spawn_generator(self.seed, epoch, position, 1 + self.rank))

    def _draw(self, generator: torch.Generator) -> Batch:
        x, z = self.distribution.sample(self.batch_size, generator)
        return {"joint": (x, z), "marginal": self.marginal(z, generator)}


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
        self.partners = sampler.fix(len(x), spawn_generator(seed))
        rows = torch.arange(len(x))
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
            apart = self.z[self.partners(rows)]
            yield {"joint": (self.x[rows], self.z[rows]), "marginal": apart}
