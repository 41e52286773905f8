"""The critic's gain counts where it is shown, and from its last jump on."""

import math

import pytest
import torch

from mine_lightning.monitor.gain import COUNTED, FEWEST, Gain
from shared import seeded


def batches(values: torch.Tensor, headroom: float = 4.0) -> list[torch.Tensor]:
    return [torch.tensor([float(value), headroom]) for value in values]


def noise(count: int, spread: float = 0.1) -> torch.Tensor:
    return spread * torch.randn(count, generator=seeded(), dtype=torch.float64)


def test_the_gain_is_the_mean_and_its_error_that_of_a_mean() -> None:
    values = 0.5 + noise(64)
    gain = Gain.of(batches(values))
    assert gain.value == pytest.approx(values.mean().item(), abs=1e-6)
    assert gain.standard_error == pytest.approx(values.std().item() / 8, rel=1e-4)
    assert gain.headroom == 4
    assert gain.lag < 3 * gain.standard_error


@pytest.mark.parametrize("sign", [-1, 1])
def test_what_is_within_the_noise_does_not_count(sign: int) -> None:
    values = noise(64) - noise(64).mean()
    error = values.std().item() / 8
    hidden = Gain.of(batches(values + sign * 0.9 * COUNTED * error))
    assert hidden.value == 0
    assert hidden.standard_error == pytest.approx(error, rel=1e-4)
    counts = Gain.of(batches(values + sign * 1.1 * COUNTED * error)).value > 0
    assert counts == (sign > 0)


def test_nothing_too_few_and_unknown_batches_have_no_gain() -> None:
    assert Gain.of([]) == Gain()
    assert Gain.of(batches(torch.ones(FEWEST - 1))) == Gain()
    assert Gain.of([torch.full((2,), math.nan)] * 20) == Gain()
    assert Gain.of(batches(torch.ones(FEWEST))).value == 1


def test_batches_before_a_jump_are_left_out() -> None:
    values = torch.cat((noise(40), 1 + noise(24)))
    assert Gain.of(batches(values)).value == pytest.approx(1, abs=0.1)


def test_a_critic_that_still_learns_lags_by_half_of_what_it_rises() -> None:
    gain = Gain.of(batches(torch.linspace(0.5, 1.5, 64) + noise(64, 0.01)))
    assert gain.value == pytest.approx(1.25, abs=0.05)  # the later half, after what shows as a jump
    assert gain.lag == pytest.approx(0.25, abs=0.05)
