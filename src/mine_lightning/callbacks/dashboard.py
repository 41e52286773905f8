"""What a person sees in TensorBoard: the estimate beside the truth, its band, scores, settings."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from mine_lightning.support.config import Configurable

__all__ = ["Curves", "Dashboard", "MonitorCharts"]

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
            logger.experiment.add_custom_scalars(layout("mi/estimate"))
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
        name: Name of the chart.
    """

    def __init__(self, logger: TensorBoardLogger, name: str = "mi/estimate") -> None:
        self.logger, self.name, self.folder = logger, name, Path(logger.log_dir)
        self.writers: dict[str, Any] = {}

    def writer(self, line: str) -> Any:
        """Return the writer of a line."""
        if line not in self.writers:
            self.writers[line] = type(self.logger.experiment)(log_dir=str(self.folder / line))
        return self.writers[line]

    def draw(self, line: str, nats: float, standard_error: float | None, step: int) -> None:
        """Add a point to a line, with its band where it has a standard error."""
        self.writer(line).add_scalar(self.name, nats, step)
        self.draw_band(self.writer(line), nats, standard_error or 0.0, step)
        if standard_error is not None:
            self.writer(line).add_scalar("mi/standard_error", standard_error, step)

    def draw_band(self, writer: Any, nats: float, standard_error: float, step: int) -> None:
        """Add the ends of two standard errors to each side."""
        writer.add_scalar(f"{self.name}_low", nats - 2 * standard_error, step)
        writer.add_scalar(f"{self.name}_high", nats + 2 * standard_error, step)

    def close(self) -> None:
        """Bring everything to the disk."""
        for writer in self.writers.values():
            writer.close()


class MonitorCharts:
    """The curves of a monitor in TensorBoard: each with its band and, in one chart, its ceiling.

    Args:
        trainer: The Trainer that logs the estimates themselves.
        names: Names of the curves, under which they are logged.
    """

    def __init__(self, trainer: Trainer, names: Sequence[str]) -> None:
        self.charts = [Curves(logger, name) for logger in _loggers(trainer) for name in names]
        for chart in self.charts:
            chart.writer("ceiling").add_custom_scalars(layout(*names))

    def draw(
        self, trainer: Trainer, name: str, nats: float, standard_error: float, ceiling: float
    ) -> None:
        """Add the band of a point that is being logged, and the ceiling."""
        step = trainer.fit_loop.total_batch_idx
        for chart in self.charts:
            if chart.name == name and math.isfinite(nats):
                chart.draw_band(chart.logger.experiment, nats, standard_error, step)
                if math.isfinite(ceiling):
                    chart.writer("ceiling").add_scalar(name, ceiling, step)

    def close(self) -> None:
        """Bring everything to the disk."""
        for chart in self.charts:
            chart.close()


def layout(*names: str) -> dict[str, dict[str, list[Any]]]:
    """Return the charts of some curves for TensorBoard's custom scalars."""
    charts: dict[str, list[Any]] = {}
    for name in names:
        charts[name] = ["Multiline", [f"^{name}$"]]
        band = [name, f"{name}_low", f"{name}_high"]
        charts[f"{name}, two standard errors to each side"] = ["Margin", band]
    return {"Mutual information (nats)": charts}


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
