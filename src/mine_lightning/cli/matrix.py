"""``mine-lightning matrix``: the estimates for all pairs of columns of a table file."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mine_lightning.cli.estimate import split_names

if TYPE_CHECKING:
    from mine_lightning import MutualInformationMatrix

__all__ = ["matrix"]

PICTURES = (".png", ".pdf", ".svg")


def matrix(
    path: str,
    /,
    columns: str | None = None,
    output: str | None = None,
    overwrite: bool = False,
    seed: int = 0,
    folds: int = 5,
    missing: Literal["raise", "drop"] = "raise",
    max_epochs: int | None = None,
    accelerator: str = "auto",
    quiet: bool = False,
    delimiter: str | None = None,
    decimal: Literal[".", ","] = ".",
    thousands: str | None = None,
) -> None:
    """Estimate the mutual information of all pairs of columns of a table.

    Example:
      mine-lightning matrix wine.csv --columns alcohol,hue,proline --output pairs.csv

    Args:
        path: The table: CSV, TSV, Parquet, NPZ or NPY.
        columns: Columns by name or position, all of them by default.
        output: CSV, TSV or Parquet file with a row for each pair, or a PNG, PDF or SVG picture.
        overwrite: Replace an output that exists.
        seed: Seed that repeats the estimates.
        folds: Number of folds.
        missing: What to do with rows that have missing values.
        max_epochs: Largest number of epochs.
        accelerator: Processor: auto, cpu, cuda, mps.
        quiet: Show no progress bar.
        delimiter: What separates fields in a text file, where it is not usual for the suffix.
        decimal: What stands before the decimals of a number.
        thousands: What stands between groups of three digits.

    Raises:
        ValueError: If the user made a mistake.
    """
    from mine_lightning.data.reading import read_table
    from mine_lightning.support.files import TABLE_SUFFIXES, check_output

    if output is not None:
        target = check_output(
            output, (*TABLE_SUFFIXES, *PICTURES), inputs=[path], overwrite=overwrite
        )
    chosen = None if columns is None else split_names(columns)
    frame = read_table(path, chosen, delimiter, decimal, thousands)

    from mine_lightning import mutual_information_matrix  # a mistake in the table is told before

    result = mutual_information_matrix(
        frame,
        seed=seed,
        folds=folds,
        missing=missing,
        max_epochs=max_epochs,
        accelerator=accelerator,
        progress_bar=not quiet,
    )
    print(result)
    if output is not None:
        write(result, target)


def write(result: "MutualInformationMatrix", target: Path) -> None:
    """Write a picture or a table, as the suffix says, whole or not at all."""
    from mine_lightning.support.files import write_table, written_whole

    if target.suffix not in PICTURES:
        write_table(result.to_frame(), target)
        return
    with written_whole(target) as temporary:
        result.plot().savefig(temporary, format=target.suffix[1:])
