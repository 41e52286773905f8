"""Adaptive clipping: the gradient of mutual information never exceeds the host's own."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mine_lightning.objectives.gradients import add_clipped_gradients, clip_to_host, total_norm

magnitudes = st.floats(min_value=1e-12, max_value=1e12)


@given(host=magnitudes, mi=magnitudes, seed=st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_norm_never_exceeds_the_hosts(host, mi, seed):
    generator = torch.Generator().manual_seed(seed)
    ours = [host * torch.randn(3, 2, generator=generator), host * torch.randn(4)]
    theirs = [mi * torch.randn(3, 2, generator=generator), mi * torch.randn(4)]
    clipped, factor = clip_to_host(ours, theirs)
    assert total_norm(clipped) <= total_norm(ours) * (1 + 1e-5)
    assert 0 <= factor <= 1


def test_smaller_gradients_pass_unchanged():
    clipped, factor = clip_to_host([torch.tensor([3.0, 4.0])], [torch.tensor([-1.0, 2.0])])
    assert clipped[0].tolist() == [-1, 2]
    assert factor == 1


def test_norm_is_taken_over_all_parameters_together():
    host = [torch.tensor([3.0]), torch.tensor([4.0])]
    clipped, factor = clip_to_host(host, [torch.tensor([0.0]), torch.tensor([10.0])])
    assert factor == 0.5
    assert [g.item() for g in clipped] == [0, 5]


def test_direction_is_kept():
    mi = torch.randn(5)
    (clipped,), factor = clip_to_host([torch.full((5,), 0.01)], [100 * mi])
    torch.testing.assert_close(clipped, factor * 100 * mi)


def test_a_host_without_gradient_admits_none():
    clipped, factor = clip_to_host([None, torch.zeros(2)], [torch.ones(3), torch.ones(2)])
    assert factor == 0
    assert all(not g.any() for g in clipped)
    assert clip_to_host([None], [torch.ones(1)])[0][0].tolist() == [0]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_gradients_that_are_not_finite_are_left_out(value):
    clipped, factor = clip_to_host([torch.ones(2)], [torch.tensor([value, 1.0])])
    assert factor == 0
    assert clipped[0].tolist() == [0, 0]


def test_both_zero_is_zero():
    clipped, factor = clip_to_host([torch.zeros(2)], [torch.zeros(2)])
    assert clipped[0].tolist() == [0, 0]
    assert factor == 1


def test_half_precision_norms_do_not_overflow():
    host = torch.full((10_000,), 300.0, dtype=torch.float16)
    clipped, factor = clip_to_host([host], [2 * host])
    assert factor == 0.5
    assert clipped[0].dtype == torch.float16
    assert torch.equal(clipped[0], host)


def test_different_numbers_are_refused():
    with pytest.raises(ValueError, match="Expected as many `mi_gradients` as `host_gradients`, 2,"):
        clip_to_host([torch.ones(1), None], [torch.ones(1)])


def test_adding_after_the_backward_pass():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    unused = nn.Parameter(torch.ones(2))
    parameters = [*model.parameters(), unused]
    output = model(torch.randn(8, 3))
    mi = 1000 * output.square().mean()
    mi_gradients = torch.autograd.grad(mi, parameters, retain_graph=True, allow_unused=True)
    output.mean().backward()
    host = [None if p.grad is None else p.grad.clone() for p in parameters]
    factor = add_clipped_gradients(parameters, mi_gradients)
    assert 0 < factor < 1
    added = [p.grad - g for p, g in zip(parameters[:-1], host[:-1], strict=True)]
    torch.testing.assert_close(total_norm(added), total_norm(host))
    assert unused.grad is None


def test_a_parameter_that_the_host_does_not_use_gets_the_scaled_gradient():
    used, other = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    mi = torch.full((1,), 10.0)
    used.sum().backward()
    factor = add_clipped_gradients([used, other], [None, mi])
    assert factor.item() == pytest.approx(0.1)
    assert other.grad.item() == pytest.approx(1.0)
    assert other.grad is not mi
    assert used.grad.item() == 1


def test_adversaries_of_opposite_gradients_cannot_reverse_the_host():
    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    weight.sum().backward()
    add_clipped_gradients([weight], [torch.tensor([-1e6, -1e6])])
    torch.testing.assert_close(weight.grad, torch.zeros(2), rtol=0, atol=1e-6)


def test_a_gradient_lies_in_memory_as_its_parameter() -> None:
    """Fused optimizers read memory in order, whatever the strides say."""
    first, second = torch.nn.Parameter(torch.zeros(2, 3)), torch.nn.Parameter(torch.zeros(1))
    second.grad = torch.ones(1)
    transposed = torch.arange(6.0).view(3, 2).t()
    add_clipped_gradients([first, second], [transposed, torch.zeros(1)])
    assert first.grad is not None
    assert first.grad.stride() == first.stride()
    torch.testing.assert_close(first.grad / first.grad.norm(), transposed / transposed.norm())
