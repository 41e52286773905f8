"""What ``fit`` prints at its end: the estimate on the test rows, and what speaks against it."""

import math
from typing import Any

from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger

from mine_lightning.monitor.callback import monitors_of

__all__ = ["notes", "report", "report_on_monitors"]


def report(
    trainer: Trainer,
    model: LightningModule,
    data: LightningDataModule | None,
    seed: int | bool | None,
) -> str:
    """Test the selected weights and lay the result out for a person."""
    trained = {name: float(value) for name, value in trainer.callback_metrics.items()}
    checkpoint = trainer.checkpoint_callback
    selected = checkpoint if isinstance(checkpoint, ModelCheckpoint) else None
    cut = not trainer.should_stop and improving(selected, trained)
    best = (selected and selected.best_model_path) or None
    (tested,) = trainer.test(model, datamodule=data, ckpt_path=best, verbose=False)
    estimate, error = tested["test/mi"], tested["test/mi_standard_error"]
    truth = getattr(data, "true_mi", None)
    lines = {
        "estimate (test rows)": f"{estimate:.4f} nats",
        "standard error": f"{error:.4f} nats",
        "truth": "unknown" if truth is None else f"{truth:.4f} nats",
        "error": "unknown" if truth is None else f"{estimate - truth:+.4f} nats",
        "seed": seed,
        **_places(trainer),
    }
    against = notes(estimate, error, trained.get("train/mi"), truth, cut)
    return "\n".join([table(lines), *(f"note: {note}" for note in against)])


def report_on_monitors(trainer: Trainer, seed: int | bool | None) -> str:
    """Lay out what the monitors of a run read at its end."""
    monitors = monitors_of(trainer)
    readings = {curve: monitor.estimate(curve) for monitor in monitors for curve in monitor.curves}
    lines = {
        name: f"{reading.mi:.4f} nats, standard error {reading.standard_error:.4f} nats"
        for name, reading in readings.items()
    }
    return table({**lines, "seed": seed, **_places(trainer)})


def table(lines: dict[str, Any]) -> str:
    """Put names and values side by side."""
    width = max(map(len, lines))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in lines.items())


def _places(trainer: Trainer) -> dict[str, Any]:
    """Return where the run is recorded, and the command that shows its curves."""
    places = {} if trainer.log_dir is None else {"logs": trainer.log_dir}
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            places["curves"] = f"tensorboard --logdir {logger.log_dir}"
    return places


def improving(selected: ModelCheckpoint | None, last: dict[str, float]) -> bool:
    """Whether the last state is the best so far, by what selects checkpoints."""
    if selected is None or selected.monitor not in last or selected.best_model_score is None:
        return False
    return float(selected.best_model_score) == last[selected.monitor]


def notes(
    estimate: float,
    standard_error: float,
    in_sample: float | None,
    truth: float | None,
    improving: bool,
) -> list[str]:
    """Return what speaks against an estimate, a sentence each.

    Args:
        estimate: From the test rows, in nats.
        standard_error: Its standard error.
        in_sample: The estimate from the latest training minibatches.
        truth: The true value, where it is known.
        improving: Whether training ended with the best state so far.

    Example:
        >>> notes(0.01, 0.02, None, None, improving=False)
        ['contains zero: the 95 % interval [-0.029, 0.049] contains 0: no dependence was found.']
    """
    found = []
    low, high = estimate - 1.96 * standard_error, estimate + 1.96 * standard_error
    if improving:
        found.append(
            "still improving: the last state is the best one: give more `--trainer.max_epochs`."
        )
    if in_sample is not None and in_sample - estimate > max(0.1, 0.25 * abs(estimate)):
        found.append(
            f"overfit: {in_sample:.3f} nats on training rows: the rows are few for this critic."
        )
    if truth is not None and not low <= truth <= high:
        off = abs(estimate - truth) / standard_error if standard_error else math.inf
        found.append(
            f"off the truth: by {off:.1f} standard errors, which know the sampling of the test "
            "rows, not what the critic misses."
        )
    if low <= 0 <= high:
        found.append(
            f"contains zero: the 95 % interval [{low:.3f}, {high:.3f}] contains 0: no dependence "
            "was found."
        )
    return found
