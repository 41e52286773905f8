"""What the rows of a sample show before any training."""

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mine_lightning.data.checks import Pairs
from mine_lightning.data.rows import LEAST_ROWS, MOST_LABELS
from mine_lightning.estimate.dependence import longest_run, serial_design_effect
from mine_lightning.estimate.relations import is_functional

__all__ = ["Sample", "duplicated_rows", "possible_codes", "repeated_values"]

MOST_COLUMNS = 20  # of a side; pixels and counts of words are many, and no codes
ATOM = 0.05  # share of rows from which on a value is one that data repeat by their nature


@dataclass(frozen=True)
class Sample:
    """Properties of the rows that speak against an estimate.

    Attributes:
        columns: Number of columns of both sides.
        codes: Columns of whole numbers that might be the codes of categories.
        repeated: Columns with repeated values and the share of rows of the commonest one.
        duplicated: Share of rows that repeat an earlier one though their values are rare.
        functional: Whether one variable is a function of the other.
        serial: By how much dependence of neighbouring rows raises the variance of a mean.
    """

    columns: int
    codes: tuple[str, ...] = ()
    repeated: dict[str, float] = field(default_factory=dict)
    duplicated: float = 0.0
    functional: bool = False
    serial: float = 1.0

    @classmethod
    def of(cls, pairs: Pairs, groups: Tensor | None, discrete: bool) -> "Sample":
        """Look at checked rows.

        Args:
            pairs: The rows in their order.
            groups: Number of the group of each row, whose rows are known to depend on each other.
            discrete: Whether one side takes few values, so that the information is finite.
        """
        sides = {"x": (pairs.x, pairs.x_columns), "z": (pairs.z, pairs.z_columns)}
        return cls(
            columns=pairs.x[0].numel() + pairs.z[0].numel(),
            codes=tuple(
                f"{column} of {side}"
                for side, (rows, columns) in sides.items()
                for column in possible_codes(rows, columns)
            ),
            repeated={
                f"{column} of {side}": share
                for side, (rows, columns) in sides.items()
                for column, share in repeated_values(rows, columns).items()
            },
            duplicated=duplicated_rows(pairs.x, pairs.z),
            functional=not discrete and is_functional(pairs.x, pairs.z),
            serial=serial_design_effect(pairs.x, pairs.z, longest_run(groups)),
        )


def duplicated_rows(x: Tensor, z: Tensor) -> float:
    """Return the share of rows that repeat an earlier one though their values are rare.

    A copied row is one whose x, or whose z, stands nowhere but in its copies. Where both values
    stand in 5 % of the rows, as the zeros of amounts do, or a side has few values, as labels have,
    the same rows come about by themselves.

    Args:
        x: Shape ``(N, ...)``.
        z: Shape ``(N, ...)``.

    Example:
        >>> x, z = torch.arange(800.0).view(2, 400)
        >>> duplicated_rows(torch.cat([x, x]), torch.cat([z, z]))
        0.5
    """
    sides = [rows.flatten(1) if rows.ndim > 1 else rows.unsqueeze(1) for rows in (x, z)]
    if any(len(np.unique(rows[:, 0])) == len(rows) for rows in sides):  # no row repeats another
        return 0.0
    x_count, z_count, count = (_counts(rows) for rows in (*sides, torch.cat(sides, dim=1)))
    different = [(1 / counts).sum() for counts in (x_count, z_count)]
    if min(different) < max(100, len(x) // 20):
        return 0.0
    rarer = np.minimum(x_count, z_count)
    copied = (count == rarer) & (rarer < ATOM * len(x))
    return float((1 - 1 / count)[copied].sum() / len(x))


def _counts(rows: Tensor) -> NDArray[np.int64]:
    """Return how often each row stands among the rows, shape ``(N,)``."""
    values = np.ascontiguousarray(rows.numpy() + 0.0)  # no negative zero
    whole = values.view(np.dtype((np.void, values[0].nbytes)))[:, 0]
    _, place, counts = np.unique(whole, return_inverse=True, return_counts=True)
    return counts[place.ravel()]


def repeated_values(rows: Tensor, columns: list[str], most: int = 5) -> dict[str, float]:
    """Find columns of many values in which one value stands in 5 % of the rows or more.

    Args:
        rows: Shape ``(N, ...)``.
        columns: Name of each column.
        most: Largest number of columns to name.

    Returns:
        The share of the commonest value, by column.

    Example:
        >>> rows = torch.cat([torch.zeros(50), torch.arange(1.0, 51.0)]).unsqueeze(1)
        >>> repeated_values(rows, ["rain"])
        {'rain': 0.5}
    """
    found: dict[str, float] = {}
    for name, column in zip(columns, rows.flatten(1).T, strict=True):
        counts = np.unique(column, return_counts=True)[1]  # twelve times as fast as torch
        share = counts.max().item() / len(column)
        if len(counts) > max(20, len(column) // 10) and share >= 0.05:
            found[name] = share
        if len(found) == most:
            break
    return found


def possible_codes(rows: Tensor, columns: list[str]) -> list[str]:
    """Find columns of whole numbers, too many to be labels and too few to be a measure.

    Args:
        rows: Shape ``(N, ...)``.
        columns: Name of each column.

    Example:
        >>> possible_codes(torch.arange(500).unsqueeze(1) % 100, ["town"])
        ['town']
    """
    if rows.ndim > 2 or len(columns) > MOST_COLUMNS:
        return []
    most = len(rows) // LEAST_ROWS
    return [
        name
        for name, column in zip(columns, rows.T, strict=True)
        if bool((column == column.round()).all()) and MOST_LABELS < len(np.unique(column)) <= most
    ]
