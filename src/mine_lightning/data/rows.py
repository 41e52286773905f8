"""Rows of one variable between what a user has and a tensor: parsed, complete, varying."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from numpy.typing import NDArray
from pandas.api.types import infer_dtype
from torch import Tensor

from mine_lightning.data.columns import encode
from mine_lightning.data.containers import Columns, name_places, native, real_array, shorten, unpack
from mine_lightning.support.text import printable

__all__ = [
    "Checked",
    "Rows",
    "check_finite",
    "check_varying",
    "complete_rows",
    "incomplete",
    "listed",
    "parse_rows",
]

LARGEST, SMALLEST = 1e150, 1e-150  # their squares are still float64 numbers
MOST_LABELS, LEAST_ROWS = 20, 5  # values of an integer label, and rows for each of them


class Checked(NamedTuple):
    """Checked rows of one variable.

    Attributes:
        rows: Rows, shape ``(N, ...)``.
        columns: Name of each column.
    """

    rows: Tensor
    columns: list[str]


class Rows(NamedTuple):
    """Rows between parsing and the tensor; ``sources`` are the columns that they came from."""

    name: str
    values: NDArray[Any]  # (N, ...)
    columns: list[str]
    sources: list[str]

    @property
    def flat(self) -> NDArray[Any]:
        return self.values.reshape(len(self.values), -1)

    def checked(self) -> Checked:
        return Checked(torch.from_numpy(np.ascontiguousarray(self.values)), self.columns)


def parse_rows(name: str, values: Any, labels: bool = False) -> Rows:
    """Turn anything into rows that may still hold missing values."""
    try:
        return _parse(name, values, labels)
    except UnicodeEncodeError as error:  # by Arrow, which holds text for pandas
        raise ValueError(
            f"Expected `{name}` to hold text that UTF-8 can spell, got {shorten(error.object)}."
        ) from None


def _parse(name: str, values: Any, labels: bool) -> Rows:
    found = unpack(name, values)
    found = _as_labels(found) if labels else found
    if isinstance(found, pd.Series):
        found = found.to_frame(name if found.name is None else found.name)
    if isinstance(found, pd.DataFrame):
        rows = _parse_frame(name, found)
    else:
        array = real_array(name, found)
        array = array[:, None] if array.ndim == 1 else array
        columns = name_places(array.shape[1:])
        rows = Rows(name, array, columns, columns)
    if len(rows.values) < 2 or rows.values.size == 0:
        raise ValueError(
            f"Expected `{name}` to have at least 2 rows and 1 column, got shape {found.shape}."
        )
    return rows


def _as_labels(found: Columns | NDArray[Any]) -> Columns | NDArray[Any]:
    """Make integers of few values, such as the numbers of classes, categories."""
    if isinstance(found, pd.DataFrame) or found.ndim != 1:
        return found
    column = found if isinstance(found, pd.Series) else pd.Series(native(found), name="label")
    if infer_dtype(column, skipna=True) != "integer":  # vectors are not hashable
        return found
    few = column.nunique() <= min(MOST_LABELS, len(column) // LEAST_ROWS)
    return column.astype("category") if few else found


def _parse_frame(name: str, frame: pd.DataFrame) -> Rows:
    """Encode every column of a DataFrame."""
    blocks: list[NDArray[np.float64]] = [np.empty((len(frame), 0))]
    columns, sources = [], []
    for place, label in enumerate(printable(str(name)) for name in frame.columns):
        block, names = encode(name, label, frame.iloc[:, place])
        blocks.append(block)
        columns += names
        sources += [f"`{label}`"] * block.shape[1]
    return Rows(name, np.concatenate(blocks, axis=1), columns, sources)


def incomplete(rows: Iterable[Rows]) -> NDArray[np.bool_]:
    """Say for each row whether it has a missing or infinite value."""
    return np.any([~np.isfinite(r.flat).all(axis=1) for r in rows], axis=0)


def complete_rows(rows: list[Rows]) -> NDArray[np.int64]:
    """Return the row numbers without missing values and warn about the others."""
    bad = incomplete(rows)
    kept = np.flatnonzero(~bad)
    if len(kept) < 2:
        raise ValueError(
            f"Expected at least 2 rows without missing or infinite values, "
            f"got {len(kept)} of {len(bad)}."
        )
    if bad.any():
        rank_zero_warn(
            f"Dropped {bad.sum()} of {len(bad)} rows with missing or infinite values.",
            category=UserWarning,
            stacklevel=4,
        )
    return kept


def check_finite(rows: Iterable[Rows]) -> None:
    """Raise if values are missing or infinite, and say how many and where."""
    for r in rows:
        counts = (~np.isfinite(r.flat)).sum(axis=0)
        places = {r.sources[column]: int(counts[column]) for column in counts.nonzero()[0]}
        if places:
            where = listed(f"{count} in column {place}" for place, count in places.items())
            raise ValueError(
                f"Expected `{r.name}` to be finite, got {sum(places.values())} missing or infinite "
                f"values in {incomplete([r]).sum()} of {len(r.values)} rows: {where}. "
                "`missing='drop'` leaves such rows out."
            )


def check_varying(rows: Rows) -> Rows:
    """Raise if a column is constant or of an absurd magnitude; leave out unused categories."""
    low, high = rows.flat.min(axis=0).astype(float), rows.flat.max(axis=0).astype(float)
    magnitude = np.maximum(abs(low), abs(high))
    _check_magnitude(rows, magnitude)
    spread = high - low
    varies = spread > 4 * np.finfo(rows.values.dtype).eps * magnitude
    alive = {source for source, varying in zip(rows.sources, varies, strict=True) if varying}
    dead = [source for source in dict.fromkeys(rows.sources) if source not in alive]
    if dead and (rows.values.ndim == 2 or not alive):
        raise ValueError(
            f"Expected `{rows.name}` to vary in every column, got the same value, to rounding, in "
            f"every row of column {listed(dead)}: leave it out, it carries no information."
        )
    _check_magnitude(rows, np.where(varies, spread, 1))
    if rows.values.ndim > 2 or varies.all():
        return rows
    columns = [column for column, varying in zip(rows.columns, varies, strict=True) if varying]
    return rows._replace(values=rows.values[:, varies], columns=columns)


def _check_magnitude(rows: Rows, magnitude: NDArray[Any]) -> None:
    absurd = np.flatnonzero((magnitude > LARGEST) | ((magnitude > 0) & (magnitude < SMALLEST)))
    if len(absurd):
        raise ValueError(
            f"Expected `{rows.name}` to have magnitudes between {SMALLEST} and {LARGEST}, "
            f"got {magnitude[absurd[0]]:.3g} in column {rows.sources[absurd[0]]}: rescale it."
        )


def listed(items: Iterable[str], most: int = 5) -> str:
    """Join items with commas, the first few of them if there are many."""
    items = list(items)
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
