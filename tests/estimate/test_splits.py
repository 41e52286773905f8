"""Folds of groups and of scikit-learn's splitters: nothing of a group is seen twice."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    ShuffleSplit,
    StratifiedKFold,
    TimeSeriesSplit,
)

from mine_lightning import estimate_mutual_information
from mine_lightning.estimate.splits import split_folds

GROUPS = torch.arange(200) // 5


def split(folds: Any, **kwargs: Any) -> Any:
    return split_folds(200, folds, 0.125, torch.Generator().manual_seed(0), **kwargs)


@pytest.mark.parametrize("rows", [50, 100, 203])
def test_every_row_is_held_out_once_and_never_seen_by_its_critic(rows: int) -> None:
    folds = split_folds(rows, 5, 0.125, torch.Generator())
    assert torch.cat(folds.held).sort().values.tolist() == list(range(rows))
    for train, val, held in zip(*folds, strict=True):
        sets = [set(part.tolist()) for part in (train, val, held)]
        assert not sets[0] & sets[1]
        assert not (sets[0] | sets[1]) & sets[2]
        assert len(sets[0]) + len(sets[1]) + len(sets[2]) >= rows - 1


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="Expected at least 50 rows for 5 folds, got 49"):
        split_folds(49, 5, 0.125, torch.Generator())


@pytest.mark.parametrize("folds", [4, GroupKFold(4), LeaveOneGroupOut()])
def test_a_group_is_in_one_of_the_three_sets(folds: Any) -> None:
    groups = GROUPS // 5  # eight, of 25 rows
    found = split(folds, groups=groups)
    assert torch.cat(found.held).sort().values.tolist() == list(range(200))
    for parts in zip(*found, strict=True):
        train, val, held = (set(groups[part].tolist()) for part in parts)
        assert not train & val
        assert not (train | val) & held
        assert len(parts[0]) >= 100


def test_a_splitter_decides_who_is_held_out() -> None:
    found = split(KFold(4))
    assert [rows.tolist() for rows in found.held] == torch.arange(200).view(4, 50).tolist()
    labels = torch.arange(200) % 2
    stratified = split(StratifiedKFold(4), labels=labels)
    assert all(labels[held].float().mean() == 0.5 for held in stratified.held)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"folds": TimeSeriesSplit(4)}, "hold out every row once in 2 splits or more, as KFold"),
        ({"folds": ShuffleSplit(4, random_state=0)}, "hold out every row once"),
        ({"folds": KFold(200)}, "hold out at least 2 rows together, got 1"),
        ({"folds": "five"}, "Expected `folds` to be an integer of at least 2, got 'five'"),
        ({"folds": 5, "groups": GROUPS // 10}, "Expected at least 5 groups for 5 folds, got 4"),
        ({"folds": 2, "groups": GROUPS // 10}, None),
        ({"folds": GroupKFold(2), "groups": GROUPS // 20}, "got 0: give smaller groups"),
    ],
)
def test_splits_that_cannot_be_are_named(arguments: dict, message: str | None) -> None:
    if message is None:
        assert len(split(**arguments).held) == 2
        return
    with pytest.raises(ValueError, match=message):
        split(**arguments)


@pytest.mark.trained
def test_copies_do_not_leak_out_of_their_group(seed: int, outcome) -> None:
    """Each row stands four times: folds that part copies read dependence that is not there."""
    x, z = np.random.default_rng(seed).normal(size=(2, 100, 4)).repeat(4, axis=1)
    groups = np.arange(100).repeat(4)
    quick = {"max_epochs": 15, "progress_bar": False, "seed": seed}
    leaking = estimate_mutual_information(x, z, **quick)
    whole = estimate_mutual_information(x, z, groups=groups, **quick)
    outcome(leaking.nats, low=0.3, of="leaking")
    outcome(whole.nats, -0.3, 0.3, of="whole")
    assert "duplicated_rows" in leaking.diagnostics


def test_blocks_are_groups_of_neighbours() -> None:
    x, z = np.random.default_rng(0).normal(size=(2, 120))
    quick = {"max_epochs": 2, "progress_bar": False}
    blocks = estimate_mutual_information(x, z, blocks=10, **quick)
    assert blocks == estimate_mutual_information(x, z, groups=np.arange(120) // 10, **quick)
    splitter = estimate_mutual_information(x, z, folds=KFold(3), **quick)
    assert splitter.folds == len(splitter.per_fold) == 3
