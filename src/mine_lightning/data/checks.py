"""Doors: turn what users have (arrays, tensors, data frames) into checked tensors of rows.

Numbers stay numbers. Text and categories become one-hot columns, vectors in a column columns of
their own.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from numpy.typing import NDArray
from pandas.api.types import infer_dtype
from torch import Tensor

from mine_lightning.data.columns import encode
from mine_lightning.data.containers import Columns, name_places, native, real_array, unpack
from mine_lightning.support.text import printable

__all__ = [
    "Checked",
    "Missing",
    "Pairs",
    "as_rows",
    "as_table",
    "check_apart",
    "check_columns",
    "check_paired",
    "check_pairs",
    "check_together",
    "narrow",
]

Missing = Literal["raise", "drop"]

LARGEST, SMALLEST = 1e150, 1e-150  # their squares are still float64 numbers
MOST_LABELS, LEAST_ROWS = 20, 5  # values of an integer label, and rows for each of them


class Pairs(NamedTuple):
    """Checked rows of two variables.

    Attributes:
        x: Rows, shape ``(N, ...)``.
        z: Rows, shape ``(N, ...)``.
        kept: Row numbers of the input that were kept, shape ``(N,)``.
        x_columns: Name of each column of x; a one-hot column is called ``column=category``.
        z_columns: Name of each column of z.
        given: Number of rows of the input.
    """

    x: Tensor
    z: Tensor
    kept: Tensor
    x_columns: list[str]
    z_columns: list[str]
    given: int


class Checked(NamedTuple):
    """Checked rows of one variable.

    Attributes:
        rows: Rows, shape ``(N, ...)``.
        columns: Name of each column.
    """

    rows: Tensor
    columns: list[str]


class _Rows(NamedTuple):
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


def as_rows(name: str, values: Any) -> Tensor:
    """Turn a user's array or table into checked rows.

    Takes NumPy arrays of any memory layout, structured ones too, tensors (detached and brought to
    the CPU), nested lists, data frames and columns of pandas, polars, Arrow and every other library
    that narwhals or Arrow's interface knows, dicts of columns and lists of records. Text and
    categories are encoded with one column for each category, in sorted order or in that of the
    dtype; truth values are 0 and 1; equally long vectors in a column become columns. The rows are a
    copy.

    Args:
        name: What to call the argument in an error.
        values: The array, shape ``(N,)`` or ``(N, ...)``, or the table.

    Returns:
        Finite rows, shape ``(N, 1)`` or ``(N, ...)``. They are float32, or float64 where float32
        would round the input, as it would a timestamp: transform first, then :func:`narrow`.

    Raises:
        ValueError: If there are fewer than 2 rows or no columns; if values are complex, objects,
            numbers written as text, dates, missing, infinite or of a magnitude beyond 1e150; if the
            array is sparse, ragged or not in memory; if a column is constant.

    Example:
        >>> as_rows("x", [1, 2, 4])
        tensor([[1.],
                [2.],
                [4.]], dtype=torch.float64)
        >>> as_rows("z", {"hue": ["red", "blue", "red"]})
        tensor([[0., 1.],
                [1., 0.],
                [0., 1.]], dtype=torch.float64)
    """
    rows = _parse(name, values)
    _check_finite([rows])
    return _check_varying(rows).checked().rows


def check_pairs(x: Any, z: Any, missing: Missing = "raise", labels: bool = False) -> Pairs:
    """Turn two of a user's arrays or tables into checked pairs of rows.

    Args:
        x: Shape ``(N,)`` or ``(N, ...)``, or a table; see :func:`as_rows`.
        z: Likewise.
        missing: What to do with rows that have a missing or infinite value in x or z: "raise" an
            error, or "drop" the rows and say in a warning how many they were.
        labels: Whether one-dimensional integers of at most 20 values are categories.

    Returns:
        The rows, which of the input's rows they are, and the names of their columns.

    Raises:
        ValueError: As :func:`as_rows`; if the numbers of rows differ, or the indexes of two
            DataFrames; if fewer than 2 rows are left.

    Example:
        >>> pairs = check_pairs([1, 2, 4], [[0.5], [0.1], [0.9]])
        >>> pairs.x.shape, pairs.z.shape
        (torch.Size([3, 1]), torch.Size([3, 1]))
    """
    checked, kept, given = check_together({"x": x, "z": z}, missing, labels)
    (x_rows, x_columns), (z_rows, z_columns) = checked.values()
    return Pairs(x_rows, z_rows, kept, x_columns, z_columns, given)


def check_together(
    variables: Mapping[str, Any], missing: Missing = "raise", labels: bool = False
) -> tuple[dict[str, Checked], Tensor, int]:
    """Turn several variables, by what to call them in an error, into checked rows.

    Args:
        variables: Arrays or tables of equally many rows.
        missing: As for :func:`check_pairs`.
        labels: Likewise.

    Returns:
        The variables, the numbers of the rows kept, shape ``(N,)``, and how many were given.

    Raises:
        ValueError: As :func:`check_pairs`.
    """
    if missing not in ("raise", "drop"):
        raise ValueError(f"Expected `missing` to be 'raise' or 'drop', got {missing!r}.")
    parsed = {name: _parse(name, values, labels) for name, values in variables.items()}
    first, *others = parsed.values()
    for rows in others:
        names = (first.name, rows.name)
        x, z = (variables[name] for name in names)
        check_paired(x, z, len(first.values), len(rows.values), names)
    kept = np.arange(len(first.values))
    if missing == "drop":
        kept = _complete(list(parsed.values()))
        parsed = {name: r._replace(values=r.values[kept]) for name, r in parsed.items()}
    else:
        _check_finite(parsed.values())
    checked = {name: _check_varying(rows).checked() for name, rows in parsed.items()}
    return checked, torch.from_numpy(kept), len(first.values)


def as_table(name: str, values: Any) -> pd.DataFrame:
    """Return a table of any kind as a DataFrame; the columns of an array are called 0, 1, ...

    Args:
        name: What to call the argument in an error.
        values: See :func:`as_rows`.

    Raises:
        ValueError: If it is no table.

    Example:
        >>> as_table("frame", np.zeros((2, 3))).columns.tolist()
        [0, 1, 2]
    """
    found = unpack(name, values)
    if isinstance(found, np.ndarray) and found.ndim == 2:
        found = pd.DataFrame(native(found))
    if not isinstance(found, pd.DataFrame):
        raise ValueError(f"Expected `{name}` to be a table, shape (N, D), got {found.shape}.")
    return found


def check_columns(name: str, table: pd.DataFrame, missing: Missing = "raise") -> None:
    """Raise if any column of a table could not stand in a pair, before the first is estimated.

    Args:
        name: What to call the table in an error.
        table: The table.
        missing: As for :func:`check_pairs`; with "drop" a column is looked at without its gaps.

    Raises:
        ValueError: As :func:`as_rows`.
    """
    rows = _parse(name, table)
    if missing != "drop":
        _check_finite([rows])
        _check_varying(rows)
        return
    for place in range(table.shape[1]):
        column = _parse(name, table.iloc[:, [place]])
        whole = ~_incomplete([column])
        if whole.sum() < 2:
            raise ValueError(
                f"Expected `{name}` to have at least 2 rows without missing or infinite values in "
                f"column {column.sources[0]}, got {whole.sum()} of {len(whole)}."
            )
        _check_varying(column._replace(values=column.values[whole]))


def check_extremes(name: str, columns: list[str], low: NDArray[Any], high: NDArray[Any]) -> None:
    """Raise if columns are constant or of an absurd magnitude, as :func:`as_rows` does.

    Args:
        name: What to call the variable in an error.
        columns: What to call its columns.
        low: Smallest value of each column, shape ``(...)``.
        high: Largest value of each column, same shape.

    Raises:
        ValueError: If a column is constant to rounding, or beyond 1e150 in magnitude.
    """
    _check_varying(_Rows(name, np.stack([low, high]), columns, columns))


def narrow(name: str, rows: Tensor) -> Tensor:
    """Round rows to float32.

    Raises:
        ValueError: If a value is too large for it.
    """
    rounded = rows.float()
    if not np.isfinite(rounded.numpy()).all():
        raise ValueError(
            f"Expected `{name}` to fit into float32 after its transform, "
            f"got magnitudes up to {rows.abs().max().item():.3g}."
        )
    return rounded


def check_apart(name: str, rows: Tensor, transformed: Tensor) -> None:
    """Raise if a transform makes most of a column's different values equal, as an outlier does.

    Args:
        name: What to call the argument in the error.
        rows: Shape ``(N, D)``; rows of more dimensions are not looked at.
        transformed: Likewise.
    """
    if rows.ndim != 2 or rows.shape != transformed.shape:
        return
    distance = (transformed - transformed.mean(0)).abs()
    for column in (distance.mean(0) < 0.1 * distance.square().mean(0).sqrt()).nonzero()[:, 0]:
        before, after = (len(side[:, column].unique()) for side in (rows, transformed))
        if after < before / 2:
            raise ValueError(
                f"Expected `{name}` to keep its values apart under its transform, got {after} of "
                f"{before} in column {column}, whose largest magnitude is "
                f"{rows[:, column].abs().max().item():.3g}: remove outliers, or use `RankToNormal`."
            )


def _parse(name: str, values: Any, labels: bool = False) -> _Rows:
    """Turn anything into rows that may still hold missing values."""
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
        rows = _Rows(name, array, columns, columns)
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
    few = column.nunique() <= min(MOST_LABELS, len(column) // LEAST_ROWS)
    integer = infer_dtype(column, skipna=True) == "integer"
    return column.astype("category") if few and integer else found


def _parse_frame(name: str, frame: pd.DataFrame) -> _Rows:
    """Encode every column of a DataFrame."""
    blocks: list[NDArray[np.float64]] = [np.empty((len(frame), 0))]
    columns, sources = [], []
    for place, label in enumerate(printable(str(name)) for name in frame.columns):
        block, names = encode(name, label, frame.iloc[:, place])
        blocks.append(block)
        columns += names
        sources += [f"`{label}`"] * block.shape[1]
    return _Rows(name, np.concatenate(blocks, axis=1), columns, sources)


def check_paired(
    x: Any, z: Any, x_count: int, z_count: int, names: tuple[str, str] = ("x", "z")
) -> None:
    """Raise unless the rows of x and z belong together."""
    both = f"`{names[0]}` and `{names[1]}`"
    if x_count != z_count:
        raise ValueError(
            f"Expected {both} to have the same number of rows, got {x_count} and {z_count}."
        )
    kinds = (pd.Series, pd.DataFrame)
    if isinstance(x, kinds) and isinstance(z, kinds) and not x.index.equals(z.index):
        raise ValueError(
            f"Expected {both} to have the same index, got different ones: rows are paired by "
            "position. Align them, or call `reset_index(drop=True)` on both."
        )


def _incomplete(rows: Iterable[_Rows]) -> NDArray[np.bool_]:
    """Say for each row whether it has a missing or infinite value."""
    return np.any([~np.isfinite(r.flat).all(axis=1) for r in rows], axis=0)


def _complete(rows: list[_Rows]) -> NDArray[np.int64]:
    """Return the row numbers without missing values and warn about the others."""
    bad = _incomplete(rows)
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


def _check_finite(rows: Iterable[_Rows]) -> None:
    """Raise if values are missing or infinite, and say how many and where."""
    for r in rows:
        counts = (~np.isfinite(r.flat)).sum(axis=0)
        places = {r.sources[column]: int(counts[column]) for column in counts.nonzero()[0]}
        if places:
            where = _listed(f"{count} in column {place}" for place, count in places.items())
            raise ValueError(
                f"Expected `{r.name}` to be finite, got {sum(places.values())} missing or infinite "
                f"values in {_incomplete([r]).sum()} of {len(r.values)} rows: {where}. "
                "`missing='drop'` leaves such rows out."
            )


def _check_varying(rows: _Rows) -> _Rows:
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
            f"every row of column {_listed(dead)}: leave it out, it carries no information."
        )
    _check_magnitude(rows, np.where(varies, spread, 1))
    if rows.values.ndim > 2 or varies.all():
        return rows
    columns = [column for column, varying in zip(rows.columns, varies, strict=True) if varying]
    return rows._replace(values=rows.values[:, varies], columns=columns)


def _check_magnitude(rows: _Rows, magnitude: NDArray[Any]) -> None:
    absurd = np.flatnonzero((magnitude > LARGEST) | ((magnitude > 0) & (magnitude < SMALLEST)))
    if len(absurd):
        raise ValueError(
            f"Expected `{rows.name}` to have magnitudes between {SMALLEST} and {LARGEST}, "
            f"got {magnitude[absurd[0]]:.3g} in column {rows.sources[absurd[0]]}: rescale it."
        )


def _listed(items: Iterable[str], most: int = 5) -> str:
    """Join items with commas, the first few of them if there are many."""
    items = list(items)
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
