"""What a learner needs of the other processes of a run; nothing, where there is one."""

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

__all__ = ["Processes"]


class Processes:
    """The processes of the default group.

    Every method is a collective: all processes call it, also one that has no rows.
    """

    def __init__(self) -> None:
        ready = dist.is_available() and dist.is_initialized()
        self.count = dist.get_world_size() if ready else 1
        self.rank = dist.get_rank() if ready else 0
        cuda = ready and "nccl" in dist.get_backend()
        self.device = torch.device("cuda", torch.cuda.current_device()) if cuda else None

    def rows(self, own: int) -> list[int]:
        """Return how many rows each process has."""
        if self.count == 1:
            return [own]
        counts = torch.zeros(self.count, dtype=torch.long, device=self.device)
        counts[self.rank] = own
        dist.all_reduce(counts)
        return counts.tolist()

    def gather(self, own: Tensor, rows: list[int]) -> Tensor:
        """Return the rows of all processes; the gradient flows through those of this one."""
        if self.count == 1:
            return own
        padded = own.new_zeros(max(rows), *own.shape[1:])
        padded[: len(own)] = own.detach()
        blocks = [torch.empty_like(padded) for _ in rows]
        dist.all_gather(blocks, padded)
        parts = [block[:count] for block, count in zip(blocks, rows, strict=True)]
        parts[self.rank] = own
        return torch.cat(parts)

    def sum_(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by their sums over the processes."""
        if self.count > 1:
            tensors = list(tensors)
            flat = torch.cat([tensor.flatten() for tensor in tensors])
            dist.all_reduce(flat)
            parts = flat.split([tensor.numel() for tensor in tensors])
            for tensor, part in zip(tensors, parts, strict=True):
                tensor.copy_(part.view_as(tensor))

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by those of the first process."""
        if self.count > 1:
            for tensor in tensors:
                dist.broadcast(tensor.data, src=0)

    def first(self, own: Any) -> Any:
        """Return the object of the first process that has one."""
        if self.count == 1:
            return own
        objects: list[Any] = [None] * self.count
        dist.all_gather_object(objects, own)
        return next(found for found in objects if found is not None)
