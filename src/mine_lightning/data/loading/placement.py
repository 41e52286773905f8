"""Where rows lie while a critic is trained on an accelerator.

Rows that fit into half of the free memory of a GPU are moved there once, and minibatches are
gathered there; minibatches of others are copied from pinned memory, one ahead of the step. Random
numbers are always drawn on the CPU, so that the order of the rows is the same on every device, and
Lightning, which leaves alone what is already in its place, has nothing to move.
"""

from collections.abc import Iterator
from typing import Any

import torch
from lightning.fabric.utilities.apply_func import apply_to_collection
from lightning.pytorch import Trainer
from torch import Tensor

from mine_lightning.data.loading.loaders import EpochLoader

__all__ = ["Prefetcher", "fits", "placed", "prefetched", "training_device"]


def training_device(trainer: Trainer | None) -> torch.device:
    """Return where the module being trained is, which Lightning moves after its ``setup``."""
    module = None if trainer is None else trainer.lightning_module
    return torch.device("cpu") if module is None else torch.device(module.device)


def fits(values: int, device: torch.device) -> bool:
    """Return whether so many float32 values take up at most half of a GPU's free memory."""
    return device.type == "cuda" and 8 * values <= torch.cuda.mem_get_info(device)[0]


def placed(rows: Tensor, device: torch.device) -> Tensor:
    """Move rows to the device, from pinned memory if it is a GPU."""
    if device.type == "cuda" and rows.device.type == "cpu":
        rows = rows.pin_memory()
    return rows.to(device, non_blocking=True)


class Prefetcher:
    """A loader whose batches arrive on the device, the next one already on its way.

    The state is that of the loader after the batch last yielded, so a resumed run loses none.

    Args:
        loader: Yields batches on the CPU.
        device: Where they are to lie.
    """

    def __init__(self, loader: EpochLoader, device: torch.device) -> None:
        self.loader, self.device = loader, device
        self.batches = loader.batches
        self._state = loader.state_dict()

    def __len__(self) -> int:
        return len(self.loader)

    @property
    def sampler(self) -> EpochLoader:
        """Where Lightning looks for ``set_epoch``."""
        return self.loader

    def __iter__(self) -> Iterator[Any]:
        batches = ((self._move(batch), self.loader.state_dict()) for batch in self.loader)
        following = next(batches, None)
        while following is not None:
            batch, state = following
            following = next(batches, None)
            self._state = state
            yield batch

    def _move(self, batch: Any) -> Any:
        return apply_to_collection(batch, Tensor, placed, self.device)

    def state_dict(self) -> dict[str, int]:
        return self._state

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.loader.load_state_dict(state)
        self._state = state


def prefetched(loader: EpochLoader, device: torch.device) -> EpochLoader | Prefetcher:
    """Return a loader of the same batches on the device: itself, if they are made there."""
    return loader if loader.device == device else Prefetcher(loader, device)
