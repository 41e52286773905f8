"""Scores of columns, as scikit-learn asks for them."""

import re

import numpy as np
import pytest
from sklearn.datasets import load_digits

from mine_lightning import mutual_information_score
from shared import TWO_FOLDS, strong_and_weak


def test_mistaken_scores_are_named() -> None:
    x, y = strong_and_weak(60)
    with pytest.raises(TypeError, match=re.escape("'fold'. Did you mean `folds`?")):
        mutual_information_score(x, y, fold=3)
    with pytest.raises(ValueError, match="same number of rows"):
        mutual_information_score(x, y[1:])
    with pytest.raises(ValueError, match="X contains NaN"):
        mutual_information_score(np.where(x > 1, np.nan, x), y)


@pytest.mark.slow
def test_blank_pixels_of_digits_are_left_out() -> None:
    x, y = load_digits(return_X_y=True)
    scores = mutual_information_score(x[:, :9], y, **TWO_FOLDS)
    assert scores[[0, 8]].tolist() == pytest.approx([0, 0], abs=0.02)
    assert scores.argmax() in (2, 3, 4, 5)
