"""Optimizer steps of a critic as one CUDA graph."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mine_lightning.support.capture import Graphs, Recorder
from mine_lightning.training.steps import BareStep

__all__ = ["CapturedStep"]

CAPTURED = 16  # steps in a graph: what is launched beside it, copies and the replay, is shared


class CapturedStep(BareStep):
    """Steps replayed from one recording of several, see
    :class:`~mine_lightning.support.capture.Recorder`; those that do not fill one are as usual.

    Args:
        step: How a step is taken as usual.
        graphs: How it is recorded.
    """

    def __init__(self, step: BareStep, graphs: Graphs | None = None) -> None:
        super().__init__(step.module)
        self.usual, self.recorder = step, Recorder(self._work, graphs)

    def take_all(self, batches: Sequence[Any]) -> list[tuple[Tensor, Any]]:
        whole = len(batches) - len(batches) % CAPTURED
        parts = [batches[first : first + CAPTURED] for first in range(0, whole, CAPTURED)]
        taken = [result for part in parts for result in self._take_part(part)]
        return taken + self.usual.take_all(batches[whole:])

    def _take_part(self, batches: Sequence[Any]) -> list[tuple[Tensor, Any]]:
        self.usual.prepare()
        losses, joint, marginal = self.recorder(batches)
        return list(zip(losses, zip(joint, marginal, strict=True), strict=True))

    def _work(self, batches: Sequence[Any]) -> list[Tensor]:
        """Take steps as usual; return losses and scores, each stacked."""
        losses, scores = zip(*self.usual.take_steps(batches), strict=True)
        return [torch.stack(values) for values in (losses, *zip(*scores, strict=True))]
