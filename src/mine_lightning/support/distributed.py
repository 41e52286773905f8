r"""Collectives that the mathematics needs; without other processes each of them is the identity.

The bounds are no means over rows, so the mean of the processes' bounds is another bound. All
processes gather their scores, and each computes the one loss of all rows,

.. math:: L(T_1, \dots, T_W), \qquad T_w = T_\theta(x_w, z_w),

whose gradient is the sum over processes of what flows through their own scores:

.. math::
    \frac{dL}{d\theta} = \sum_w \frac{\partial L}{\partial T_w} \frac{\partial T_w}{\partial \theta}
    = \frac 1W \sum_w W \frac{\partial L}{\partial T_w} \frac{\partial T_w}{\partial \theta}.

So :meth:`Processes.gather` returns W times the gradient of the own rows, and the mean over the
processes, which DistributedDataParallel takes, is the gradient of a single process with all rows.
A parameter of the loss itself has the same gradient on every process, and so has the mean.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

__all__ = ["Processes"]


class Processes:
    """The processes of the default group.

    Every method is a collective: all processes call it, also one that has no rows.

    Args:
        alone: Leave the other processes out, if there are any.
        even: Whether all have the same number of rows, which saves asking for it.

    Attributes:
        count: Number W of processes.
        rank: This one's place among them.
        device: Where tensors have to be to be exchanged; None for where they are.
    """

    def __init__(self, alone: bool = False, even: bool = False) -> None:
        ready = not alone and dist.is_available() and dist.is_initialized()
        self.count = dist.get_world_size() if ready else 1
        self.rank = dist.get_rank() if ready else 0
        cuda = ready and "nccl" in dist.get_backend()
        self.device = torch.device("cuda", torch.cuda.current_device()) if cuda else None
        self.even = even

    def rows(self, own: int) -> list[int]:
        """Return how many rows each process has."""
        if self.count == 1 or self.even:
            return [own] * self.count
        counts = torch.zeros(self.count, dtype=torch.long, device=self.device)
        counts[self.rank] = own
        dist.all_reduce(counts)
        return counts.tolist()

    def gather(self, own: Tensor, rows: Sequence[int] | None = None) -> Tensor:
        """Return the rows of all processes in the order of their ranks.

        Args:
            own: This process's rows, shape ``(N, ...)``.
            rows: How many each process has, as :meth:`rows` returns; it is asked for by default.

        Returns:
            Shape ``(sum of N, ...)``. The gradient of the own rows is the sum over the processes,
            given that they all compute the same of the result.
        """
        if self.count == 1:
            return own
        rows = self.rows(len(own)) if rows is None else rows
        padded = own.new_zeros(max(rows), *own.shape[1:])
        padded[: len(own)] = own.detach()
        blocks = [torch.empty_like(padded) for _ in rows]
        dist.all_gather(blocks, padded)
        parts = [block[:count] for block, count in zip(blocks, rows, strict=True)]
        parts[self.rank] = self._multiplied(own)
        return torch.cat(parts)

    def _multiplied(self, own: Tensor) -> Tensor:
        """Return the same values with W times their gradient."""
        if own.requires_grad:
            own = own.view_as(own)
            own.register_hook(lambda gradient: self.count * gradient)
        return own

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
