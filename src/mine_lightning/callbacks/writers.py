"""Writing what ``Trainer.predict`` returns."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from mine_lightning.data.modules import PairDataModule
from mine_lightning.support.files import TABLE_SUFFIXES, check_output, write_table

__all__ = ["PointwiseWriter"]


class PointwiseWriter(Callback):
    """Write the pointwise mutual information of each row to a CSV, TSV or Parquet file.

    The columns are ``row`` (its place in the data), ``split`` (train, val or test, where the
    DataModule knows it) and ``pointwise_mi`` in nats. Values of training rows come from a critic
    that has seen them.

    Args:
        output: The file to write.
        overwrite: Whether it may exist.

    Raises:
        ValueError: If the suffix is another one, the directory is missing or read-only, or the
            file exists and must not be replaced.
    """

    def __init__(self, output: str, overwrite: bool = False) -> None:
        self.output: Path = check_output(output, TABLE_SUFFIXES, overwrite=overwrite)
        self._values: list[Tensor] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if trainer.world_size > 1:
            raise ValueError("Expected `predict` to run in one process to write its rows in order.")
        self._values = []

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._values.append(outputs.double().cpu())

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        import pandas as pd

        values = torch.cat(self._values)
        frame = pd.DataFrame({"row": range(len(values)), "pointwise_mi": values.numpy()})
        data = getattr(trainer, "datamodule", None)
        if isinstance(data, PairDataModule):
            frame["row"] = data.rows_of_input()
            frame.insert(1, "split", data.split_of_rows())
        write_table(frame, self.output)
