"""Sums of scores, which add."""

import torch

from mine_lightning.objectives import DonskerVaradhan
from mine_lightning.objectives.pooling import Pooled
from objective_cases import draw_scores


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
