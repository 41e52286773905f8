"""Table files: read one, or some of its columns; choose columns by name or position."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mine_lightning.data.formats import READERS, Dialect, check_file, whole_file
from mine_lightning.data.numerals import read_numerals
from mine_lightning.support.text import near, printable, quoted

__all__ = ["check_disjoint", "find_columns", "read_columns", "read_table", "select_columns"]


def read_table(
    path: str | Path,
    columns: Sequence[str | int] | None = None,
    delimiter: str | None = None,
    decimal: str = ".",
    thousands: str | None = None,
) -> pd.DataFrame:
    """Read a table file; nothing in it is executed.

    The suffix says what it is:

    * ``.csv``, ``.tsv``: a header and then rows of equally many fields.
    * ``.parquet``.
    * ``.npz``: named arrays with equally many rows. A one-dimensional array ``a`` is the column
      ``a``, others become the columns ``a_0``, ``a_1``, ...; arrays without rows are left out.
    * ``.npy``: one array; its columns are called ``0``, ``1``, ...

    Args:
        path: The file.
        columns: The columns to read, in this order, by name or position as for
            :func:`select_columns`; all by default.
        delimiter: What separates fields; by default "," in a ``.csv`` and a tab in a ``.tsv`` file.
        decimal: What stands before the decimals of a number, "." or ",".
        thousands: What stands between groups of three digits; " " stands for every space.

    Returns:
        At least one row; the column names are printable strings.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the suffix is another one, a mark is none, there is no such column, or the
            file is broken, ragged, empty, without a header, or holds objects.
    """
    path, dialect = check_file(path, tuple(READERS)), Dialect(delimiter, decimal, thousands)
    names = _names(path, dialect)
    everything = list(range(len(names)))
    places = everything if columns is None else find_columns("columns", names, columns)
    return _read(path, dialect, names, places)


def read_columns(
    path: str | Path,
    columns: Mapping[str, list[str | int]],
    delimiter: str | None = None,
    decimal: str = ".",
    thousands: str | None = None,
) -> dict[str, pd.DataFrame]:
    """Read the columns of several variables from a table file, and no others.

    Args:
        path: The file; see :func:`read_table`.
        columns: The columns of each variable, as for :func:`select_columns`; x and z are among
            them.
        delimiter: As for :func:`read_table`.
        decimal: Likewise.
        thousands: Likewise.

    Returns:
        The columns of each variable.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: As :func:`read_table` and :func:`select_columns`.
    """
    path, dialect = check_file(path, tuple(READERS)), Dialect(delimiter, decimal, thousands)
    names = _names(path, dialect)
    places = {name: find_columns(name, names, chosen) for name, chosen in columns.items()}
    check_disjoint(places["x"], places["z"], label=names.__getitem__)
    read = sorted({place for found in places.values() for place in found})
    frame = _read(path, dialect, names, read)
    return {
        name: frame.iloc[:, [read.index(place) for place in found]]
        for name, found in places.items()
    }


def _names(path: Path, dialect: Dialect) -> list[str]:
    """Return the names of a table file's columns."""
    dialect.check(path)
    with whole_file(path):
        names = READERS[path.suffix.lower()].names(path, dialect)
    return [printable(name.strip()) for name in names]


def _read(path: Path, dialect: Dialect, names: list[str], places: list[int]) -> pd.DataFrame:
    """Read columns by position."""
    with whole_file(path):
        frame = READERS[path.suffix.lower()].read(path, dialect, places)
    if len(frame) == 0:
        raise ValueError(f"Expected {str(path)!r} to hold rows, got none.")
    frame = frame.set_axis([names[place] for place in places], axis=1)
    if dialect.decimal == "." and dialect.thousands is None:
        return frame
    return read_numerals(frame, dialect.decimal, dialect.thousands)


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
    x_places, z_places = find_columns("x", names, x), find_columns("z", names, z)
    check_disjoint(x_places, z_places, label=names.__getitem__)
    return frame.iloc[:, x_places], frame.iloc[:, z_places]


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
            f"got {quoted(both)} in both."
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
            f"Expected `{variable}` to name each column once, got {quoted(twice)} twice."
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
