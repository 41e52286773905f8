"""Rows that depend on each other: known variances, and the flag that sees them."""

import numpy as np
import pandas as pd
import pytest
import torch

from mine_lightning import estimate_mutual_information
from mine_lightning.estimate.dependence import (
    design_effect,
    longest_run,
    mean_variance,
    row_groups,
    serial_design_effect,
)

GENERATOR = torch.Generator().manual_seed(0)


def test_independent_terms_have_the_textbook_variance() -> None:
    terms = torch.randn(100, generator=GENERATOR)
    assert mean_variance(terms) == pytest.approx(terms.var().item() / 100, rel=1e-5)
    assert mean_variance(terms, torch.randperm(100)) == pytest.approx(mean_variance(terms))


def test_copies_count_once() -> None:
    terms = torch.randn(50, generator=GENERATOR)
    groups = torch.arange(50).repeat_interleave(4)
    assert mean_variance(terms.repeat_interleave(4), groups) == pytest.approx(mean_variance(terms))


def test_the_design_effect_is_that_of_the_intraclass_correlation() -> None:
    """Groups of m rows that share a part r of their variance: 1 + (m - 1) r."""
    shared = torch.randn(20_000, 1, generator=GENERATOR)
    terms = (0.5**0.5 * (shared + torch.randn(20_000, 5, generator=GENERATOR))).flatten()
    groups = torch.arange(20_000).repeat_interleave(5)
    assert design_effect(terms, groups) == pytest.approx(3.0, rel=0.05)
    assert design_effect(terms, None) == 1


@pytest.mark.parametrize(
    "groups", [np.array(["a", "a", "b"]), pd.Series([5.0, 5.0, -1.0]), [True, True, False]]
)
def test_groups_are_anything_that_compares(groups: object) -> None:
    assert row_groups(groups, None, 3).tolist() == [0, 0, 1]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1, 1], 2, 3), "Expected either `groups` or `blocks`, got both"),
        (([0, 1], None, 3), r"group of each of the 3 rows, got shape \(2,\)"),
        (([0.0, np.nan, 1.0], None, 3), "Expected `groups` without missing values, got 1"),
        ((None, 0, 3), "Expected `blocks` to be an integer of at least 1, got 0"),
    ],
)
def test_mistaken_groups_are_named(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        row_groups(*arguments)


def autoregressive(weight: float, rows: int, columns: int = 1) -> torch.Tensor:
    steps = torch.randn(rows, columns, generator=GENERATOR)
    for row in range(1, rows):
        steps[row] += weight * steps[row - 1]
    return steps


def test_the_serial_effect_is_bartletts() -> None:
    """1 + 2 r^2 / (1 - r^2) for two autoregressive series."""
    x, z = autoregressive(0.8, 20_000), autoregressive(0.8, 20_000)
    assert serial_design_effect(x, z) == pytest.approx(1 + 2 * 0.64 / 0.36, rel=0.15)
    assert serial_design_effect(x, z, first=50) < 1.3
    assert serial_design_effect(x, z[torch.randperm(20_000, generator=GENERATOR)]) < 1.1


@pytest.mark.parametrize("rows", [60, 200, 2000])
def test_independent_rows_are_not_taken_for_a_series(rows: int) -> None:
    effects = [
        serial_design_effect(*torch.randn(2, rows, 6, generator=GENERATOR)) for _ in range(40)
    ]
    assert np.mean(np.array(effects) > 1.5) <= 0.05


def test_random_walks_are_flagged_unless_their_order_is_lost() -> None:
    x, z = torch.randn(2, 400, generator=GENERATOR).cumsum(1)
    quick = {"max_epochs": 2, "progress_bar": False}
    assert "serial_dependence" in estimate_mutual_information(x, z, **quick).diagnostics
    steps = estimate_mutual_information(x.diff(), z.diff(), **quick)
    assert "serial_dependence" not in steps.diagnostics


def test_runs_of_groups_are_counted() -> None:
    assert longest_run(torch.tensor([2, 2, 2, 0, 2])) == 3
    assert longest_run(None) == 1
