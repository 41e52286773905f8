"""The LightningModule: wires a critic, an objective and the pooled metrics."""

from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection

from mine_lightning.critics.networks import ConcatCritic, score_pairs
from mine_lightning.data.loading.stacks import Batch
from mine_lightning.metrics import LogPartition, MutualInformation, MutualInformationStandardError
from mine_lightning.objectives import MINE, Objective
from mine_lightning.objectives.scores import split_candidates, split_pairs
from mine_lightning.support.distributed import Processes
from mine_lightning.training.backprop import Backprop
from mine_lightning.training.compilation import Compile
from mine_lightning.training.guard import OnNonfinite
from mine_lightning.training.stacked import StackedTraining, inherits

__all__ = ["MutualInformationEstimator", "check_log_ratio", "unpack"]


class MutualInformationEstimator(StackedTraining):
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
        minibatches_per_step: int | None = None,
        compile: Compile = "auto",
        gather_scores: bool = True,
        on_nonfinite: OnNonfinite = "raise",
    ) -> None:
        super().__init__(
            optimizer,
            lr_scheduler,
            gradient_clip_val,
            minibatches_per_step,
            compile,
            gather_scores,
            on_nonfinite,
        )
        self.critic = ConcatCritic() if critic is None else critic
        self.objective = MINE() if objective is None else objective
        self.all_pairs = all_pairs
        self.val_metrics = self._metrics("val/")
        self.test_metrics = self._metrics("test/")
        self.partition = LogPartition(sync_on_compute=not all_pairs)
        self.register_buffer("log_partition", torch.zeros(()))
        plain = self.plain_arguments(critic=self.critic, objective=self.objective)
        self.save_hyperparameters({**plain, "all_pairs": all_pairs})

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

    def forward(self, batch: dict[str, Any]) -> Tensor:
        """Return the estimate in nats from one batch, shape ``()``."""
        return self.objective.estimate(*self.scores(batch))

    def scores(self, batch: Batch, processes: Processes | None = None) -> tuple[Tensor, Tensor]:
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
        if self.all_pairs:
            x, z, _ = unpack(batch)
            others = z if processes is None else processes.gather(z)
            pairs = score_pairs(self.critic, x.unsqueeze(1), others.unsqueeze(0))
            return split_pairs(pairs if processes is None else processes.gather(pairs))
        scores = score_pairs(self.critic, *self.candidates(batch))
        if processes is not None:
            scores = processes.gather(scores.t()).t()
        return split_candidates(scores)

    def candidates(self, batch: Batch) -> tuple[Tensor, Tensor]:
        x, z, partners = unpack(batch)
        return x.unsqueeze(0), torch.cat((z.unsqueeze(0), partners.transpose(0, 1)))

    def reduce(self, joint: Tensor, marginal: Tensor) -> Tensor:
        return self.objective.loss(joint, marginal)

    def backprop(self) -> Backprop | None:
        plain = inherits(self, MutualInformationEstimator, "scores", "loss")
        return Backprop.of(self.critic) if plain and not self.all_pairs else None

    def values(self, losses: Tensor, scores: Sequence[Any]) -> dict[str, Tensor]:
        return {"train/loss": losses.mean(), "train/mi": self.objective.pooled_estimate(scores)}

    def parts(self) -> tuple[nn.Module, Objective]:
        return self.critic, self.objective

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Tensor]:
        scores = self._evaluate(batch, self.val_metrics)
        self.partition.update(*map(self.objective.log_ratio, scores.values()))
        return scores

    def on_validation_epoch_end(self) -> None:
        if not self.trainer.sanity_checking:
            self.log_partition.copy_(self.partition.compute())
        self.partition.reset()
        self.log_truth()

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Tensor]:
        return self._evaluate(batch, self.test_metrics)

    def on_test_epoch_end(self) -> None:
        self.log_truth()

    def _evaluate(self, batch: dict[str, Any], metrics: MetricCollection) -> dict[str, Tensor]:
        joint, marginal = self.scores(batch, self.processes() if self.all_pairs else None)
        metrics.update(joint, marginal)
        self.log_dict(metrics, prog_bar=True, batch_size=len(joint))
        return {"joint": joint, "marginal": marginal}

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
        check_log_ratio(self.objective)
        joint, _ = self.scores(batch)
        return self.objective.log_ratio(joint) - self.log_partition


def check_log_ratio(objective: Objective) -> None:
    """Raise unless the objective's critic is a log density ratio."""
    if objective.kind == "upper bound":
        raise ValueError(
            "Expected an objective whose critic is a log density ratio for pointwise values, "
            f"got {type(objective).__name__}, whose critic is a conditional density."
        )


def unpack(batch: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
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
