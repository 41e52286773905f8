"""One quiet line while something is trained: how far, how long, and the value so far."""

import sys
from collections.abc import Sequence
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from tqdm import tqdm

__all__ = ["EpochBar", "with_bar"]

VALUES = ("val/mi", "mi")
FORMAT = "{desc} |{bar:20}| {elapsed}, at most {remaining} left"


class EpochBar(ProgressBar):
    """Show training as one bar, which disappears when training ends.

    It reads ``folds trained together, epoch 12 of at most 80, 0.51 nats``, and how much time has
    passed and is left at most. Validation, testing and prediction show nothing.

    Args:
        label: What is trained.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> trainer = Trainer(callbacks=[EpochBar("folds trained together")], logger=False)
    """

    def __init__(self, label: str = "") -> None:
        super().__init__()
        self.label = label
        self._enabled = True
        self._bar: tqdm | None = None
        self._epoch = 1

    def disable(self) -> None:
        self._enabled = False

    def enable(self) -> None:
        self._enabled = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        total = most_epochs(trainer)
        self._bar = tqdm(
            total=total,
            initial=trainer.current_epoch,
            bar_format=FORMAT if total else "{desc} {elapsed}",
            file=sys.stderr,
            leave=False,
            disable=not (self._enabled and trainer.is_global_zero),
        )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Advance by a part of an epoch, where its length is known."""
        batches = trainer.num_training_batches
        self._show(trainer, trainer.current_epoch + min(1, (batch_idx + 1) / batches))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._bar is not None and not trainer.sanity_checking:
            self._show(trainer, self._bar.n)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._bar is not None:  # also where training took less time than the bar waits
            self._bar.set_description_str(self._text(trainer))
        self._close()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._close()

    def _show(self, trainer: Trainer, epochs: float) -> None:
        """Advance; values, which may lie on a device, are read only when the bar is drawn."""
        assert self._bar is not None
        self._epoch = trainer.current_epoch + 1
        if self._bar.update(epochs - self._bar.n):
            self._bar.set_description_str(self._text(trainer))

    def _text(self, trainer: Trainer) -> str:
        total = most_epochs(trainer)
        most = "" if total is None else f" of at most {total}"
        known = trainer.callback_metrics
        values = [f"{float(known[name]):.2f} nats" for name in VALUES if name in known][:1]
        label = [self.label] if self.label else []
        return ", ".join([*label, f"epoch {self._epoch}{most}", *values])

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def most_epochs(trainer: Trainer) -> int | None:
    """Return the largest number of epochs, if there is one."""
    return trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else None


def with_bar(callbacks: Sequence[Callback] | Callback | None, label: str = "") -> list[Callback]:
    """Return callbacks with an :class:`EpochBar`, unless there is a progress bar among them."""
    given = [callbacks] if isinstance(callbacks, Callback) else list(callbacks or [])
    barred = any(isinstance(callback, ProgressBar) for callback in given)
    return given if barred else [*given, EpochBar(label)]
