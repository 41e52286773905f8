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
from typing_extensions import Self

from mine_lightning.checkpoints import read_as_checkpoint
from mine_lightning.config import Configurable, as_plain
from mine_lightning.critics import ConcatCritic, score_pairs
from mine_lightning.dashboard import Dashboard
from mine_lightning.functional import split_pairs
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
    ) -> None:
        super().__init__()
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
        self.val_metrics = self._metrics("val/")
        self.test_metrics = self._metrics("test/")
        self.partition = LogPartition()
        self.register_buffer("log_partition", torch.zeros(()))
        self.save_hyperparameters(self._plain_arguments())

    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: Any,
        map_location: Any = None,
        hparams_file: Any = None,
        strict: bool | None = None,
        weights_only: bool | None = True,
        **kwargs: Any,
    ) -> Self:
        """Rebuild the module from a checkpoint; nothing in it is executed.

        The arguments are those of
        :meth:`lightning.pytorch.LightningModule.load_from_checkpoint`.

        Raises:
            ValueError: If the file is no whole checkpoint of this module.
        """
        with read_as_checkpoint(checkpoint_path):
            return super().load_from_checkpoint(
                checkpoint_path, map_location, hparams_file, strict, weights_only, **kwargs
            )

    def _metrics(self, prefix: str) -> MetricCollection:
        metrics: dict[str, Metric | MetricCollection] = {
            "mi": MutualInformation(self.objective),
            "mi_standard_error": MutualInformationStandardError(self.objective),
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

    def scores(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Score a batch.

        Returns:
            The scores of the joint pairs, shape ``(N,)``, and of the marginal pairs, shape
            ``(N, K)``.

        Raises:
            ValueError: If the batch or the critic's answer breaks the contract.
        """
        x, z, partners = _unpack(batch)
        if self.all_pairs:
            return split_pairs(score_pairs(self.critic, x.unsqueeze(1), z.unsqueeze(0)))
        candidates = torch.cat((z.unsqueeze(1), partners), dim=1)  # (N, 1 + K, ...)
        scores = score_pairs(self.critic, x.unsqueeze(1), candidates)
        return scores[:, 0], scores[:, 1:]

    def setup(self, stage: str) -> None:
        """Find the critic's input sizes, where they are open, from a batch of the DataModule.

        Lightning compares the stacks of an epoch with ``log_every_n_steps``, which counts optimizer
        steps here; its warning would mislead.
        """
        warnings.filterwarnings("ignore", "The number of training batches .* logging interval")
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
        losses, scores = zip(*[self._optimize(minibatch) for minibatch in batches], strict=True)
        self._step_scheduler()
        with torch.no_grad():
            loss = self.objective.check_finite(torch.stack(losses).mean(), "loss")
            values = {"train/loss": loss, "train/mi": self.objective.pooled_estimate(scores)}
        self.log_dict(values, prog_bar=True, logger=False)
        trainer: Any = self.trainer
        every = trainer.log_every_n_steps
        if every and self.global_step // every > before // every:
            for logger in self.loggers:
                logger.log_metrics(
                    {name: value.item() for name, value in values.items()}, self.global_step
                )

    def _optimize(self, batch: dict[str, Any]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Take one optimizer step; return the loss and the scores from before it."""
        optimizer: Any = self.optimizers()
        joint, marginal = self.scores(batch)
        loss = self.objective.loss(joint, marginal)
        optimizer.zero_grad()
        self.manual_backward(loss)
        if self.gradient_clip_val is not None:
            self.clip_gradients(optimizer, self.gradient_clip_val)
        optimizer.step()
        return loss.detach(), (joint.detach(), marginal.detach())

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
        joint, marginal = self.scores(batch)
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
