"""Steps of the optimizer that leave nothing behind if a number in them is not finite."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from mine_lightning.support.distributed import Processes
from mine_lightning.support.finite import Snapshot, any_bad, bad, weights

__all__ = ["Attempt", "Guard", "OnNonfinite", "Step", "TakeSteps", "at_step", "gather_steps"]

OnNonfinite = Literal["raise", "skip"]
TakeSteps = Callable[[Sequence[Any]], Sequence[tuple[Tensor, Any]]]


class Step(NamedTuple):
    """The loss and the scores of a minibatch, from before its optimizer step."""

    loss: Tensor
    scores: tuple[Tensor, Tensor]


class Attempt(NamedTuple):
    """Steps that were taken, and how to take them back.

    Attributes:
        steps: Their losses and scores.
        bad: Above 0 if something in them is not finite, shape ``()``, not read yet.
        undo: Puts everything back as it was before.
    """

    steps: list[Step]
    bad: Tensor
    undo: Callable[[], None]


def gather_steps(steps: Sequence[Step], processes: Processes) -> list[Step]:
    """Return the steps of all processes, for minibatches of one size."""
    if processes.count == 1:
        return list(steps)
    losses = torch.stack([step.loss for step in steps])
    scores = [torch.stack(side) for side in zip(*(step.scores for step in steps), strict=True)]
    loss, joint, marginal = map(processes.gather, (losses, *scores))
    return [Step(*step) for step in zip(loss, zip(joint, marginal, strict=True), strict=True)]


class Guard:
    """Take stacks of optimizer steps, and take back what is not finite.

    Finite have to be the loss and the scores of each minibatch and, afterwards, the parameters and
    the optimizer's state. :meth:`attempt` leaves the answer on the device, so that one reading for
    a stack is enough. If something is not finite, the stack is taken back and repeated minibatch by
    minibatch: the good ones count, a bad one changes no parameter, buffer or optimizer state.

    Args:
        module: The module with one optimizer, whose ``parts()`` are its critic and its objective.
        on_nonfinite: Whether a bad minibatch raises or is skipped.

    Attributes:
        skipped: Number of minibatches skipped.
    """

    def __init__(self, module: Any, on_nonfinite: OnNonfinite) -> None:
        self.module, self.on_nonfinite = module, on_nonfinite
        self.skipped = 0

    def attempt(self, batches: Sequence[Any], step: TakeSteps, processes: Processes) -> Attempt:
        """Take one optimizer step for each minibatch, without waiting for the device.

        On several processes this is a collective call.

        Args:
            batches: The minibatches.
            step: Takes the steps of minibatches; returns their losses and scores.
            processes: Those that have to agree on what is finite.
        """
        before, progress = self._snapshot(), step_progress(self.module).state_dict()
        steps = [Step(*taken) for taken in step(batches)]

        def undo() -> None:
            before.restore()
            step_progress(self.module).load_state_dict(progress)

        return Attempt(steps, self._bad(steps, processes), undo)

    def one_by_one(
        self, batches: Sequence[Any], step: TakeSteps, processes: Processes
    ) -> list[Step]:
        """Take the steps that can be taken; the arguments are those of :meth:`attempt`.

        Raises:
            FloatingPointError: If a number is not finite and ``on_nonfinite`` is "raise".
        """
        return [kept for batch in batches for kept in self._alone(batch, step, processes)]

    def _alone(self, batch: Any, step: TakeSteps, processes: Processes) -> list[Step]:
        steps, bad, undo = self.attempt([batch], step, processes)
        if not bool(bad):
            return steps
        undo()
        if self.on_nonfinite == "raise":
            raise FloatingPointError(self._cause(batch, steps[0], processes))
        count_step(self.module)
        self.skipped += 1
        return []

    def _snapshot(self) -> Snapshot:
        buffers = [buffer for part in self.module.parts() for buffer in part.buffers()]
        return Snapshot(buffers, self._optimizer)

    @property
    def _optimizer(self) -> torch.optim.Optimizer:
        wrapped: Any = self.module.optimizers()
        return wrapped.optimizer

    def _bad(self, steps: list[Step], processes: Processes) -> Tensor:
        losses, scores = zip(*steps, strict=True)
        joint, marginal = zip(*scores, strict=True)
        numbers = torch.stack(losses), torch.cat(joint), *marginal
        return bad([*numbers, *weights(self._optimizer)], processes)

    def _cause(self, batch: dict[str, Any], step: Step, processes: Processes) -> str:
        """Say what is not finite and why that may be."""
        _, objective = self.module.parts()
        largest = max(scores.abs().max().item() for scores in step.scores)
        rows = [*batch["joint"], batch["marginal"]]
        if any_bad(rows, processes):
            cause = "The batch holds values that are NaN or infinite: clean the data."
        elif not math.isfinite(largest):
            cause = (
                "The critic's scores overflow: scale the data, lower the learning rate, or clip "
                "the gradients (`gradient_clip_val`)."
            )
        elif not step.loss.isfinite():
            cause = (
                f"An exponential of this objective overflows at scores up to {largest:.3g}: scale "
                "the data, lower the learning rate, set `stable=True` where the objective has it, "
                "or use one without such exponentials (MINE, InfoNCE, SMILE)."
            )
        else:
            cause = (
                "The gradient or the optimizer's update overflows: scale the data, lower the "
                "learning rate, or clip the gradients (`gradient_clip_val`)."
            )
        return (
            f"Expected finite numbers at step {self.module.global_step} of "
            f"{objective.label}, got a loss of "
            f"{step.loss.item():.4g} and scores up to {largest:.4g}. {cause} The weights are those "
            "from before the step; `on_nonfinite='skip'` skips such minibatches."
        )


def step_progress(module: LightningModule) -> Any:
    """Return what Lightning counts the optimizer steps with."""
    trainer: Any = module.trainer
    return trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress


def count_step(module: LightningModule) -> None:
    """Let a step that was not taken count, so that ``max_steps`` ends a run of bad minibatches."""
    progress = step_progress(module)
    progress.increment_ready()
    progress.increment_completed()


@contextmanager
def at_step(module: LightningModule) -> Iterator[None]:
    """Name the step in the error if a number is not finite."""
    try:
        yield
    except FloatingPointError as error:
        raise FloatingPointError(f"At step {module.global_step}: {error}") from error
