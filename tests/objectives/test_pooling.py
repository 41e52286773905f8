"""Sums of scores, which add."""

import torch

from mine_lightning.objectives import DonskerVaradhan
from mine_lightning.objectives.pooling import Pooled
from objective_cases import draw_scores
from shared import seeded


def test_sums_add_along_any_dimension():
    objective, batches = DonskerVaradhan(), [draw_scores(rows=4, seed=seed) for seed in range(3)]
    pooled = [objective.pool(*batch) for batch in batches]
    stacked = Pooled(*map(torch.stack, zip(*pooled, strict=True)))
    whole = objective.pool(*map(torch.cat, zip(*batches, strict=True)))
    for total in (stacked.total(), pooled[0] + pooled[1] + pooled[2], whole + Pooled.nothing()):
        torch.testing.assert_close(total, whole)
    torch.testing.assert_close(
        objective.standard_error(stacked), torch.stack([*map(objective.standard_error, pooled)])
    )


def test_the_sums_are_those_of_their_definitions():
    terms, logs = (torch.randn(50, generator=seeded(seed)).double() for seed in (0, 1))
    pooled = Pooled.of(terms, logs, pairs=150)
    assert (pooled.rows, pooled.pairs) == (50, 150)
    weights = logs.exp()
    torch.testing.assert_close(pooled.mean, terms.mean())
    torch.testing.assert_close(pooled.variance, terms.var(correction=0))
    torch.testing.assert_close(pooled.log_mean, weights.mean().log())
    torch.testing.assert_close(
        pooled.effective_sample_size, weights.sum() ** 2 / weights.square().sum()
    )
    spread = weights.var(correction=0) / weights.mean() ** 2
    torch.testing.assert_close(pooled.log_variance, spread)


def test_sums_are_in_double_precision_and_add():
    first, second = (torch.randn(7, generator=seeded(seed)) for seed in (0, 1))
    both = Pooled.of(first, first, 7) + Pooled.of(second, second, 7)
    whole = torch.cat((first, second))
    assert all(part.dtype == torch.float64 for part in both)
    torch.testing.assert_close(tuple(both), tuple(Pooled.of(whole, whole, 14)))
