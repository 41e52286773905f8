"""Which rows a fold's critic is trained on, selected on, and scores."""

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from mine_lightning.support.arguments import check_integer

__all__ = ["Folds", "Splitter", "split_folds"]

LEAST_ROWS = 10  # in a fold
LEAST_HELD, LEAST_TRAIN, LEAST_GROUPS = 2, 8, 3


@runtime_checkable
class Splitter(Protocol):
    """What scikit-learn's splitters have in common."""

    def get_n_splits(self, *args: Any, **kwargs: Any) -> int: ...

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterable[Any]: ...  # noqa: N803


class Folds(NamedTuple):
    """Row numbers of each fold, from three disjoint sets.

    Attributes:
        train: Rows that the fold's critic is trained on, shape ``(E, n)``.
        val: Rows that it is selected on, shape ``(E, n_val)``.
        held: Rows that it scores, one tensor for each fold: together every row once.
    """

    train: Tensor
    val: Tensor
    held: list[Tensor]


def split_folds(
    rows: int,
    folds: int | Splitter,
    val_fraction: float,
    generator: torch.Generator,
    groups: Tensor | None = None,
    labels: Tensor | None = None,
) -> Folds:
    """Assign every row to one of the folds, and split the others into training and validation rows.

    Args:
        rows: Number N of rows.
        folds: Number E of folds, or a splitter of scikit-learn that holds every row out once.
        val_fraction: Share of the rows outside a fold that its critic is selected on.
        generator: Source of randomness.
        groups: Number of the group of each row, shape ``(N,)``. Rows of a group stay together: all
            are held out, all validate or all train.
        labels: Of each row, for splitters that stratify, shape ``(N,)``.

    Raises:
        ValueError: If there are fewer than ten rows or one group for each fold, or a splitter does
            not hold every row out once.

    Example:
        >>> folds = split_folds(103, 5, 0.125, torch.Generator())
        >>> folds.train.shape, folds.val.shape, [len(rows) for rows in folds.held]
        (torch.Size([5, 72]), torch.Size([5, 10]), [21, 21, 21, 20, 20])
    """
    if isinstance(folds, Splitter):
        splits = _given(rows, folds, groups, labels)
    else:
        splits = _numbered(rows, folds, generator, groups)
    least = min(len(rest) for rest, _ in splits)
    validation = max(2, int(val_fraction * least))
    together = torch.arange(rows) if groups is None else groups
    parts = [_validated(rest, together, least, validation, generator) for rest, _ in splits]
    shortest = min(len(train) for train, _ in parts)
    if shortest < LEAST_TRAIN:
        raise ValueError(
            f"Expected at least {LEAST_TRAIN} training rows in every fold beside validation rows "
            f"of other groups, got {shortest}: give smaller groups or fewer folds."
        )
    train = torch.stack([train[:shortest] for train, _ in parts])
    held = [rows.sort().values for _, rows in splits]
    return Folds(train, torch.stack([val for _, val in parts]), held)


def _numbered(
    rows: int, folds: int, generator: torch.Generator, groups: Tensor | None
) -> list[tuple[Tensor, Tensor]]:
    """Return the other and the held rows of folds of about equal size, with groups whole."""
    check_integer("folds", folds, least=2)
    if rows < (least := LEAST_ROWS * folds):
        raise ValueError(f"Expected at least {least} rows for {folds} folds, got {rows}.")
    if groups is None:
        held = list(torch.randperm(rows, generator=generator).tensor_split(folds))
        return [(torch.cat(held[:fold] + held[fold + 1 :]), held[fold]) for fold in range(folds)]
    if (found := len(groups.unique())) < (least := max(folds, LEAST_GROUPS)):
        raise ValueError(f"Expected at least {least} groups for {folds} folds, got {found}.")
    from sklearn.model_selection import GroupKFold

    return _given(rows, GroupKFold(folds), groups, None)


def _given(
    rows: int, splitter: Splitter, groups: Tensor | None, labels: Tensor | None
) -> list[tuple[Tensor, Tensor]]:
    """Return the other and the held rows of each split of a splitter of scikit-learn."""
    splits = [
        (torch.from_numpy(np.asarray(train)), torch.from_numpy(np.asarray(held)))
        for train, held in splitter.split(np.zeros((rows, 1)), labels, groups)
    ]
    held = torch.cat([part for _, part in splits]).sort().values
    if len(splits) < 2 or not torch.equal(held, torch.arange(rows)):
        raise ValueError(
            f"Expected `folds` to hold out every row once in 2 splits or more, as KFold does, got "
            f"{splitter!r}. For rows in time, `blocks` holds out neighbouring rows together."
        )
    if (fewest := min(len(part) for _, part in splits)) < LEAST_HELD:
        raise ValueError(
            f"Expected `folds` to hold out at least {LEAST_HELD} rows together, got {fewest}."
        )
    return splits


def _validated(
    rest: Tensor, groups: Tensor, least: int, validation: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return ``least`` of the rows or fewer as training rows, and as validation rows.

    The group in which the validation rows end is left out of the training rows.
    """
    rank = torch.randperm(int(groups.max()) + 1, generator=generator)[groups[rest]]
    ordered = rest[rank.argsort(stable=True)][:least]
    val, train = ordered.split([validation, least - validation])
    return train[groups[train] != groups[val[-1]]], val
