"""An end of training that leaves time for the scores."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Timer

__all__ = ["Deadline", "time_of"]

MARGIN = 1.5  # scores in new memory take longer than those of validation rows


class Deadline(Callback):
    """End training so that a call with all its scores takes a given time.

    How long the scores take is told from the validations. One epoch is trained at least.

    Args:
        max_time: The time from now on, as ``max_time`` of a Trainer.
        pairs: Pairs that are scored after the training, over those that are scored in a validation.
        describe: Returns about how many seconds it takes to describe the rows that are scored.
    """

    def __init__(
        self,
        max_time: str | timedelta | dict[str, int],
        pairs: float,
        describe: Callable[[], float] = lambda: 0.0,
    ) -> None:
        seconds = Timer(max_time).time_remaining()
        if seconds is None or not seconds > 0:
            raise ValueError(f"Expected `max_time` to be positive, got {max_time!r}.")
        self.end, self.pairs, self.describe = time.perf_counter() + seconds, pairs, describe

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.start = time_of(pl_module.device)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> Any:
        now = time_of(pl_module.device)
        left = self.pairs * (now - self.start) + self.describe()
        trainer.should_stop |= now + MARGIN * left > self.end


def time_of(device: torch.device) -> float:
    """Return the time at which a device has done what it was given, in seconds."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
