"""Doors: turn what users have (arrays, tensors, DataFrames) into checked tensors of rows.

Numbers stay numbers. Text and categorical columns of a DataFrame become one-hot columns.
"""

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from numpy.typing import NDArray
from pandas.api.types import infer_dtype
from torch import Tensor

__all__ = ["Missing", "Pairs", "as_rows", "check_apart", "check_paired", "check_pairs", "narrow"]

Missing = Literal["raise", "drop"]

REAL = "fiub"  # kinds of dtype
NUMBERS = {"integer", "floating", "mixed-integer-float", "decimal", "boolean", "empty"}
LARGEST, SMALLEST = 1e150, 1e-150  # their squares are still float64 numbers
FEW_CATEGORIES, MOST_CATEGORIES = 10, 1000


class Pairs(NamedTuple):
    """Checked rows of two variables.

    Attributes:
        x: Rows, shape ``(N, ...)``.
        z: Rows, shape ``(N, ...)``.
        kept: Row numbers of the input that were kept, shape ``(N,)``.
        x_columns: Name of each column of x; a one-hot column is called ``column=category``.
        z_columns: Name of each column of z.
    """

    x: Tensor
    z: Tensor
    kept: Tensor
    x_columns: list[str]
    z_columns: list[str]


class _Rows(NamedTuple):
    """Rows between parsing and the tensor; ``sources`` are the columns that they came from."""

    name: str
    values: NDArray[Any]  # (N, ...)
    columns: list[str]
    sources: list[str]

    @property
    def flat(self) -> NDArray[Any]:
        return self.values.reshape(len(self.values), -1)

    def tensor(self) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(self.values))


def as_rows(name: str, values: Any) -> Tensor:
    """Turn a user's array into checked rows.

    Takes NumPy arrays of any memory layout, tensors (detached and brought to the CPU), pandas
    Series and DataFrames, and nested lists. Text and categorical columns of a DataFrame are encoded
    with one column for each category, in sorted order or in that of the dtype; truth values are 0
    and 1. The rows are a copy.

    Args:
        name: What to call the argument in an error.
        values: The array, shape ``(N,)`` or ``(N, ...)``.

    Returns:
        Finite rows, shape ``(N, 1)`` or ``(N, ...)``. They are float32, or float64 where float32
        would round the input, as it would a timestamp: transform first, then :func:`narrow`.

    Raises:
        ValueError: If there are fewer than 2 rows or no columns; if values are complex, objects,
            text, dates, masked, missing, infinite or of a magnitude beyond 1e150; if the array is
            sparse or ragged; if a column is constant.

    Example:
        >>> as_rows("x", [1, 2, 4])
        tensor([[1.],
                [2.],
                [4.]], dtype=torch.float64)
        >>> as_rows("z", pd.DataFrame({"hue": ["red", "blue", "red"]}))
        tensor([[0., 1.],
                [1., 0.],
                [0., 1.]], dtype=torch.float64)
    """
    rows = _parse(name, values)
    _check_finite([rows])
    return _check_varying(rows).tensor()


def check_pairs(
    x: Any, z: Any, missing: Missing = "raise", names: tuple[str, str] = ("x", "z")
) -> Pairs:
    """Turn two of a user's arrays into checked pairs of rows.

    Args:
        x: Array, tensor or DataFrame, shape ``(N,)`` or ``(N, ...)``; see :func:`as_rows`.
        z: Array, tensor or DataFrame, likewise.
        missing: What to do with rows that have a missing or infinite value in x or z: "raise" an
            error, or "drop" the rows and say in a warning how many they were.
        names: What to call the two in an error.

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
    if missing not in ("raise", "drop"):
        raise ValueError(f"Expected `missing` to be 'raise' or 'drop', got {missing!r}.")
    x_rows, z_rows = _parse(names[0], x), _parse(names[1], z)
    check_paired(x, z, len(x_rows.values), len(z_rows.values), names)
    kept = np.arange(len(x_rows.values))
    if missing == "drop":
        kept = _complete([x_rows, z_rows])
        x_rows, z_rows = (r._replace(values=r.values[kept]) for r in (x_rows, z_rows))
    else:
        _check_finite([x_rows, z_rows])
    x_rows, z_rows = _check_varying(x_rows), _check_varying(z_rows)
    return Pairs(
        x_rows.tensor(),
        z_rows.tensor(),
        torch.from_numpy(kept),
        x_rows.columns,
        z_rows.columns,
    )


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


def _parse(name: str, values: Any) -> _Rows:
    """Turn anything into rows that may still hold missing values."""
    if isinstance(values, pd.Series):
        values = values.to_frame(name if values.name is None else values.name)
    if isinstance(values, pd.DataFrame):
        rows = _parse_frame(name, values)
    else:
        array = real_array(name, _array(name, values))
        array = array[:, None] if array.ndim == 1 else array
        columns = name_places(array.shape[1:])
        rows = _Rows(name, array, columns, columns)
    if len(rows.values) < 2 or rows.values.size == 0:
        raise ValueError(
            f"Expected `{name}` to have at least 2 rows and 1 column, got shape {np.shape(values)}."
        )
    return rows


def name_places(shape: tuple[int, ...]) -> list[str]:
    """Name every value of a row by its position."""
    if len(shape) == 1:
        return [str(column) for column in range(shape[0])]
    return [str(place) for place in np.ndindex(*shape)]


def _array(name: str, values: Any) -> NDArray[Any]:
    """Turn a tensor, an array or nested lists into an array."""
    if isinstance(values, Tensor):
        return _tensor_array(name, values)
    if hasattr(values, "toarray"):
        raise ValueError(
            f"Expected `{name}` to be a dense array, got a sparse {type(values).__name__}: "
            "call its `toarray()`."
        )
    if np.ma.is_masked(values) and values.dtype.kind in REAL:
        return np.ma.filled(values.astype(np.float64), np.nan)
    try:
        return np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ValueError(
            f"Expected `{name}` to be an array of shape (N, ...), "
            f"got a {type(values).__name__} that cannot become one: {error}"
        ) from error


def _tensor_array(name: str, values: Tensor) -> NDArray[Any]:
    if values.layout != torch.strided or values.is_quantized or values.is_meta:
        raise ValueError(
            f"Expected `{name}` to be a dense tensor with values, "
            f"got {values.layout}, {values.dtype} on {values.device}."
        )
    values = values.detach().cpu()
    if values.is_floating_point() and values.dtype != torch.float64:
        values = values.float()
    return values.resolve_conj().resolve_neg().numpy()


def real_array(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Copy an array of real numbers as float32, or float64 where its dtype is wider."""
    if array.ndim == 0:
        raise ValueError(
            f"Expected `{name}` to be an array of shape (N,) or (N, ...), "
            f"got {_shorten(array[()])}."
        )
    if array.dtype.kind not in REAL:
        example = f" such as {_shorten(array.flat[0])}" if array.size else ""
        raise ValueError(
            f"Expected `{name}` to hold real numbers, got {_kind(array.dtype)}{example}."
        )
    wide = np.result_type(array.dtype, np.float32)
    with np.errstate(over="ignore"):
        return np.array(array, dtype=min(wide, np.dtype(np.float64)), order="C")


def _kind(dtype: np.dtype[Any]) -> str:
    kinds = {"c": "complex numbers", "O": "objects", "U": "text", "S": "bytes"}
    return kinds.get(dtype.kind, str(dtype))


def _shorten(value: Any, length: int = 40) -> str:
    text = " ".join(repr(value.item() if isinstance(value, np.generic) else value).split())
    return text if len(text) <= length else f"{text[: length - 3]}..."


def _parse_frame(name: str, frame: pd.DataFrame) -> _Rows:
    """Encode every column of a DataFrame."""
    blocks: list[NDArray[np.float64]] = [np.empty((len(frame), 0))]
    columns, sources = [], []
    for place, label in enumerate(map(str, frame.columns)):
        block, categories = _encode(name, label, frame.iloc[:, place])
        blocks.append(block)
        columns += [f"{label}={category}" for category in categories] or [label]
        sources += [f"`{label}`"] * block.shape[1]
    return _Rows(name, np.concatenate(blocks, axis=1), columns, sources)


def _encode(name: str, label: str, column: pd.Series) -> tuple[NDArray[np.float64], list[Any]]:
    """Return a column as numbers, shape ``(N, 1)``, or one-hot with its categories."""
    kind = infer_dtype(column, skipna=True)
    if kind in NUMBERS:
        return column.to_numpy(dtype=np.float64, na_value=np.nan)[:, None], []
    if kind == "string":
        _check_text(name, label, column)
    elif kind != "categorical":
        raise ValueError(
            f"Expected column `{label}` of `{name}` to hold numbers or categories, "
            f"got {_found(kind, column)}."
        )
    return _one_hot(name, label, column.astype("category"))


def _found(kind: str, column: pd.Series) -> str:
    what = {"complex": "complex numbers", "mixed-integer": "numbers mixed with text"}
    examples = column.dropna()
    example = f" such as {_shorten(examples.iloc[0])}" if len(examples) else ""
    return what.get(kind, f"{kind} values") + example


def _one_hot(name: str, label: str, column: pd.Series) -> tuple[NDArray[np.float64], list[Any]]:
    column = column.cat.remove_unused_categories()
    categories = column.cat.categories.tolist()
    most = min(MOST_CATEGORIES, max(FEW_CATEGORIES, len(column) // 2))
    if len(categories) > most:
        raise ValueError(
            f"Expected column `{label}` of `{name}` to hold at most {most} categories in "
            f"{len(column)} rows, got {len(categories)}."
        )
    codes = column.cat.codes.to_numpy()
    block = np.eye(len(categories))[codes] if categories else np.empty((len(column), 1))
    block[codes < 0] = np.nan
    return block, categories


def _check_text(name: str, label: str, column: pd.Series) -> None:
    """Raise if a column of text is one of numbers: as categories they would mean nothing."""
    text = pd.Series(column.dropna().unique())
    numeric = pd.to_numeric(text, errors="coerce").notna()
    if numeric.sum() < max(1, len(text) / 2):
        return
    if numeric.all():
        found = f"numbers written as text such as {_shorten(text.iloc[0])}"
    else:
        found = f"numbers mixed with text such as {_shorten(text[~numeric].iloc[0])}"
    raise ValueError(
        f"Expected column `{label}` of `{name}` to hold numbers or categories, got {found}."
    )


def count_rows(name: str, values: Any) -> int:
    """Return the number of rows of whatever the user gave.

    Raises:
        ValueError: If it has none to count.
    """
    try:
        return len(values)
    except TypeError as error:
        raise ValueError(
            f"Expected `{name}` to be an array of shape (N,) or (N, ...), got {_shorten(values)}."
        ) from error


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
