"""The LightningModule: wires a critic, an objective and the pooled metrics."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection

from mine_lightning.critics.backprop import Backprop
from mine_lightning.critics.networks import ConcatCritic, score_pairs
from mine_lightning.data.loading.stacks import Batch
from mine_lightning.metrics import LogPartition, MutualInformation, MutualInformationStandardError
from mine_lightning.objectives import MINE, Objective
from mine_lightning.objectives.scores import split_pairs, split_partners
from mine_lightning.support.ambient import forget_threads
from mine_lightning.support.distributed import Processes
from mine_lightning.support.keywords import Unpack, check_keywords
from mine_lightning.training.base import StackedTraining, TrainingArguments, inherits

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
        all_pairs: Score every x of a minibatch against every other z of it, in place of the
            partners that the batch brings.
        kwargs: Arguments of :class:`~mine_lightning.training.base.StackedTraining`: optimizer,
            schedule, clipping, and how steps are taken.

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

    rows_dim = 0
    """The dimension of a batch along which its rows lie."""

    critic: nn.Module
    objective: Objective
    log_partition: Tensor

    def __init__(
        self,
        critic: nn.Module | None = None,
        objective: Objective | None = None,
        all_pairs: bool = False,
        **kwargs: Unpack[TrainingArguments],
    ) -> None:
        check_keywords(MutualInformationEstimator.__init__, kwargs)
        if isinstance(critic, Objective):
            name = type(critic).__name__
            raise ValueError(
                f"Expected `critic` to score pairs, got {name}: give it as `objective`."
            )
        super().__init__(**kwargs)
        self.critic = ConcatCritic() if critic is None else critic
        self.objective = MINE() if objective is None else objective
        self.all_pairs = all_pairs
        self.val_metrics, self.test_metrics = self._metrics(), self._metrics()
        self.partition = LogPartition(sync_on_compute=not all_pairs)
        self.register_buffer("log_partition", torch.zeros(()))
        plain = self.plain_arguments(critic=self.critic, objective=self.objective)
        self.save_hyperparameters({**plain, "all_pairs": all_pairs})

    def _metrics(self) -> MetricCollection:
        """Return the metrics; with all pairs every process sees the scores of all processes."""
        kinds = {"mi": MutualInformation, "mi_standard_error": MutualInformationStandardError}
        sync = {"sync_on_compute": not self.all_pairs}
        return MetricCollection(
            {name: kind(self.objective, **sync) for name, kind in kinds.items()}
        )

    def forward(self, batch: dict[str, Any]) -> Tensor:
        """Return the estimate in nats from one batch, shape ``()``."""
        forget_threads()
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
        rows = self.rows_dim
        if not self.all_pairs:
            scores = self.score(*self.pairs(batch))
            return split_partners(gathered(scores, rows + 1, processes))
        x, z, _ = self.unpack(batch)
        others = gathered(z, rows, processes)
        scores = self.score(x.unsqueeze(rows + 1), others.unsqueeze(rows))
        return split_pairs(gathered(scores, rows, processes))

    def pairs(self, batch: Batch) -> tuple[Tensor, Tensor]:
        (x, z, partners), rows = self.unpack(batch), self.rows_dim
        candidates = torch.cat((z.unsqueeze(rows), partners.transpose(rows, rows + 1)), dim=rows)
        return x.unsqueeze(rows), candidates

    def score(self, x: Tensor, z: Tensor) -> Tensor:
        """Score rows against rows, see :func:`~mine_lightning.critics.score_pairs`."""
        return score_pairs(self.critic, x, z)

    def unpack(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Check a batch against the contract; return x, z and the partners, ``(N, K, ...)``."""
        return unpack(batch)

    def total_loss(self, joint: Tensor, marginal: Tensor) -> Tensor:
        return self.objective.loss(joint, marginal)

    def backprop(self) -> Backprop | None:
        plain = inherits(self, MutualInformationEstimator, "scores", "loss")
        return Backprop.of(self.critic) if plain and not self.all_pairs else None

    def values(self, losses: Tensor, scores: Sequence[Any]) -> dict[str, Tensor]:
        return {"train/loss": losses.mean(), "train/mi": self.objective.pooled_estimate(scores)}

    def parts(self) -> tuple[nn.Module, Objective]:
        return self.critic, self.objective

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        scores = self._evaluate(batch, self.val_metrics)
        self.partition.update(*map(self.objective.log_ratio, scores.values()))
        return scores

    def on_validation_epoch_end(self) -> None:
        self._log_estimates("val", self.val_metrics)
        if not self.trainer.sanity_checking:
            self.log_partition.copy_(self.partition.compute())
        self.partition.reset()

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        return self._evaluate(batch, self.test_metrics)

    def on_test_epoch_end(self) -> None:
        self._log_estimates("test", self.test_metrics)

    def _evaluate(self, batch: Batch, metrics: MetricCollection) -> dict[str, Tensor]:
        processes = self.processes() if self.all_pairs else None
        joint, marginal = self.scores(self.spread(batch), processes)
        metrics.update(joint, marginal)
        return {"joint": joint, "marginal": marginal}

    def spread(self, batch: Batch) -> Batch:
        """Return an evaluation batch in the shape of a training batch."""
        return batch

    def _log_estimates(self, split: str, metrics: MetricCollection) -> None:
        values = metrics.compute()
        metrics.reset()
        for part, shown in ((self.summary(**values), True), (self.details(**values), False)):
            named = {f"{split}/{name}": value for name, value in part.items()}
            self.log_dict(named, prog_bar=shown, sync_dist=True)
        self.log_truth()

    def summary(self, mi: Tensor, mi_standard_error: Tensor) -> dict[str, Tensor]:
        """Return what is logged of a split and shown.

        Args:
            mi: The estimate in nats.
            mi_standard_error: Its standard error.
        """
        return {"mi": mi, "mi_standard_error": mi_standard_error}

    def details(self, mi: Tensor, mi_standard_error: Tensor) -> dict[str, Tensor]:
        """Return what else is logged of a split, but not shown in the progress bar."""
        return {}

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
        joint, _ = self.scores(self.spread(batch))
        return self.objective.log_ratio(joint) - self.log_partition.unsqueeze(-1)


def check_log_ratio(objective: Objective) -> None:
    """Raise unless the objective's critic is a log density ratio."""
    if objective.kind == "upper bound":
        raise ValueError(
            "Expected an objective whose critic is a log density ratio for pointwise values, "
            f"got {objective.label}, whose critic is a conditional density."
        )


def gathered(values: Tensor, dim: int, processes: Processes | None) -> Tensor:
    """Return the rows, along a dimension, of all processes."""
    if processes is None:
        return values
    return processes.gather(values.movedim(dim, 0)).movedim(0, dim)


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
