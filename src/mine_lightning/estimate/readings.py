"""Scores of the rows by the critics of a finished fit, and the numbers that follow from them."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from mine_lightning.critics.ensemble import CriticEnsemble
from mine_lightning.estimate.crossfit import CrossFitEstimator
from mine_lightning.estimate.diagnostics import LEAST_PAIRS, effective_sample_size
from mine_lightning.estimate.folds import CrossFitDataModule
from mine_lightning.estimate.readout import corrected_terms, normalized_terms
from mine_lightning.objectives.functional import donsker_varadhan, infonce

__all__ = ["GAP_SHARE", "FoldScores", "Readings", "read", "score_folds"]

PARTNERS, HELD_PARTNERS = 10, 20
GAP_SHARE = 0.5  # of the gap: the truth lies between held-out and in-sample value
MODEL_SHARE = 0.010  # of the value: errors that the critics have in common

LEAST_ERROR, LEAST_ROWS = 0.001, 5  # nats, and rows, too weak or too few to be seen


class FoldScores(NamedTuple):
    """Scores of given rows, one entry for each fold.

    Attributes:
        joint: Scores of pairs drawn together, shape ``(n,)`` each.
        marginal: Scores of pairs drawn apart, shape ``(n, K)`` each.
        terms: The terms whose mean is the estimate, shape ``(n,)`` each.
    """

    joint: list[Tensor]
    marginal: list[Tensor]
    terms: list[Tensor]

    @property
    def per_fold(self) -> Tensor:
        """The estimate of each fold, shape ``(E,)``."""
        return torch.stack([terms.mean() for terms in self.terms])


def score_folds(
    model: CrossFitEstimator,
    data: CrossFitDataModule,
    critics: CriticEnsemble,
    rows: list[Tensor],
    partners: int = PARTNERS,
) -> FoldScores:
    """Score rows by each fold's critic.

    Args:
        model: The fitted model.
        data: Its data.
        critics: Which of its states to take.
        rows: Row numbers for each fold, of which there may be one more or less.
        partners: Partners for each row.
    """
    lengths, levels = [len(part) for part in rows], data.levels
    longest = max(lengths)
    together = torch.stack([torch.cat([part, part[: longest - len(part)]]) for part in rows])
    if levels is None:
        loader = data.evaluation(together, min(partners, min(lengths) - 1), seed=4)
    else:
        loader = data.all_levels(together, levels)
    scores = [scores.double().cpu() for scores in model.score_all(loader, critics)]
    joint, marginal = ([s[:n] for s, n in zip(side, lengths, strict=True)] for side in scores)
    both = zip(joint, marginal, strict=True)
    if levels is None:
        return FoldScores(joint, marginal, [corrected_terms(*s, model.tilt) for s in both])
    return FoldScores(joint, marginal, [normalized_terms(*s, levels.log_weights) for s in both])


class Readings(NamedTuple):
    """What is read from a finished fit.

    Attributes:
        held: Rows that the critics have not seen, scored in their late state.
        seen: Rows that they were trained on, likewise.
        best: Rows that they have not seen, scored in their best state.
        discrete: Whether one of the variables is.
    """

    held: FoldScores
    seen: FoldScores
    best: FoldScores
    discrete: bool

    @property
    def held_out(self) -> float:
        return self.held.per_fold.mean().item()

    @property
    def in_sample(self) -> float:
        return self.seen.per_fold.mean().item()

    @property
    def nats(self) -> float:
        """The mean of the two, whose first-order biases are opposite."""
        return (self.held_out + self.in_sample) / 2

    @property
    def terms(self) -> Tensor:
        """Held-out terms, fold after fold, shape ``(N,)``."""
        return torch.cat(self.held.terms)

    @property
    def standard_error(self) -> float:
        return standard_error(self.terms, self.in_sample - self.held_out, self.nats)

    @property
    def log_ratios(self) -> Tensor:
        """Pointwise mutual information of the rows, fold after fold, shape ``(N,)``."""
        return torch.cat(self.best.terms if self.discrete else self.best.joint)

    @property
    def lower_bound(self) -> float:
        if self.discrete:
            return self.log_ratios.mean().item()
        scores = torch.cat(self.best.joint), torch.cat(self.best.marginal)
        bounds = [infonce(*scores).item()]
        if effective_sample_size(scores[1]) >= LEAST_PAIRS:
            bounds.append(donsker_varadhan(*scores).item())
        return max(bounds)


def standard_error(terms: Tensor, gap: float, nats: float) -> float:
    """Combine sampling error, the critics' variance, their bias and what they cannot see.

    The variance shows in the gap, the bias is taken as a share of the value, and dependence that is
    too weak for the validation rows to confirm is missed without a trace.

    Args:
        terms: Terms whose mean is the held-out estimate, shape ``(N,)``.
        gap: In-sample less held-out estimate.
        nats: The estimate.
    """
    sampling = terms.var().item() / len(terms)
    unseen = LEAST_ERROR + LEAST_ROWS / len(terms)
    return math.sqrt(sampling + (GAP_SHARE * gap) ** 2 + (MODEL_SHARE * nats) ** 2 + unseen**2)


def read(model: CrossFitEstimator, data: CrossFitDataModule) -> Readings:
    """Score the rows after a fit."""
    held = data.folds.held
    train = list(data.folds.train[:, : 2 * len(held[0])])
    return Readings(
        score_folds(model, data, model.late, held, HELD_PARTNERS),
        score_folds(model, data, model.late, train),
        score_folds(model, data, model.best, held),
        data.levels is not None,
    )
