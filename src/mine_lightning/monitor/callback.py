"""The callback: attaches learners to the training steps of any LightningModule."""

import copy
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from mine_lightning.callbacks.dashboard import MonitorCharts
from mine_lightning.monitor.isolation import evaluating, isolated
from mine_lightning.monitor.learner import Estimate, MutualInformationLearner
from mine_lightning.monitor.listing import list_taps
from mine_lightning.monitor.taps import (
    Call,
    Recorder,
    Tap,
    TapFunction,
    check_calls,
    check_eager,
    find_submodule,
    parse_tap,
)
from mine_lightning.support.arguments import check_integer
from mine_lightning.support.callbacks import callbacks_of
from mine_lightning.support.upstream import logged_by_others, logs_now, state_key

__all__ = ["MutualInformationMonitor", "monitors_of"]

HOOK = "on_train_batch_end"  # in which the monitor logs


class MutualInformationMonitor(Callback):
    """Follow the mutual information of two tensors of any LightningModule's training steps.

    The callback learns beside the host and logs ``<name>``, the estimate in nats,
    ``<name>_standard_error``, ``<name>_ceiling``, which the estimate cannot pass, and
    ``<name>_warming_up``, which is 1 as long as there are few pairs or the critic still learns;
    :class:`~mine_lightning.monitor.MutualInformationLearner` says how. TensorBoard's custom scalars
    show every curve with its ceiling. Nothing else about the run
    changes: the host's parameters, gradients, buffers, optimizers, random streams, checkpointed
    weights and logged values are the same to the bit.

    ``x`` and ``z`` say where the tensors come from:

    - ``"generator:output"``, ``"generator:input"``: what a submodule, by its dotted name, returns
      or is given. Items lead into nested values and name arguments: ``"model:output[3]"``,
      ``"model:output[1][z]"``, ``"net:input[1]"``, ``"net:input[speaker]"``. The submodule has to
      be called, ``self.generator(z)``; another method of it leaves no trace. Of several calls in a
      step ``@`` says which count: ``"head:output@0"`` and ``"head:output@1"`` are the first and the
      second view in contrastive learning.
    - ``"batch"``, ``"batch[0]"``, ``"batch[image]"``: a field of the batch, as it was before the
      step.
    - ``"outputs[z]"``: a key of what ``training_step`` returns.
    - a function ``(trainer, pl_module, outputs, batch) -> Tensor``, called after the step without
      gradients, with the host in evaluation mode and random streams of its own.

    :func:`~mine_lightning.monitor.list_taps` shows all that a model has. Steps without one of the
    tensors are left out.

    Args:
        x: Where x comes from.
        z: Where z comes from.
        name: Name of the curve; has to differ between monitors of one Trainer.
        pairs: In place of x and z, several pairs by name, ``{"code-image": (x, z)}``; their curves
            are ``<name>/code-image`` and so on.
        learner: What learns from the pairs, a copy of it from each; by default
            :class:`~mine_lightning.monitor.MutualInformationLearner`.
        calls: Which calls of a submodule in one step count where a tap does not say: the first, the
            last, all of them, one below the other, or the one of that number, from 0 on.
        every_n_steps: Rest until the n-th training batch after a captured one, then listen until
            there is a pair: hosts that alternate between networks are followed too.
        patience: Captured steps without a pair after which to warn, once.

    Raises:
        ValueError: If an argument is out of range, there are neither x and z nor pairs, or a tap
            has none of the forms above; at the start of training, if there is no such submodule, it
            runs inside a compiled graph, or another monitor has a curve of that name; during a
            step, if a tap leads to no tensor, x and z differ in rows, or the host logs a curve of
            that name itself.

    Example:
        >>> monitor = MutualInformationMonitor(x="generator:output", z="generator:input")
        >>> monitor.curves
        ['mi']
        >>> MutualInformationMonitor(pairs={"a": ("net:input", "net:output")}).curves
        ['mi/a']
    """

    def __init__(
        self,
        x: str | TapFunction | None = None,
        z: str | TapFunction | None = None,
        name: str = "mi",
        pairs: Mapping[str, Sequence[str | TapFunction]] | None = None,
        learner: MutualInformationLearner | None = None,
        calls: Call = "first",
        every_n_steps: int = 4,
        patience: int = 100,
    ) -> None:
        check_integer("every_n_steps", every_n_steps)
        check_integer("patience", patience)
        check_calls(calls)
        self.name, self.calls = name, calls
        self.every_n_steps, self.patience = every_n_steps, patience
        self.taps: dict[str, Tap | TapFunction] = {}
        self.pairs = {
            curve: (self._tap("x", taps[0]), self._tap("z", taps[1]))
            for curve, taps in _named(name, x, z, pairs).items()
        }
        template = MutualInformationLearner() if learner is None else learner
        self.learners = {curve: copy.deepcopy(template) for curve in self.pairs}
        self._state_key = state_key(self, name=name, pairs=self.pairs)
        self._recorders: dict[str, Recorder] = {}
        self._handles: list[RemovableHandle] = []
        self._charts: MonitorCharts | None = None
        self._empty = dict.fromkeys(self.pairs, 0)
        self._batches = self._wait = 0
        self.resumed = False
        self._at_ceiling: set[str] = set()

    def _tap(self, argument: str, tap: str | TapFunction) -> str:
        """Keep a tap, and return what it is called: two curves share what is the same."""
        if callable(tap):
            name = f"{getattr(tap, '__qualname__', 'function')} {len(self.taps)}"
            self.taps[name] = tap
            return name
        self.taps[tap] = parse_tap(argument, tap)
        return tap

    @property
    def state_key(self) -> str:
        return self._state_key

    @property
    def curves(self) -> list[str]:
        """The names of the curves."""
        return list(self.pairs)

    def estimate(self, curve: str | None = None) -> Estimate:
        """Return the current estimate; nan before the first.

        Args:
            curve: Its name; by default the first.
        """
        return self.learners[self.curves[0] if curve is None else curve].compute()

    def learned(self) -> dict[str, Any]:
        """Return everything learned, as primitives and tensors; ``load_state_dict`` takes it."""
        learners = {curve: learner.state_dict() for curve, learner in self.learners.items()}
        return {"batches": self._batches, "wait": self._wait, "learners": learners}

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep what was learned, where Lightning looks for it.

        A ``state_dict`` would do it, but two monitors of one name would then end in Lightning's
        words on stateful callbacks before :meth:`setup` can say that it is the name.
        """
        checkpoint["callbacks"][self.state_key] = self.learned()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._batches, self._wait = state_dict["batches"], state_dict["wait"]
        for curve, learner in self.learners.items():
            learner.load_state_dict(state_dict["learners"][curve])
        self.resumed = True

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Raise if another monitor has a curve of the same name."""
        curves = [curve for monitor in monitors_of(trainer) for curve in monitor.curves]
        if twice := {curve for curve in curves if curves.count(curve) > 1}:
            raise ValueError(
                f"Expected every monitor to have a `name` of its own, got {min(twice)!r} twice. "
                "Give one of them another, such as `name='mi/data'`."
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Attach; begin anew unless the run itself continues."""
        if trainer.global_step == 0 and not self.resumed:
            for learner in self.learners.values():
                learner.reset()
            self._batches = self._wait = 0
        self.resumed, self._empty = False, dict.fromkeys(self.pairs, 0)
        self._draw_charts(trainer)
        self._detach()
        self._charts = MonitorCharts(trainer, self.curves)
        for text, tap in self.taps.items():
            if isinstance(tap, Tap) and tap.module:
                module = self._found(trainer, pl_module, tap)
                check_eager(pl_module, tap)
                self._recorders[text] = recorder = Recorder(tap, self.calls)
                self._handles.append(recorder.attach(module))

    def _draw_charts(self, trainer: Trainer) -> None:
        """Lay out a chart of every curve of all monitors with its ceiling, in TensorBoard."""
        monitors = monitors_of(trainer)
        loggers = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        if monitors[0] is not self or not trainer.is_global_zero:
            return
        charts = {
            curve: ["Multiline", [f"{re.escape(curve)}$", f"{re.escape(curve)}_ceiling$"]]
            for monitor in monitors
            for curve in monitor.curves
        }
        for logger in loggers:
            logger.experiment.add_custom_scalars({"Mutual information": charts})

    @staticmethod
    def _found(trainer: Trainer, pl_module: LightningModule, tap: Tap) -> nn.Module:
        """Return a tap's submodule; where there is none, show the near ones with shapes."""
        try:
            return find_submodule(pl_module, tap)
        except ValueError as error:
            loader: Any = trainer.train_dataloader
            taps = list_taps(pl_module, next(iter(loader)))
            near = "; ".join(map(str, taps.near(tap.text)))
            raise ValueError(f"{error} Near taps and their shapes: {near}.") from None

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
        for text, tap in self.taps.items():
            if isinstance(tap, Tap) and tap.port == "batch":
                self._captured[text] = tap.pick(batch)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Hand what was captured to the learners and log the estimates where Lightning logs."""
        if self._active:
            for text, recorder in self._recorders.items():
                self._captured[text] = recorder.stop()
            for text, tap in self.taps.items():
                if text not in self._captured:
                    self._captured[text] = self._after_step(tap, trainer, pl_module, outputs, batch)
            learned = [self._learn(curve) for curve in self.pairs]
            self._wait = self.every_n_steps - 1 if any(learned) else 0
        if not trainer.barebones and (logs_now(trainer) or _ends_epoch(trainer)):
            self._log(trainer, pl_module)

    def _after_step(
        self,
        tap: Tap | TapFunction,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
    ) -> Tensor | None:
        if isinstance(tap, Tap):
            return None if tap.lacking(outputs) else tap.pick(outputs)
        with isolated(self._batches), torch.no_grad(), evaluating(pl_module):
            value = tap(trainer, pl_module, outputs, batch)
        return Tap("outputs", text=getattr(tap, "__name__", "function")).pick(value)

    def _learn(self, curve: str) -> bool:
        """Hand a pair to its learner; return whether there was one on any process."""
        x, z = (self._captured[text] for text in self.pairs[curve])
        self._empty[curve] = self._empty[curve] + 1 if x is None or z is None else 0
        if self._empty[curve] == self.patience:
            missing = [text for text in self.pairs[curve] if self._captured[text] is None]
            warnings.warn(
                f"Monitor {curve!r} saw nothing of {' and '.join(map(repr, missing))} in "
                f"{self.patience} training steps. A submodule's own methods leave no trace, only "
                "calling it does. Tap another one, see `list_taps`, or give a function "
                "(trainer, pl_module, outputs, batch) -> Tensor.",
                stacklevel=2,
            )
        return self.learners[curve].update(x, z)

    def _log(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log all curves.

        Raises:
            ValueError: If the host logs one of the keys.
        """
        estimates = {curve: learner.compute() for curve, learner in self.learners.items()}
        values = {
            key: value
            for curve, estimate in estimates.items()
            for key, value in _logged(curve, estimate).items()
        }
        if taken := values.keys() & logged_by_others(trainer, HOOK):
            raise ValueError(
                f"Expected `name` to give keys that {type(pl_module).__name__} does not log itself,"
                f" got {min(taken)!r}. Give the monitor another, such as `name='monitor/mi'`."
            )
        pl_module.log_dict(values, prog_bar=len(self.pairs) == 1, batch_size=1)
        if self._charts is not None and logs_now(trainer):
            for curve, estimate in estimates.items():
                self._charts.draw(trainer, curve, *map(float, estimate[:3]))
        for curve, estimate in estimates.items():
            if estimate.at_ceiling and not estimate.warming_up:
                self._warn_of_ceiling(curve, estimate)

    def _warn_of_ceiling(self, curve: str, estimate: Estimate) -> None:
        """Say once that the curve is flat for want of pairs."""
        if curve not in self._at_ceiling:
            warnings.warn(
                f"Monitor {curve!r} reads {estimate.mi:.1f} nats, near the ceiling of "
                f"{estimate.ceiling:.1f} that its pairs allow: the mutual information may be "
                "larger, or infinite if one tensor is a function of the other without noise. "
                "`learner=MutualInformationLearner(window=..., rows=...)` raises the ceiling.",
                stacklevel=2,
            )
        self._at_ceiling.add(curve)

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
        if self._charts is not None:
            self._charts.close()
            self._charts = None


def monitors_of(trainer: Trainer) -> list[MutualInformationMonitor]:
    """Return the monitors among the callbacks of a Trainer."""
    return [other for other in callbacks_of(trainer) if isinstance(other, MutualInformationMonitor)]


def _ends_epoch(trainer: Trainer) -> bool:
    """Whether no training step follows in this epoch."""
    done = trainer.max_steps > -1 and trainer.global_step >= trainer.max_steps
    return trainer.is_last_batch or trainer.should_stop or done


def _named(
    name: str,
    x: str | TapFunction | None,
    z: str | TapFunction | None,
    pairs: Mapping[str, Sequence[str | TapFunction]] | None,
) -> dict[str, Sequence[str | TapFunction]]:
    """Return the taps of every curve.

    Raises:
        ValueError: If there are neither x and z nor pairs, or both, or a pair is none.
    """
    if x is not None and z is not None and pairs is None:
        return {name: (x, z)}
    if x is not None or z is not None or not pairs:
        raise ValueError("Expected either `x` and `z`, or `pairs` with at least one pair.")
    for key, taps in pairs.items():
        if isinstance(taps, str) or len(taps) != 2:
            raise ValueError(f"Expected `pairs[{key!r}]` to be two taps, got {taps!r}.")
    return {f"{name}/{key}": taps for key, taps in pairs.items()}


def _logged(curve: str, estimate: Estimate) -> dict[str, Tensor | float]:
    return {
        curve: estimate.mi,
        f"{curve}_standard_error": estimate.standard_error,
        f"{curve}_ceiling": estimate.ceiling,
        f"{curve}_warming_up": float(estimate.warming_up),
    }
