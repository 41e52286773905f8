"""Doors: turn what users have (arrays, tensors, data frames) into checked tensors of rows.

Numbers stay numbers. Text and categories become one-hot columns, vectors in a column columns of
their own.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from mine_lightning.data.containers import native, unpack
from mine_lightning.data.rows import (
    Checked,
    Rows,
    check_finite,
    check_varying,
    complete_rows,
    incomplete,
    parse_rows,
)

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
    rows = parse_rows(name, values)
    check_finite([rows])
    return check_varying(rows).checked().rows


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
    parsed = {name: parse_rows(name, values, labels) for name, values in variables.items()}
    first, *others = parsed.values()
    for rows in others:
        names = (first.name, rows.name)
        x, z = (variables[name] for name in names)
        check_paired(x, z, len(first.values), len(rows.values), names)
    kept = np.arange(len(first.values))
    if missing == "drop":
        kept = complete_rows(list(parsed.values()))
        parsed = {name: r._replace(values=r.values[kept]) for name, r in parsed.items()}
    else:
        check_finite(parsed.values())
    checked = {name: check_varying(rows).checked() for name, rows in parsed.items()}
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
    rows = parse_rows(name, table)
    if missing != "drop":
        check_finite([rows])
        check_varying(rows)
        return
    for place in range(table.shape[1]):
        column = parse_rows(name, table.iloc[:, [place]])
        whole = ~incomplete([column])
        if whole.sum() < 2:
            raise ValueError(
                f"Expected `{name}` to have at least 2 rows without missing or infinite values in "
                f"column {column.sources[0]}, got {whole.sum()} of {len(whole)}."
            )
        check_varying(column._replace(values=column.values[whole]))


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
    check_varying(Rows(name, np.stack([low, high]), columns, columns))


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
