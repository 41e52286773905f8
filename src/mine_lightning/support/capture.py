"""Work on a GPU as one CUDA graph: recorded once, launched at once.

A step of a small critic takes a GPU less time than a CPU needs to launch its hundred kernels. A
graph of several steps is launched as one.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from lightning.fabric.utilities.apply_func import apply_to_collection
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from torch import Tensor

from mine_lightning.support.upstream import copy_

__all__ = ["CudaGraphs", "Graphs", "Recorder"]


class Graphs(Protocol):
    """How work on a device is recorded."""

    def warm_up(self, work: Callable[[], Any]) -> Any:
        """Do the work as usual, in the way that a recording needs; return what it returns."""

    def record(self, work: Callable[[], Any]) -> Callable[[], Any]:
        """Record the work without doing it.

        Returns:
            Does it, on the tensors that it was recorded with, and returns the same tensors as at
            every call, with new values.
        """


class CudaGraphs:
    """Recording with :class:`torch.cuda.CUDAGraph`, on the stream that the work has warmed up.

    Libraries keep their handles, and autograd its accumulators, by stream: on another one the
    recording would meet work that is not its own. Threads that pin memory or write logs may go on
    with theirs meanwhile.

    References:
        NVIDIA, "CUDA Graph Best Practice for PyTorch", 2025: quick checklist, capture failures.
    """

    def __init__(self) -> None:
        self.stream: torch.cuda.Stream | None = None

    def warm_up(self, work: Callable[[], Any]) -> Any:
        """Do the work on a stream of its own, where libraries set themselves up."""
        self.stream = torch.cuda.Stream()
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            result = work()
        torch.cuda.current_stream().wait_stream(self.stream)
        return result

    def record(self, work: Callable[[], Any]) -> Callable[[], Any]:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
            result = work()

        def replay() -> Any:
            graph.replay()
            return result

        return replay


class Recorder:
    """Work on several minibatches, replayed from one recording that copies of them are fed to.

    The first minibatches are worked on as usual, which warms up; the next ones are recorded and
    replayed. Minibatches of another shape are worked on as usual. Where the work cannot be
    recorded, so are all, and a warning says why.

    Args:
        work: Trains on minibatches, and returns tensors.
        graphs: How it is recorded.
    """

    def __init__(
        self, work: Callable[[Sequence[Any]], list[Tensor]], graphs: Graphs | None = None
    ) -> None:
        self.work, self.graphs = work, CudaGraphs() if graphs is None else graphs
        self._inputs: list[Any] = []
        self._replay: Callable[[], Any] | None = None
        self._warm = self._failed = False

    def __call__(self, batches: Sequence[Any]) -> list[Tensor]:
        if not self._warm:
            self._warm = True
            return self.graphs.warm_up(lambda: self.work(batches))
        if not (self._failed or self._replay):
            self._record(batches)
        if self._replay is None or shapes(batches) != shapes(self._inputs):
            return self.work(batches)
        copy_(tensors(self._inputs), tensors(batches))
        return [values.clone() for values in self._replay()]

    def _record(self, batches: Sequence[Any]) -> None:
        """Record the work on tensors like those of some minibatches."""
        self._inputs = [apply_to_collection(batch, Tensor, torch.empty_like) for batch in batches]
        try:
            self._replay = self.graphs.record(lambda: self.work(self._inputs))
        except RuntimeError as error:
            self._failed, self._inputs = True, []
            reason = " ".join(str(error).split())[:300]
            rank_zero_warn(f"Training goes on without a CUDA graph, which failed: {reason}")


def tensors(batches: Any) -> list[Tensor]:
    """Return the tensors of nested lists, tuples and dictionaries, in order."""
    if isinstance(batches, Tensor):
        return [batches]
    items = batches.values() if isinstance(batches, dict) else batches
    return [tensor for item in items for tensor in tensors(item)]


def shapes(batches: Any) -> list[tuple[torch.Size, torch.dtype]]:
    """Return the shapes and types of the tensors."""
    return [(tensor.shape, tensor.dtype) for tensor in tensors(batches)]
