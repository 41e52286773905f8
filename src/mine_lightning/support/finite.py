"""Numbers that are not finite: finding them, and going back to before they came."""

import math
from collections.abc import Iterable, Sequence
from functools import reduce

import torch
from torch import Tensor

from mine_lightning.support.distributed import Processes
from mine_lightning.support.upstream import norms

__all__ = ["Snapshot", "any_bad", "bad", "read", "weights"]

SMALL = 2**16  # values, which take no longer to copy than to call a kernel for


class Snapshot:
    """What an optimizer changes, its state and further tensors, to go back to.

    Args:
        tensors: Further tensors, such as buffers.
        optimizer: The optimizer.
    """

    def __init__(self, tensors: Iterable[Tensor], optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer
        self.live = [*tensors, *weights(optimizer)]
        self.copies = [tensor.detach().clone() for tensor in self.live]
        self.states = {parameter: dict(state) for parameter, state in optimizer.state.items()}
        self.groups = [dict(group) for group in optimizer.param_groups]

    @torch.no_grad()
    def restore(self) -> None:
        """Put everything back in place."""
        for tensor, copy in zip(self.live, self.copies, strict=True):
            tensor.copy_(copy)
        self.optimizer.state.clear()
        self.optimizer.state.update(self.states)
        for group, kept in zip(self.optimizer.param_groups, self.groups, strict=True):
            group.update(kept)


def weights(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Return the parameters of an optimizer and the tensors of its state."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    states = optimizer.state.values()
    tensors = [value for state in states for value in state.values() if isinstance(value, Tensor)]
    return [*parameters, *tensors]


def any_bad(tensors: Iterable[Tensor], processes: Processes) -> bool:
    """Whether a floating point value is not finite on any process; waits for the device."""
    return bool(bad(tensors, processes))


@torch.no_grad()
def bad(tensors: Iterable[Tensor], processes: Processes) -> Tensor:
    """Return the number of processes with a floating point value that is not finite, shape ``()``.

    Small tensors are looked at together. Where all tensors lie on one device, nothing waits for it.
    """
    places: dict[torch.device, list[Tensor]] = {}
    for tensor in tensors:
        if tensor.is_floating_point() and tensor.numel() > 0:
            places.setdefault(tensor.device, []).append(tensor)
    accelerators_first = sorted(places, key=lambda device: device.type == "cpu")
    flags = [_bad(places[device]) for device in accelerators_first] or [torch.zeros(())]
    flag = flags[0] + sum(other.item() for other in flags[1:])
    flag = flag if processes.device is None else flag.to(processes.device)
    processes.sum_([flag])
    return flag


def read(values: Sequence[Tensor]) -> list[float]:
    """Return tensors of shape ``()`` on one device as numbers, which waits for the device once."""
    dtype = reduce(torch.promote_types, (value.dtype for value in values))
    return torch.stack([value.to(dtype) for value in values]).tolist()


def _bad(tensors: list[Tensor]) -> Tensor:
    small = [tensor.flatten() for tensor in tensors if tensor.numel() < SMALL]
    large = [tensor for tensor in tensors if tensor.numel() >= SMALL]
    together = [torch.cat(small)] if small else []
    largest = norms([*together, *large], math.inf)
    return (~torch.stack(largest).isfinite().all()).float()
