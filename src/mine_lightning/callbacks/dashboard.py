"""What a person sees in TensorBoard: curves with the truth, score histograms, hyperparameters."""

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

__all__ = ["Dashboard"]

LAYOUT = {
    "Mutual information": {
        "estimate and truth (nats)": ["Multiline", ["train/mi$", "val/mi$", "test/mi$", "true_mi$"]]
    }
}


class Dashboard(Callback):
    """Fill TensorBoard, where it is the logger; do nothing with any other logger.

    Estimates and the truth stand in one chart (custom scalars), the critic's scores of joint and
    marginal pairs in histograms, and the hyperparameters beside the final estimate in the HParams
    tab.
    """

    def __init__(self) -> None:
        self._scores: dict[str, Tensor] | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        from torch.utils.tensorboard.summary import hparams

        plain = _flat(pl_module.hparams) | {"seed": torch.initial_seed()}
        for writer in _writers(trainer):
            writer.add_custom_scalars(LAYOUT)
            for summary in hparams(plain, dict.fromkeys(("val/mi", "test/mi"), 0.0)):
                writer.file_writer.add_summary(summary)

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
        for writer in _writers(trainer):
            for name, scores in self._scores.items():
                writer.add_histogram(f"scores/{name}", scores.float(), trainer.global_step)
        self._scores = None


def _writers(trainer: Trainer) -> list[Any]:
    """Return the TensorBoard writers of this run, on the process that writes."""
    if not trainer.is_global_zero:
        return []
    loggers = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
    return [logger.experiment for logger in loggers]


def _flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, bool | float | str]:
    """Flatten nested hyperparameters to values that TensorBoard shows.

    An object's configuration becomes its class name and, below it, its arguments.
    """
    flat: dict[str, bool | float | str] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping) and "class_path" in value:
            flat[prefix + key] = value["class_path"].rsplit(".", 1)[-1]
            flat |= _flat(value.get("init_args", {}), f"{prefix}{key}/")
        elif isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}/")
        elif not key.startswith("_") and value is not None:
            flat[prefix + key] = value if isinstance(value, (bool, int, float)) else str(value)
    return flat
