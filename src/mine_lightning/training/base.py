"""Training in stacks of minibatches: several optimizer steps in one ``training_step``."""

import warnings
from collections.abc import Sequence
from typing import Any, Self, TypedDict

import torch
from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from mine_lightning.callbacks.autograd import AutogradMode
from mine_lightning.callbacks.checkpoints import (
    WholeCheckpointIO,
    read_as_checkpoint,
    with_public_paths,
)
from mine_lightning.callbacks.dashboard import Dashboard
from mine_lightning.callbacks.threads import FewThreads
from mine_lightning.critics.backprop import Backprop
from mine_lightning.data.loading.placement import beside
from mine_lightning.data.loading.stacks import Batch
from mine_lightning.objectives import Objective
from mine_lightning.objectives.scores import split_partners
from mine_lightning.support.arguments import check_integer, check_positive
from mine_lightning.support.callbacks import callbacks_of
from mine_lightning.support.config import Configurable, callable_config, public_path
from mine_lightning.support.distributed import Processes
from mine_lightning.support.finite import read
from mine_lightning.support.hooks import fused
from mine_lightning.training.compilation import Compile, choose_step
from mine_lightning.training.guard import Guard, OnNonfinite, Step, at_step, gather_steps
from mine_lightning.training.steps import HookedStep, clipped

__all__ = ["StackedTraining", "TrainingArguments", "inherits"]

UNMIXED = ("32-true", "64-true", "bf16-true")


class TrainingArguments(TypedDict, total=False):
    """Keyword arguments of :class:`StackedTraining`."""

    optimizer: OptimizerCallable
    lr_scheduler: LRSchedulerCallable | None
    gradient_clip_val: float | None
    minibatches_per_step: int | None
    compile: Compile
    gather_scores: bool
    on_nonfinite: OnNonfinite


class StackedTraining(LightningModule):
    """Base of the modules that train critics: optimisation, schedules, logging of the training.

    Subclasses implement :meth:`scores`, :meth:`total_loss`, :meth:`values` and :meth:`parts`; with
    :meth:`pairs` and :meth:`backprop` too, autograd is left out where that is faster.

    Args:
        optimizer: Makes the optimizer from the parameters.
        lr_scheduler: Makes a learning-rate scheduler from the optimizer, stepped every epoch.
        gradient_clip_val: Largest norm of the gradient; no clipping by default.
        minibatches_per_step: Most minibatches, each with its own optimizer step, that the
            DataModules hand over at once; by default 64, or 1 where an option of the Trainer counts
            batches. It changes the speed, not the result.
        compile: Whether to compile the whole optimizer step, critic, loss, gradient and Adam,
            into one graph: twice as fast after half a minute. "auto" does it for runs of 100,000
            steps and more. On one GPU, unless it is False, steps are also recorded and replayed
            sixteen at a time, as one CUDA graph. Where either is not possible training goes on
            without, and says so.
        gather_scores: With several processes, whether the loss is that of the rows of all of them,
            so that W processes with minibatches of B rows train as one with W times B. False is
            cheaper: each has a loss, a moving average and, with ``all_pairs``, partners of its own,
            gradients are averaged, and the moving average kept is that of the first process.
            Evaluation counts the rows of all processes either way.
        on_nonfinite: What to do with a minibatch whose loss, scores or optimizer step are not
            finite: "raise" an error, or "skip" it, counted in ``train/skipped``. Neither changes a
            parameter, the moving average or the optimizer's state.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        optimizer: OptimizerCallable = torch.optim.Adam,
        lr_scheduler: LRSchedulerCallable | None = None,
        gradient_clip_val: float | None = None,
        minibatches_per_step: int | None = None,
        compile: Compile = "auto",
        gather_scores: bool = True,
        on_nonfinite: OnNonfinite = "raise",
    ) -> None:
        super().__init__()
        if on_nonfinite not in ("raise", "skip"):
            raise ValueError(
                f"Expected `on_nonfinite` to be 'raise' or 'skip', got {on_nonfinite!r}."
            )
        if gradient_clip_val is not None:
            check_positive("gradient_clip_val", gradient_clip_val)
        if minibatches_per_step is not None:
            check_integer("minibatches_per_step", minibatches_per_step)
        if compile not in ("auto", True, False):
            raise ValueError(f'Expected `compile` to be "auto", True or False, got {compile!r}.')
        self.automatic_optimization = False
        self.optimizer, self.lr_scheduler = optimizer, lr_scheduler
        self.gradient_clip_val = gradient_clip_val
        self.minibatches_per_step, self.compile_mode = minibatches_per_step, compile
        self.gather_scores, self.guard = gather_scores, Guard(self, on_nonfinite)
        self.shared: Processes | None = None
        self._step: HookedStep | None = None
        self._backprop: Backprop | None = None

    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: Any,
        map_location: Any = None,
        hparams_file: Any = None,
        strict: bool | None = None,
        weights_only: bool | None = True,
        allow: Sequence[str] = (),
        **kwargs: Any,
    ) -> Self:
        """Rebuild the module from a checkpoint; nothing in it is executed.

        The arguments are those of
        :meth:`lightning.pytorch.LightningModule.load_from_checkpoint`, and

        Args:
            allow: Modules or classes, by their paths, that may be imported because the checkpoint
                names them. Others have to be imported already or be of this package.

        Raises:
            ValueError: If the file is no whole checkpoint of this module, or names a class that is
                neither imported nor allowed.
        """
        files = WholeCheckpointIO(allow)
        checkpoint = files.load_checkpoint(checkpoint_path, weights_only=weights_only)
        with read_as_checkpoint(checkpoint_path):
            source = with_public_paths(checkpoint_path, checkpoint)
            return super().load_from_checkpoint(
                source, map_location, hparams_file, strict, weights_only, **kwargs
            )

    def scores(self, batch: Batch, processes: Processes | None = None) -> tuple[Tensor, Tensor]:
        """Score a batch: joint pairs and marginal pairs."""
        raise NotImplementedError

    def pairs(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the pairs that the critic scores: x, and for each its own z, then its partners."""
        raise NotImplementedError

    def total_loss(self, joint: Tensor, marginal: Tensor) -> Tensor:
        """Return the loss of scores, shape ``()``."""
        raise NotImplementedError

    def backprop(self) -> Backprop | None:
        """Return the layers of the critic, if its scores of the candidates are nothing else."""
        return None

    def loss(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the loss of a minibatch, shape ``()``, and its scores."""
        scores = self.scores(batch, self.shared)
        return self.total_loss(*scores), scores

    def values(self, losses: Tensor, scores: Sequence[Any]) -> dict[str, Tensor]:
        """Return what to log of some minibatches, from their losses ``(K,)`` and their scores."""
        raise NotImplementedError

    def differentiate(
        self, batch: Batch, weights: Sequence[Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor], list[Tensor]]:
        """Return the loss of a minibatch, its scores, and the gradient of every weight.

        A weight that the loss does not feel has a gradient of zero. Fused kernels read gradients in
        the order of memory, whatever their strides say.
        """
        if self._backprop is not None:
            x, z = self.pairs(batch)
            if self._backprop.holds(x, z):
                return self._differentiate(self._backprop, x, z)
        loss, scores = self.loss(batch)
        gradients = torch.autograd.grad(loss, weights, materialize_grads=True)
        return loss.detach(), scores, [gradient.contiguous() for gradient in gradients]

    def _differentiate(
        self, critic: Backprop, x: Tensor, z: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor], list[Tensor]]:
        """Leave only the objective to autograd."""
        raw, tape = critic.score(x, z)
        scores = split_partners(raw.requires_grad_())
        loss = self.total_loss(*scores)
        slope, *rest = torch.autograd.grad(
            loss, [raw, *critic.others], materialize_grads=bool(critic.others)
        )
        gradients = critic.backward(slope, tape) + rest
        return loss.detach(), scores, [gradients[place] for place in critic.places]

    def parts(self) -> tuple[nn.Module, Objective]:
        """Return the modules with weights and buffers that training changes."""
        raise NotImplementedError

    def processes(self, even: bool = False) -> Processes:
        """Return the processes of the run; ``even`` if all have minibatches of one size."""
        return Processes(alone=self.trainer.world_size == 1, even=even)

    def clip(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """Scale gradients down to the largest norm, if there is one."""
        if self.gradient_clip_val is None:
            return list(gradients)
        return clipped(gradients, self.gradient_clip_val)

    def setup(self, stage: str) -> None:
        """Find the critic's input sizes, where they are open, from a batch of the DataModule.

        Lightning compares the stacks of an epoch with ``log_every_n_steps``, which counts optimizer
        steps here, and wants checkpoints to hold the state before a step: its warnings would
        mislead.
        """
        warnings.filterwarnings("ignore", "The number of training batches .* logging interval")
        warnings.filterwarnings("ignore", "Using ModelCheckpoint with manual optimization")
        if not any(is_lazy(parameter) for parameter in self.parameters()):
            return
        data = getattr(self.trainer, "datamodule", None)
        if data is None:
            raise ValueError(
                "Expected the critic's input sizes to be known before training with plain "
                "dataloaders: call the module on one batch first, or use a DataModule."
            )
        batch = next(iter(data.train_dataloader()))
        with torch.no_grad():
            self.scores(beside(batch[0] if isinstance(batch, list) else batch, self))

    def configure_callbacks(self) -> list[Callback]:
        attached = {type(callback) for callback in callbacks_of(self.trainer)}
        return [kind() for kind in (AutogradMode, Dashboard, FewThreads) if kind not in attached]

    def configure_optimizers(self) -> Any:
        optimizer = fused(self.optimizer(self.parameters()))
        if self.lr_scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": self.lr_scheduler(optimizer)}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["skipped_minibatches"] = self.guard.skipped

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.guard.skipped = checkpoint.get("skipped_minibatches", 0)

    def on_train_start(self) -> None:
        several = self.trainer.world_size > 1
        self.shared = self.processes(even=True) if several and self.gather_scores else None
        self._step = choose_step(self, self.compile_mode)
        plain = self.trainer.precision in UNMIXED and not torch.is_autocast_enabled(
            self.device.type
        )
        self._backprop = self.backprop() if plain else None
        if self._backprop is not None:
            self._backprop.arrange(self._step.weights)

    def on_train_end(self) -> None:
        self._step = self.shared = self._backprop = None

    def training_step(self, batch: Batch | list[Batch], batch_idx: int) -> None:
        """Take one optimizer step for each of the minibatches handed over."""
        batches = batch if isinstance(batch, list) else [batch]
        before = self.global_step
        if self.trainer.max_steps >= 0:
            batches = batches[: self.trainer.max_steps - before]
        logged = self._logged_after(before, len(batches))
        *written, latest = self._take(batches, [*logged, len(batches)])
        self._step_scheduler()
        shown = {name: on_host(value) for name, value in latest.items()}
        self.log_dict(shown, prog_bar=True, logger=False)
        for step, values in zip(logged, written, strict=True):
            for logger in self.loggers:
                logger.log_metrics(values, before + step)

    def _logged_after(self, before: int, steps: int) -> list[int]:
        """Return after how many of the steps to come loggers are told."""
        trainer: Any = self.trainer
        every = trainer.log_every_n_steps
        if not every or not self.loggers:
            return []
        return [step for step in range(1, 1 + steps) if (before + step) % every == 0]

    def _take(self, batches: Sequence[Batch], ends: Sequence[int]) -> list[dict[str, float]]:
        """Take the steps; return what is logged after so many of them, all read at once."""
        assert self._step is not None
        arguments = batches, self._step, self.processes(even=True)
        attempt = self.guard.attempt(*arguments)
        bad, values = self._read(attempt.bad, attempt.steps, ends)
        if bad:
            attempt.undo()
            steps = self.guard.one_by_one(*arguments)
            _, values = self._read(torch.zeros_like(attempt.bad), steps, ends)
        self._check(values)
        return values

    @torch.no_grad()
    def _read(
        self, bad: Tensor, steps: Sequence[Step], ends: Sequence[int]
    ) -> tuple[bool, list[dict[str, float]]]:
        """Read off the device whether the steps are bad, and what is logged of the first ones."""
        points = [self._values(steps[:end]) for end in ends]
        flag, *numbers = read([bad, *(value for point in points for value in point.values())])
        left = iter(numbers)
        return flag > 0, [{name: next(left) for name in point} for point in points]

    def _values(self, steps: Sequence[Step]) -> dict[str, Tensor]:
        """Return what is logged, the same on every process."""
        if not steps:
            return {}
        if self.shared is None:
            steps = gather_steps(steps, self.processes(even=True))
        losses, scores = zip(*steps, strict=True)
        return self.values(torch.stack(losses), scores)

    def _check(self, points: Sequence[dict[str, float]]) -> None:
        """Raise if a number to log is not finite; count the minibatches skipped."""
        _, objective = self.parts()
        for values in points:
            for name, value in values.items():
                with at_step(self):
                    kind = "loss" if name == "train/loss" else "estimate"
                    objective.check_finite(on_host(value), kind)
            if self.guard.on_nonfinite == "skip":
                values["train/skipped"] = float(self.guard.skipped)

    def _step_scheduler(self) -> None:
        """Step the scheduler with the epoch's last minibatch, before any checkpoint of it."""
        scheduler: Any = self.lr_schedulers()
        plateau = isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau)
        if scheduler is not None and self.trainer.is_last_batch and not plateau:
            scheduler.step()

    def on_train_epoch_end(self) -> None:
        scheduler: Any = self.lr_schedulers()
        if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            scheduler.step(self.trainer.callback_metrics["val/mi"])

    def log_truth(self) -> None:
        """Log the step, and the true mutual information where the DataModule knows it."""
        self.log("step", float(self.global_step), sync_dist=True)
        truth = getattr(getattr(self.trainer, "datamodule", None), "true_mi", None)
        if truth is not None:
            self.log("mi/truth", truth, sync_dist=True)

    def plain_arguments(self, **parts: Any) -> dict[str, Any]:
        """Return the arguments as plain data, from which ``load_from_checkpoint`` rebuilds them.

        Arguments that no configuration can name, such as a module defined elsewhere, are left out
        and have to be given to ``load_from_checkpoint`` again.

        Args:
            parts: Objects that may be configurable, by the names of their arguments.
        """
        plain: dict[str, Any] = {
            "gradient_clip_val": self.gradient_clip_val,
            "minibatches_per_step": self.minibatches_per_step,
            "compile": self.compile_mode,
            "gather_scores": self.gather_scores,
            "on_nonfinite": self.guard.on_nonfinite,
            "_class_path": public_path(type(self)),
            "_instantiator": "lightning.pytorch.cli.instantiate_module",
        }
        for name, part in parts.items():
            if isinstance(part, Configurable):
                try:
                    plain[name] = part.config()
                except TypeError:
                    continue
        for name in ("optimizer", "lr_scheduler"):
            if (config := callable_config(getattr(self, name))) is not None:
                plain[name] = config
        return plain


def on_host(value: float) -> Tensor:
    """Return a number as a tensor that is read without waiting for a device."""
    return torch.tensor(value, device="cpu")


def inherits(module: LightningModule, kind: type, *names: str) -> bool:
    """Whether a module's methods of these names are those of a class that it extends."""
    return all(getattr(type(module), name) is getattr(kind, name) for name in names)
