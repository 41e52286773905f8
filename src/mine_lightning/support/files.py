"""Writing files whole or not at all."""

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["check_output", "write_table", "written_whole"]

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")


def check_output(
    path: str | Path,
    suffixes: tuple[str, ...],
    inputs: Iterable[str | Path] = (),
    overwrite: bool = True,
) -> Path:
    """Return the path of a file that can be written.

    Args:
        path: The file; where it is a link, what it leads to is written.
        suffixes: The suffixes that it may have.
        inputs: Files that are read, which it must not be.
        overwrite: Whether it may exist.

    Raises:
        ValueError: If the suffix is another one, the directory is missing or read-only, or the
            file is an input, or exists and must not be replaced.
    """
    path = Path(path)
    target = path.resolve()
    if path.suffix not in suffixes:
        known = ", ".join(suffixes)
        raise ValueError(f"Expected `output` to end in one of {known}, got {str(path)!r}.")
    if target.is_dir() or not target.parent.is_dir():
        raise ValueError(f"Expected `output` to be a file in an existing directory, got {path}.")
    if not os.access(target.parent, os.W_OK):
        raise ValueError(f"Expected `output` to be in a writable directory, got {path}.")
    if target.exists():
        if any(os.path.exists(other) and target.samefile(other) for other in inputs):
            raise ValueError(f"Expected `output` to be another file than the input, got {path}.")
        if not overwrite:
            raise ValueError(
                f"Expected `output` not to exist, got {path}: choose another file or `--overwrite`."
            )
    return path


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a temporary path that replaces ``path`` when the block ends well.

    What was written is on the disk before it replaces anything. A file that is replaced keeps its
    permissions; where ``path`` is a link, the file that it leads to is replaced.
    """
    target = path.resolve()
    temporary = target.with_name(f".{target.name}-{secrets.token_hex(4)}")
    try:
        temporary.touch()
        if target.exists():
            shutil.copymode(target, temporary)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def write_table(frame: "pd.DataFrame", path: Path) -> None:
    """Write a DataFrame as CSV, TSV or Parquet, by suffix."""
    with written_whole(path) as temporary:
        if path.suffix == ".parquet":
            frame.to_parquet(temporary, index=False)
        else:
            frame.to_csv(temporary, index=False, sep="\t" if path.suffix == ".tsv" else ",")
