"""The LightningModule of an ensemble: as many estimates as critics, with mean and spread."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mine_lightning.critics.ensemble import CriticEnsemble, ObjectiveEnsemble
from mine_lightning.critics.networks import ConcatCritic
from mine_lightning.data.loading.stacks import Batch
from mine_lightning.metrics import LogPartition, MutualInformation
from mine_lightning.objectives import MINE, Objective
from mine_lightning.objectives.scores import split_candidates, split_pairs
from mine_lightning.support.arguments import check_integer
from mine_lightning.support.distributed import Processes
from mine_lightning.training.backprop import Backprop
from mine_lightning.training.estimator import check_log_ratio, unpack
from mine_lightning.training.stacked import StackedTraining, inherits

__all__ = ["MutualInformationEnsemble"]


class MutualInformationEnsemble(StackedTraining):
    r"""Train E independent critics as one and report E estimates, their mean and their spread.

    Every member has initial weights, an order of the rows and partners of its own, and is to
    rounding what :class:`~mine_lightning.MutualInformationEstimator` would make of them alone. All
    members see the same validation and test rows. The DataModules of this package hand over
    minibatches ``{"joint": (x, z), "marginal": z'}`` with a first dimension of E.

    Logged are, for validation and test, ``mi``, the mean of the members' pooled estimates,
    ``mi_spread``, their standard deviation, and ``mi_0``, ``mi_1``, ... themselves, all in nats.
    The spread says what initial weights and the order of the rows change; it does not contain the
    sampling error of the test rows, which the members share.

    Args:
        members: Number E of members, at least 2.
        critic: The architecture; :class:`~mine_lightning.ConcatCritic` by default.
        objective: What to train on and to report; :class:`~mine_lightning.MINE` by default.
        all_pairs: Score every x of a minibatch against every other z of it.
        seed: Seed of the initial weights; by default from torch's global generator.
        kwargs: ``optimizer``, ``lr_scheduler``, ``gradient_clip_val`` (the largest norm of each
            member's gradient), ``minibatches_per_step``, ``compile``, ``gather_scores`` and
            ``on_nonfinite`` as for :class:`~mine_lightning.MutualInformationEstimator`.

    Raises:
        ValueError: If an argument is out of range, or a batch breaks the contract.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from mine_lightning import GaussianDataModule, MutualInformationEnsemble
        >>> data = GaussianDataModule(rows=2000, correlation=0.5, seed=0)
        >>> model = MutualInformationEnsemble(members=3, seed=0)
        >>> trainer = Trainer(max_epochs=2, logger=False, enable_checkpointing=False,
        ...                   enable_progress_bar=False, enable_model_summary=False)
        >>> trainer.fit(model, data)
        >>> sorted(name for name in trainer.callback_metrics if name.startswith("val/"))
        ['val/mi', 'val/mi_0', 'val/mi_1', 'val/mi_2', 'val/mi_spread']
    """

    log_partitions: Tensor

    def __init__(
        self,
        members: int = 5,
        critic: nn.Module | None = None,
        objective: Objective | None = None,
        all_pairs: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_integer("members", members, least=2)
        critic = ConcatCritic() if critic is None else critic
        objective = MINE() if objective is None else objective
        self.members, self.all_pairs = members, all_pairs
        self.save_hyperparameters(
            {
                **self.plain_arguments(critic=critic, objective=objective),
                "members": members,
                "all_pairs": all_pairs,
                "seed": seed,
            }
        )
        self.critics = CriticEnsemble(critic, members, seed)
        self.objectives = ObjectiveEnsemble(objective, members)
        self.val_metrics, self.test_metrics = self._metrics(), self._metrics()
        self.partitions: Any = nn.ModuleList(
            LogPartition(sync_on_compute=not all_pairs) for _ in range(members)
        )
        self.register_buffer("log_partitions", torch.zeros(members))

    def _metrics(self) -> Any:
        sync = not self.all_pairs  # otherwise every process sees the scores of all
        members = self.objectives.alone()
        return nn.ModuleList(MutualInformation(alone, sync_on_compute=sync) for alone in members)

    def scores(self, batch: Batch, processes: Processes | None = None) -> tuple[Tensor, Tensor]:
        """Score a batch with every member.

        Args:
            batch: The batch, with a first dimension of E.
            processes: Those whose rows make up one batch; by default this process alone.

        Returns:
            The scores of the joint pairs, shape ``(E, N)``, and of the marginal pairs, shape
            ``(E, N, K)``.

        Raises:
            ValueError: If the batch or the critic's answer breaks the contract.
        """
        if self.all_pairs:
            x, z, _ = self._unpack(batch)
            others = gathered(z, 1, processes)
            pairs = self.critics.score_pairs(x.unsqueeze(2), others.unsqueeze(1))
            joint, marginal = torch.vmap(split_pairs)(gathered(pairs, 1, processes))
            return joint, marginal
        scores = self.critics.score_pairs(*self.candidates(batch))  # (E, 1 + K, N)
        return split_candidates(gathered(scores, 2, processes))

    def candidates(self, batch: Batch) -> tuple[Tensor, Tensor]:
        x, z, partners = self._unpack(batch)
        return x.unsqueeze(1), torch.cat((z.unsqueeze(1), partners.transpose(1, 2)), dim=1)

    def _unpack(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Check a batch; return x, z and the partners as ``(E, N, K, ...)``."""
        (x, z), partners = batch["joint"], batch["marginal"]
        unpack({"joint": (x[0], z[0]), "marginal": partners[0]})
        return x, z, partners.unsqueeze(2) if partners.ndim == z.ndim else partners

    def reduce(self, joint: Tensor, marginal: Tensor) -> Tensor:
        """Return the sum of the members' losses, shape ``()``."""
        return self.objectives.loss(joint, marginal).sum()

    def backprop(self) -> Backprop | None:
        plain = inherits(self, MutualInformationEnsemble, "scores", "loss")
        return Backprop.of(self.critics.critic) if plain and not self.all_pairs else None

    def values(self, losses: Tensor, scores: Sequence[Any]) -> dict[str, Tensor]:
        joint, marginal = (torch.stack(side, dim=1) for side in zip(*scores, strict=True))
        members = self.objectives.alone()
        estimates = [
            objective.pooled_estimate(list(zip(*own, strict=True)))
            for objective, *own in zip(members, joint, marginal, strict=True)
        ]
        loss = losses.mean() / self.members
        return {"train/loss": loss, "train/mi": torch.stack(estimates).mean()}

    def parts(self) -> tuple[nn.Module, Objective]:
        return nn.ModuleList([self.critics, self.objectives]), self.objectives.alone()[0]

    def clip(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """Scale each member's gradient down to the largest norm, if there is one."""
        if self.gradient_clip_val is None:
            return list(gradients)
        norms = [torch.linalg.vector_norm(g.reshape(self.members, -1), dim=1) for g in gradients]
        share = self.gradient_clip_val / (torch.stack(norms).norm(dim=0) + 1e-6)
        share = share.clamp(max=1)
        return [g * share.view(-1, *[1] * (g.ndim - 1)) for g in gradients]

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        joint, marginal = self._evaluate(batch, self.val_metrics)
        for partition, objective, *own in zip(
            self.partitions, self.objectives.alone(), joint, marginal, strict=True
        ):
            partition.update(*map(objective.log_ratio, own))
        return {"joint": joint, "marginal": marginal}

    def on_validation_epoch_end(self) -> None:
        partitions = [partition.compute() for partition in self.partitions]
        if not self.trainer.sanity_checking:
            self.log_partitions.copy_(torch.stack(partitions))
        for partition in self.partitions:
            partition.reset()
        self._log_estimates("val", self.val_metrics)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate(batch, self.test_metrics)

    def on_test_epoch_end(self) -> None:
        self._log_estimates("test", self.test_metrics)

    def _evaluate(self, batch: Batch, metrics: Any) -> tuple[Tensor, Tensor]:
        processes = self.processes() if self.all_pairs else None
        joint, marginal = self.scores(self._shared(batch), processes)
        for metric, *own in zip(metrics, joint, marginal, strict=True):
            metric.update(*own)
        return joint, marginal

    def _shared(self, batch: Batch) -> Batch:
        """Show every member the same rows."""
        x, z, partners = (v.expand(self.members, *v.shape) for v in unpack(batch))
        return {"joint": (x, z), "marginal": partners}

    def _log_estimates(self, split: str, metrics: Any) -> None:
        self.objectives.alone()
        estimates = torch.stack([metric.compute() for metric in metrics])
        for metric in metrics:
            metric.reset()
        own = {f"{split}/mi_{member}": value for member, value in enumerate(estimates)}
        pooled = {f"{split}/mi": estimates.mean(), f"{split}/mi_spread": estimates.std()}
        self.log_dict(pooled, prog_bar=True, sync_dist=True)
        self.log_dict(own, sync_dist=True)
        self.log_truth()

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the pointwise mutual information of each row, the mean of the members'.

        Returns:
            Shape ``(N,)``, in nats; see
            :meth:`~mine_lightning.MutualInformationEstimator.predict_step`.

        Raises:
            ValueError: If the objective is an upper bound: its critic is a conditional density.
        """
        members = self.objectives.alone()
        check_log_ratio(members[0])
        joint, _ = self.scores(self._shared(batch))
        ratios = [objective.log_ratio(own) for objective, own in zip(members, joint, strict=True)]
        return (torch.stack(ratios) - self.log_partitions.unsqueeze(1)).mean(0)


def gathered(values: Tensor, dim: int, processes: Processes | None) -> Tensor:
    """Return the rows, along a dimension, of all processes."""
    if processes is None:
        return values
    return processes.gather(values.movedim(dim, 0)).movedim(0, dim)
