"""Many optimizer steps as one CUDA graph: recorded once, launched at once.

A step of a small critic takes a GPU less time than a CPU needs to launch its hundred kernels. A
graph of them is launched as one.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from lightning.fabric.utilities.apply_func import apply_to_collection
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from torch import Tensor

from mine_lightning.support.upstream import copy_
from mine_lightning.training.steps import BareStep

__all__ = ["CapturedStep", "CudaGraphs", "Graphs"]

CAPTURED = 16  # steps in a graph: what is launched beside it, copies and the replay, is shared


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


class CapturedStep(BareStep):
    """Steps replayed from one recording of several, fed with their minibatches by copies.

    The first minibatches are trained on as usual, which warms up; the next ones are recorded and
    replayed. Minibatches of another shape, and those that do not fill a recording, are trained on
    as usual. Where the work cannot be recorded, so are all, and a warning says why.

    Args:
        step: How a step is taken as usual.
        graphs: How it is recorded.
    """

    def __init__(self, step: BareStep, graphs: Graphs | None = None) -> None:
        super().__init__(step.module)
        self.usual, self.graphs = step, CudaGraphs() if graphs is None else graphs
        self._inputs: list[Any] = []
        self._replay: Callable[[], Any] | None = None
        self._warm = self._failed = False

    def take_all(self, batches: Sequence[Any]) -> list[tuple[Tensor, Any]]:
        whole = 0 if self._failed else len(batches) - len(batches) % CAPTURED
        parts = [batches[first : first + CAPTURED] for first in range(0, whole, CAPTURED)]
        taken = [result for part in parts for result in self._take_part(part)]
        return taken + self.usual.take_all(batches[whole:])

    def _take_part(self, batches: Sequence[Any]) -> list[tuple[Tensor, Any]]:
        if not self._warm:
            self._warm = True
            return self.graphs.warm_up(lambda: self.usual.take_all(batches))
        if self._failed or not (self._replay or self._record(batches)):
            return self.usual.take_all(batches)
        if shapes(batches) != shapes(self._inputs):
            return self.usual.take_all(batches)
        self.usual.prepare()
        copy_(tensors(self._inputs), tensors(batches))
        assert self._replay is not None
        losses, joint, marginal = (values.clone() for values in self._replay())
        return list(zip(losses, zip(joint, marginal, strict=True), strict=True))

    def _record(self, batches: Sequence[Any]) -> bool:
        """Record steps on tensors like those of some minibatches; return whether that worked."""
        self._inputs = [apply_to_collection(batch, Tensor, torch.empty_like) for batch in batches]
        try:
            self._replay = self.graphs.record(self._work)
        except RuntimeError as error:
            self._failed, self._inputs = True, []
            reason = " ".join(str(error).split())[:300]
            rank_zero_warn(f"Training goes on without a CUDA graph, which failed: {reason}")
        return not self._failed

    def _work(self) -> list[Tensor]:
        """Take the steps of the tensors held; return losses and scores, each stacked."""
        losses, scores = zip(*self.usual.take_steps(self._inputs), strict=True)
        return [torch.stack(values) for values in (losses, *zip(*scores, strict=True))]


def tensors(batches: Any) -> list[Tensor]:
    """Return the tensors of nested lists, tuples and dictionaries, in order."""
    if isinstance(batches, Tensor):
        return [batches]
    items = batches.values() if isinstance(batches, dict) else batches
    return [tensor for item in items for tensor in tensors(item)]


def shapes(batches: Any) -> list[tuple[torch.Size, torch.dtype]]:
    """Return the shapes and types of the tensors."""
    return [(tensor.shape, tensor.dtype) for tensor in tensors(batches)]
