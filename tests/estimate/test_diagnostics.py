"""Each flag is raised by what it is for, and not otherwise."""

from dataclasses import replace

import pytest
import torch

from mine_lightning import DonskerVaradhan
from mine_lightning.estimate.diagnostics import Evidence, diagnose
from mine_lightning.estimate.sample import Sample

ROWS = 1000
GENERATOR = torch.Generator().manual_seed(0)
APART = -0.5 + 0.5 * torch.randn(20 * ROWS, generator=GENERATOR)
CALM = Evidence(
    nats=0.5,
    errors=(0.05, 0.05),
    held_out=0.48,
    in_sample=0.52,
    joint=0.5 + 0.5 * torch.randn(ROWS, generator=GENERATOR),
    pairs=DonskerVaradhan().pool(*APART.expand(2, -1)),
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
        "pairs": DonskerVaradhan().pool(*torch.cat([APART, torch.full((20,), 12.0)]).expand(2, -1))
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


def test_what_was_not_found_is_not_denied() -> None:
    flags = diagnose(replace(CALM, nats=0.05))
    assert flags["contains_zero"].endswith("no dependence was found by these critics.")
