"""Minibatches for the critics of all folds of several pairs of variables, side by side."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from mine_lightning.data.loading.loaders import EpochLoader, spawn_generator
from mine_lightning.data.loading.placement import fits, placed, training_device
from mine_lightning.data.loading.prefetch import Prefetcher, prefetched
from mine_lightning.data.loading.stacks import Batch, Stacking
from mine_lightning.estimate.folds import CrossFitData, fit_together
from mine_lightning.estimate.tables import filled
from mine_lightning.support.memory import keep_freed_memory

__all__ = ["CrossFitDataModule", "FoldLoader"]

ROWS_AT_ONCE, EPOCHS_AT_ONCE = 4096, 16  # gathered for training, of each fold
EPOCH_BATCHES = 32  # at most: where rows are many, an epoch is a part of them


class CrossFitDataModule(LightningDataModule):
    """Batches for an ensemble with one critic for each fold of each of P pairs of variables.

    A batch is that of :class:`~mine_lightning.estimate.folds.CrossFitData` with the folds of one
    pair after those of another, P E in all, and features filled up with zeros.

    Args:
        pairs: The pairs, with rows and folds of the same :attr:`CrossFitData.shape`, and one seed.
    """

    def __init__(self, pairs: Sequence[CrossFitData]) -> None:
        super().__init__()
        self.pairs = pairs
        self._validation: Validation | None = None

    def setup(self, stage: str | None = None) -> None:
        """Fit what the critics see of each pair, on the device being trained on if all fits."""
        keep_freed_memory()
        device = training_device(self.trainer)
        portable = all(pair.portable for pair in self.pairs)
        there = portable and fits(sum(pair.values for pair in self.pairs), device)
        fit_together(self.pairs, device if there else None)

    @property
    def device(self) -> torch.device:
        """Where the minibatches are made."""
        return self.pairs[0].device

    def minibatches(self, rows: Sequence[Tensor]) -> Batch:
        """Return those of some rows of each pair, see :meth:`Tables.minibatches`."""
        each = zip(self.pairs, rows, strict=True)
        return side_by_side([pair.tables.minibatches(numbers) for pair, numbers in each])

    def train_dataloader(self) -> EpochLoader | Prefetcher:
        loader = FoldLoader(self, Stacking.of(self.trainer))
        return prefetched(loader, training_device(self.trainer))

    def val_dataloader(self) -> "Validation":
        if self._validation is None:
            self._validation = Validation(self.pairs)
        return self._validation


class Validation:
    """The validation rows of several pairs: the same batches after every epoch, made once."""

    def __init__(self, pairs: Sequence[CrossFitData]) -> None:
        loaders = [pair.validation() for pair in pairs]
        members = sum(loader.shape[0] for loader in loaders)
        self.shape = (members, *loaders[0].shape[1:])  # of the scores, (P E, N, 1 + K)
        self.batches = [side_by_side(each) for each in zip(*loaders, strict=True)]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.batches)


def side_by_side(batches: Sequence[Batch]) -> Batch:
    """Return the batches of several pairs as one, with features filled up with zeros."""
    if len(batches) == 1:  # a copy takes as long as a batch
        return batches[0]
    each = {name: filled([batch[name] for batch in batches]) for name in batches[0]}
    return {name: torch.cat(parts, dim=-3) for name, parts in each.items()}


class FoldLoader(EpochLoader):
    """Training minibatches of all folds at once, each fold in an order of its own.

    The order is random, and so is the partner of a row, the next one of its minibatch. It is the
    same for all pairs. Where rows are few, several epochs are gathered at once.

    Args:
        data: Where the rows are.
        stacking: How they are handed over; one by one by default.
    """

    def __init__(self, data: CrossFitDataModule, stacking: Stacking | None = None) -> None:
        self.data, first = data, data.pairs[0]
        self.shape, self.seed, self.size = first.folds.train.shape, first.seed, first.batch_size
        super().__init__(min(EPOCH_BATCHES, self.shape[1] // self.size), stacking)
        self.span = min(EPOCHS_AT_ONCE, max(1, ROWS_AT_ONCE // (self.batches * self.size)))
        self.trains = [placed(pair.folds.train, self.device) for pair in data.pairs]
        self._orders = self._draw if self.device.type == "cpu" else Ahead(self._draw)
        self._ahead: dict[int, list[Batch]] = {}

    @property
    def device(self) -> torch.device:
        return self.data.device

    def epoch(self, epoch: int) -> Iterator[Batch]:
        if self.span == 1:
            return self._made(range(epoch, epoch + 1))
        if epoch not in self._ahead:
            epochs = range(epoch, epoch + self.span)
            made = self._made(epochs)
            self._ahead = {e: list(islice(made, self.batches)) for e in epochs}
        return iter(self._ahead[epoch])

    def _made(self, epochs: range) -> Iterator[Batch]:
        """Yield the minibatches of some epochs."""
        most = self.size * max(1, ROWS_AT_ONCE // self.size)
        for places in placed(self._orders(epochs), self.device).split(most, 1):
            rows = [train.gather(1, places) for train in self.trains]
            each = [numbers.unflatten(1, (-1, self.size)) for numbers in rows]
            yield from unbound(self.data.minibatches(each))

    def _draw(self, epochs: range) -> Tensor:
        """Return the orders of some epochs, one after another."""
        return torch.cat([self._drawn(epoch) for epoch in epochs], dim=1)

    def _drawn(self, epoch: int) -> Tensor:
        """Return the order of the training rows, by their places."""
        generator, (folds, rows) = spawn_generator(self.seed, 3, epoch), self.shape
        orders = [torch.randperm(rows, generator=generator) for _ in range(folds)]
        return torch.stack(orders)[:, : self.batches * self.size]


class Ahead:
    """A function of epochs that is called ahead, for the next ones, in a thread beside.

    A device does not wait then for its host to sort random numbers.

    Args:
        call: The function, of a range of epochs.
    """

    def __init__(self, call: Callable[[range], Tensor]) -> None:
        self.call, self.thread = call, ThreadPoolExecutor(max_workers=1)
        self._known: dict[range, Future[Tensor]] = {}

    def __call__(self, epochs: range) -> Tensor:
        """Return what the function does, soon for epochs that follow those of the last call."""
        found = self._known.get(epochs) or self.thread.submit(self.call, epochs)
        following = range(epochs.stop, epochs.stop + len(epochs))
        self._known = {following: self.thread.submit(self.call, following)}
        return found.result()


def unbound(batches: Batch) -> Iterator[Batch]:
    """Yield the batches that are stacked along a first dimension."""
    for parts in zip(*batches.values(), strict=True):
        yield dict(zip(batches, parts, strict=True))
