"""What rows show before any training."""

import pytest
import torch

from mine_lightning.estimate.sample import duplicated_rows, possible_codes, repeated_values

GENERATOR = torch.Generator().manual_seed(0)


def test_repeated_values_are_found_in_columns_of_many_values_only() -> None:
    rain = torch.rand(500, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(500) % 3
    dry = torch.where(rain < 0.3, 0.0, rain)
    rows = torch.stack([rain, labels, dry], dim=1)
    found = repeated_values(rows, ["smooth", "labels", "rain"])
    assert list(found) == ["rain"]
    assert found["rain"] == pytest.approx((rain < 0.3).float().mean().item())


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (torch.arange(1000) % 100, True),
        ((torch.arange(1000) % 21).double(), True),
        (torch.arange(1000) % 20, False),
        (torch.arange(1000), False),
        (torch.arange(1000) % 100 + 0.5, False),
        (torch.randn(1000, generator=GENERATOR), False),
    ],
)
def test_whole_numbers_of_many_values_may_be_codes(values: torch.Tensor, found: bool) -> None:
    rows = torch.stack([torch.rand(1000, generator=GENERATOR).double(), values], dim=1)
    assert possible_codes(rows, ["size", "town"]) == ["town"] * found
    assert possible_codes(rows.view(1000, 2, 1), ["0", "1"]) == []


def amounts(rows: int, *, together: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Return two columns of which half is 0, in the same rows or not, and the rest is normal."""
    values = torch.randn(2, rows, generator=GENERATOR)
    dry = torch.rand(2, rows, generator=GENERATOR) < 0.5
    return values[0].masked_fill(dry[0], 0), values[1].masked_fill(dry[0 if together else 1], 0)


@pytest.mark.parametrize("together", [False, True])
def test_zeros_that_meet_are_no_copies(together: bool) -> None:
    assert duplicated_rows(*amounts(1000, together=together)) == 0


def test_rounded_values_that_meet_are_no_copies() -> None:
    x, noise = torch.randn(2, 20_000, generator=GENERATOR)
    assert duplicated_rows((x * 100).round(), ((0.9 * x + 0.4 * noise) * 100).round()) < 0.05


@pytest.mark.parametrize("copies", [2, 3])
def test_copies_are_counted_among_zeros_too(copies: int) -> None:
    x, z = (side.repeat(copies) for side in amounts(1000, together=False))
    expected = (1 - 0.25) * (1 - 1 / copies)  # all but the rows of two zeros
    assert duplicated_rows(x, z) == pytest.approx(expected, abs=0.03)
