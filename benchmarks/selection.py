"""Columns chosen for a classifier: by what each adds, and by scikit-learn's mutual information.

    python benchmarks/selection.py

For wine and digits: accuracy of a nearest-neighbours classifier (standardised columns, five
stratified folds, columns chosen anew on the training rows of each) with the columns that
`MutualInformationSelector` chose, and with as many of the best ones by `mutual_info_classif` and by
`mutual_information_score`; and the seconds that choosing took.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.datasets import load_digits, load_wine
from sklearn.feature_selection import SelectKBest, mutual_info_classif
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mine_lightning import MutualInformationSelector, mutual_information_score

DATA: dict[str, Callable[..., Any]] = {"wine": load_wine, "digits": load_digits}


def choosers(count: int, epochs: int | None) -> dict[str, BaseEstimator]:
    """Return the ways to choose ``count`` columns."""
    score = partial(mutual_information_score, max_epochs=epochs)
    classif = partial(mutual_info_classif, random_state=0)
    return {
        "MutualInformationSelector": MutualInformationSelector(count, max_epochs=epochs),
        "SelectKBest(mutual_information_score)": SelectKBest(score, k=count),
        "SelectKBest(mutual_info_classif)": SelectKBest(classif, k=count),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", choices=list(DATA), default="wine")
    parser.add_argument("--columns", type=int, default=5)
    parser.add_argument("--folds", type=int, default=5, help="outer folds to run, of five")
    parser.add_argument("--max_epochs", type=int, default=None)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    x, y = DATA[given.data](return_X_y=True)
    splits = list(StratifiedKFold(5, shuffle=True, random_state=0).split(x, y))[: given.folds]
    for name, chooser in choosers(given.columns, given.max_epochs).items():
        accuracy, seconds, counts = [], [], []
        for train, test in splits:
            start = time.perf_counter()
            chooser.fit(x[train], y[train])
            seconds.append(time.perf_counter() - start)
            places = chooser.get_support(indices=True)
            counts.append(len(places))
            model = make_pipeline(StandardScaler(), KNeighborsClassifier())
            model.fit(x[train][:, places], y[train])
            accuracy.append(model.score(x[test][:, places], y[test]))
        row = {
            "data": given.data,
            "chooser": name,
            "columns": float(np.mean(counts)),
            "accuracy": round(float(np.mean(accuracy)), 4),
            "seconds": round(float(np.mean(seconds)), 2),
        }
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
