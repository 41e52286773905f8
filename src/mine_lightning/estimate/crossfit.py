"""The LightningModule behind the estimates: one critic for each fold of each pair, all as one."""

import copy
import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from mine_lightning.callbacks.progress import EpochBar
from mine_lightning.critics.ensemble import copy_members
from mine_lightning.data.loading.stacks import Batch
from mine_lightning.estimate.critics import log_rows
from mine_lightning.estimate.logistic import measured, own_first, row_losses, row_slopes, supported
from mine_lightning.estimate.networks import FoldNetworks, Widths
from mine_lightning.estimate.steps import HookedSteps, choose_steps
from mine_lightning.support.distributed import Processes
from mine_lightning.support.hooks import fused

__all__ = ["CrossFitEstimator", "FittedFolds"]

# `benchmarks/constants.py` changes them one by one, on 38 distributions of 500 rows with a mean
# error of .140 nats; by how much that changes stands beside them. What has no figure is judgement.
# Rate .005: +.0027 ± .0022, .02: -.0013 ± .0024.
LEARNING_RATE, WEIGHT_DECAY, WARMUP_STEPS = 1e-2, 1e-2, 20
# Patience 4: +.0018 ± .0009, 16: +.0009 ± .0006 nats; doubtful 2: +.0054 ± .0028, 8: -.0001 ±
# .0021; late share 0: -.0009 ± .0020, 1: +.0011 ± .0024; step share 0: +.0004 ± .0004, .1: +.0012
# ± .0007; least gain 0: -.0003 ± .0003, .002: +.0009 ± .0005.
PATIENCE, DOUBTFUL_PATIENCE = 8, 4  # epochs; the second while a gain is within its standard error
LATE_SHARE = 0.5  # of the best gain: later weights are less biased
LEAST_STEP = 1e-5  # by which a loss has to improve on the best one
STEP_SHARE = 0.02  # of the standard error of the gain: smaller steps are not told from noise
LEAST_GAIN = 5e-4  # by which it has to improve on the closed form
STEPS_UNASKED = 64  # on a device, between two questions whether training has ended


class FittedFolds(NamedTuple):
    """What training leaves of one pair of variables.

    Attributes:
        best: The state of each fold's critic that the validation rows prefer.
        late: The last state that keeps half of its gain.
        gain: By how much the best ones improve on the closed forms' losses, shape ``(E,)``.
        best_epoch: The epochs that they are from, shape ``(E,)``.
        learning_curve: Nats on validation rows, shape ``(1 + epochs, E)``.
        validation_loss: The loss there, likewise.
        finished: Whether training had nothing left to gain.
    """

    best: FoldNetworks
    late: FoldNetworks
    gain: Tensor
    best_epoch: Tensor
    learning_curve: Tensor
    validation_loss: Tensor
    finished: bool


class CrossFitEstimator(LightningModule):
    """Train one critic for each fold of each of P pairs of variables on what closed forms leave.

    Batches come from :class:`~mine_lightning.estimate.minibatches.CrossFitDataModule`; the score of
    a pair is the batch's offset plus the network's output, which starts at zero and fades out where
    the offset is larger than the rows can check. The loss is that of
    :func:`~mine_lightning.estimate.ratios.base.logistic_losses`. After every epoch the
    exponentially averaged weights are compared, fold by fold, on the validation rows. Two states
    are kept for each fold: ``best``, and ``late``, the last one that keeps half of the best one's
    gain. Training of a pair of variables ends when no fold has improved for several epochs, fewer
    while the gain is within its standard error, or, after ``usual_epochs``, as soon as most folds
    do not improve. Pairs do not feel each other: their numbers are those of a fit alone. Once half
    of the pairs have ended, training goes on with the others alone. The closed form alone is kept
    unless the network improves on its loss noticeably: where the dependence is large the loss
    hardly feels how large a score is. Several processes all do the same.

    Args:
        folds: Number E of folds.
        pairs: Number P of pairs of variables.
        usual_epochs: Epochs after which only steady improvement goes on; no limit by default.
        seed: Seed of the initial weights.
        watched: Whether anybody looks on, at what is logged or at the weights: what is logged costs
            a tenth of a short epoch.
    """

    minibatches_per_step = 16  # each with its own optimizer step, handed over at once

    _steps: HookedSteps
    averaged: FoldNetworks
    best: FoldNetworks
    late: FoldNetworks
    first_losses: Tensor
    best_loss: Tensor
    best_epoch: Tensor
    done: Tensor
    epochs: Tensor

    def __init__(
        self,
        folds: int = 5,
        pairs: int = 1,
        usual_epochs: int | None = None,
        seed: int = 0,
        watched: bool = True,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.folds, self.pairs = folds, pairs
        self.usual_epochs, self.seed, self.watched = usual_epochs, seed, watched
        self.trained = list(range(pairs))  # the numbers of the pairs that are in training
        self._ended: dict[int, FittedFolds] = {}  # the others
        self.learning_curve: list[Tensor] = []  # nats on validation rows, (P E,) for each epoch
        self.validation_losses: list[Tensor] = []

    def setup(self, stage: str) -> None:
        """Find the input sizes and set the networks to zero.

        Lightning compares the stacks of an epoch with ``log_every_n_steps``, which counts optimizer
        steps here; its warning would mislead.
        """
        warnings.filterwarnings("ignore", "The number of training batches .* logging interval")
        if hasattr(self, "networks"):
            return
        pairs: Any = self.trainer.datamodule.pairs  # type: ignore[attr-defined]
        self.limit = log_rows(pairs[0].views)
        members, widths = self.folds * self.pairs, [pair.widths for pair in pairs]
        self.networks = FoldNetworks.of(Widths.widest(widths), members, pairs[0].warped)
        for place, (pair, own) in enumerate(zip(pairs, widths, strict=True)):
            self.networks.draw(place, own, pair.correlations, self.seed)
        for name in ("averaged", "best", "late"):
            self.add_module(name, copy.deepcopy(self.networks).requires_grad_(False))
        self.register_buffer("first_losses", torch.zeros(members, 0))
        self.register_buffer("best_loss", torch.zeros(members))
        self.register_buffer("best_epoch", torch.zeros(members, dtype=torch.long))
        self.register_buffer("done", torch.zeros(members, dtype=torch.bool))
        self.register_buffer("epochs", torch.zeros(self.pairs, dtype=torch.long))

    def score(self, batch: Batch, networks: FoldNetworks | None = None) -> tuple[Tensor, Tensor]:
        """Score a batch with the networks being trained or with given ones.

        Returns:
            The log ratios of the joint pairs, shape ``(E, N)``, and of the marginal pairs, shape
            ``(E, N, K)``.
        """
        networks = self.networks if networks is None else networks
        return self.added(batch["offset"], networks(batch))

    def added(self, offset: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Add the network's scores to those of the closed form, ``(E, N, 1 + K)``, and split."""
        return own_first(offset + supported(offset, self.limit) * scores)

    def losses(self, joint: Tensor, marginal: Tensor) -> Tensor:
        """Return the loss of each fold's scores, shape ``(E,)``."""
        return row_losses(joint, marginal).mean(1)

    def sloped(self, offset: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Return each fold's loss, and the gradient by the network's scores, ``(E, N, 1 + K)``."""
        share = supported(offset, self.limit)
        added = offset + share * scores
        slopes = row_slopes(added).mul_(share).div_(added.shape[1])
        return self.losses(*own_first(added)), slopes

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(
            self.networks.parameters(),
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
        self._asked = self.global_step
        self._steps = choose_steps(self)
        if self.current_epoch == 0:
            loader: Any = self.trainer.datamodule.val_dataloader()  # type: ignore[attr-defined]
            losses, estimates = measured(*own_first(self.score_all(loader, [self.averaged])[0]))
            self.first_losses = losses
            self.best_loss.copy_(losses.mean(1))
            self._remember(self.best_loss.clone(), estimates)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """Take one optimizer step for each of the minibatches handed over."""
        batches = [self._own(each) for each in (batch if isinstance(batch, list) else [batch])]
        self._log({"train/loss": self._steps(batches).mean()})

    def _log(self, values: dict[str, Tensor]) -> None:
        """Log values, which Lightning reads at once where they are for its own progress bars."""
        if self.watched:
            bar = self.trainer.progress_bar_callback
            self.log_dict(values, prog_bar=not (bar is None or isinstance(bar, EpochBar)))

    def on_train_end(self) -> None:
        del self._steps  # whose recordings hold memory of the device

    def on_validation_epoch_start(self) -> None:
        self._scores: list[tuple[Tensor, Tensor]] = []

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._scores.append(self.score(self._own(batch), self.averaged))

    def on_validation_epoch_end(self) -> None:
        """Keep the states that the validation rows prefer; end the pairs that do not improve."""
        if self.trainer.sanity_checking:
            return
        losses, estimates = measured(*_joined(self._scores))
        processes = Processes(alone=self.trainer.world_size == 1)
        processes.share([losses, estimates])  # one decision, also where sums differ in order
        running = ~self.finished
        self._select(losses)
        self._remember(losses.mean(1), estimates)
        self._log({"val/loss": losses.mean(), "val/mi": estimates.mean()})
        self.epochs.masked_fill_(running, len(self.learning_curve) - 1)
        self.done |= self.ended.unsqueeze(1).expand(-1, self.folds).flatten()
        self._let_go()
        self._stop()

    def _own(self, batch: Batch) -> Batch:
        """Return the batch of the pairs that are in training."""
        if len(self.trained) == self.pairs:
            return batch
        return of_members(batch, self._members(torch.tensor(self.trained)))

    def _members(self, pairs: Tensor) -> Tensor:
        """Return the numbers of all folds of some pairs, shape ``(n E,)``."""
        return (self.folds * pairs.unsqueeze(1) + torch.arange(self.folds)).flatten()

    def _let_go(self) -> None:
        """Train on without the pairs that have ended, once these are half of them: steps cost.

        A device is not asked, and nobody who looks on sees weights disappear.
        """
        if self.watched or self.device.type != "cpu" or self.trainer.world_size > 1:
            return
        over = self.finished
        if len(over) / 2 <= int(over.sum()) < len(over):
            ended = [pair for pair, gone in zip(self.trained, over.tolist(), strict=True) if gone]
            self._ended |= {pair: self.fitted(pair) for pair in ended}
            self._keep((~over).nonzero().flatten())

    @torch.no_grad()
    def _keep(self, places: Tensor) -> None:
        """Keep some pairs in training, by their places among those that are."""
        members, optimizer = self._members(places), cast(Any, self.optimizers())
        self.trained, self.epochs = [self.trained[n] for n in places.tolist()], self.epochs[places]
        buffers = [buffer for name, buffer in self.named_buffers() if name != "epochs"]
        for stacked in (*self.parameters(), *buffers):
            stacked.data = stacked.data[members]
        for state in optimizer.state.values():
            state.update({name: value[members] for name, value in state.items() if value.ndim})
        self.learning_curve = [values[members] for values in self.learning_curve]
        self.validation_losses = [values[members] for values in self.validation_losses]
        self._steps = choose_steps(self)

    def _stop(self) -> None:
        """End the run where all pairs have ended.

        A device is asked now and then: what is kept no longer changes once a pair has ended.
        """
        if self.device.type == "cpu" or self.global_step >= self._asked + STEPS_UNASKED:
            self._asked = self.global_step
            self.trainer.should_stop |= bool(self.done.all())

    @property
    def finished(self) -> Tensor:
        """Which pairs have nothing left to gain, shape ``(P,)``."""
        return self.done.view(-1, self.folds).all(1)

    @property
    def ended(self) -> Tensor:
        """Which pairs have been trained for long, and most of their folds do not improve."""
        epochs = len(self.learning_curve) - 1
        improving = (self.best_epoch >= epochs - 1).view(-1, self.folds).float().mean(1) > 0.5
        long = self.usual_epochs is not None and epochs >= self.usual_epochs
        return torch.full_like(improving, long) & ~improving

    def _remember(self, losses: Tensor, estimates: Tensor) -> None:
        self.validation_losses.append(losses)
        self.learning_curve.append(estimates)

    def _select(self, losses: Tensor) -> None:
        """Keep states by the losses of the validation rows, shape ``(E, n)``."""
        epoch, loss = self.current_epoch + 1, losses.mean(1)
        gain = self.first_losses - losses
        error = gain.std(1) / math.sqrt(gain.shape[1])
        step = (STEP_SHARE * error).clamp(min=LEAST_STEP)
        better = (loss < self.best_loss - step) & ~self.done
        self.best_loss.copy_(torch.where(better, loss, self.best_loss))
        self.best_epoch.masked_fill_(better, epoch)
        gained = gain.mean(1) > LEAST_GAIN
        copy_members(self.best, self.averaged, better & gained)
        late = (gain.mean(1) >= LATE_SHARE * self.gain) & gained & ~self.done
        copy_members(self.late, self.averaged, late)
        patience = torch.where(self.gain > error, PATIENCE, DOUBTFUL_PATIENCE)
        self.done |= epoch - self.best_epoch >= patience

    @property
    def gain(self) -> Tensor:
        """By how much the best networks improve on the closed forms' losses, shape ``(P E,)``."""
        return self.first_losses.mean(1) - self.best_loss

    def fitted(self, pair: int) -> FittedFolds:
        """Return what training leaves of one of the pairs."""
        if pair in self._ended:
            return self._ended[pair]
        place = self.trained.index(pair)
        members, last = self._members(torch.tensor([place])), 1 + int(self.epochs[place])
        return FittedFolds(
            best=self.best.take(members),
            late=self.late.take(members),
            gain=self.gain[members].cpu(),
            best_epoch=self.best_epoch[members].cpu(),
            learning_curve=self._curve(self.learning_curve[:last], members),
            validation_loss=self._curve(self.validation_losses[:last], members),
            finished=bool(self.finished[place]),
        )

    def _curve(self, epochs: list[Tensor], members: Tensor) -> Tensor:
        return torch.stack(epochs)[:, members].cpu()

    @torch.no_grad()
    def score_all(self, loader: Any, states: Sequence[FoldNetworks]) -> list[Tensor]:
        """Score all batches with each of several states, in the trainer's precision.

        The batches themselves are made outside of its context.

        Returns:
            The log ratios of each row with its own z and with its partners, shape ``(E, N, 1 + K)``
            for each state.
        """
        precision = self.trainer.precision_plugin
        batches = (self.transfer_batch_to_device(batch, self.device, 0) for batch in loader)
        found = [next(state.parameters()).new_empty(loader.shape) for state in states]
        parts = [speaking(state) for state in states]
        start = 0  # in place: small results between large temporaries would hold their memory
        for batch in map(precision.convert_input, batches):
            rows = slice(start, start + batch["offset"].shape[1])
            with precision.forward_context():
                for scores, part in zip(found, parts, strict=True):
                    self._fill(scores[:, rows], batch, *part)
            start = rows.stop
        return found

    def _fill(
        self, scores: Tensor, batch: Batch, networks: FoldNetworks | None, members: Tensor | slice
    ) -> None:
        """Put the scores of a batch in place, those of closed forms where networks add nothing."""
        scores.copy_(batch["offset"])
        if networks is not None:
            own, others = self.score(of_members(batch, members), networks)
            scores[members, :, 0], scores[members, :, 1:] = own, others


def speaking(networks: FoldNetworks) -> tuple[FoldNetworks | None, Tensor | slice]:
    """Return the networks that add anything to their closed forms, if any do, and which they are.

    Those that have been trained do; the last layer of the others is zero. Two are the fewest: a
    batched product of one matrix is rounded differently.
    """
    speaks = speakers(networks)
    if speaks.all():
        return networks, slice(None)
    if speaks.sum() == 1:
        speaks |= speaks.roll(1)
    members = speaks.nonzero().squeeze(1)
    return networks.take(members) if len(members) else None, members


def speakers(networks: FoldNetworks) -> Tensor:
    """Return which networks add anything to their closed forms, shape ``(E,)``."""
    weight, bias = networks.concat.weights[-1], networks.concat.biases[-1]
    return (weight != 0).flatten(1).any(1) | (bias != 0).any(1)


def of_members(batch: Batch, members: Tensor | slice) -> Batch:
    """Return the batch of some members."""
    return {name: rows[members] for name, rows in batch.items()}


def _joined(scores: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    joint, marginal = zip(*scores, strict=True)
    return torch.cat(joint, dim=1), torch.cat(marginal, dim=1)
