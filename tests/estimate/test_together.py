"""Pairs whose critics are trained in one fit."""

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch import Callback

from mine_lightning import estimate_mutual_information, mutual_information_matrix
from mine_lightning.estimate.crossfit import CrossFitEstimator
from mine_lightning.estimate.together import default_epochs, estimate_together
from shared import QUICK


def test_samples_of_every_size_have_their_epochs() -> None:
    assert [default_epochs(rows) for rows in (50, 5_000, 10_000, 10**6)] == [80, 50, 25, 25]


@pytest.mark.filterwarnings("ignore:Dropped")
def test_pairs_trained_together_are_those_trained_alone(frame: pd.DataFrame) -> None:
    gaps = frame.assign(c=frame["c"].where(frame.index > 9))
    matrix = mutual_information_matrix(gaps, missing="drop", max_epochs=12, progress_bar=False)
    for (a, b), result in matrix.estimates.items():
        alone = estimate_mutual_information(
            gaps[[a]], gaps[[b]], missing="drop", max_epochs=12, progress_bar=False
        )
        assert result.nats == pytest.approx(alone.nats, abs=1e-3)
        assert result.errors == pytest.approx(alone.errors, abs=1e-3)
        assert result.settings == alone.settings
        np.testing.assert_allclose(result.learning_curve[0], alone.learning_curve[0], atol=1e-6)


def test_pairs_that_end_early_leave_the_others_as_they_are(monkeypatch) -> None:
    kept, keep = [], CrossFitEstimator._keep

    def noted(model: CrossFitEstimator, places: torch.Tensor) -> None:
        kept.append(len(places))
        keep(model, places)

    monkeypatch.setattr(CrossFitEstimator, "_keep", noted)
    x, *noise = np.random.default_rng(0).normal(size=(5, 300))
    sides = [(x, other) for other in (noise[0], x + noise[1], np.sin(5 * x) + 0.1 * noise[2])]
    quiet = {"folds": 2, "progress_bar": False}
    alone = estimate_together(sides, callbacks=[Callback()], **quiet)
    assert not kept  # somebody looks on
    for result, whole in zip(estimate_together(sides, **quiet), alone, strict=True):
        assert result.nats == pytest.approx(whole.nats, abs=1e-4)
        assert len(result.learning_curve) == len(whole.learning_curve)
        np.testing.assert_allclose(result.learning_curve, whole.learning_curve, atol=1e-4)
    assert kept


def test_critics_of_a_pair_are_handed_out_alone(frame: pd.DataFrame) -> None:
    result = mutual_information_matrix(frame, **QUICK)["a", "b"]  # `kind` has more features
    x, z = (torch.tensor(frame[[name]].to_numpy()) for name in ("a", "b"))
    away = result.critics(x, z) - torch.tensor(result.pointwise)
    assert away.abs().amin(0).max() < 1e-4  # one fold's critic has not seen the row
