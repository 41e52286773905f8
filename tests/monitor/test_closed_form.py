import math

import pytest
import torch

from mine_lightning import RankToNormal
from mine_lightning.monitor.closed_form import ClosedForm, NormalScores, follow, hold_out
from normal_pair import correlation, single


def pairs(nats, rows, seed=0):
    return single(rows, correlation(nats, 4), seed, dim=4)


@pytest.mark.parametrize("columns", ["normal", "heavy", "discrete"])
def test_normal_scores_are_those_of_the_exact_ranks(columns):
    rows = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
    rows = {"normal": rows, "heavy": rows.sinh(), "discrete": rows.round()}[columns]
    exact = RankToNormal().fit(rows)(rows)
    assert (NormalScores(rows)(rows) - exact).abs().mean() < 0.03


def test_a_column_without_spread_has_one_score():
    scores = NormalScores(torch.ones(100, 1))(torch.ones(5, 1))
    assert scores.isfinite().all()
    assert len(scores.unique()) == 1


def test_the_closed_form_is_the_log_ratio_of_a_normal_pair():
    x, z = pairs(1.0, 20_000)
    assert ClosedForm(x, z)(x[:500], z[:500]).diagonal().mean() == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize("truth", [0.1, 1.0, 3.0])
def test_held_out_rows_read_the_truth(truth):
    reading = hold_out(*pairs(truth, 2048)).reading()
    assert abs(reading.value - truth) < 3 * reading.standard_error
    assert reading.ceiling == math.log(2048)


def test_nothing_reads_as_zero_within_its_resolution():
    reading = hold_out(*pairs(0.0, 2048)).reading()
    assert 0 <= reading.value < 0.01
    assert 0 < reading.standard_error < 0.02


def test_no_value_passes_the_ceiling():
    reading = hold_out(*pairs(40.0, 512)).reading()
    assert math.log(512) - 0.2 < reading.value <= math.log(512) + 1e-3


def test_heavy_tails_are_read_by_their_ranks():
    x, z = pairs(1.0, 2048)
    followed = follow(x.sinh() ** 3, z.sinh() ** 3)
    assert followed.normal
    assert abs(followed.reading.value - 1.0) < 3 * followed.reading.standard_error


def test_rows_before_a_jump_are_not_read_and_forgotten_where_they_mislead():
    before, after = pairs(3.0, 2048), pairs(0.5, 512, seed=1)
    followed = follow(*(torch.cat(sides) for sides in zip(before, after, strict=True)))
    assert followed.jumped
    assert abs(followed.forget - 2048) <= 128
    assert abs(followed.reading.value - 0.5) < 0.15
