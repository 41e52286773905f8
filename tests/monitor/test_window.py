"""The latest pairs: in whole batches, within memory, and back from a file."""

import math

import pytest
import torch

from mine_lightning.monitor import window as module
from mine_lightning.monitor.window import COLUMNS, Pairs, Side, Window
from shared import seeded


def batch(number: int, rows: int = 4) -> Pairs:
    """Return pairs whose values are the number of their batch."""
    values = torch.full((rows, 1), float(number))
    return Pairs(values, values, values, values)


def filled(count: int, capacity: int = 100) -> Window:
    window = Window(capacity)
    for number in range(count):
        window.push(batch(number), torch.tensor([float(number), 1.0]))
    return window


def test_the_oldest_batches_go_as_far_as_enough_rows_are_left() -> None:
    window = filled(5, capacity=10)
    window.trim()
    assert len(window) == 12
    assert [float(gain[0]) for gain in window.gains] == [2, 3, 4]
    assert torch.equal(window.stacked()[0][:, 0], torch.arange(2.0, 5).repeat_interleave(4))


@pytest.mark.parametrize(("rows", "left"), [(0, 20), (3, 20), (4, 16), (11, 12), (99, 0)])
def test_rows_are_forgotten_in_whole_batches(rows: int, left: int) -> None:
    window = filled(5)
    window.forget(rows)
    assert len(window) == left == 4 * len(window.gains) == 4 * len(window.shown)


def test_what_the_critic_is_shown_is_bounded_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "VALUES", 8)
    window = filled(5)
    assert (len(window), len(window.shown)) == (20, 2)
    pairs = window.with_older(batch(9), 12, seeded())
    assert set(pairs.x[:, 0].tolist()) == {9, 3, 4}
    assert torch.equal(pairs.x, pairs.u)


def test_older_batches_fill_up_and_the_fresh_come_first() -> None:
    window = filled(5)
    pairs = window.with_older(batch(9), 10, seeded())
    assert len(pairs.x) == 10
    assert pairs.x[:4].eq(9).all()
    assert not pairs.x[4:].eq(9).any()
    alone = window.with_older(batch(9, rows=16), 10, seeded())
    assert torch.equal(alone.x, batch(9, rows=16).x)


def test_a_file_brings_everything_back() -> None:
    window, other = filled(3), Window(100)
    window.forget_gains()
    other.load_state_dict(window.state_dict())
    assert torch.equal(torch.cat(other.stacked()), torch.cat(window.stacked()))
    assert all(math.isnan(gain[0]) for gain in other.gains)
    other.push(batch(3), torch.ones(2))
    assert (len(window), len(other)) == (12, 16)


def test_codes_are_told_apart_by_a_direction_each() -> None:
    side = Side((1,), integers=True)
    columns = side.columns(torch.tensor([[3.0], [5.0], [3.0]]))
    assert torch.equal(columns[0], columns[2])
    assert (columns[0, 1:] - columns[1, 1:]).norm() > 1
    assert columns[:, 0].tolist() == [3, 5, 3]


def test_wide_rows_become_projections_that_keep_distances_in_proportion() -> None:
    side = Side((3, 40, 40), integers=False)
    rows = torch.randn(50, 3, 40, 40, generator=seeded())
    columns = side.columns(rows)
    assert columns.shape == (50, COLUMNS)
    ratios = torch.pdist(columns) / torch.pdist(rows.flatten(1))
    assert ratios.std() / ratios.mean() < 0.2
    assert side.image
    assert not Side((1, 8, 8), integers=False).image
    assert torch.equal(Side((2,), integers=False).columns(rows[:, 0, 0, :2]), rows[:, 0, 0, :2])
