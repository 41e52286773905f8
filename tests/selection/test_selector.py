"""Columns chosen by mutual information stand in scikit-learn's pipelines."""

import re
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from mine_lightning import MutualInformationSelector, mutual_information_score
from shared import TWO_FOLDS, strong_and_weak


@pytest.mark.trained
def test_a_column_is_chosen_for_what_it_adds(seed: int, outcome) -> None:
    x, y = strong_and_weak(1_000, seed)
    selector = MutualInformationSelector(2, seed=seed, **TWO_FOLDS).fit(x, y)
    _, strong, copy, weak, _ = selector.relevance_
    outcome(min(strong, copy) - weak, low=0, of="the copy is more relevant")
    assert selector.chosen_[1] == 3  # and not the copy
    outcome(selector.gains_[1].interval()[0], low=0, of="gain")


def test_the_chosen_columns_are_those_of_the_scores() -> None:
    x, y = strong_and_weak()
    selector = MutualInformationSelector(2, **TWO_FOLDS).fit(x, y)
    assert selector.relevance_[4] == 0
    assert selector.transform(x).shape == (400, 2)
    assert selector.get_support(indices=True).tolist() == sorted(selector.chosen_)
    assert (selector.relevance_ == mutual_information_score(x, y, **TWO_FOLDS)).all()


def test_it_ends_where_nothing_more_can_be_shown() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(200, 3)), rng.normal(size=200)
    selector = MutualInformationSelector(level=0.999, **TWO_FOLDS).fit(x, y)
    assert (selector.chosen_, selector.gains_) == ([], [])
    y = x[:, 1] + 0.01 * rng.normal(size=200)
    assert MutualInformationSelector(level=0.999, **TWO_FOLDS).fit(x, y).chosen_ == [1]


def test_names_of_columns_and_labels_of_text() -> None:
    wine = load_wine(as_frame=True)
    names = wine.target_names[wine.target]
    selector = MutualInformationSelector(1, **TWO_FOLDS).fit(wine.data[["ash", "proline"]], names)
    assert selector.get_feature_names_out().tolist() == ["proline"]
    same = clone(selector).fit(wine.data[["ash", "proline"]], wine.target)
    assert same.relevance_.tolist() == selector.relevance_.tolist()
    frame = selector.set_output(transform="pandas").transform(wine.data[["ash", "proline"]])
    assert isinstance(frame, pd.DataFrame)


@pytest.mark.trained
def test_it_stands_in_a_pipeline(seed: int, outcome) -> None:
    x, y = load_wine(return_X_y=True)
    score = partial(mutual_information_score, seed=seed, **TWO_FOLDS)
    for step in (MutualInformationSelector(2, seed=seed, **TWO_FOLDS), SelectKBest(score, k=2)):
        pipeline = make_pipeline(StandardScaler(), step, LogisticRegression())
        right = pipeline.fit(x[:, 5:10], y).score(x[:, 5:10], y)
        outcome(right, low=0.65, of=type(step).__name__)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"folds": 1}, "Expected `folds` to be an integer of at least 2, got 1."),
        ({"level": 1.0}, "Expected `level` to be in (0, 1), got 1.0."),
        ({"n_features_to_select": 0}, "Expected `n_features_to_select` to be an integer of at"),
        ({"seed": None}, "Expected `seed` to be an integer of at least 0, got None."),
    ],
)
def test_mistakes_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        MutualInformationSelector(**arguments).fit(*strong_and_weak())


def test_too_few_rows_show_nothing() -> None:
    x, y = strong_and_weak(400)
    with pytest.warns(UserWarning, match="at least 20 rows .*, got 19: no column is chosen"):
        selector = MutualInformationSelector().fit(x[:19], y[:19])
    assert selector.chosen_ == []
    assert np.isnan(selector.relevance_).all()
    few = MutualInformationSelector(1, folds=50, max_epochs=1).fit(x[:40], y[:40])
    assert few.gains_[0].folds == 4


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # scikit-learn's checks warn of what they skip
def test_it_is_an_estimator_of_scikit_learn() -> None:
    check_estimator(MutualInformationSelector(1, folds=2, max_epochs=1))
