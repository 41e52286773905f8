"""As many processor threads as small matrices can use: one."""

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

__all__ = ["SingleThread"]

SMALL = 1_000_000


class SingleThread(Callback):
    """Train small critics on the CPU with one thread, and restore the number afterwards.

    The matrices of a critic with fewer than a million parameters are too small to share: a second
    thread mostly waits, and on a busy machine it takes a multiple of the time.
    """

    def __init__(self) -> None:
        self._threads: int | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        small = sum(parameter.numel() for parameter in pl_module.parameters()) < SMALL
        if pl_module.device.type == "cpu" and small:
            self._threads = torch.get_num_threads()
            torch.set_num_threads(1)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._restore()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._restore()

    def _restore(self) -> None:
        if self._threads is not None:
            torch.set_num_threads(self._threads)
            self._threads = None
