"""The relevance of each column for a target, as scikit-learn's selectors take it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_array

from mine_lightning.estimate.arguments import EstimateArguments
from mine_lightning.estimate.many import estimate_each
from mine_lightning.estimate.results import MutualInformationEstimate
from mine_lightning.support.keywords import Unpack, check_keywords

__all__ = ["mutual_information_score", "relevances"]


def mutual_information_score(
    X: Any,  # noqa: N803
    y: Any,
    **kwargs: Unpack[EstimateArguments],
) -> NDArray[np.float64]:
    """Estimate the mutual information of each column with a target.

    Args:
        X: Columns of numbers, shape ``(N, D)``.
        y: Target, shape ``(N,)``: labels (text, or integers of at most 20 values) or numbers.
        kwargs: Arguments of :func:`~mine_lightning.estimate_mutual_information`; no progress bar by
            default.

    Returns:
        Scores in nats, shape ``(D,)``; 0 for a column that is constant.

    Raises:
        ValueError: If these are not finite numbers, or there are too few rows.

    Example:
        >>> from functools import partial
        >>> from sklearn.datasets import load_wine
        >>> from sklearn.feature_selection import SelectKBest
        >>> X, y = load_wine(return_X_y=True)
        >>> score = partial(mutual_information_score, max_epochs=2)
        >>> SelectKBest(score, k=2).fit_transform(X[:, :4], y).shape
        (178, 2)
    """
    check_keywords(mutual_information_score, kwargs)
    rows = check_array(X, dtype=np.float64, input_name="X")
    scores = np.zeros(rows.shape[1])
    for place, result in relevances(rows, y, kwargs).items():
        scores[place] = result.nats
    return scores


def relevances(
    rows: NDArray[np.float64], target: Any, arguments: EstimateArguments
) -> dict[int, MutualInformationEstimate]:
    """Estimate the mutual information of each column that varies, by its place."""
    arguments = {"progress_bar": False, **arguments}
    places = np.flatnonzero(np.ptp(rows, axis=0) > 0).tolist()
    results = estimate_each([(rows[:, [place]], target) for place in places], arguments)
    return dict(zip(places, results, strict=True))
