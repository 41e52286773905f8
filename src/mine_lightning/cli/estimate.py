"""``mine-lightning estimate``: the estimate for the columns of a table file."""

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from mine_lightning import MutualInformationEstimate

__all__ = ["estimate", "split_names"]


def estimate(
    path: str,
    /,
    x: str,
    z: str,
    output: str | None = None,
    overwrite: bool = False,
    seed: int = 0,
    folds: int = 5,
    groups: str | None = None,
    blocks: int | None = None,
    missing: Literal["raise", "drop"] = "raise",
    x_transform: Literal["rank", "standardize", "identity"] = "rank",
    z_transform: Literal["rank", "standardize", "identity"] = "rank",
    max_epochs: int | None = None,
    accelerator: str = "auto",
    quiet: bool = False,
    delimiter: str | None = None,
    decimal: Literal[".", ","] = ".",
    thousands: str | None = None,
) -> None:
    """Estimate the mutual information of some columns of a table with others.

    Example:
      mine-lightning estimate wine.csv --x alcohol,malic_acid --z color_intensity,hue

    Args:
        path: The table: CSV, TSV, Parquet, NPZ or NPY.
        x: Columns of x by name or position: alcohol,hue.
        z: Columns of z, likewise.
        output: JSON or NPZ file for the result.
        overwrite: Replace an output that exists.
        seed: Seed that repeats the estimate.
        folds: Number of folds.
        groups: Column that names the group of each row, whose rows are held out together.
        blocks: Length of blocks of neighbouring rows that are held out together, for rows in time.
        missing: What to do with rows that have missing values.
        x_transform: Transform of x.
        z_transform: Transform of z.
        max_epochs: Largest number of epochs.
        accelerator: Processor: auto, cpu, cuda, mps.
        quiet: Show no progress bar.
        delimiter: What separates fields in a text file, where it is not usual for the suffix.
        decimal: What stands before the decimals of a number.
        thousands: What stands between groups of three digits.

    Raises:
        ValueError: If the user made a mistake.
    """
    from mine_lightning.data.reading import read_columns
    from mine_lightning.support.files import check_output

    if output is not None:
        check_output(output, (".json", ".npz"), inputs=[path], overwrite=overwrite)
    named = {"x": split_names(x), "z": split_names(z)}
    named |= {} if groups is None else {"groups": [groups]}
    columns = read_columns(path, named, delimiter, decimal, thousands)

    from mine_lightning import estimate_mutual_information  # a mistake in the table is told before

    result = estimate_mutual_information(
        columns["x"],
        columns["z"],
        groups=None if groups is None else columns["groups"].iloc[:, 0],
        blocks=blocks,
        seed=seed,
        folds=folds,
        missing=missing,
        x_transform=x_transform,
        z_transform=z_transform,
        max_epochs=max_epochs,
        accelerator=accelerator,
        progress_bar=not quiet,
    )
    print(report(result))
    if output is not None:
        result.save(output)


def report(result: "MutualInformationEstimate") -> str:
    """Lay a result out for a person."""
    headline, *notes = str(result).splitlines()
    rows = f"{result.rows:,} rows used"
    more = f"standard error {result.standard_error:.3f} nats, {rows}, seed {result.seed}"
    return "\n".join([headline, more, *notes])


def split_names(text: str) -> list[str | int]:
    """Split ``a,b`` into names.

    Example:
        >>> split_names("alcohol, hue")
        ['alcohol', 'hue']
    """
    return [name.strip() for name in text.split(",") if name.strip()]
