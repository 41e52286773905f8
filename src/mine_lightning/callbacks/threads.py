"""As many processor threads as small matrices can use: one for each critic."""

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

__all__ = ["FewThreads"]

SMALL = 1_000_000


class FewThreads(Callback):
    """Train small critics on the CPU with one thread each, and restore the number afterwards.

    The matrices of a critic with fewer than a million parameters are too small to share: a second
    thread mostly waits, and on a busy machine it takes a multiple of the time. The members of an
    ensemble are shared out, at most one thread to each.
    """

    def __init__(self) -> None:
        self._threads: int | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        members = getattr(pl_module, "members", 1)
        small = sum(parameter.numel() for parameter in pl_module.parameters()) < SMALL * members
        if pl_module.device.type == "cpu" and small:
            self._threads = torch.get_num_threads()
            torch.set_num_threads(min(self._threads, members))

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
