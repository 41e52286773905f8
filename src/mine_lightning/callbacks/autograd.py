"""Training inside a host's inference mode, in which there are no gradients."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

__all__ = ["AutogradMode"]


class AutogradMode(Callback):
    """Leave inference mode for a run that trains, and come back to it afterwards."""

    def __init__(self) -> None:
        self._left: Any = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit" and torch.is_inference_mode_enabled():
            self._left = torch.inference_mode(False)
            self._left.__enter__()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._return()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._return()

    def _return(self) -> None:
        if self._left is not None:
            self._left.__exit__(None, None, None)
            self._left = None
