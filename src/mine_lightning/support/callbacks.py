"""The callbacks of a Trainer, which Lightning gives no type."""

from lightning.pytorch import Callback, Trainer

__all__ = ["callbacks_of"]


def callbacks_of(trainer: Trainer) -> list[Callback]:
    """Return the callbacks of a Trainer itself, which may be added to."""
    return trainer.callbacks  # type: ignore[attr-defined]
