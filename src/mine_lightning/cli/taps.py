"""``mine-lightning taps``: all that a monitor can follow in a configured model."""

from typing import Any

from lightning.pytorch import LightningDataModule, LightningModule

from mine_lightning.cli.lightning import Cli
from mine_lightning.monitor import list_taps

__all__ = ["TapsCli"]


class TapsCli(Cli):
    """Takes the command line of ``fit``, and lists the tensors of one step in place of training."""

    def fit(self, model: LightningModule, datamodule: LightningDataModule, **kwargs: Any) -> None:
        """Take one step on a copy of the model; print each tap with its shape."""
        datamodule.prepare_data()
        datamodule.setup("fit")
        print(list_taps(model, next(iter(datamodule.train_dataloader()))))

    def after_fit(self) -> None:
        """Report nothing: nothing was trained."""
