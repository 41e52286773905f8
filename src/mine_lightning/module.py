"""The LightningModule: wires a critic, an objective and the pooled metrics."""

import warnings
from functools import partial
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torchmetrics import Metric, MetricCollection

from mine_lightning.config import Configurable, as_plain
from mine_lightning.critics import ConcatCritic, score_pairs
from mine_lightning.dashboard import Dashboard
from mine_lightning.distributed import Processes
from mine_lightning.functional import split_pairs
from mine_lightning.guard import Guard, OnNonfinite, Step, at_step, gather_steps
from mine_lightning.metrics import LogPartition, MutualInformation, MutualInformationStandardError
from mine_lightning.objectives import MINE, Objective
from mine_lightning.threads import SingleThread

__all__ = ["MutualInformationEstimator"]


class MutualInformationEstimator(LightningModule):
    r"""Estimate the mutual information of x and z with a critic and an objective.

    Batches are ``{"joint": (x, z), "marginal": z'}``: ``x`` and ``z`` hold N pairs drawn together,
    ``z'`` one partner ``(N, ...)`` or K partners ``(N, K, ...)`` drawn apart for each x. Calling
    the module on a batch gives the current estimate in nats, differentiable with respect to the
    critic and the batch.

    Training minimises ``objective.loss``; the logged ``val/mi`` and ``test/mi`` are the objective's
    estimate from the pooled scores of the whole split, never an average over batches, and come with
    their standard error. ``train/mi`` is the estimate from the scores of the latest minibatches,
    each taken before its optimizer step.

    Args:
        critic: Statistics network ``critic(x, z) -> scores``; :class:`~mine_lightning.ConcatCritic`
            by default. Any module with that call serves.
        objective: What to train on and to report; :class:`~mine_lightning.MINE` by default.
        optimizer: Makes the optimizer from the parameters.
        lr_scheduler: Makes a learning-rate scheduler from the optimizer, stepped every epoch.
        all_pairs: Score every x of a minibatch against every other z of it, in place of the
            partners that the batch brings.
        gradient_clip_val: Largest norm of the gradient; no clipping by default.
        minibatches_per_step: Minibatches, each with its own optimizer step, that the DataModules
            hand over at once. It changes the speed, not the result.
        gather_scores: With several processes, whether the loss is that of the rows of all of them,
            so that W processes with minibatches of B rows train as one with W times B. False is
            cheaper: each has a loss, a moving average and, with ``all_pairs``, partners of its own,
            gradients are averaged, and the moving average kept is that of the first process.
            Evaluation counts the rows of all processes either way.
        on_nonfinite: What to do with a minibatch whose loss, scores or optimizer step are not
            finite: "raise" an error, or "skip" it, counted in ``train/skipped``. Neither changes a
            parameter, the moving average or the optimizer's state.

    Raises:
        ValueError: If an argument is out of range, a batch breaks the contract, or the critic does
            not return one score for each pair.

    Example:
        >>> import torch
        >>> from mine_lightning import MutualInformationEstimator
        >>> x, z, z_apart = torch.randn(3, 64, 2).unbind()
        >>> model = MutualInformationEstimator()
        >>> model({"joint": (x, z), "marginal": z_apart}).shape
        torch.Size([])
    """

    log_partition: Tensor

    def __init__(
        self,
        critic: nn.Module | None = None,
        objective: Objective | None = None,
        optimizer: OptimizerCallable = torch.optim.Adam,
        lr_scheduler: LRSchedulerCallable | None = None,
        all_pairs: bool = False,
        gradient_clip_val: float | None = None,
        minibatches_per_step: int = 16,
        gather_scores: bool = True,
        on_nonfinite: OnNonfinite = "raise",
    ) -> None:
        super().__init__()
        if on_nonfinite not in ("raise", "skip"):
            raise ValueError(
                f"Expected `on_nonfinite` to be 'raise' or 'skip', got {on_nonfinite!r}."
            )
        if gradient_clip_val is not None and not gradient_clip_val > 0:
            raise ValueError(
                f"Expected `gradient_clip_val` to be positive, got {gradient_clip_val}."
            )
        if minibatches_per_step < 1:
            raise ValueError(
                f"Expected `minibatches_per_step` to be at least 1, got {minibatches_per_step}."
            )
        self.automatic_optimization = False
        self.critic = ConcatCritic() if critic is None else critic
        self.objective = MINE() if objective is None else objective
        self.optimizer, self.lr_scheduler = optimizer, lr_scheduler
        self.all_pairs = all_pairs
        self.gradient_clip_val = gradient_clip_val
        self.minibatches_per_step = minibatches_per_step
        self.gather_scores = gather_scores
        self.guard = Guard(self, on_nonfinite)
        self.val_metrics = self._metrics("val/")
        self.test_metrics = self._metrics("test/")
        self.partition = LogPartition(sync_on_compute=not all_pairs)
        self.register_buffer("log_partition", torch.zeros(()))
        self.save_hyperparameters(self._plain_arguments())

    def _metrics(self, prefix: str) -> MetricCollection:
        """Return the metrics; with all pairs every process sees the scores of all processes."""
        sync = not self.all_pairs
        metrics: dict[str, Metric | MetricCollection] = {
            "mi": MutualInformation(self.objective, sync_on_compute=sync),
            "mi_standard_error": MutualInformationStandardError(
                self.objective, sync_on_compute=sync
            ),
        }
        return MetricCollection(metrics, prefix=prefix)

    def _plain_arguments(self) -> dict[str, Any]:
        """Return the arguments as plain data, from which ``load_from_checkpoint`` rebuilds them.

        Arguments that no configuration can name, such as a module defined elsewhere, are left out
        and have to be given to ``load_from_checkpoint`` again.
        """
        plain: dict[str, Any] = {
            "all_pairs": self.all_pairs,
            "gradient_clip_val": self.gradient_clip_val,
            "minibatches_per_step": self.minibatches_per_step,
            "gather_scores": self.gather_scores,
            "on_nonfinite": self.guard.on_nonfinite,
            "_class_path": f"{type(self).__module__}.{type(self).__qualname__}",
            "_instantiator": "lightning.pytorch.cli.instantiate_module",
        }
        for name in ("critic", "objective"):
            if isinstance(part := getattr(self, name), Configurable):
                try:
                    plain[name] = part.config()
                except TypeError:
                    continue
        for name in ("optimizer", "lr_scheduler"):
            if (config := _callable_config(getattr(self, name))) is not None:
                plain[name] = config
        return plain

    def forward(self, batch: dict[str, Any]) -> Tensor:
        """Return the estimate in nats from one batch, shape ``()``."""
        return self.objective.estimate(*self.scores(batch))

    def scores(
        self, batch: dict[str, Any], processes: Processes | None = None
    ) -> tuple[Tensor, Tensor]:
        """Score a batch.

        Args:
            batch: The batch.
            processes: Those whose rows make up one batch, in the order of their ranks; by default
                this process alone.

        Returns:
            The scores of the joint pairs, shape ``(N,)``, and of the marginal pairs, shape
            ``(N, K)``.

        Raises:
            ValueError: If the batch or the critic's answer breaks the contract.
        """
        x, z, partners = _unpack(batch)
        gather = _alone if processes is None else processes.gather
        if self.all_pairs:
            others = gather(z).unsqueeze(0)
            return split_pairs(gather(score_pairs(self.critic, x.unsqueeze(1), others)))
        candidates = torch.cat((z.unsqueeze(1), partners), dim=1)  # (N, 1 + K, ...)
        scores = gather(score_pairs(self.critic, x.unsqueeze(1), candidates))
        return scores[:, 0], scores[:, 1:]

    def _processes(self, even: bool = False) -> Processes:
        return Processes(alone=self.trainer.world_size == 1, even=even)

    def setup(self, stage: str) -> None:
        """Find the critic's input sizes, where they are open, from a batch of the DataModule.

        Lightning compares the stacks of an epoch with ``log_every_n_steps``, which counts optimizer
        steps here, and advises to save the weights from before a step; its warnings would mislead.
        """
        warnings.filterwarnings("ignore", "The number of training batches .* logging interval")
        warnings.filterwarnings("ignore", "Using ModelCheckpoint with manual optimization and")
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
            self.scores(batch[0] if isinstance(batch, list) else batch)

    def configure_callbacks(self) -> list[Callback]:
        trainer: Any = self.trainer
        attached = {type(callback) for callback in trainer.callbacks}
        return [kind() for kind in (Dashboard, SingleThread) if kind not in attached]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["skipped_minibatches"] = self.guard.skipped

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.guard.skipped = checkpoint.get("skipped_minibatches", 0)

    def configure_optimizers(self) -> Any:
        optimizer = self.optimizer(self.parameters())
        if self.lr_scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": self.lr_scheduler(optimizer)}

    def training_step(self, batch: dict[str, Any] | list[dict[str, Any]], batch_idx: int) -> None:
        """Take one optimizer step for each of the minibatches handed over."""
        batches = batch if isinstance(batch, list) else [batch]
        before = self.global_step
        if self.trainer.max_steps >= 0:
            batches = batches[: self.trainer.max_steps - before]
        steps = self.guard.take(batches, self._optimize, self._processes(even=True))
        values = self._training_values(steps)
        self.log_dict(values, prog_bar=True, logger=False)
        trainer: Any = self.trainer
        every = trainer.log_every_n_steps
        if every and self.global_step // every > before // every:
            for logger in self.loggers:
                logger.log_metrics(
                    {name: value.item() for name, value in values.items()}, self.global_step
                )

    @torch.no_grad()
    def _training_values(self, steps: list[Step]) -> dict[str, Tensor]:
        """Return what is logged, the same on every process."""
        values: dict[str, Tensor] = {}
        if steps:
            if not self.gather_scores:
                steps = gather_steps(steps, self._processes(even=True))
            losses, scores = zip(*steps, strict=True)
            with at_step(self):
                values["train/mi"] = self.objective.pooled_estimate(scores)
            values["train/loss"] = torch.stack(losses).mean()
        if self.guard.on_nonfinite == "skip":
            values["train/skipped"] = torch.tensor(float(self.guard.skipped))
        return values

    def _optimize(self, batch: dict[str, Any]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Take one optimizer step; return the loss and the scores from before it."""
        optimizer: Any = self.optimizers()
        shared = self.gather_scores and self.trainer.world_size > 1
        joint, marginal = self.scores(batch, self._processes(even=True) if shared else None)
        loss = self.objective.loss(joint, marginal)
        optimizer.zero_grad()
        self.manual_backward(loss)
        if self.gradient_clip_val is not None:
            self.clip_gradients(optimizer, self.gradient_clip_val)
        optimizer.step()
        return loss.detach(), (joint.detach(), marginal.detach())

    def on_train_epoch_end(self) -> None:
        scheduler: Any = self.lr_schedulers()
        if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            scheduler.step(self.trainer.callback_metrics["val/mi"])
        elif scheduler is not None:
            scheduler.step()

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Tensor]:
        scores = self._evaluate(batch, self.val_metrics)
        self.partition.update(*map(self.objective.log_ratio, scores.values()))
        return scores

    def on_validation_epoch_end(self) -> None:
        if not self.trainer.sanity_checking:
            self.log_partition.copy_(self.partition.compute())
        self.partition.reset()
        self._log_truth()

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Tensor]:
        return self._evaluate(batch, self.test_metrics)

    def on_test_epoch_end(self) -> None:
        self._log_truth()

    def _evaluate(self, batch: dict[str, Any], metrics: MetricCollection) -> dict[str, Tensor]:
        joint, marginal = self.scores(batch, self._processes() if self.all_pairs else None)
        metrics.update(joint, marginal)
        self.log_dict(metrics, prog_bar=True, batch_size=len(joint))
        return {"joint": joint, "marginal": marginal}

    def _log_truth(self) -> None:
        self.log("step", float(self.global_step))
        truth = getattr(getattr(self.trainer, "datamodule", None), "true_mi", None)
        if truth is not None:
            self.log("true_mi", truth)

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        r"""Return the pointwise mutual information of each row.

        .. math:: \ln \frac{p(x, z)}{p(x) p(z)} \approx T(x, z) - \ln \mathbb{E}_{p(x) p(z)}[e^T]

        for the Donsker-Varadhan family; other objectives give their critic's log density ratio in
        place of T. The partition term comes from the validation rows.

        Returns:
            Shape ``(N,)``, in nats.

        Raises:
            ValueError: If the objective is an upper bound: its critic is a conditional density.
        """
        if self.objective.kind == "upper bound":
            raise ValueError(
                "Expected an objective whose critic is a log density ratio for pointwise values, "
                f"got {type(self.objective).__name__}, whose critic is a conditional density."
            )
        joint, _ = self.scores(batch)
        return self.objective.log_ratio(joint) - self.log_partition


def _alone(rows: Tensor) -> Tensor:
    return rows


def _unpack(batch: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
    """Check a batch against the contract; return x, z and the partners as ``(N, K, ...)``."""
    if not isinstance(batch, dict) or not {"joint", "marginal"} <= batch.keys():
        came = f"keys {sorted(batch)}" if isinstance(batch, dict) else f"a {type(batch).__name__}"
        raise ValueError(f"Expected a batch with the keys `joint` and `marginal`, got {came}.")
    if not isinstance(batch["joint"], (tuple, list)) or len(batch["joint"]) != 2:
        raise ValueError("Expected `joint` of the batch to be a pair (x, z).")
    (x, z), partners = batch["joint"], batch["marginal"]
    if partners.ndim == z.ndim:
        partners = partners.unsqueeze(1)
    if len(x) != len(z) or partners.shape[:1] + partners.shape[2:] != z.shape:
        raise ValueError(
            "Expected `joint` of the batch to hold x (N, ...) and z (N, ...), and `marginal` "
            f"partners (N, ...) or (N, K, ...) like z, got x {tuple(x.shape)}, z {tuple(z.shape)} "
            f"and {tuple(batch['marginal'].shape)}."
        )
    return x, z, partners


def _callable_config(factory: Any) -> Any:
    """Return a class path, with arguments for a ``functools.partial`` of a class, if plain."""
    arguments: dict[str, Any] = {}
    if isinstance(factory, partial) and not factory.args:
        factory, arguments = factory.func, dict(factory.keywords)
    if not isinstance(factory, type):
        return None
    try:
        init_args = as_plain(arguments)
    except TypeError:
        return None
    return {"class_path": f"{factory.__module__}.{factory.__qualname__}", "init_args": init_args}
