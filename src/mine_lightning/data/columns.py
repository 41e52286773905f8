"""Columns of a table as numbers: numbers, categories, and vectors of numbers."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pandas.api.types import infer_dtype

from mine_lightning.data.containers import REAL, shorten
from mine_lightning.data.numerals import how_to_read, looks_numeric
from mine_lightning.support.text import printable

__all__ = ["Encoded", "encode"]

NUMBERS = {"integer", "floating", "mixed-integer-float", "decimal", "boolean", "empty"}
FEW_CATEGORIES, MOST_CATEGORIES = 10, 1000
VECTORS = (list, tuple, np.ndarray, torch.Tensor)


class Encoded(NamedTuple):
    """A column as numbers.

    Attributes:
        values: Numbers, shape ``(N, D)``, float64; nan where one is missing.
        columns: What to call each of them: the column itself, ``column=category`` or
            ``column_place``.
    """

    values: NDArray[np.float64]
    columns: list[str]


def encode(name: str, label: str, column: pd.Series) -> Encoded:
    """Encode a column: numbers as they are, categories one-hot, vectors side by side.

    Args:
        name: What to call the variable in an error.
        label: What to call the column.
        column: Numbers, truth values, text, categories, or vectors of one length.

    Raises:
        ValueError: If it holds anything else, numbers written as text, or too many categories.

    Example:
        >>> encode("x", "hue", pd.Series(["red", "blue", "red"])).columns
        ['hue=blue', 'hue=red']
        >>> encode("x", "place", pd.Series([[1, 2], [3, 4]])).columns
        ['place_0', 'place_1']
    """
    kind = infer_dtype(column, skipna=True)
    if kind == "unknown-array":  # of Arrow's own lists and dictionaries
        column = column.astype(object)
        kind = infer_dtype(column, skipna=True)
    if kind in NUMBERS:
        return Encoded(column.to_numpy(dtype=np.float64, na_value=np.nan)[:, None], [label])
    present = column.dropna()
    if kind == "mixed" and len(present) and isinstance(present.iloc[0], VECTORS):
        return _vectors(name, label, column)
    if kind == "bytes":
        column, kind = column.map(_decoded, na_action="ignore"), "string"
    if kind not in ("string", "categorical"):
        raise ValueError(
            f"Expected column `{label}` of `{name}` to hold numbers or categories, "
            f"got {_found(kind, present)}."
        )
    if not (kind == "categorical" and _are_codes(column)):
        _check_text(name, label, column)
    return _one_hot(name, label, column.astype("category"))


def _decoded(value: bytes) -> str:
    return value.decode(errors="backslashreplace")


def _found(kind: str, present: pd.Series) -> str:
    what = {"complex": "complex numbers", "mixed-integer": "numbers mixed with text"}
    example = f" such as {shorten(present.iloc[0])}" if len(present) else ""
    return what.get(kind, f"{kind} values") + example


def _one_hot(name: str, label: str, column: pd.Series) -> Encoded:
    column = column.cat.remove_unused_categories()
    categories = column.cat.categories.tolist()
    most = min(MOST_CATEGORIES, max(FEW_CATEGORIES, len(column) // 2))
    if len(categories) > most:
        raise ValueError(
            f"Expected column `{label}` of `{name}` to hold at most {most} categories in "
            f"{len(column)} rows, got {len(categories)}."
        )
    if not categories:
        return Encoded(np.full((len(column), 1), np.nan), [label])
    codes = column.cat.codes.to_numpy()
    block = np.eye(len(categories))[codes]
    block[codes < 0] = np.nan
    return Encoded(block, [f"{label}={printable(str(category))}" for category in categories])


def _vectors(name: str, label: str, column: pd.Series) -> Encoded:
    """Put the entries of vectors side by side; a missing vector is one of nan."""
    vectors = [np.asarray(value) for value in column.dropna()]
    shapes = sorted({vector.shape for vector in vectors})
    if len(shapes) > 1 or any(vector.dtype.kind not in REAL for vector in vectors):
        example = next((v for v in vectors if v.dtype.kind not in REAL), vectors[0])
        found = f"shapes {shapes[0]} to {shapes[-1]}" if len(shapes) > 1 else shorten(example)
        raise ValueError(
            f"Expected column `{label}` of `{name}` to hold vectors of numbers of one length, "
            f"got {found}."
        )
    values = np.full((len(column), vectors[0].size), np.nan)
    values[column.notna().to_numpy()] = np.stack(vectors).reshape(len(vectors), -1)
    return Encoded(values, [f"{label}_{place}" for place in range(values.shape[1])])


def _are_codes(column: pd.Series) -> bool:
    """Say whether categories are few, or whole numbers that were made categories on purpose."""
    names = [str(name).strip() for name in column.cat.categories]
    return len(names) <= FEW_CATEGORIES or all(name.isdigit() for name in names)


def _check_text(name: str, label: str, column: pd.Series) -> None:
    """Raise if a column of text is one of numbers: as categories they would mean nothing."""
    text = [value for value in column.dropna().unique() if isinstance(value, str)]
    numeric = looks_numeric(text)
    if sum(numeric) < max(1, len(text) / 2):
        return
    if all(numeric):
        found = f"numbers written as text such as {shorten(text[0])}: {how_to_read(text)}"
    else:
        odd = text[numeric.index(False)]
        found = f"numbers mixed with text such as {shorten(odd)}."
    raise ValueError(
        f"Expected column `{label}` of `{name}` to hold numbers or categories, got {found}"
    )
