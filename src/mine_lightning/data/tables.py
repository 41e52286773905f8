"""Pairs from the columns of a table file."""

from pathlib import Path

from mine_lightning.data.arrays import TensorArguments, TensorDataModule
from mine_lightning.data.checks import Missing
from mine_lightning.data.reading import read_columns
from mine_lightning.support.keywords import Unpack, check_keywords

__all__ = ["TableDataModule"]


class TableDataModule(TensorDataModule):
    """Pairs from the columns of a table file: CSV, TSV, Parquet, NPZ or NPY.

    Text and categorical columns become one column for each category.

    Args:
        path: The file; see :func:`~mine_lightning.data.reading.read_table`.
        x: Columns of x, by name or position; see
            :func:`~mine_lightning.data.reading.select_columns`.
        z: Columns of z, likewise.
        missing: What to do with rows that have missing or infinite values in these columns:
            "raise" an error, or "drop" them and say in a warning how many they were.
        delimiter: What separates fields in a text file; by default what is usual for the suffix.
        decimal: What stands before the decimals of a number, "." or ",".
        thousands: What stands between groups of three digits.
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
        delimiter: str | None = None,
        decimal: str = ".",
        thousands: str | None = None,
        **kwargs: Unpack[TensorArguments],
    ) -> None:
        check_keywords(TableDataModule.__init__, kwargs)
        frames = read_columns(path, {"x": x, "z": z}, delimiter, decimal, thousands)
        super().__init__(frames["x"], frames["z"], missing=missing, **kwargs)
        self.path = Path(path)
