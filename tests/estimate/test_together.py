"""Pairs whose critics are trained in one fit."""

import numpy as np
import pandas as pd
import pytest
import torch

from mine_lightning import estimate_mutual_information, mutual_information_matrix
from mine_lightning.estimate.together import default_epochs
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


def test_critics_of_a_pair_are_handed_out_alone(frame: pd.DataFrame) -> None:
    result = mutual_information_matrix(frame, **QUICK)["a", "b"]  # `kind` has more features
    x, z = (torch.tensor(frame[[name]].to_numpy()) for name in ("a", "b"))
    away = result.critics(x, z) - torch.tensor(result.pointwise)
    assert away.abs().amin(0).max() < 1e-4  # one fold's critic has not seen the row
