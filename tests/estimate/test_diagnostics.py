"""Each flag is raised by what it is for, and not otherwise."""

from dataclasses import replace

import pytest
import torch

from mine_lightning.estimate.diagnostics import Evidence, diagnose
from mine_lightning.estimate.sample import Sample, duplicated_rows, possible_codes, repeated_values

ROWS = 1000
GENERATOR = torch.Generator().manual_seed(0)
CALM = Evidence(
    nats=0.5,
    errors=(0.05, 0.05),
    held_out=0.48,
    in_sample=0.52,
    joint=0.5 + 0.5 * torch.randn(ROWS, generator=GENERATOR),
    marginal=-0.5 + 0.5 * torch.randn(ROWS, 20, generator=GENERATOR),
    terms=torch.randn(ROWS, generator=GENERATOR),
    tilt=2.0,
    epochs=20,
    best_epoch=torch.tensor([10, 12, 9, 11, 10]),
    stopped=True,
    sample=Sample(columns=2),
)
OUTLIER = torch.zeros(ROWS)
OUTLIER[0] = 100.0
CASES = {
    "still_improving": {"stopped": False, "best_epoch": torch.full((5,), 20)},
    "overfit": {"held_out": 0.3, "in_sample": 0.7},
    "near_ceiling": {"nats": 5.5},
    "low_effective_sample_size": {
        "marginal": torch.cat([CALM.marginal[1:], torch.full((1, 20), 12.0)])
    },
    "clipped": {"joint": CALM.joint + 3},
    "heavy_tails": {"terms": OUTLIER},
    "repeated_values": {"sample": Sample(2, repeated={"rain": 0.4})},
    "treated_as_ordered": {"sample": Sample(2, codes=("town of x",))},
    "duplicated_rows": {"sample": Sample(2, duplicated=0.2)},
    "few_rows": {"sample": Sample(101)},
    "functional": {"sample": Sample(2, functional=True)},
    "serial_dependence": {"sample": Sample(2, serial=3.0)},
    "contains_zero": {"nats": 0.05},
}


def test_a_calm_estimate_raises_none() -> None:
    assert diagnose(CALM) == {}


@pytest.mark.parametrize("name", CASES)
def test_each_flag_is_raised_alone(name: str) -> None:
    flags = diagnose(replace(CALM, **CASES[name]))
    assert list(flags) == [name]
    assert flags[name].endswith(".")


def test_training_that_ended_by_itself_was_not_improving() -> None:
    assert diagnose(replace(CALM, best_epoch=torch.full((5,), 20))) == {}


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


def test_what_was_not_found_is_not_denied() -> None:
    flags = diagnose(replace(CALM, nats=0.05))
    assert flags["contains_zero"].endswith("no dependence was found by these critics.")
