"""Table files: read one, choose columns, estimate."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.csv
from numpy.typing import NDArray

from mine_lightning.data.arrays import TensorArguments, TensorDataModule
from mine_lightning.data.checks import Missing
from mine_lightning.support.keywords import Unpack, check_keywords, near

__all__ = ["TableDataModule", "read_table", "select_columns"]


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table file; nothing in it is executed.

    The suffix says what it is:

    * ``.csv``, ``.tsv``: a header and then rows of equally many fields.
    * ``.parquet``.
    * ``.npz``: named arrays with equally many rows. A one-dimensional array ``a`` is the column
      ``a``, others become the columns ``a_0``, ``a_1``, ...; arrays without rows are left out.
    * ``.npy``: one array; its columns are called ``0``, ``1``, ...

    Args:
        path: The file.

    Returns:
        At least one row; the column names are strings.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the suffix is another one, or the file is broken, ragged, empty, without a
            header, or holds objects.
    """
    path = check_file(path, tuple(READERS))
    with whole_file(path):
        frame = READERS[path.suffix.lower()](path)
    if len(frame) == 0:
        raise ValueError(f"Expected {str(path)!r} to hold rows, got none.")
    return frame.set_axis([str(name).strip() for name in frame.columns], axis=1)


def check_file(path: str | Path, suffixes: tuple[str, ...]) -> Path:
    """Return the path of a file that exists and ends in one of the suffixes.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no file, or the suffix is another one.
    """
    path = Path(path)
    if path.is_dir() or (path.exists() and not path.is_file()):
        raise ValueError(f"Expected `path` to be a file, got {str(path)!r}, which is none.")
    if path.suffix.lower() not in suffixes:
        raise ValueError(
            f"Expected `path` to end in one of {', '.join(suffixes)}, got {str(path)!r}."
        )
    if not path.exists():
        raise FileNotFoundError(f"Expected `path` to be a file, got {str(path)!r}: no such file.")
    return path


@contextmanager
def whole_file(path: Path) -> Iterator[None]:
    """Turn what goes wrong while a file is read into a ValueError that names the file."""
    try:
        yield
    except Exception as error:  # a damaged file makes its reader raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"Expected {str(path)!r} to be a whole {path.suffix} file, got: {reason[:300]}"
        ) from error


def _read_text(path: Path, delimiter: str) -> pd.DataFrame:
    """Read delimited text strictly: equally many fields in each row, numbers to the last bit."""
    content = path.read_bytes()
    if content.count(b'"') % 2:
        raise ValueError("an odd number of quotation marks.")
    table = pyarrow.csv.read_csv(
        BytesIO(content),
        parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=True),
    )
    _check_header(table.column_names, delimiter)
    return table.to_pandas()


def _check_header(names: list[str], delimiter: str) -> None:
    """Raise if the first line holds values, or if another delimiter was used."""
    if len(names) == 1 and (others := set(";\t,") - {delimiter}) & set(names[0]):
        other = min(others & set(names[0]))
        raise ValueError(f"one column with {other!r} in its name, where {delimiter!r} separates.")
    numbers = pd.to_numeric(pd.Series(names), errors="coerce")
    if numbers.notna().all() and any(not name.strip().isdigit() for name in names):
        raise ValueError(f"numbers in the first line, where the column names stand: {names[:5]}.")


def _read_csv(path: Path) -> pd.DataFrame:
    return _read_text(path, ",")


def _read_tsv(path: Path) -> pd.DataFrame:
    return _read_text(path, "\t")


def _read_parquet(path: Path) -> pd.DataFrame:
    with path.open("rb") as file:
        return pd.read_parquet(file, engine="pyarrow")


def _read_numpy(path: Path) -> pd.DataFrame:
    """Read an array by position or several by name; objects are refused."""
    with path.open("rb") as file:
        loaded = np.load(file, allow_pickle=False)
        if not isinstance(loaded, np.ndarray):
            return _join({name: loaded[name] for name in loaded.files})
    if loaded.ndim == 0:
        raise ValueError("an array without rows.")
    return _as_frame(loaded, [str(place) for place in range(loaded[:1].size)])


def _join(arrays: dict[str, NDArray[Any]]) -> pd.DataFrame:
    """Put arrays with equally many rows side by side."""
    arrays = {name: array for name, array in arrays.items() if array.ndim > 0}
    rows = {name: len(array) for name, array in arrays.items()}
    if len(set(rows.values())) > 1:
        raise ValueError(f"arrays with different numbers of rows: {rows}.")
    frames = [_as_frame(array, _array_columns(name, array)) for name, array in arrays.items()]
    return pd.concat(frames, axis=1) if frames else pd.DataFrame()


def _array_columns(name: str, array: NDArray[Any]) -> list[str]:
    if array.ndim == 1:
        return [name]
    return [f"{name}_{place}" for place in range(array[:1].size)]


def _as_frame(array: NDArray[Any], columns: list[str]) -> pd.DataFrame:
    """Turn rows into a DataFrame, in the machine's byte order."""
    if array.dtype.names is not None:
        return pd.DataFrame({name: _native(array[name]) for name in array.dtype.names})
    return pd.DataFrame(_native(array).reshape(len(array), len(columns)), columns=columns)


def _native(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(array.dtype.newbyteorder("="))


READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".parquet": _read_parquet,
    ".npz": _read_numpy,
    ".npy": _read_numpy,
}


def select_columns(
    frame: pd.DataFrame, x: list[str | int], z: list[str | int]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Choose the columns of x and of z.

    A column is given by its name or its position. A name ``a`` that no column has stands for the
    columns ``a_0``, ``a_1``, ... if there are any, and text such as "3" that is no name for a
    position.

    Args:
        frame: The table.
        x: Columns of x.
        z: Columns of z.

    Returns:
        The columns of x and those of z.

    Raises:
        ValueError: If a column does not exist (with the names that come near), a name is not
            unique, a column is chosen twice, or none is chosen.

    Example:
        >>> frame = pd.DataFrame({"a": [1, 2], "b_0": [3, 4], "b_1": [5, 6]})
        >>> x, z = select_columns(frame, ["a"], ["b"])
        >>> list(z.columns)
        ['b_0', 'b_1']
    """
    names = [str(name) for name in frame.columns]
    places = {"x": find_columns("x", names, x), "z": find_columns("z", names, z)}
    check_disjoint(places["x"], places["z"], label=names.__getitem__)
    return frame.iloc[:, places["x"]], frame.iloc[:, places["z"]]


def check_disjoint(
    x: Sequence[Any],
    z: Sequence[Any],
    names: tuple[str, str] = ("x", "z"),
    label: Callable[[Any], str] = str,
) -> None:
    """Raise if two variables share a column.

    Args:
        x: Columns of x.
        z: Those of z.
        names: What to call x and z in the error.
        label: What to call a column.

    Raises:
        ValueError: If a column is in both.
    """
    if both := [label(column) for column in x if column in z]:
        raise ValueError(
            f"Expected `{names[0]}` and `{names[1]}` to have no column in common, "
            f"got {_quoted(both)} in both."
        )


def find_columns(variable: str, names: list[str], columns: Sequence[str | int]) -> list[int]:
    """Return the positions of a variable's columns."""
    if not isinstance(columns, (list, tuple)) or not columns:
        raise ValueError(
            f"Expected `{variable}` to be a list of at least one column, got {columns!r}."
        )
    places = [place for column in columns for place in _find(variable, names, column)]
    if twice := [names[place] for place, count in Counter(places).items() if count > 1]:
        raise ValueError(
            f"Expected `{variable}` to name each column once, got {_quoted(twice)} twice."
        )
    return places


def _find(variable: str, names: list[str], column: str | int) -> list[int]:
    """Return the positions that a name, a common stem or a position stands for."""
    if isinstance(column, str):
        found = [place for place, name in enumerate(names) if name == column]
        if len(found) > 1:
            raise ValueError(
                f"Expected `{variable}` to name one column, got `{column}`, the name of "
                f"{len(found)}: give a position."
            )
        found = found or _stemmed(names, column)
        if found:
            return found
    if isinstance(column, bool) or not str(column).isdecimal():
        raise ValueError(
            f"Expected `{variable}` to name columns of the table, got {column!r}. "
            f"{near(str(column), names)}"
        )
    if int(column) >= len(names):
        raise ValueError(
            f"Expected `{variable}` to give positions from 0 to {len(names) - 1}, got {column}."
        )
    return [int(column)]


def _stemmed(names: list[str], stem: str) -> list[int]:
    """Return the positions of ``stem_0``, ``stem_1``, ... in this order."""
    places = {name: place for place, name in enumerate(names)}
    found: list[int] = []
    while (name := f"{stem}_{len(found)}") in places:
        found.append(places[name])
    return found


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


class TableDataModule(TensorDataModule):
    """Pairs from the columns of a table file: CSV, TSV, Parquet, NPZ or NPY.

    Text and categorical columns become one column for each category.

    Args:
        path: The file; see :func:`read_table`.
        x: Columns of x, by name or position; see :func:`select_columns`.
        z: Columns of z, likewise.
        missing: What to do with rows that have missing or infinite values in these columns:
            "raise" an error, or "drop" them and say in a warning how many they were.
        kwargs: Arguments of :class:`~mine_lightning.data.arrays.TensorDataModule`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file cannot be read, or the columns are not finite numbers or categories
            that vary.
    """

    def __init__(
        self,
        path: str | Path,
        x: list[str | int],
        z: list[str | int],
        missing: Missing = "raise",
        **kwargs: Unpack[TensorArguments],
    ) -> None:
        check_keywords(TableDataModule.__init__, kwargs)
        x_frame, z_frame = select_columns(read_table(path), x, z)
        super().__init__(x_frame, z_frame, missing=missing, **kwargs)
        self.path = Path(path)
