"""``mine-lightning select``: the columns of a table file that say something about a target."""

from typing import TYPE_CHECKING, Literal

from mine_lightning.cli.estimate import split_names

if TYPE_CHECKING:
    import pandas as pd

    from mine_lightning import MutualInformationSelector

__all__ = ["select"]


def select(
    path: str,
    /,
    target: str,
    columns: str | None = None,
    most: int | None = None,
    output: str | None = None,
    overwrite: bool = False,
    seed: int = 0,
    folds: int = 5,
    max_epochs: int | None = None,
    delimiter: str | None = None,
    decimal: Literal[".", ","] = ".",
    thousands: str | None = None,
) -> None:
    """Choose columns of numbers, each for what it says about a target beyond those before.

    Example:
      mine-lightning select wine.csv --target cultivar --most 3

    Args:
        path: The table: CSV, TSV, Parquet, NPZ or NPY.
        target: Column of the target, by name or position.
        columns: Columns to choose from, all others by default.
        most: Largest number of columns; by default until nothing more can be shown.
        output: CSV, TSV or Parquet file with a row for each chosen column.
        overwrite: Replace an output that exists.
        seed: Seed that repeats the estimates.
        folds: Number of folds.
        max_epochs: Largest number of epochs of each estimate.
        delimiter: What separates fields in a text file, where it is not usual for the suffix.
        decimal: What stands before the decimals of a number.
        thousands: What stands between groups of three digits.

    Raises:
        ValueError: If the user made a mistake.
    """
    from mine_lightning.data.reading import find_columns, read_table, select_columns
    from mine_lightning.support.files import TABLE_SUFFIXES, check_output, write_table

    if output is not None:
        written = check_output(output, TABLE_SUFFIXES, inputs=[path], overwrite=overwrite)
    frame = read_table(path, None, delimiter, decimal, thousands)
    (place,) = find_columns("target", list(frame.columns), [target])
    chosen: list[str | int] = [other for other in range(frame.shape[1]) if other != place]
    if columns is not None:
        chosen = split_names(columns)
    x, z = select_columns(frame, chosen, [place])

    from mine_lightning import MutualInformationSelector  # a mistake in the table is told before

    selector = MutualInformationSelector(most, folds=folds, max_epochs=max_epochs, seed=seed)
    result = chosen_columns(selector.fit(x, z.iloc[:, 0]))
    print(result.to_string(index=False, float_format="{:.3f}".format))
    if output is not None:
        write_table(result, written)


def chosen_columns(selector: "MutualInformationSelector") -> "pd.DataFrame":
    """Return the columns that a selector chose, with what each added, in nats."""
    import pandas as pd

    places, gains = selector.chosen_, selector.gains_
    ends = [gain.interval(selector.level) for gain in gains]
    return pd.DataFrame(
        {
            "column": selector.feature_names_in_[places],
            "gain": [gain.nats for gain in gains],
            "low": [low for low, _ in ends],
            "high": [high for _, high in ends],
            "relevance": selector.relevance_[places],
        }
    )
