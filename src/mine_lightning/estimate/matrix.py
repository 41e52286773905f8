"""Mutual information of many pairs of columns of a table."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mine_lightning.data.checks import as_table, check_columns
from mine_lightning.data.reading import check_disjoint, find_columns
from mine_lightning.estimate.arguments import EstimateArguments
from mine_lightning.estimate.many import estimate_each
from mine_lightning.estimate.permutation import benjamini_hochberg
from mine_lightning.estimate.results import MutualInformationEstimate
from mine_lightning.support.ambient import own_settings
from mine_lightning.support.keywords import Unpack, check_keywords
from mine_lightning.support.text import printable, quoted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "MutualInformationMatrix",
    "PairwiseEstimates",
    "mutual_information_matrix",
    "mutual_information_with",
]

LEAST_RANGE = 0.1  # nats, of the colours
COLUMNS = ["a", "b", "nats", "bits", "standard_error", "low", "high", "correlation", "rows"]


@dataclass(frozen=True, eq=False)
class PairwiseEstimates:
    """Estimates for pairs of variables.

    Attributes:
        estimates: The estimate of each pair ``(a, b)``.
    """

    estimates: dict[tuple[str, str], MutualInformationEstimate] = field(repr=False)

    def __getitem__(self, pair: tuple[str, str]) -> MutualInformationEstimate:
        """Return the estimate of a pair, in either order."""
        return self.estimates[pair if pair in self.estimates else (pair[1], pair[0])]

    def _p_values(self, adjusted: bool) -> list[float]:
        raw = [math.nan if r.p_value is None else r.p_value for r in self.estimates.values()]
        return benjamini_hochberg(raw) if adjusted else raw

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each pair: the numbers, their interval, p-values and flags."""
        rows = [
            (*pair, r.nats, r.bits, r.standard_error, *r.interval(), r.correlation, r.rows)
            for pair, r in self.estimates.items()
        ]
        frame = pd.DataFrame(rows, columns=COLUMNS)
        frame["p_value"] = self._p_values(adjusted=False)
        frame["p_value_adjusted"] = self._p_values(adjusted=True)
        frame["flags"] = [", ".join(r.diagnostics) for r in self.estimates.values()]
        return frame

    def __len__(self) -> int:
        return len(self.estimates)

    def __str__(self) -> str:
        return self.to_frame().round(3).to_string(index=False)


@dataclass(frozen=True, eq=False)
class MutualInformationMatrix(PairwiseEstimates):
    """Estimates for all pairs of groups of columns.

    Attributes:
        names: Names of the groups.
        estimates: The estimate of each pair ``(a, b)``, with a before b in ``names``.
    """

    names: tuple[str, ...]

    def nats(self) -> pd.DataFrame:
        """Return the estimates as a symmetric table; nan on the diagonal."""
        return self._table({pair: r.nats for pair, r in self.estimates.items()})

    def standard_errors(self) -> pd.DataFrame:
        """Return their standard errors, likewise."""
        return self._table({pair: r.standard_error for pair, r in self.estimates.items()})

    def intervals(self, level: float = 0.95) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the lower and the upper ends of the intervals, likewise."""
        ends = {pair: r.interval(level) for pair, r in self.estimates.items()}
        low, high = ({pair: end[side] for pair, end in ends.items()} for side in (0, 1))
        return self._table(low), self._table(high)

    def _table(self, values: Mapping[tuple[str, str], float]) -> pd.DataFrame:
        table = pd.DataFrame(np.nan, index=self.names, columns=self.names)
        for (a, b), value in values.items():
            table.loc[a, b] = table.loc[b, a] = value
        return table

    def p_values(self, adjusted: bool = True) -> pd.DataFrame:
        """Return the p-values against independence, likewise.

        Args:
            adjusted: Whether to adjust them for the number of pairs, after Benjamini and Hochberg:
                of the pairs below .05, 5 % or fewer are expected to be independent.
        """
        values = self._p_values(adjusted)
        return self._table(dict(zip(self.estimates, values, strict=True)))

    def _repr_html_(self) -> str:
        from mine_lightning.estimate.figures import as_image

        return f"<div>{as_image(self.plot())}</div>"

    def __str__(self) -> str:
        return self.nats().round(3).to_string(na_rep="")

    def plot(self, figure: "Figure | None" = None) -> "Figure":
        """Draw the heat map, with the value and its 95 % interval in each cell.

        Args:
            figure: Where to draw; a new figure by default.
        """
        size = 2 + 0.8 * len(self.names)
        from mine_lightning.estimate.figures import drawing

        figure = drawing(figure, size + 1, size)
        axes, nats = figure.subplots(), self.nats()
        largest = max(float(np.nanmax(nats)), LEAST_RANGE)
        image = axes.imshow(nats, cmap="viridis", vmin=0, vmax=largest)
        places = range(len(self.names))
        axes.set_xticks(places, self.names, rotation=45, ha="right")
        axes.set_yticks(places, self.names)
        for i, j in ((i, j) for i in places for j in places if i != j):
            result = self[self.names[i], self.names[j]]
            low, high = result.interval()
            colour = "white" if result.nats < largest / 2 else "black"
            text = f"{result.nats:.2f}\n[{low:.2f}, {high:.2f}]"
            axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=7)
        figure.colorbar(image, ax=axes, label="mutual information (nats)")
        return figure


@own_settings()
def mutual_information_matrix(
    frame: Any,
    groups: Mapping[str, Sequence[str | int]] | None = None,
    **kwargs: Unpack[EstimateArguments],
) -> MutualInformationMatrix:
    """Estimate the mutual information of all pairs of columns, or of groups of columns.

    All columns are checked before the first pair is estimated; all pairs share the folds. Pairs are
    handed to joblib: under ``joblib.parallel_config(n_jobs=2)`` two are estimated at a time, with
    the same results, and other backends spread them over machines.

    Args:
        frame: The table, shape ``(N, D)``, of any library; see
            :func:`~mine_lightning.data.checks.as_rows`.
        groups: Columns of each group, by its name; every column by itself by default.
        kwargs: Arguments of :func:`~mine_lightning.estimate_mutual_information`; the progress bar
            counts pairs.

    Raises:
        ValueError: If there are fewer than two groups, two of them share a column, a column does
            not exist or is not of finite numbers or categories that vary, or two have one name.

    Example:
        >>> from sklearn.datasets import load_wine
        >>> wine = load_wine(as_frame=True).frame[["alcohol", "proline", "hue"]]
        >>> matrix = mutual_information_matrix(wine, max_epochs=2, progress_bar=False)
        >>> matrix.nats().shape
        (3, 3)
    """
    check_keywords(mutual_information_matrix, kwargs)
    table = as_table("frame", frame)
    chosen = column_groups(table) if groups is None else dict(groups)
    if len(chosen) < 2:
        raise ValueError(f"Expected at least 2 columns or groups, got {len(chosen)}.")
    pairs = list(combinations(chosen, 2))
    return MutualInformationMatrix(_estimate_all(table, chosen, pairs, kwargs), tuple(chosen))


def mutual_information_with(
    frame: Any, target: str | int | Sequence[str | int], **kwargs: Unpack[EstimateArguments]
) -> PairwiseEstimates:
    """Estimate the mutual information of a target with every other column of a table.

    As :func:`mutual_information_matrix`, for the pairs of one row of it.

    Args:
        frame: The table, likewise.
        target: Column of the target by name or position, or several that are taken together.
        kwargs: Arguments of :func:`~mine_lightning.estimate_mutual_information`, likewise.

    Returns:
        The estimates of the pairs ``(column, "target's name")``.

    Raises:
        ValueError: As :func:`mutual_information_matrix`.

    Example:
        >>> from sklearn.datasets import load_wine
        >>> wine = load_wine(as_frame=True).frame[["alcohol", "hue", "target"]]
        >>> result = mutual_information_with(wine, "target", max_epochs=2, progress_bar=False)
        >>> result.to_frame()["a"].tolist()
        ['alcohol', 'hue']
    """
    check_keywords(mutual_information_with, kwargs)
    table = as_table("frame", frame)
    groups = column_groups(table)
    columns = [target] if isinstance(target, (str, int)) else list(target)
    places = find_columns("target", list(groups), columns)
    name = ", ".join(list(groups)[place] for place in places)
    others = {other: place for other, place in groups.items() if place[0] not in places}
    if not others:
        raise ValueError("Expected `frame` to have columns beside `target`, got none.")
    pairs = [(other, name) for other in others]
    return PairwiseEstimates(_estimate_all(table, {**others, name: places}, pairs, kwargs))


def column_groups(table: pd.DataFrame) -> dict[str, list[str | int]]:
    """Return the place of each column by its name.

    Raises:
        ValueError: If two columns have one name; 1 and "1" are one.
    """
    names = Counter(printable(str(name)) for name in table.columns)
    if twice := [name for name, count in names.items() if count > 1]:
        raise ValueError(
            f"Expected the columns of `frame` to have different names, got {quoted(twice)} more "
            "than once: rename them, or name `groups` of positions."
        )
    return {name: [place] for place, name in enumerate(names)}


def _estimate_all(
    table: pd.DataFrame,
    groups: Mapping[str, Sequence[str | int]],
    pairs: list[tuple[str, str]],
    kwargs: EstimateArguments,
) -> dict[tuple[str, str], MutualInformationEstimate]:
    """Check the columns of all groups, and then estimate the pairs."""
    names = [str(column) for column in table.columns]
    places = {group: find_columns(group, names, columns) for group, columns in groups.items()}
    for a, b in pairs:
        check_disjoint(places[a], places[b], (a, b), names.__getitem__)
    used = sorted({place for group in places.values() for place in group})
    check_columns("frame", table.iloc[:, used], kwargs.get("missing", "raise"))
    sides = {group: table.iloc[:, found] for group, found in places.items()}
    results = estimate_each([(sides[a], sides[b]) for a, b in pairs], kwargs)
    return dict(zip(pairs, results, strict=True))
