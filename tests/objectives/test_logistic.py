"""Objectives trained by logistic regression, and their read-outs."""

import math

import pytest
import torch

from mine_lightning.functional import nwj
from mine_lightning.objectives import SMILE, JensenShannonNWJ
from objective_cases import draw_scores, gradient


def test_the_nwj_read_out_is_at_the_score_plus_1():
    joint, marginal = draw_scores()
    torch.testing.assert_close(
        JensenShannonNWJ().estimate(joint, marginal), nwj(joint + 1, marginal + 1)
    )


@pytest.mark.parametrize("tau", [0.0, -1.0, math.nan])
def test_a_clip_that_is_not_positive_is_refused(tau):
    with pytest.raises(ValueError, match="Expected `tau` to be positive, got"):
        SMILE(tau)


def test_smile_is_a_bound_without_a_clip_alone():
    assert SMILE(math.inf).kind == "lower bound"
    assert SMILE(5.0).kind == "neither"


def test_the_clip_does_not_touch_training():
    scores = draw_scores(scale=20)
    for first, second in zip(
        gradient(SMILE(1.0), *scores), gradient(SMILE(math.inf), *scores), strict=True
    ):
        assert torch.equal(first, second)
