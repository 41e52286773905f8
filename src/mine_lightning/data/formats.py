"""How each kind of table file is read: text, Parquet, and arrays of NumPy."""

import csv
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from mine_lightning.data.containers import native
from mine_lightning.data.numerals import check_marks

__all__ = ["READERS", "Dialect", "Reader", "check_file", "whole_file"]


class Dialect(NamedTuple):
    """How a table writes its values down.

    Attributes:
        delimiter: What separates the fields of a text file; by default "," in a ``.csv`` file and
            a tab in a ``.tsv`` file.
        decimal: What stands before the decimals of a number, "." or ",".
        thousands: What stands between groups of three digits; " " stands for every space.
    """

    delimiter: str | None = None
    decimal: str = "."
    thousands: str | None = None

    def check(self, path: Path) -> None:
        """Raise unless the file can be one of this dialect.

        Raises:
            ValueError: If a mark is none, or the file has no delimiters.
        """
        check_marks(self.decimal, self.thousands)
        if self.delimiter is None:
            return
        if path.suffix.lower() not in DELIMITERS:
            raise ValueError(
                f"Expected `delimiter` for {' or '.join(DELIMITERS)}, got it for {path.suffix}."
            )
        if len(self.separator(path)) != 1 or self.delimiter in '"\r\n':
            raise ValueError(f"Expected `delimiter` to be one character, got {self.delimiter!r}.")

    def separator(self, path: Path) -> str:
        """Return what separates the fields of the file; backslash and t are a tab."""
        chosen = self.delimiter or DELIMITERS[path.suffix.lower()]
        return "\t" if chosen == "\\t" else chosen


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


class Reader(NamedTuple):
    """How files of one kind are read.

    Attributes:
        names: Returns the names of the columns.
        read: Returns the columns at the given positions, in this order.
    """

    names: Callable[[Path, Dialect], list[str]]
    read: Callable[[Path, Dialect, list[int]], pd.DataFrame]


def _text_names(path: Path, dialect: Dialect) -> list[str]:
    """Read the header; raise if it holds values, or if another delimiter was used."""
    separator = dialect.separator(path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        names: list[str] = next(filter(None, csv.reader(file, delimiter=separator)), [])
    if not names:
        raise ValueError("Empty CSV file")
    if len(names) == 1 and (marks := set(SEPARATORS) - {separator}) & set(names[0]):
        other = min(marks & set(names[0]), key=lambda mark: -names[0].count(mark))
        raise ValueError(
            f"one column with {other!r} in its name, where {separator!r} separates: read "
            f"with `delimiter={other!r}`{_decimal_comma(path, other)}."
        )
    numbers = pd.to_numeric(pd.Series(names), errors="coerce")
    if numbers.notna().all() and any(not name.strip().isdigit() for name in names):
        raise ValueError(f"numbers in the first line, where the column names stand: {names[:5]}.")
    return names


def _decimal_comma(path: Path, separator: str) -> str:
    """Return the further argument that the first row asks for, if its numbers have commas."""
    with path.open(encoding="utf-8-sig") as file:
        fields = [line.strip().split(separator) for line in islice(file, 1, 2)]
    commas = any(re.fullmatch(r"-?\d+,\d+", field) for row in fields for field in row)
    return ", `decimal=','`" if commas and separator != "," else ""


def _read_text(path: Path, dialect: Dialect, places: list[int]) -> pd.DataFrame:
    """Read delimited text strictly: equally many fields in each row, numbers to the last bit."""
    content = path.read_bytes()
    if content.count(b'"') % 2:
        raise ValueError("an odd number of quotation marks.")
    columns = [f"f{place}" for place in places]  # names may occur twice
    table = pyarrow.csv.read_csv(
        pyarrow.BufferReader(content),  # with BytesIO, an error may hang Arrow 14
        read_options=pyarrow.csv.ReadOptions(
            autogenerate_column_names=True,
            skip_rows_after_names=1,
            block_size=min(max(len(content), LEAST_BLOCK), LARGEST_BLOCK),
        ),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=dialect.separator(path), newlines_in_values=True
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=list(dict.fromkeys(columns)),
            strings_can_be_null=True,
            decimal_point=dialect.decimal,
        ),
    )
    return table.to_pandas()[columns]


def _parquet_names(path: Path, dialect: Dialect) -> list[str]:
    """Name the columns without those that are the index of pandas."""
    with path.open("rb") as file:
        schema = pyarrow.parquet.read_schema(file)
    index = (schema.pandas_metadata or {}).get("index_columns", [])
    return [name for name in schema.names if name not in index]


def _read_parquet(path: Path, dialect: Dialect, places: list[int]) -> pd.DataFrame:
    names = _parquet_names(path, dialect)
    chosen = [names[place] for place in places]
    with path.open("rb") as file:
        table = pyarrow.parquet.ParquetFile(file).read(chosen)
    return table.select(chosen).to_pandas(ignore_metadata=True)


def _numpy_names(path: Path, dialect: Dialect) -> list[str]:
    return [str(name) for name in _load(path).columns]


def _read_numpy(path: Path, dialect: Dialect, places: list[int]) -> pd.DataFrame:
    return _load(path).iloc[:, places]


def _load(path: Path) -> pd.DataFrame:
    """Read an array by position or several by name; objects are refused."""
    with path.open("rb") as file:
        loaded = np.load(file, allow_pickle=False)
        if not isinstance(loaded, np.ndarray):
            arrays = {name: loaded[name] for name in loaded.files}
            return _join({name: array for name, array in arrays.items() if array.ndim > 0})
    if loaded.ndim == 0:
        raise ValueError("an array without rows.")
    return _as_frame(loaded, [str(place) for place in range(loaded[:1].size)])


def _join(arrays: dict[str, NDArray[Any]]) -> pd.DataFrame:
    """Put arrays with equally many rows side by side."""
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
        return pd.DataFrame({name: native(array[name]) for name in array.dtype.names})
    return pd.DataFrame(native(array).reshape(len(array), len(columns)), columns=columns)


DELIMITERS = {".csv": ",", ".tsv": "\t"}
SEPARATORS = ";\t,|"
LEAST_BLOCK, LARGEST_BLOCK = 2**20, 2**31 - 1  # bytes; a row and the types of all lie in one block
READERS = {
    **dict.fromkeys(DELIMITERS, Reader(_text_names, _read_text)),
    ".parquet": Reader(_parquet_names, _read_parquet),
    **dict.fromkeys((".npz", ".npy"), Reader(_numpy_names, _read_numpy)),
}
