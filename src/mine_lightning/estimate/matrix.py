"""Mutual information of all pairs of columns of a table."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mine_lightning.data.tables import select_columns
from mine_lightning.estimate.arguments import PairArguments
from mine_lightning.estimate.call import estimate_mutual_information
from mine_lightning.estimate.figures import as_image, drawing
from mine_lightning.estimate.permutation import benjamini_hochberg
from mine_lightning.estimate.results import MutualInformationEstimate
from mine_lightning.support.keywords import Unpack, check_keywords

__all__ = ["MutualInformationMatrix", "mutual_information_matrix"]

LEAST_RANGE = 0.1  # nats, of the colours
COLUMNS = ["a", "b", "nats", "bits", "standard_error", "low", "high", "correlation", "rows"]


@dataclass(frozen=True, eq=False)
class MutualInformationMatrix:
    """Estimates for all pairs of groups of columns.

    Attributes:
        names: Names of the groups.
        estimates: The estimate of each pair ``(a, b)``, with a before b in ``names``.
    """

    names: tuple[str, ...]
    estimates: dict[tuple[str, str], MutualInformationEstimate] = field(repr=False)

    def __getitem__(self, pair: tuple[str, str]) -> MutualInformationEstimate:
        """Return the estimate of a pair, in either order."""
        return self.estimates[pair if pair in self.estimates else (pair[1], pair[0])]

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

    def _repr_html_(self) -> str:
        return f"<div>{as_image(self.plot())}</div>"

    def __str__(self) -> str:
        return self.nats().round(3).to_string(na_rep="")

    def plot(self, figure: Figure | None = None) -> Figure:
        """Draw the heat map, with the value and its 95 % interval in each cell.

        Args:
            figure: Where to draw; a new figure by default.
        """
        size = 2 + 0.8 * len(self.names)
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


def mutual_information_matrix(
    frame: pd.DataFrame,
    groups: Mapping[str, Sequence[str | int]] | None = None,
    **kwargs: Unpack[PairArguments],
) -> MutualInformationMatrix:
    """Estimate the mutual information of all pairs of columns, or of groups of columns.

    All pairs share the folds.

    Args:
        frame: The table, shape ``(N, D)``.
        groups: Columns of each group, by its name; every column by itself by default.
        kwargs: Arguments of :func:`~mine_lightning.estimate_mutual_information`; no progress bar by
            default.

    Raises:
        ValueError: If there are fewer than two groups, two of them share a column, or a column
            does not exist or is not of finite numbers or categories that vary.

    Example:
        >>> from sklearn.datasets import load_wine
        >>> wine = load_wine(as_frame=True).frame[["alcohol", "proline", "hue"]]
        >>> matrix = mutual_information_matrix(wine, max_epochs=2)
        >>> matrix.nats().shape
        (3, 3)
    """
    check_keywords(mutual_information_matrix, kwargs)
    if groups is None:
        groups = {str(name): [place] for place, name in enumerate(frame.columns)}
    if len(groups) < 2:
        raise ValueError(f"Expected at least 2 columns or groups, got {len(groups)}.")
    kwargs.setdefault("progress_bar", False)
    estimates = {
        (a, b): estimate_mutual_information(
            *select_columns(frame, list(groups[a]), list(groups[b])), **kwargs
        )
        for a, b in combinations(groups, 2)
    }
    return MutualInformationMatrix(tuple(groups), estimates)
