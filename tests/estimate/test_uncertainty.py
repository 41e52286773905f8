"""The interval follows what an estimate knows about itself."""

import math
from dataclasses import replace

import pytest

from mine_lightning.estimate.calibration import ABOVE, BELOW, FACTORS
from mine_lightning.estimate.uncertainty import Errors, Signs, difference_errors, standard_errors

SIGNS = Signs(nats=0.5, variance=1e-4, gap=0.05, rows=2_000, columns=4)


def test_every_constant_is_of_a_part_and_every_stratum_has_one() -> None:
    assert set(BELOW) | set(ABOVE) <= set(SIGNS.parts())
    for rows in (100, 100_000):
        for columns in (2, 200):
            for nats in (-0.01, 0.1, 5.0):
                there = replace(SIGNS, rows=rows, columns=columns, nats=nats)
                assert set(there.strata()) <= set(FACTORS)


@pytest.mark.parametrize(
    "worse", [{"variance": 1e-2}, {"gap": 0.5}, {"gap": -0.5}, {"rows": 50}, {"variance": 4e-4}]
)
def test_worse_signs_widen_the_interval(worse: dict) -> None:
    before, after = standard_errors(SIGNS), standard_errors(replace(SIGNS, **worse))
    assert after.below > before.below
    assert after.above > before.above


def test_critics_miss_dependence_so_that_the_truth_lies_above() -> None:
    for gap in (0.0, 0.05, 0.5):
        errors = standard_errors(replace(SIGNS, gap=gap))
        assert errors.above >= errors.below > 0


def test_sampling_is_never_left_out() -> None:
    calm = Signs(nats=0.0, variance=1e-2, gap=0.0, rows=1e6, columns=2)
    assert min(standard_errors(calm)) >= 0.07


def test_nothing_is_known_above_a_function() -> None:
    errors = standard_errors(SIGNS, functional=True)
    assert errors.above == errors.both == math.inf
    assert errors.below == standard_errors(SIGNS).below


def test_what_rows_share_and_what_the_second_misses_cancel_in_a_difference() -> None:
    one = Errors(0.1, 0.1)
    cancelled = difference_errors(0.0, one, one, shared=0.02)
    assert cancelled == pytest.approx((0.0, 0.0), abs=1e-6)
    kept = difference_errors(0.0, one, one, shared=0.0)
    assert kept == pytest.approx((0.1 * 2**0.5, 0.1 * 2**0.5))
    missed = difference_errors(0.0, Errors(0.1, 0.5), one, shared=0.02)
    assert missed == pytest.approx((0.0, math.sqrt(0.24)), abs=1e-6)
    assert difference_errors(0.0, one, Errors(0.1, 0.5), shared=0.0) == kept
    assert difference_errors(0.0, Errors(0.1, math.inf), one, shared=0.0).above == math.inf
