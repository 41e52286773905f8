"""Optimizer steps of the critics of all folds: through Lightning, by hand, or as one CUDA graph."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from torch import Tensor

from mine_lightning.critics.backprop import is_untouched
from mine_lightning.data.loading.placement import placed
from mine_lightning.data.loading.stacks import Batch
from mine_lightning.support.adam import FusedAdam, is_fused_adam
from mine_lightning.support.capture import CudaGraphs, Graphs, Recorder
from mine_lightning.support.hooks import is_hooked
from mine_lightning.support.upstream import lerp_, note_step

__all__ = ["CapturedSteps", "FusedSteps", "HookedSteps", "choose_steps"]

# `benchmarks/constants.py`: .98 and .995 change no error, since so few rows make few steps, and the
# average begins with fewer of them.
AVERAGING = 0.99  # weight that the averaged weights keep at every step


def choose_steps(module: Any) -> "HookedSteps":
    """Return the fastest way to take steps that this run allows."""
    strategy, precision = module.trainer.strategy, module.trainer.precision
    whole = isinstance(strategy, (SingleDeviceStrategy, DDPStrategy)) and precision == "32-true"
    alone = not is_hooked(module) and is_untouched(module.networks)
    if not (whole and alone and is_fused_adam(module.optimizers().optimizer)):
        return HookedSteps(module)
    return (CapturedSteps if module.device.type == "cuda" else FusedSteps)(module)


class HookedSteps:
    """Steps through Lightning: every strategy, precision and hook has its part.

    Args:
        module: The :class:`~mine_lightning.estimate.crossfit.CrossFitEstimator` being trained.
    """

    def __init__(self, module: Any) -> None:
        self.module = module
        self.optimizer, self.scheduler = module.optimizers(), module.lr_schedulers()
        self.weights = list(module.networks.parameters())
        self.averages = list(module.averaged.parameters())

    def __call__(self, batches: Sequence[Batch]) -> Tensor:
        """Take one step for each minibatch; return the losses from before each, shape ``(K,)``.

        They are means over the folds.
        """
        return torch.stack([self._take(batch) for batch in batches])

    def _take(self, batch: Batch) -> Tensor:
        losses = self.module.losses(*self.module.score(batch))
        self.optimizer.zero_grad()
        with self._alone():
            self.module.manual_backward(losses.sum())
        self.optimizer.step()
        self.scheduler.step()
        with torch.no_grad():
            lerp_(self.averages, self.weights, self._share())
        return losses.detach().mean()

    def _alone(self) -> AbstractContextManager[None]:
        """Leave other processes out: all of them train on the same rows, to the same bit."""
        return getattr(self.module.trainer.strategy, "block_backward_sync", nullcontext)()

    def _share(self) -> float:
        """Return the weight of the latest weights in the average, after the step counted last."""
        steps = self.module.global_step
        return 1 - min(AVERAGING, (steps + 1) / (steps + 10))


class FusedSteps(HookedSteps):
    """Steps without the hooks, and without autograd.

    What changes from step to step, the learning rate and the weight in the average, lies beside the
    minibatches on their device, so that steps can be recorded.

    Args:
        module: The module being trained.
    """

    def __init__(self, module: Any) -> None:
        super().__init__(module)
        self.adam = FusedAdam(self.optimizer.optimizer)

    def __call__(self, batches: Sequence[Batch]) -> Tensor:
        plan = torch.tensor([self._count() for _ in batches], dtype=torch.float64)
        numbers = placed(plan, self.module.device)
        return self._take_all(list(zip(batches, numbers, strict=True)))[0]

    def _count(self) -> tuple[float, float]:
        """Count a step; return its learning rate, and the weight of its weights in the average."""
        (settings,) = self.optimizer.param_groups
        rate = settings["lr"]
        note_step(self.optimizer)
        self.scheduler.step()
        return rate, self._share()

    def _take_all(self, steps: Sequence[tuple[Batch, Tensor]]) -> list[Tensor]:
        return [torch.stack([self._take_one(*step) for step in steps])]

    @torch.no_grad()
    def _take_one(self, batch: Batch, numbers: Tensor) -> Tensor:
        """Take a step, given its learning rate and the weight of its weights in the average."""
        loss, gradients = self._differentiate(batch)
        rate, share = numbers
        self.adam.groups[0].rate.copy_(rate)
        self.adam.update(gradients)
        lerp_(self.averages, self.weights, share.to(loss.dtype))
        return loss

    def _differentiate(self, batch: Batch) -> tuple[Tensor, list[Tensor]]:
        """Return the mean loss of the folds, and the gradients of the sum of their losses."""
        networks = self.module.networks
        scores, tapes = networks.record(batch)
        losses, slopes = self.module.sloped(batch["offset"], scores)
        return losses.mean(), networks.backward(slopes, tapes)


class CapturedSteps(FusedSteps):
    """Steps replayed as one graph; another number of them at once has a graph of its own.

    Args:
        module: The module being trained.
        graphs: Makes what records a graph.
    """

    def __init__(self, module: Any, graphs: Callable[[], Graphs] = CudaGraphs) -> None:
        super().__init__(module)
        self.graphs, self.recorders = graphs, dict[int, Recorder]()

    def _take_all(self, steps: Sequence[tuple[Batch, Tensor]]) -> list[Tensor]:
        if len(steps) not in self.recorders:
            self.recorders[len(steps)] = Recorder(super()._take_all, self.graphs())
        return self.recorders[len(steps)](steps)
