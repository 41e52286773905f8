"""Where rows lie while a critic is trained on an accelerator.

Rows that fit into half of the free memory of a GPU are moved there once, and minibatches are
gathered there; minibatches of others are copied from pinned memory, one ahead of the step. Random
numbers are always drawn on the CPU, so that the order of the rows is the same on every device, and
Lightning, which leaves alone what is already in its place, has nothing to move.
"""

import copy
from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from lightning.fabric.utilities.apply_func import apply_to_collection
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

__all__ = ["beside", "fits", "has_type_of", "moved", "placed", "training_device"]


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
        rows = rows.contiguous().pin_memory()  # an expanded tensor cannot be pinned
    return rows.to(device, non_blocking=True)


Fitted = TypeVar("Fitted")


def moved(fitted: Fitted, device: torch.device) -> Fitted:
    """Return a copy of any object whose tensors, also those deep within, lie on the device.

    Example:
        >>> moved({"scale": [torch.ones(2)]}, torch.device("meta"))["scale"][0].device
        device(type='meta')
    """
    with Moving(device):
        return copy.deepcopy(fitted)


class Moving(TorchFunctionMode):
    """Where a tensor is to be copied, move it."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.device = device

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.__deepcopy__:
            return args[0].detach().to(self.device)
        return func(*args, **(kwargs or {}))


def beside(batch: Any, module: nn.Module) -> Any:
    """Return a batch where the module's weights lie, its numbers of the type of the weights.

    That is not where ``module.device`` says before Lightning has moved the module, as in ``setup``.
    """
    weight = float_weight(module)
    if weight is None:
        return batch

    def moved(rows: Tensor) -> Tensor:
        return rows.to(weight.device, weight.dtype if rows.is_floating_point() else None)

    return apply_to_collection(batch, Tensor, moved)


def has_type_of(module: nn.Module, rows: Sequence[Tensor]) -> bool:
    """Whether numbers, unless they are integers, have the type of the module's weights."""
    weight = float_weight(module)
    types = {values.dtype for values in rows if values.is_floating_point()}
    return weight is None or types <= {weight.dtype}


def float_weight(module: nn.Module) -> Tensor | None:
    """Return a weight of a module, None if it has none."""
    return next((weight for weight in module.parameters() if weight.is_floating_point()), None)
