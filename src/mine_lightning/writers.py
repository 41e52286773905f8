"""Writing what ``Trainer.predict`` returns."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter

from mine_lightning.data.modules import PairDataModule
from mine_lightning.files import TABLE_SUFFIXES, check_output, write_table

__all__ = ["PointwiseWriter"]


class PointwiseWriter(BasePredictionWriter):
    """Write the pointwise mutual information of each row to a CSV, TSV or Parquet file.

    The columns are ``row`` (its place in the data), ``split`` (train, val or test, where the
    DataModule knows it) and ``pointwise_mi`` in nats. Values of training rows come from a critic
    that has seen them.

    Args:
        output: The file to write.

    Raises:
        ValueError: If the suffix is another one, or the directory is missing or read-only.
    """

    def __init__(self, output: str) -> None:
        super().__init__(write_interval="epoch")
        self.output: Path = check_output(output, TABLE_SUFFIXES)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if trainer.world_size > 1:
            raise ValueError("Expected `predict` to run in one process to write its rows in order.")

    def write_on_epoch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        predictions: Sequence[Any],
        batch_indices: Sequence[Any],
    ) -> None:
        values = torch.cat(list(predictions)).double().cpu()
        frame = pd.DataFrame({"row": range(len(values)), "pointwise_mi": values.numpy()})
        data = getattr(trainer, "datamodule", None)
        if isinstance(data, PairDataModule):
            frame["row"] = data.rows_of_input()
            frame.insert(1, "split", data.split_of_rows())
        write_table(frame, self.output)
