"""The LightningModule of an ensemble: as many estimates as critics, with mean and spread."""

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mine_lightning.critics.backprop import Backprop
from mine_lightning.critics.ensemble import CriticEnsemble, ObjectiveEnsemble
from mine_lightning.critics.networks import ConcatCritic
from mine_lightning.data.loading.stacks import Batch
from mine_lightning.metrics import LogPartition
from mine_lightning.objectives import MINE, DonskerVaradhan, Objective
from mine_lightning.support.arguments import check_integer
from mine_lightning.support.keywords import Unpack, check_keywords
from mine_lightning.training.base import TrainingArguments, inherits
from mine_lightning.training.estimator import MutualInformationEstimator, unpack

__all__ = ["MutualInformationEnsemble"]

PLURAL = re.compile(r"^(critic|objective|log_partition)s(?=\.|$)")


class MutualInformationEnsemble(MutualInformationEstimator):
    r"""Train E independent critics as one and report E estimates, their mean and their spread.

    Every member has initial weights, an order of the rows and partners of its own, and is to
    rounding what :class:`~mine_lightning.MutualInformationEstimator` would make of them alone. All
    members see the same validation and test rows. The DataModules of this package hand over
    minibatches ``{"joint": (x, z), "marginal": z'}`` with a first dimension of E.

    Logged are, for validation and test, ``mi``, the mean of the members' pooled estimates,
    ``mi_spread``, their standard deviation, ``mi_standard_error``, the mean of their standard
    errors, and ``mi_0``, ``mi_0_standard_error``, ``mi_1``, ... of the members themselves, in nats.
    The spread says what initial weights and the order of the rows change; the standard error is
    the sampling error of the test rows, which the members share and their mean does not lessen.

    Args:
        members: Number E of members, at least 2.
        critic: The architecture; :class:`~mine_lightning.ConcatCritic` by default.
        objective: What to train on and to report; :class:`~mine_lightning.MINE` by default.
        all_pairs: Score every x of a minibatch against every other z of it.
        seed: Seed of the initial weights; by default from torch's global generator.
        kwargs: Arguments of :class:`~mine_lightning.training.base.StackedTraining`, in which
            ``gradient_clip_val`` is the largest norm of each member's gradient.

    Raises:
        ValueError: If an argument is out of range, or a batch breaks the contract.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from mine_lightning import GaussianDataModule, MutualInformationEnsemble
        >>> data = GaussianDataModule(rows=2000, correlation=0.5, seed=0)
        >>> model = MutualInformationEnsemble(members=2, seed=0)
        >>> trainer = Trainer(max_epochs=2, logger=False, enable_checkpointing=False,
        ...                   enable_progress_bar=False, enable_model_summary=False)
        >>> trainer.fit(model, data)
        >>> sorted(name for name in trainer.callback_metrics if name.startswith("val/"))
        ['val/mi', 'val/mi_0', 'val/mi_0_standard_error', 'val/mi_1', 'val/mi_1_standard_error',
         'val/mi_spread', 'val/mi_standard_error']
    """

    rows_dim = 1

    critic: CriticEnsemble
    objective: ObjectiveEnsemble

    def __init__(
        self,
        members: int = 5,
        critic: nn.Module | None = None,
        objective: Objective | None = None,
        all_pairs: bool = False,
        seed: int | None = None,
        **kwargs: Unpack[TrainingArguments],
    ) -> None:
        check_integer("members", members, least=2)
        check_keywords(MutualInformationEnsemble.__init__, kwargs)
        critic = ConcatCritic() if critic is None else critic
        objective = MINE() if objective is None else objective
        super().__init__(
            CriticEnsemble(critic, members, seed),
            ObjectiveEnsemble(objective, members),
            all_pairs,
            **kwargs,
        )
        self.members = members
        self.partition = LogPartition(
            ObjectiveEnsemble(DonskerVaradhan(), members), sync_on_compute=not all_pairs
        )
        self.log_partition = torch.zeros(members)
        plain = self.plain_arguments(critic=critic, objective=objective)
        self.save_hyperparameters(
            {**plain, "all_pairs": all_pairs, "members": members, "seed": seed}
        )

    def score(self, x: Tensor, z: Tensor) -> Tensor:
        return self.critic.score_pairs(x, z)

    def unpack(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Check a batch; return x, z and the partners, ``(E, N, K, ...)``."""
        (x, z), partners = batch["joint"], batch["marginal"]
        unpack({"joint": (x[0], z[0]), "marginal": partners[0]})
        return x, z, partners.unsqueeze(2) if partners.ndim == z.ndim else partners

    def spread(self, batch: Batch) -> Batch:
        """Show every member the same rows."""
        x, z, partners = (rows.expand(self.members, *rows.shape) for rows in unpack(batch))
        return {"joint": (x, z), "marginal": partners}

    def total_loss(self, joint: Tensor, marginal: Tensor) -> Tensor:
        """Return the sum of the members' losses, shape ``()``."""
        return super().total_loss(joint, marginal).sum()

    def backprop(self) -> Backprop | None:
        plain = inherits(self, MutualInformationEnsemble, "scores", "loss")
        return Backprop.of(self.critic.critic) if plain and not self.all_pairs else None

    def values(self, losses: Tensor, scores: Sequence[Any]) -> dict[str, Tensor]:
        values = super().values(losses, scores)
        return {
            "train/loss": values["train/loss"] / self.members,
            "train/mi": values["train/mi"].mean(),
        }

    def clip(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """Scale each member's gradient down to the largest norm, if there is one."""
        if self.gradient_clip_val is None:
            return list(gradients)
        norms = [torch.linalg.vector_norm(g.reshape(self.members, -1), dim=1) for g in gradients]
        share = self.gradient_clip_val / (torch.stack(norms).norm(dim=0) + 1e-6)
        share = share.clamp(max=1)
        return [g * share.view(-1, *[1] * (g.ndim - 1)) for g in gradients]

    def summary(self, mi: Tensor, mi_standard_error: Tensor) -> dict[str, Tensor]:
        pooled = super().summary(mi.mean(), mi_standard_error.mean())
        return {**pooled, "mi_spread": mi.std()}

    def details(self, mi: Tensor, mi_standard_error: Tensor) -> dict[str, Tensor]:
        own = {f"mi_{member}": value for member, value in enumerate(mi)}
        errors = {f"mi_{member}_standard_error": e for member, e in enumerate(mi_standard_error)}
        return own | errors

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the pointwise mutual information of each row, the mean of the members'.

        Returns:
            Shape ``(N,)``, in nats; see
            :meth:`~mine_lightning.MutualInformationEstimator.predict_step`.

        Raises:
            ValueError: If the objective is an upper bound: its critic is a conditional density.
        """
        return super().predict_step(batch, batch_idx).mean(0)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Find the weights of a checkpoint from before 0.1.0, whose names were plural."""
        super().on_load_checkpoint(checkpoint)
        state = checkpoint["state_dict"]
        for name in [name for name in state if PLURAL.match(name)]:
            state[PLURAL.sub(r"\1", name)] = state.pop(name)
