"""Columns chosen one after the other, each for what it adds to those before."""

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.feature_selection import SelectorMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from mine_lightning.estimate.arguments import EstimateArguments
from mine_lightning.estimate.call import estimate_mutual_information
from mine_lightning.estimate.conditional import difference
from mine_lightning.estimate.quantity import Quantity
from mine_lightning.estimate.results import MutualInformationEstimate
from mine_lightning.selection.scores import relevances
from mine_lightning.support.arguments import check_integer, check_share

__all__ = ["MutualInformationSelector"]

ROWS_OF_A_FOLD = 10


class MutualInformationSelector(SelectorMixin, BaseEstimator):
    r"""Choose columns by what they say about a target beyond those already chosen.

    .. math:: j_{t + 1} = \arg\max_j I(Y; X_j \mid X_{j_1}, \dots, X_{j_t})

    The first column is the most relevant one. It ends when the interval of the largest gain
    contains 0: nothing more can be shown from these rows. A column's gain is looked at again only
    while it might be the largest, taking what it was before as a bound: exact where columns repeat
    each other, while columns that say something only together are not found.

    References:
        Battiti, "Using mutual information for selecting features in supervised neural net
        learning", 1994; Brown et al., "Conditional likelihood maximisation", 2012; Minoux,
        "Accelerated greedy algorithms", 1978 (bounds).

    Args:
        n_features_to_select: Largest number of columns; no limit by default.
        level: Level of the interval that has to lie above 0, in (0, 1).
        folds: Number of folds of the estimates; fewer where there are not ten rows for each.
        max_epochs: Largest number of epochs of each estimate, as for
            :func:`~mine_lightning.estimate_mutual_information`.
        seed: Seed of the estimates.

    Attributes:
        chosen_: Places of the chosen columns, the most informative first.
        gains_: The estimate of what each of them added, in nats.
        relevance_: Mutual information of each column with the target in nats, shape ``(D,)``; 0 for
            a constant one, nan where fewer than 20 rows show nothing.
        n_features_in_: Number of columns.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(300, 3))
        >>> y = X[:, 1] + 0.1 * rng.normal(size=300)
        >>> selector = MutualInformationSelector(n_features_to_select=1, max_epochs=2)
        >>> selector.fit(X, y).get_support(indices=True)
        array([1])
    """

    def __init__(
        self,
        n_features_to_select: int | None = None,
        *,
        level: float = 0.95,
        folds: int = 5,
        max_epochs: int | None = None,
        seed: int = 0,
    ) -> None:
        self.n_features_to_select = n_features_to_select
        self.level = level
        self.folds = folds
        self.max_epochs = max_epochs
        self.seed = seed

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Choose columns.

        Args:
            X: Columns of numbers, shape ``(N, D)``.
            y: Target, shape ``(N,)``: labels (text, or integers of at most 20 values) or numbers.

        Raises:
            ValueError: If these are not finite numbers that vary, or an argument is out of range.
        """
        self._check()
        rows, target = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2)
        self._arguments: EstimateArguments = {
            "folds": min(self.folds, len(rows) // ROWS_OF_A_FOLD),
            "max_epochs": self.max_epochs,
            "seed": self.seed,
            "progress_bar": False,
        }
        if len(rows) < 2 * ROWS_OF_A_FOLD:
            return self._without_choice(rows)
        known = relevances(rows, target, self._arguments)
        self.relevance_ = np.zeros(rows.shape[1])
        self.relevance_[list(known)] = [result.nats for result in known.values()]
        self.chosen_, self.gains_ = self._choose(rows, target, known)
        return self

    def _check(self) -> None:
        check_integer("folds", self.folds, least=2)
        check_integer("seed", self.seed, least=0)
        check_share("level", self.level)
        if self.n_features_to_select is not None:
            check_integer("n_features_to_select", self.n_features_to_select)

    def _without_choice(self, rows: NDArray[np.float64]) -> Self:
        """Choose no column where the rows are too few for any estimate."""
        warnings.warn(
            f"Expected at least {2 * ROWS_OF_A_FOLD} rows to show that a column is relevant, got "
            f"{len(rows)}: no column is chosen.",
            stacklevel=3,
        )
        self.relevance_ = np.full(rows.shape[1], np.nan)
        self.chosen_, self.gains_ = [], []
        return self

    def _choose(
        self,
        rows: NDArray[np.float64],
        target: Any,
        relevances: dict[int, MutualInformationEstimate],
    ) -> tuple[list[int], list[Quantity]]:
        """Add the column of the largest gain while its interval lies above 0."""
        bounds = {place: result.nats for place, result in relevances.items()}
        known: dict[int, tuple[Quantity, MutualInformationEstimate]] = {
            place: (result, result) for place, result in relevances.items()
        }  # the gain of a column, and the estimate with it
        chosen: list[int] = []
        gains: list[Quantity] = []
        together: list[MutualInformationEstimate] = []
        while bounds and len(chosen) != self.n_features_to_select:
            place = max(bounds, key=bounds.__getitem__)
            if place not in known:
                both = estimate_mutual_information(
                    rows[:, [*chosen, place]], target, **self._arguments
                )
                known[place] = difference(both, together[-1]), both
                bounds[place] = known[place][0].nats
                continue
            gain, both = known[place]
            if gain.interval(self.level)[0] <= 0:
                break
            chosen.append(place)
            gains.append(gain)
            together.append(both)
            bounds.pop(place)
            known = {}
        return chosen, gains

    def _get_support_mask(self) -> NDArray[np.bool_]:
        check_is_fitted(self)
        return np.isin(np.arange(self.n_features_in_), self.chosen_)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags
