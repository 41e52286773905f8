"""The estimate lies between what is held out and what is in sample."""

import math
from typing import Any

import pytest
import torch

from mine_lightning import estimate_mutual_information
from mine_lightning.estimate.calibration import SEEN
from mine_lightning.estimate.folds import CrossFitData
from mine_lightning.estimate.readings import between, optimism


@pytest.mark.parametrize("held_out", [-0.3, -1e-6, 0.0])
def test_where_nothing_is_found_it_lies_in_the_middle(held_out: float) -> None:
    assert between(held_out, 0.2, 1e-4, kept=1, rows=1000) == pytest.approx((held_out + 0.2) / 2)


def test_closed_forms_take_as_much_as_they_miss() -> None:
    assert between(1.0, 2.0, 1e-4, kept=0, rows=1000) == 1.5


def test_networks_take_less() -> None:
    assert between(1.0, 2.0, 0.0, kept=1, rows=1000) == pytest.approx(1.5 + SEEN)
    assert between(1.0, 2.0, 0.0, kept=0.4, rows=1000) == pytest.approx(1.5 + 0.4 * SEEN)


def test_the_more_certain_what_is_held_out_the_nearer_to_what_is_seen() -> None:
    found = [between(1.0, 2.0, variance, kept=1, rows=1000) for variance in (100.0, 1.0, 0.01)]
    assert 1.5 < found[0] < found[1] < found[2] <= 1.5 + SEEN


def test_values_that_agree_are_the_estimate_and_their_order_does_not_matter() -> None:
    assert between(0.7, 0.7, 0.1, kept=1, rows=1000) == 0.7
    assert 0.6 < between(0.7, 0.6, 0.1, kept=1, rows=1000) < 0.65


def test_of_more_than_pairs_can_tell_the_rest_is_the_closed_forms() -> None:
    few, many = (between(12.0, 13.0, 0.0, kept=1, rows=rows) for rows in (400, 10**6))
    assert few == pytest.approx(12.5 + SEEN * math.log(400) / 12)
    assert many == pytest.approx(12.5 + SEEN)


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
def test_rows_are_described_in_full_precision_whatever_that_of_the_scores(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    types = []
    describe = CrossFitData.describe

    def watched(self: CrossFitData, *args: Any, **kwargs: Any) -> Any:
        types.append((torch.get_default_dtype(), torch.is_autocast_enabled("cpu")))
        return describe(self, *args, **kwargs)

    monkeypatch.setattr(CrossFitData, "describe", watched)
    x, noise = torch.randn(2, 200, 2, generator=torch.Generator().manual_seed(0))
    settings = {"folds": 2, "max_epochs": 1, "accelerator": "cpu", "progress_bar": False}
    estimate_mutual_information(x, x + noise, precision=precision, **settings)
    assert len(types) > 1
    assert set(types) == {(torch.float32, False)}


def test_the_optimism_is_that_of_the_same_rows() -> None:
    """Rows that happen to have large terms do not make critics look optimistic."""
    held_rows = [torch.tensor([3, 0]), torch.tensor([1, 2])]
    held = [torch.tensor([30.0, 0.0]), torch.tensor([10.0, 20.0])]  # row n has the term 10 n
    seen_rows = [torch.tensor([2, 1]), torch.tensor([3, 3])]
    seen = [torch.tensor([21.0, 11.0]), torch.tensor([33.0, 33.0])]
    assert optimism(held, held_rows, seen, seen_rows) == pytest.approx((1 + 3) / 2)
