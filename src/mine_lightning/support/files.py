"""Writing files whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["check_output", "write_table", "written_whole"]

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")


def check_output(path: str | Path, suffixes: tuple[str, ...]) -> Path:
    """Return the path of a file that can be written.

    Raises:
        ValueError: If the suffix is another one, or the directory is missing or read-only.
    """
    path = Path(path)
    if path.suffix not in suffixes:
        known = ", ".join(suffixes)
        raise ValueError(f"Expected `output` to end in one of {known}, got {str(path)!r}.")
    if path.is_dir() or not path.parent.is_dir():
        raise ValueError(f"Expected `output` to be a file in an existing directory, got {path}.")
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"Expected `output` to be in a writable directory, got {path}.")
    return path


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` that replaces it when the block ends well.

    What was written is on the disk before it replaces anything.
    """
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_table(frame: "pd.DataFrame", path: Path) -> None:
    """Write a DataFrame as CSV, TSV or Parquet, by suffix."""
    with written_whole(path) as temporary:
        if path.suffix == ".parquet":
            frame.to_parquet(temporary, index=False)
        else:
            frame.to_csv(temporary, index=False, sep="\t" if path.suffix == ".tsv" else ",")
