"""Minibatches that are copied to the device one ahead of the step."""

from collections.abc import Iterator
from typing import Any

import torch
from lightning.fabric.utilities.apply_func import apply_to_collection
from torch import Tensor

from mine_lightning.data.loading.loaders import EpochLoader
from mine_lightning.data.loading.placement import placed

__all__ = ["Prefetcher", "prefetched"]


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
