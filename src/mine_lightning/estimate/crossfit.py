"""The LightningModule behind the one-call estimate: one critic for each fold, trained as one."""

import copy
import math
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parameter import is_lazy

from mine_lightning.critics.backprop import Backprop
from mine_lightning.critics.ensemble import CriticEnsemble
from mine_lightning.critics.layers import PairLinear
from mine_lightning.critics.networks import ConcatCritic
from mine_lightning.data.loading.placement import beside
from mine_lightning.estimate.folds import FoldView, padded, with_pairs
from mine_lightning.estimate.readout import corrected_terms
from mine_lightning.support.distributed import Processes
from mine_lightning.support.hooks import fused, is_hooked
from mine_lightning.support.upstream import lerp_, note_step

__all__ = ["CrossFitEstimator", "FoldCritics"]

# `benchmarks/constants.py` changes them one by one, on 38 distributions of 500 rows with a mean
# error of .140 nats; by how much that changes stands beside them. What has no figure is judgement.
HIDDEN = (32, 32)  # (16, 16): +.008 ± .003, (64, 64): -.004 ± .003 nats; larger ones take longer
LEARNING_RATE, WEIGHT_DECAY, WARMUP_STEPS = 1e-2, 1e-2, 20
AVERAGING = 0.99  # weight that the averaged weights keep at every step
# Patience 4: +.0018 ± .0009, 16: +.0009 ± .0006 nats; late share 0: -.0009 ± .0020, 1: +.0011 ±
# .0024; step share 0: +.0004 ± .0004, .1: +.0012 ± .0007; least gain 0: -.0003 ± .0003, .002:
# +.0009 ± .0005.
PATIENCE, DOUBTFUL_PATIENCE = 8, 4  # epochs; the second while a gain is within its standard error
LATE_SHARE = 0.5  # of the best gain: later weights are less biased
LEAST_STEP = 1e-5  # by which a loss has to improve on the best one
STEP_SHARE = 0.02  # of the standard error of the gain: smaller steps are not told from noise
LEAST_GAIN = 5e-4  # by which it has to improve on the closed form


class CrossFitEstimator(LightningModule):
    """Train one critic for each fold on what a closed form leaves over.

    Batches come from :class:`~mine_lightning.estimate.folds.CrossFitDataModule`; the score of a
    pair is the batch's offset plus the network's output, which starts at zero and fades out where
    the offset is larger than the rows can check. The loss is that of
    :func:`~mine_lightning.estimate.ratios.base.logistic_losses`. After every epoch the
    exponentially averaged weights are compared, fold by fold, on the validation rows. Two states
    are kept for each fold: ``best``, and ``late``, the last one that keeps half of the best one's
    gain. Training ends when no fold has improved for several epochs, fewer while the gain is
    within its standard error, or, after ``usual_epochs``, as soon as most folds do not improve. The
    closed form alone is kept unless the network improves on its loss noticeably: where the
    dependence is large the loss hardly feels how large a score is. Several processes all do the
    same.

    Args:
        folds: Number E of folds.
        usual_epochs: Epochs after which only steady improvement goes on; no limit by default.
        seed: Seed of the initial weights.
    """

    minibatches_per_step = 16  # each with its own optimizer step, handed over at once

    averaged: CriticEnsemble
    best: CriticEnsemble
    late: CriticEnsemble
    first_losses: Tensor
    best_loss: Tensor
    best_epoch: Tensor
    late_epoch: Tensor
    done: Tensor

    def __init__(self, folds: int = 5, usual_epochs: int | None = None, seed: int = 0) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.critics = CriticEnsemble(ConcatCritic(HIDDEN, "silu"), folds, seed)
        self.usual_epochs, self.seed = usual_epochs, seed
        self.learning_curve: list[Tensor] = []  # nats on validation rows, (E,) for each epoch
        self.validation_losses: list[Tensor] = []

    def setup(self, stage: str) -> None:
        """Find the input sizes and set the networks to zero.

        Lightning compares the stacks of an epoch with ``log_every_n_steps``, which counts optimizer
        steps here; its warning would mislead.
        """
        warnings.filterwarnings("ignore", "The number of training batches .* logging interval")
        if not any(map(is_lazy, self.parameters())):
            return
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        self.limit = log_rows(data.views)
        rows = data.folds.val[:, :2]
        self.score(beside(data.batch(rows, rows.unsqueeze(2)), self.critics))
        start_at_zero(self.critics, self.seed)
        for name in ("averaged", "best", "late"):
            self.add_module(name, copy.deepcopy(self.critics).requires_grad_(False))
        folds = self.critics.members
        self.register_buffer("first_losses", torch.zeros(folds, 0))
        self.register_buffer("best_loss", torch.zeros(folds))
        self.register_buffer("best_epoch", torch.zeros(folds, dtype=torch.long))
        self.register_buffer("late_epoch", torch.zeros(folds, dtype=torch.long))
        self.register_buffer("done", torch.zeros(folds, dtype=torch.bool))

    def score(
        self, batch: dict[str, Any], critics: nn.Module | None = None
    ) -> tuple[Tensor, Tensor]:
        """Score a batch with the critics being trained or with given ones.

        Returns:
            The log ratios of the joint pairs, shape ``(E, N)``, and of the marginal pairs, shape
            ``(E, N, K)``.
        """
        critics = self.critics if critics is None else critics
        return self._added(batch["offset"], critics(*batch["pairs"]))

    def _added(self, offset: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Add the network's scores to those of the closed form, ``(E, N, 1 + K)``, and split."""
        total = offset + supported(offset, self.limit) * scores
        return total[:, :, 0], total[:, :, 1:]

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(
            self.critics.parameters(),
            lr=LEARNING_RATE,
            weight_decay=WEIGHT_DECAY,
            betas=(0.9, 0.99),
        )
        warmup = torch.optim.lr_scheduler.LinearLR(
            optimizer, 1 / WARMUP_STEPS, total_iters=WARMUP_STEPS - 1
        )
        return {"optimizer": fused(optimizer), "lr_scheduler": warmup}

    def on_train_start(self) -> None:
        """Take the closed-form critic alone as the state to beat."""
        whole = isinstance(self.trainer.strategy, (SingleDeviceStrategy, DDPStrategy))
        plain = whole and self.trainer.precision == "32-true" and not is_hooked(self)
        self._layers = Backprop.of(self.critics.critic) if plain else None
        if self.current_epoch == 0:
            loader: Any = self.trainer.datamodule.val_dataloader()  # type: ignore[attr-defined]
            losses, estimates = _measured(*self.score_all(loader, [self.averaged])[0])
            self.first_losses = losses
            self.best_loss.copy_(losses.mean(1))
            self._remember(self.best_loss.clone(), estimates)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """Take one optimizer step for each of the minibatches handed over."""
        batches = batch if isinstance(batch, list) else [batch]
        losses = [self._optimize(minibatch) for minibatch in batches]
        self.log("train/loss", torch.stack(losses).mean(), prog_bar=True)

    def _optimize(self, batch: dict[str, Any]) -> Tensor:
        """Take one optimizer step; return the mean loss over the folds from before it."""
        optimizer: Any = self.optimizers()
        scheduler: Any = self.lr_schedulers()
        if self._layers is not None:
            losses = self._differentiate(self._layers, batch)
            optimizer.optimizer.step()
            note_step(optimizer)
        else:
            losses = row_losses(*self.score(batch)).mean(1)
            optimizer.zero_grad()
            with self._alone():
                self.manual_backward(losses.sum())
            optimizer.step()
        scheduler.step()
        self._average()
        return losses.detach().mean()

    def _differentiate(self, layers: Backprop, batch: dict[str, Any]) -> Tensor:
        """Return the losses of the folds, and leave only them to autograd."""
        scores, tape = layers.forward(*batch["pairs"])
        losses = row_losses(*self._added(batch["offset"], scores.requires_grad_())).mean(1)
        (slope,) = torch.autograd.grad(losses.sum(), scores)
        gradients = layers.backward(slope, tape)
        for weight, gradient in zip(layers.parameters, gradients, strict=True):
            weight.grad = gradient
        return losses

    def _alone(self) -> AbstractContextManager[None]:
        """Leave other processes out: all of them train on the same rows, to the same bit."""
        return getattr(self.trainer.strategy, "block_backward_sync", nullcontext)()

    @torch.no_grad()
    def _average(self) -> None:
        keep = min(AVERAGING, (self.global_step + 1) / (self.global_step + 10))
        averages, weights = self.averaged.parameters(), self.critics.parameters()
        lerp_(list(averages), list(weights), 1 - keep)

    def on_validation_epoch_start(self) -> None:
        self._scores: list[tuple[Tensor, Tensor]] = []

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        self._scores.append(self.score(batch, self.averaged))

    def on_validation_epoch_end(self) -> None:
        """Keep the states that the validation rows prefer; stop when no fold improves."""
        if self.trainer.sanity_checking:
            return
        losses, estimates = _measured(*_joined(self._scores))
        processes = Processes(alone=self.trainer.world_size == 1)
        processes.share([losses, estimates])  # one decision, also where sums differ in order
        self._select(losses)
        self._remember(losses.mean(1), estimates)
        self.log_dict({"val/loss": losses.mean(), "val/mi": estimates.mean()}, prog_bar=True)
        self.trainer.should_stop |= self.finished

    @property
    def improving(self) -> bool:
        """Whether most folds improved in the last two epochs."""
        latest = len(self.learning_curve) - 1
        return bool((self.best_epoch >= latest - 1).float().mean() > 0.5)

    @property
    def finished(self) -> bool:
        """Whether training has nothing left to gain."""
        epochs = len(self.learning_curve) - 1
        long = self.usual_epochs is not None and epochs >= self.usual_epochs
        return bool(self.done.all()) or (long and not self.improving)

    def _remember(self, losses: Tensor, estimates: Tensor) -> None:
        self.validation_losses.append(losses.cpu())
        self.learning_curve.append(estimates.cpu())

    def _select(self, losses: Tensor) -> None:
        """Keep states by the losses of the validation rows, shape ``(E, n)``."""
        epoch, loss = self.current_epoch + 1, losses.mean(1)
        gain = self.first_losses - losses
        error = gain.std(1) / math.sqrt(gain.shape[1])
        step = (STEP_SHARE * error).clamp(min=LEAST_STEP)
        better = (loss < self.best_loss - step) & ~self.done
        self.best_loss.copy_(torch.where(better, loss, self.best_loss))
        self.best_epoch[better] = epoch
        gained = gain.mean(1) > LEAST_GAIN
        self.best.copy_members(self.averaged, better & gained)
        late = (gain.mean(1) >= LATE_SHARE * self.gain) & gained & ~self.done
        self.late_epoch[late] = epoch
        self.late.copy_members(self.averaged, late)
        patience = torch.where(self.gain > error, PATIENCE, DOUBTFUL_PATIENCE)
        self.done |= epoch - self.best_epoch >= patience

    @property
    def gain(self) -> Tensor:
        """By how much the best networks improve on the closed forms' losses, shape ``(E,)``."""
        return self.first_losses.mean(1) - self.best_loss

    @torch.no_grad()
    def score_all(
        self, loader: Any, states: Sequence[CriticEnsemble]
    ) -> list[tuple[Tensor, Tensor]]:
        """Score all batches with each of several states, in the trainer's precision."""
        precision = self.trainer.precision_plugin
        batches = (self.transfer_batch_to_device(batch, self.device, 0) for batch in loader)
        with precision.forward_context():
            shown = map(precision.convert_input, batches)
            scores = [[self.score(batch, state) for state in states] for batch in shown]
        return [_joined(of_state) for of_state in zip(*scores, strict=True)]


class FoldCritics(nn.Module):
    """The trained critics of all folds, for rows as the user has them.

    Args:
        views: What each fold's critic sees of the data.
        networks: What they add to their closed-form critics.
        swapped: Whether they were trained with z in the place of x.
    """

    def __init__(
        self, views: Sequence[FoldView], networks: CriticEnsemble, swapped: bool = False
    ) -> None:
        super().__init__()
        self.views, self.networks, self.swapped = list(views), networks, swapped

    @torch.no_grad()
    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """Return the log density ratio of each pair by each fold's critic.

        Args:
            x: Rows, shape ``(N, ...)``; text and labels one-hot.
            z: Rows, likewise.

        Returns:
            In nats, shape ``(E, N)``.
        """
        x, z = (z, x) if self.swapped else (x, z)
        seen = [view(x, z) for view in self.views]
        offsets = [
            view.choice.ratio.score(rows.x_code, rows.z_code)
            for view, rows in zip(self.views, seen, strict=True)
        ]
        offset = torch.stack(offsets).float()
        a, b = padded([rows.x for rows in seen]), padded([rows.z for rows in seen])
        u, v = (
            padded([rows.x_variates for rows in seen]),
            padded([rows.z_variates for rows in seen]),
        )
        scores = self.networks(a, with_pairs(b, u * v, offset))
        return offset + supported(offset, log_rows(self.views)) * scores


def log_rows(views: Sequence[FoldView]) -> float:
    """Return the log of the number of rows that the closed forms were fitted on."""
    return math.log(views[0].choice.ratio.rows)


def supported(offset: Tensor, limit: float) -> Tensor:
    r"""Return the share of the network's output that is added to scores of the closed form.

    .. math:: \frac{1}{1 + e^{T_0 - \ln N}}

    Of N rows, pairs drawn apart hardly contradict a score beyond :math:`\ln N`: the loss does not
    feel how large it is, and there the closed form stands alone.
    """
    return torch.sigmoid(limit - offset)


def row_losses(joint: Tensor, marginal: Tensor) -> Tensor:
    """Return the logistic loss of each row, shape ``(E, N)``, from all of its partners."""
    return F.softplus(-joint) + F.softplus(marginal).mean(-1)


def _measured(joint: Tensor, marginal: Tensor) -> tuple[Tensor, Tensor]:
    """Return the loss of each row, and the nats of each fold."""
    joint, marginal = joint.double(), marginal.double()
    return row_losses(joint, marginal).float(), corrected_terms(joint, marginal).mean(1)


def _joined(scores: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    joint, marginal = zip(*scores, strict=True)
    return torch.cat(joint, dim=1), torch.cat(marginal, dim=1)


def start_at_zero(critics: CriticEnsemble, seed: int) -> None:
    """Draw initial weights for standardised inputs, and zero ones for the last layer."""
    generator = torch.Generator().manual_seed(seed)
    kinds = (nn.Linear, PairLinear)
    layers: list[Any] = [layer for layer in critics.modules() if isinstance(layer, kinds)]
    with torch.no_grad():
        for layer in layers:
            first = isinstance(layer, PairLinear)
            variance = (1 if first else 2) / layer.weight.shape[-1]
            weight = torch.randn(layer.weight.shape, generator=generator) * math.sqrt(variance)
            layer.weight.copy_(weight)
            if layer.bias is not None:
                bias = torch.rand(layer.bias.shape, generator=generator) * 2 - 1
                layer.bias.copy_(bias if first else 0.1 * bias)
        layers[-1].weight.zero_()
        layers[-1].bias.zero_()
