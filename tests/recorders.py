"""Recorders of work that stand in for CUDA graphs on a CPU."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

READS = {torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero, torch.ops.aten.equal}


class Tape(TorchDispatchMode):
    """Note every operation with its tensors and its numbers, and undo what it does to them."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, Any, Any, Any]] = []
        self.before: list[tuple[Tensor, Tensor]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket in READS:
            raise RuntimeError("operation not permitted when stream is capturing")
        kwargs = kwargs or {}
        if func._schema.is_mutable:
            changed = [t for t in pytree.arg_tree_leaves(*args, **kwargs) if isinstance(t, Tensor)]
            self.before += [(tensor, tensor.clone()) for tensor in changed]
        result = func(*args, **kwargs)
        self.operations.append((func, args, kwargs, result))
        return result

    def undo(self) -> None:
        for tensor, value in reversed(self.before):
            tensor.copy_(value)

    def replay(self) -> None:
        """Do the same operations on the same tensors, with results in the same places."""
        for func, args, kwargs, result in self.operations:
            values = func(*args, **kwargs)
            if not func._schema.is_mutable:  # otherwise they are in their places
                for place, value in zip(*map(pytree.tree_leaves, (result, values)), strict=True):
                    place.copy_(value)


class Replays:
    """Record as a graph does: numbers of the host are frozen, tensors keep their places."""

    def __init__(self) -> None:
        self.replayed = 0

    def warm_up(self, work: Callable[[], Any]) -> Any:
        return work()

    def record(self, work: Callable[[], Any]) -> Callable[[], Any]:
        with Tape() as tape:
            result = work()
        with torch.no_grad():
            tape.undo()

        @torch.no_grad()
        def replay() -> Any:
            self.replayed += 1
            tape.replay()
            return result

        return replay


class Refuses(Replays):
    """Refuse to record, as CUDA does where an operation waits for the device."""

    def record(self, work: Callable[[], Any]) -> Callable[[], Any]:
        raise RuntimeError("operation not permitted when stream is capturing")
