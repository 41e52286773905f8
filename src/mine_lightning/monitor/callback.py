"""The callback: attaches a learner to the training steps of any LightningModule."""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from mine_lightning.monitor.isolation import evaluating, isolated
from mine_lightning.monitor.learner import Estimate, MutualInformationLearner
from mine_lightning.monitor.taps import (
    Calls,
    Recorder,
    Tap,
    TapFunction,
    check_eager,
    find_submodule,
    parse_tap,
)
from mine_lightning.objectives import Objective
from mine_lightning.support.arguments import check_integer

__all__ = ["MutualInformationMonitor"]


class MutualInformationMonitor(Callback):
    """Follow the mutual information of two tensors of any LightningModule's training steps.

    The callback trains a critic of its own beside the host and logs ``<name>``, the estimate in
    nats, and ``<name>_standard_error``. Every pair is scored before the critic trains on it; the
    scores of the latest ``window`` captured steps are pooled. Nothing else about the run changes:
    the host's parameters, gradients, buffers, optimizers, random streams, checkpointed weights and
    logged values are the same to the bit.

    ``x`` and ``z`` say where the tensors come from:

    - ``"generator:output"``, ``"generator:input"``: what a submodule, by its dotted name, returns
      or is given. Items lead into nested values and name arguments: ``"model:output[3]"``,
      ``"model:output[1][z]"``, ``"net:input[1]"``, ``"net:input[speaker]"``. The submodule has to
      be called, ``self.generator(z)``; another method of it leaves no trace.
    - ``"batch"``, ``"batch[0]"``, ``"batch[image]"``: a field of the batch, as it was before the
      step.
    - ``"outputs[z]"``: a key of what ``training_step`` returns.
    - a function ``(trainer, pl_module, outputs, batch) -> Tensor``, called after the step without
      gradients, with the host in evaluation mode and random streams of its own.

    Args:
        x: Where x comes from.
        z: Where z comes from.
        name: Name of the curve; has to differ between monitors of one Trainer.
        critic: Critic ``critic(x, z) -> scores`` of which a copy is trained; by default
            :class:`~mine_lightning.ConcatCritic` on vectors, with a convolutional encoder where
            rows are images. Let x be the image: it is encoded once, z once for each partner.
        objective: What to train on and to report; :class:`~mine_lightning.MINE` by default.
        optimizer: Makes the critic's optimizer from its parameters; Adam by default.
        calls: Which calls of a submodule in one step count: the first, the last, or all of them,
            one below the other.
        every_n_steps: Rest until the n-th training batch after a captured one, then listen until
            there is a pair: hosts that alternate between networks are followed too.
        steps_per_batch: Optimizer steps of the critic for each captured batch.
        partners: Partners from the same batch for each row.
        window: Captured steps whose scores the estimate pools.
        replay: Rows of recent pairs kept to train on beside the new ones.
        gradient_clip_val: Largest norm of the critic's gradient; None for no clipping.
        patience: Captured steps without a pair after which to warn, once.
        seed: Seed of everything random in the monitor.

    Raises:
        ValueError: If an argument is out of range or a tap has none of the forms above; at the
            start of training, if there is no such submodule or it runs inside a compiled graph;
            during a step, if a tap leads to no tensor or x and z differ in rows.

    Example:
        >>> monitor = MutualInformationMonitor(x="generator:output", z="generator:input")
        >>> monitor.state_key
        "MutualInformationMonitor{'name': 'mi'}"
    """

    def __init__(
        self,
        x: str | TapFunction,
        z: str | TapFunction,
        name: str = "mi",
        critic: nn.Module | None = None,
        objective: Objective | None = None,
        optimizer: Callable[..., Optimizer] | None = None,
        calls: Calls = "first",
        every_n_steps: int = 4,
        steps_per_batch: int = 1,
        partners: int = 8,
        window: int = 100,
        replay: int = 0,
        gradient_clip_val: float | None = 1.0,
        patience: int = 100,
        seed: int = 0,
    ) -> None:
        check_integer("every_n_steps", every_n_steps)
        check_integer("patience", patience)
        if calls not in ("first", "last", "all"):
            raise ValueError(f"Expected `calls` to be 'first', 'last' or 'all', got {calls!r}.")
        self.name, self.calls = name, calls
        self.every_n_steps, self.patience = every_n_steps, patience
        self.taps = {
            "x": x if callable(x) else parse_tap("x", x),
            "z": z if callable(z) else parse_tap("z", z),
        }
        self.learner = MutualInformationLearner(
            critic, objective, optimizer, steps_per_batch, partners, window, replay,
            gradient_clip_val, seed,
        )  # fmt: skip
        self._state_key = self._generate_state_key(name=name)
        self._recorders: dict[str, Recorder] = {}
        self._handles: list[RemovableHandle] = []
        self._batches = self._wait = self._empty = 0
        self._resumed = False

    @property
    def state_key(self) -> str:
        return self._state_key

    def estimate(self) -> Estimate:
        """Return the current estimate and its standard error in nats; nan before the first."""
        return self.learner.compute()

    def state_dict(self) -> dict[str, Any]:
        return {"batches": self._batches, "wait": self._wait, "learner": self.learner.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._batches, self._wait = state_dict["batches"], state_dict["wait"]
        self.learner.load_state_dict(state_dict["learner"])
        self._resumed = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Attach; begin anew unless the run itself continues."""
        if trainer.global_step == 0 and not self._resumed:
            self.learner.reset()
            self._batches = self._wait = 0
        self._resumed, self._empty = False, 0
        self._detach()
        for which, tap in self.taps.items():
            if isinstance(tap, Tap) and tap.module:
                module = find_submodule(pl_module, tap)
                check_eager(pl_module, tap)
                self._recorders[which] = recorder = Recorder(tap, self.calls)
                self._handles.append(recorder.attach(module))

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Listen to the submodules, and copy what is tapped of the batch before the step."""
        self._captured: dict[str, Tensor | None] = {}
        self._active = self._wait == 0
        self._wait = max(0, self._wait - 1)
        self._batches += 1
        if not self._active:
            return
        for recorder in self._recorders.values():
            recorder.start()
        for which, tap in self.taps.items():
            if isinstance(tap, Tap) and tap.port == "batch":
                self._captured[which] = tap.pick(batch)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Hand what was captured to the learner and log the estimate where Lightning logs."""
        if self._active:
            for which, recorder in self._recorders.items():
                self._captured[which] = recorder.stop()
            for which, tap in self.taps.items():
                if which not in self._captured:
                    self._captured[which] = self._after_step(
                        tap, trainer, pl_module, outputs, batch
                    )
            self._learn()
        if self._logs(trainer):
            mi, standard_error = self.learner.compute()
            values = {self.name: mi, f"{self.name}_standard_error": standard_error}
            pl_module.log_dict(values, batch_size=1)

    def _after_step(
        self,
        tap: Tap | TapFunction,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
    ) -> Tensor:
        if isinstance(tap, Tap):
            return tap.pick(outputs)
        with isolated(self._batches), torch.no_grad(), evaluating(pl_module):
            value = tap(trainer, pl_module, outputs, batch)
        return Tap("outputs", text=getattr(tap, "__name__", "function")).pick(value)

    def _learn(self) -> None:
        missing = [which for which, value in self._captured.items() if value is None]
        self._empty = self._empty + 1 if missing else 0
        if self._empty == self.patience:
            names = " and ".join(f"'{self._recorders[which].tap.text}'" for which in missing)  # type: ignore[union-attr]
            warnings.warn(
                f"Monitor {self.name!r} saw no call of {names} in {self.patience} training steps. "
                "A submodule's own methods leave no trace, only calling it does. Tap another "
                "submodule, or give a function (trainer, pl_module, outputs, batch) -> Tensor.",
                stacklevel=2,
            )
        if self.learner.update(self._captured["x"], self._captured["z"]):
            self._wait = self.every_n_steps - 1

    @staticmethod
    def _logs(trainer: Trainer) -> bool:
        """Return whether Lightning writes what is logged in this step."""
        if trainer.barebones:
            return False
        return (
            bool(getattr(trainer, "fast_dev_run", 0))
            or trainer._logger_connector.should_update_logs
        )

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._detach()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._detach()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._detach()

    def _detach(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles, self._recorders = [], {}
