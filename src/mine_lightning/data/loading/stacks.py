"""Stacks: several minibatches handed to one ``training_step``, each with its own optimizer step."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Self

import torch
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from mine_lightning.support.callbacks import callbacks_of
from mine_lightning.support.upstream import steps_between

__all__ = ["Batch", "Stack", "Stacking", "Stops"]

Batch = dict[str, Any]

MINIBATCHES = 64


class Stack(list[Batch]):
    """Minibatches of a stack, which move to a device together.

    Example:
        >>> stack = Stack([{"joint": (torch.zeros(4, 1), torch.zeros(4, 1))}])
        >>> stack.to(torch.device("cpu")) is stack
        True
    """

    def to(self, device: torch.device) -> Self:
        """Return the stack on a device; itself if it is there."""
        pair = next(iter(self[0].values())) if self else ()
        if all(rows.device == device for rows in pair):
            return self
        return type(self)(move_data_to_device(batch, device) for batch in self)


@dataclass(frozen=True)
class Stops:
    """Optimizer steps after which a stack has to end, so that Lightning sees them.

    Attributes:
        every: Intervals in steps, such as those of a checkpoint every n steps.
        last: The last step of the run; -1 for none.
        taken: Says how many steps have been taken; none by default.
    """

    every: tuple[int, ...] = ()
    last: int = -1
    taken: Callable[[], int] | None = None

    @classmethod
    def of(cls, trainer: Trainer) -> "Stops":
        """Return the steps at which this Trainer may stop or save."""
        every = [
            steps_between(callback)
            for callback in callbacks_of(trainer)
            if isinstance(callback, ModelCheckpoint)
        ]
        return cls(tuple(n for n in every if n > 0), trainer.max_steps, lambda: trainer.global_step)

    def most(self, batches: int) -> int:
        """Return the largest number of stops among ``batches`` steps, the run's last apart."""
        return sum(math.ceil(batches / n) for n in self.every)

    def within(self, first: int, batches: int) -> set[int]:
        """Return how many of the steps after ``first`` lead to each stop."""
        steps = {step for n in self.every for step in range(first - first % n, first + batches, n)}
        return {step - first for step in steps | {self.last} if first < step < first + batches}


def stack_size(trainer: Trainer) -> int:
    """Return how many minibatches the module being trained takes at once.

    ``minibatches_per_step`` of the module says so; where it is None, one if an option of the
    Trainer counts batches, so that they stay minibatches, otherwise 64.
    """
    chosen = getattr(trainer.lightning_module, "minibatches_per_step", 1)
    if chosen is not None:
        return chosen
    counts = trainer.limit_train_batches, trainer.val_check_interval
    return MINIBATCHES if all(isinstance(n, float) and n == 1 for n in counts) else 1


@dataclass(frozen=True)
class Stacking:
    """How the minibatches of an epoch are handed over: in stacks that end at all stops.

    Attributes:
        most: Most minibatches in a stack.
        stops: Where stacks have to end.
    """

    most: int = 1
    stops: Stops = Stops()

    @classmethod
    def of(cls, trainer: Trainer | None) -> "Stacking":
        """Return what the module being trained takes; single minibatches without a Trainer."""
        return cls() if trainer is None else cls(stack_size(trainer), Stops.of(trainer))

    def count(self, batches: int) -> int:
        """Return the number of stacks of every epoch."""
        return min(batches, math.ceil(batches / self.most) + self.stops.most(batches))

    def ends(self, batches: int, first: int = 0, done: int = 0, start: int = 0) -> list[int]:
        """Cut the minibatches of an epoch.

        Lightning wants as many stacks in every epoch: where fewer would do, the first are short.

        Args:
            batches: Minibatches in an epoch.
            first: Steps taken before the epoch.
            done: Stacks handed over before an interruption.
            start: Minibatches handed over before an interruption.

        Returns:
            How many minibatches have been handed over at the end of each stack that is left.

        Example:
            >>> Stacking(4).ends(10)
            [4, 8, 10]
            >>> Stacking(4, Stops(every=(7,))).ends(10)
            [1, 4, 7, 8, 10]
            >>> Stacking(4, Stops(every=(7,))).ends(10, first=10)
            [1, 2, 4, 8, 10]
        """
        left = self.count(batches) - done
        ends = {batches, *range(self.most, batches, self.most), *self.stops.within(first, batches)}
        ends = {end for end in ends if end > start}
        spare = (end for end in range(start + 1, batches) if end not in ends)
        return sorted(ends.union(islice(spare, max(0, left - len(ends)))))[-left:]
