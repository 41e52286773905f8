"""What every objective has from its base: kinds, pooling, ceilings, failures."""

import math
import warnings

import pytest
import torch

from mine_lightning.functional import donsker_varadhan
from mine_lightning.metrics import MutualInformation
from mine_lightning.objectives import SMILE, DonskerVaradhan, InfoNCE, Objective
from mine_lightning.objectives.pooling import Pooled
from objective_cases import CASES, draw_scores, every_objective


def test_an_estimate_near_its_ceiling_warns_once():
    objective = InfoNCE()
    pooled = objective.pool(torch.zeros(4), torch.zeros(4, 15))
    with pytest.warns(UserWarning, match=r"InfoNCE estimate 2\.7.* ceiling ln 16 = 2\.773 nats"):
        objective.warn_near_ceiling(torch.tensor(2.7), pooled)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        objective.warn_near_ceiling(torch.tensor(2.7), pooled)
        InfoNCE().warn_near_ceiling(torch.tensor(2.0), pooled)
        InfoNCE().warn_near_ceiling(torch.tensor(math.nan), pooled)
        InfoNCE().warn_near_ceiling(torch.tensor(math.nan), Pooled.nothing())


def test_kinds():
    kinds = {name: case.make().kind for name, case in CASES.items() if case.is_objective}
    assert {n for n, kind in kinds.items() if kind == "upper bound"} == {"club", "leave-one-out"}
    neither = {n for n, kind in kinds.items() if kind == "neither"}
    plain = {name for name in CASES if name.endswith("-plain")}
    assert neither == {"anchored", "anchored-5", "infonce-without", "smile-1", "smile-5", *plain}


@every_objective
def test_metric_pools_exactly(case):
    objective = case.make().eval()
    batches = [draw_scores(rows=4, seed=seed) for seed in range(5)]
    metric = MutualInformation(objective).set_dtype(torch.float64)
    for batch in batches:
        metric.update(*batch)
    expected = objective.pooled_estimate(batches)
    torch.testing.assert_close(metric.compute(), expected, rtol=1e-6, atol=1e-6)
    if not case.all_pairs:
        whole = objective.estimate(*map(torch.cat, zip(*batches, strict=True)))
        torch.testing.assert_close(expected, whole)


def test_pooled_batches_may_differ_in_size_and_partners():
    few, many = draw_scores(rows=3, partners=1), draw_scores(rows=5, partners=4)
    joint = torch.cat((few[0], many[0]))
    marginal = torch.cat((few[1].expand(3, 4), many[1]))
    torch.testing.assert_close(
        DonskerVaradhan().pooled_estimate([few, many]), donsker_varadhan(joint, marginal)
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_check_finite(value):
    message = r"Expected the loss of SMILE\(tau=5.0\) to be finite, got .* lower the learning rate"
    with pytest.raises(FloatingPointError, match=message):
        SMILE().check_finite(torch.tensor(value), "loss")
    number = torch.tensor(1.0, requires_grad=True)
    assert SMILE().check_finite(number) is number


def test_the_base_leaves_the_contract_open():
    scores = draw_scores()
    for method in ("loss", "terms", "estimate"):
        with pytest.raises(NotImplementedError):
            getattr(Objective(), method)(*scores)
