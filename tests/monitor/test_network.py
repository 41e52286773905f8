"""The critic that learns what a closed form leaves over."""

import math

import pytest
import torch

from mine_lightning.critics.encoders import ConvEncoder
from mine_lightning.monitor.network import (
    Network,
    RunningStandardize,
    default_critic,
    told_apart,
)
from shared import seeded

CPU = torch.device("cpu")


def network() -> Network:
    torch.manual_seed(0)
    adam = lambda weights: torch.optim.Adam(weights, lr=1e-2)  # noqa: E731
    return Network(default_critic((2,), (2,)), adam, (2,), (2,), CPU)


def rows(count: int = 32) -> torch.Tensor:
    return torch.randn(count, 2, generator=seeded())


def test_inputs_of_any_scale_are_standardised():
    scale = RunningStandardize((2,))
    rows = torch.randn(4096, 2) * torch.tensor([200.0, 3.0]) + torch.tensor([1000.0, -1.0])
    scale.update(rows)
    assert torch.allclose(scale(rows).mean(0), torch.zeros(2), atol=1e-3)
    assert scale(rows).std(0)[0] == pytest.approx(1, abs=1e-2)


def test_candidates_are_told_apart_by_at_most_the_logarithm_of_their_number():
    scores = torch.randn(8, 8, generator=seeded(), dtype=torch.float64)
    assert told_apart(scores).max() < math.log(8)
    torch.testing.assert_close(told_apart(1e3 * torch.eye(8)), torch.full((8,), math.log(8)))
    torch.testing.assert_close(told_apart(torch.zeros(8, 8)), torch.zeros(8))
    torch.testing.assert_close(told_apart(scores + scores[:, :1]), told_apart(scores))


def test_far_values_are_moved_near_and_in_their_order():
    scale = RunningStandardize((1,))
    scale.update(rows(4096)[:, :1])
    far = scale(torch.tensor([[4.0], [6.0], [1e6], [-1e6]])).flatten()
    assert far[0] < far[1] < far[2] < 20
    assert far[3] < -15


def test_a_step_learns_and_the_gain_is_that_before_it():
    critic, x = network(), rows()
    closed = torch.zeros(32, 32)
    critic.observe(x, x)
    before = told_apart(critic.scores(x, x)).mean()
    (gain, headroom), learned = critic.learn(x, x, closed, 32)
    assert learned
    torch.testing.assert_close(gain, before.detach())
    assert headroom.item() == pytest.approx(math.log(32))
    assert told_apart(critic.scores(x, x)).mean() > before


def test_the_gain_is_what_is_added_to_a_closed_form():
    critic, x = network(), rows()
    closed = 5 * torch.eye(32)
    (gain, headroom), _ = critic.learn(x, x, closed, 32)
    without = told_apart(closed).mean().item()
    assert headroom.item() == pytest.approx(math.log(32) - without, rel=1e-5)
    assert gain < headroom


def test_a_copy_by_its_state_goes_on_alike():
    critic, other, x = network(), network(), rows()
    critic.learn(x, x, torch.zeros(32, 32), 32)
    other.load_state_dict(critic.state_dict())
    for each in (critic, other):
        each.learn(x, x, torch.zeros(32, 32), 32)
    assert torch.equal(critic.scores(x, x), other.scores(x, x))


def test_images_are_encoded_and_vectors_are_not():
    critic = default_critic((3, 32, 32), (4,))
    assert isinstance(critic.x_encoder, ConvEncoder)
    assert not isinstance(critic.z_encoder, ConvEncoder)
