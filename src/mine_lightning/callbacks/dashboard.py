"""What a person sees in TensorBoard: the estimate beside the truth, its band, scores, settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from mine_lightning.support.config import Configurable

__all__ = ["Curves", "Dashboard"]

BAND = ["mi/estimate", "mi/low", "mi/high"]
LAYOUT = {
    "Mutual information (nats)": {
        "estimates and truth": ["Multiline", ["mi/estimate"]],
        "two standard errors to each side": ["Margin", BAND],
    }
}
LINES = {"train": "train", "val": "validation", "test": "test"}


class Dashboard(Callback):
    """Fill TensorBoard, where it is the logger; name the result for any other.

    Training, validation and test estimate and the truth are lines of one chart, ``mi/estimate``,
    each a run of its own, so that each has a colour; estimates have a band of two standard errors
    to each side (custom scalars). The critic's scores of joint and marginal pairs stand in
    histograms, the settings of data, critic, objective and optimizer beside the test estimate in
    the HParams tab. Every other logger gets the test estimate as ``mi/estimate`` and
    ``mi/standard_error``, beside ``mi/truth``.
    """

    def __init__(self) -> None:
        self._scores: dict[str, Tensor] | None = None
        self._curves: list[Curves] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._curves = self._curves or [Curves(logger) for logger in _loggers(trainer)]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        from torch.utils.tensorboard.summary import hparams

        settings = settings_of(trainer, pl_module)
        for logger in _loggers(trainer):
            logger.experiment.add_custom_scalars(LAYOUT)
            for summary in hparams(settings, dict.fromkeys(("test/mi", "val/mi"), 0.0)):
                logger.experiment.file_writer.add_summary(summary)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if batch_idx == 0:
            self._scores = outputs

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking or self._scores is None:
            return
        for logger in _loggers(trainer):
            for name, scores in self._scores.items():
                logger.experiment.add_histogram(
                    f"scores/{name}", scores.float(), trainer.global_step
                )
        self._scores = None
        self._draw(trainer, "train")
        self._draw(trainer, "val")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the test estimate; log it as the result where there are no charts to draw in."""
        self._draw(trainer, "test")
        known = trainer.callback_metrics
        names = {"mi/estimate": "test/mi", "mi/standard_error": "test/mi_standard_error"}
        result = {name: float(known[key]) for name, key in names.items() if key in known}
        for logger in trainer.loggers:
            if not isinstance(logger, TensorBoardLogger):
                logger.log_metrics(result, trainer.global_step)

    def _draw(self, trainer: Trainer, split: str) -> None:
        """Draw the estimate of a split, with its standard error where it has one, and the truth."""
        known = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if f"{split}/mi" not in known:
            return
        for curves in self._curves:
            error = known.get(f"{split}/mi_standard_error")
            curves.draw(LINES[split], known[f"{split}/mi"], error, trainer.global_step)
            if "mi/truth" in known:
                curves.draw("truth", known["mi/truth"], None, trainer.global_step)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        for curves in self._curves:
            curves.close()
        self._curves = []


class Curves:
    """Lines of one chart, each a run below a TensorBoard run: TensorBoard colours by run.

    Args:
        logger: The logger of the run.
    """

    def __init__(self, logger: TensorBoardLogger) -> None:
        self.kind, self.folder = type(logger.experiment), Path(logger.log_dir)
        self.writers: dict[str, Any] = {}

    def draw(self, line: str, nats: float, standard_error: float | None, step: int) -> None:
        """Add a point to a line, with its band where it has a standard error."""
        if line not in self.writers:
            self.writers[line] = self.kind(log_dir=str(self.folder / line))
        half = 2 * (standard_error or 0.0)
        values = dict(zip(BAND, (nats, nats - half, nats + half), strict=True))
        if standard_error is not None:
            values["mi/standard_error"] = standard_error
        for tag, value in values.items():
            self.writers[line].add_scalar(tag, value, step)

    def close(self) -> None:
        """Bring everything to the disk."""
        for writer in self.writers.values():
            writer.close()


def _loggers(trainer: Trainer) -> list[TensorBoardLogger]:
    """Return the TensorBoard loggers of this run, on the process that writes."""
    if not trainer.is_global_zero:
        return []
    return [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]


def settings_of(trainer: Trainer, model: LightningModule) -> dict[str, bool | float | str]:
    """Return what TensorBoard shows of a run: four parts in a word each, then all that they are.

    TensorBoard sorts by name and shows the first five: critic, data, objective, optimizer, seed.
    """
    known = {
        "critic": model.hparams.get("critic"),
        "data": _data(getattr(trainer, "datamodule", None)),
        "objective": model.hparams.get("objective"),
        "optimizer": _optimizer(trainer.optimizers[0]),
    }
    words = {name: _word(part) for name, part in known.items() if part is not None}
    return {**words, "seed": torch.initial_seed(), **_flat(known, "settings/")}


def _optimizer(optimizer: Any) -> dict[str, Any]:
    """Return the class of an optimizer and its numbers."""
    numbers = {name: v for name, v in optimizer.defaults.items() if type(v) in (int, float)}
    return {"class_path": type(optimizer).__name__, "init_args": numbers}


def _data(data: Any) -> dict[str, Any] | None:
    """Return the class of a DataModule and those of its attributes that a configuration names."""
    if data is None:
        return None
    usual = vars(LightningDataModule())
    own = {
        name: value.config() if isinstance(value, Configurable) else value
        for name, value in vars(data).items()
        if name not in usual and isinstance(value, (bool, int, float, str, Path, Configurable))
    }
    return {"class_path": type(data).__name__, "init_args": own}


def _word(part: Mapping[str, Any]) -> str:
    return str(part["class_path"]).rsplit(".", 1)[-1]


def _flat(nested: Mapping[str, Any], prefix: str) -> dict[str, bool | float | str]:
    """Flatten nested hyperparameters to values that TensorBoard shows.

    An object's configuration becomes its class name and, below it, its arguments.
    """
    flat: dict[str, bool | float | str] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping) and "class_path" in value:
            flat[prefix + key] = _word(value)
            flat |= _flat(value.get("init_args", {}), f"{prefix}{key}/")
        elif isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}/")
        elif not key.startswith("_") and value is not None:
            flat[prefix + key] = value if isinstance(value, (bool, int, float)) else str(value)
    return flat
