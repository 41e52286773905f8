"""Columns chosen for a classifier: by what each adds, and by scikit-learn's mutual information.

    python benchmarks/selection.py --data wine
    python benchmarks/selection.py --data digits --columns 10 --folds 1

Accuracy of a nearest-neighbours classifier (standardised columns, stratified folds, columns chosen
anew on the training rows of each) with the columns that `MutualInformationSelector` chose, with
equally many of the best ones by `mutual_info_classif` and by `mutual_information_score`, and with
as many as the selector may choose; the seconds are those of the processor that choosing took.
"""

import argparse
import json
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits, load_wine
from sklearn.feature_selection import mutual_info_classif
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mine_lightning import MutualInformationSelector, mutual_information_score

DATA: dict[str, Callable[..., Any]] = {"wine": load_wine, "digits": load_digits}
SCORES = {
    "mutual_information_score": mutual_information_score,
    "mutual_info_classif": partial(mutual_info_classif, random_state=0),
}


class Choice(NamedTuple):
    """Columns that were chosen on training rows, and how long that took."""

    how: str
    places: list[int]
    seconds: float


def choices(x: NDArray[Any], y: NDArray[Any], most: int) -> Iterator[Choice]:
    """Choose columns in every way."""
    start = time.process_time()
    chosen = MutualInformationSelector(most).fit(x, y).chosen_
    yield Choice("MutualInformationSelector", chosen, time.process_time() - start)
    for name, score in SCORES.items():
        start = time.process_time()
        best = np.argsort(-score(x, y), kind="stable").tolist()
        seconds = time.process_time() - start
        yield Choice(f"{name}, equally many", best[: len(chosen)], seconds)
        yield Choice(f"{name}, {most}", best[:most], seconds)


def accuracy(x: NDArray[Any], y: NDArray[Any], split: Any, places: list[int]) -> float:
    """Return the accuracy on the test rows of a classifier of these columns."""
    train, test = split
    model = make_pipeline(StandardScaler(), KNeighborsClassifier())
    return model.fit(x[train][:, places], y[train]).score(x[test][:, places], y[test])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", choices=list(DATA), default="wine")
    parser.add_argument("--columns", type=int, default=5, help="most columns to choose")
    parser.add_argument("--folds", type=int, default=5, help="outer folds to run, of five")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    x, y = DATA[given.data](return_X_y=True)
    found = defaultdict(list)
    splits = list(StratifiedKFold(5, shuffle=True, random_state=0).split(x, y))[: given.folds]
    for split in splits:
        for how, places, seconds in choices(x[split[0]], y[split[0]], given.columns):
            found[how].append((len(places), accuracy(x, y, split, places), seconds))
            print(how, places, found[how][-1], flush=True)
    names = ("columns", "accuracy", "seconds")
    rows = [
        {"data": given.data, "folds": len(splits), "how": how}
        | dict(zip(names, np.mean(measured, axis=0).round(4).tolist(), strict=True))
        for how, measured in found.items()
    ]
    path = Path(__file__).parent / "results" / f"selection_{given.data}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(rows, indent=1) + "\n")
    print(*map(json.dumps, rows), sep="\n")


if __name__ == "__main__":
    main()
