"""Whatever holds rows (arrays, tensors, data frames, lists) as NumPy or pandas holds them."""

from collections.abc import Mapping
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["REAL", "Columns", "name_places", "native", "real_array", "shorten", "unpack"]

REAL = "fiub"  # kinds of dtype

Columns = pd.DataFrame | pd.Series


def unpack(name: str, values: Any) -> Columns | NDArray[Any]:
    """Return a table as a DataFrame, a column of one as a Series, and anything else as an array.

    Args:
        name: What to call the argument in an error.
        values: Data frame or column of any library that narwhals or Arrow's interface knows, dict
            of columns, list of records, structured array, array, tensor or nested lists.

    Raises:
        ValueError: If it is not in memory, or cannot become any of these.

    Example:
        >>> unpack("x", {"a": [1, 2], "b": np.zeros((2, 2))}).columns.tolist()
        ['a', 'b_0', 'b_1']
    """
    if isinstance(values, Columns):
        return values
    if isinstance(values, (pd.Index, pd.api.extensions.ExtensionArray)):
        return pd.Series(values)
    if isinstance(values, Mapping):
        return _join(name, values)
    if isinstance(values, (list, tuple)) and values and isinstance(values[0], Mapping):
        return pd.DataFrame(values)
    frame = _data_frame(name, values)
    return _as_columns(name, _array(name, values)) if frame is None else frame


def _data_frame(name: str, values: Any) -> Columns | None:
    """Return a data frame or a column of another library as pandas; None for anything else."""
    if isinstance(values, pa.Array):
        values = pa.chunked_array([values])
    found = nw.from_native(values, pass_through=True, allow_series=True)
    if isinstance(found, nw.LazyFrame):
        raise ValueError(
            f"Expected `{name}` to be in memory, got a lazy {type(values).__name__}: call its "
            "`collect()`."
        )
    if isinstance(found, (nw.DataFrame, nw.Series)):
        return found.to_pandas()
    return pa.table(values).to_pandas() if hasattr(values, "__arrow_c_stream__") else None


def _join(name: str, values: Mapping[Any, Any]) -> pd.DataFrame:
    """Put columns and arrays side by side; an array ``a`` becomes the columns a_0, a_1, ..."""
    parts = {key: unpack(f"{name}[{key!r}]", value) for key, value in values.items()}
    rows = {key: len(part) for key, part in parts.items()}
    if len(set(rows.values())) > 1:
        raise ValueError(
            f"Expected `{name}` to hold columns with equally many rows, got {shorten(rows, 80)}."
        )
    frames = [_as_frame(str(key), part) for key, part in parts.items()]
    return pd.concat(frames, axis=1) if frames else pd.DataFrame()


def _as_frame(name: str, part: Columns | NDArray[Any]) -> pd.DataFrame:
    """Return one entry of a dict as columns that are paired by position."""
    if isinstance(part, np.ndarray):
        part = native(part)
        part = pd.DataFrame(part.reshape(len(part), -1)) if part.ndim > 1 else pd.Series(part)
    part = part.to_frame(name) if isinstance(part, pd.Series) else part.add_prefix(f"{name}_")
    return part.reset_index(drop=True)


def native(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array in the machine's byte order, as pandas needs it."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _as_columns(name: str, array: NDArray[Any]) -> Columns | NDArray[Any]:
    """Return an array of named fields, text or objects as columns, one of numbers as it is."""
    if array.dtype.names is not None:
        return _join(name, {field: array[field] for field in array.dtype.names})
    if array.dtype.kind not in "OUST" or array.ndim > 2:
        return array
    array = array.astype(object)
    places = name_places(array.shape[1:] or (1,))
    return pd.DataFrame(array, columns=places) if array.ndim == 2 else pd.Series(array, name="0")


def _array(name: str, values: Any) -> NDArray[Any]:
    """Turn a tensor, an array or nested lists into an array of at least one dimension."""
    if isinstance(values, Tensor):
        array = _tensor_array(name, values)
    elif hasattr(values, "toarray"):
        raise ValueError(
            f"Expected `{name}` to be a dense array, got a sparse {type(values).__name__}: "
            "call its `toarray()`."
        )
    elif np.ma.is_masked(values):
        real = values.dtype.kind in REAL
        array = np.ma.filled(values.astype(np.float64 if real else object), np.nan)
    else:
        array = _nested_array(name, values)
    if array.ndim == 0:
        raise ValueError(
            f"Expected `{name}` to be an array of shape (N,) or (N, ...), got {shorten(array[()])}."
        )
    return array


def _nested_array(name: str, values: Any) -> NDArray[Any]:
    """Turn nested lists, or what NumPy knows, into an array; text among other things stays it."""
    try:
        if isinstance(values, (list, tuple)) and values and isinstance(values[0], Tensor):
            return _tensor_array(name, torch.stack([*values]))
        array = np.asarray(values)
        if array.dtype.kind in "US" and not isinstance(values, np.ndarray):
            return np.asarray(values, dtype=object)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ValueError(
            f"Expected `{name}` to be an array of shape (N, ...), "
            f"got a {type(values).__name__} that cannot become one: {error}"
        ) from error
    return array


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
    """Copy an array of real numbers as float32, or float64 where its dtype is wider.

    Raises:
        ValueError: If it holds anything else.
    """
    if array.dtype.kind not in REAL:
        example = f" such as {shorten(array.flat[0])}" if array.size else ""
        raise ValueError(
            f"Expected `{name}` to hold real numbers, got {_kind(array.dtype)}{example}."
        )
    wide = np.result_type(array.dtype, np.float32)
    with np.errstate(over="ignore"):
        return np.array(array, dtype=min(wide, np.dtype(np.float64)), order="C")


def _kind(dtype: np.dtype[Any]) -> str:
    kinds = {"c": "complex numbers", "O": "objects", "U": "text", "S": "bytes"}
    return kinds.get(dtype.kind, str(dtype))


def name_places(shape: tuple[int, ...]) -> list[str]:
    """Name every value of a row by its position."""
    if len(shape) == 1:
        return [str(column) for column in range(shape[0])]
    return [str(place) for place in np.ndindex(*shape)]


def shorten(value: Any, length: int = 40) -> str:
    """Return what a value prints as, in one line of at most ``length`` characters."""
    text = " ".join(repr(value.item() if isinstance(value, np.generic) else value).split())
    return text if len(text) <= length else f"{text[: length - 3]}..."
