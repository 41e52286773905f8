"""Several networks computed as one are each of them alone."""

import torch
from torch import Tensor
from torch.nn import functional as F

from mine_lightning.critics.stacked import StackedNetwork

MEMBERS, ROWS, INPUTS, OUTPUTS = 3, 7, 4, 2


def shaken() -> StackedNetwork:
    """Return networks of which no layer is zero."""
    network = StackedNetwork(MEMBERS, (INPUTS, 8, 6, OUTPUTS))
    torch.manual_seed(1)
    for weight in network.parameters():
        torch.nn.init.normal_(weight)
    return network


def rows(*more: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(MEMBERS, *more, ROWS, INPUTS, generator=generator)


def test_members_of_a_stack_are_networks_alone() -> None:
    network, x = shaken(), rows()
    one, two, last = ((w[1], b[1]) for w, b in zip(network.weights, network.biases, strict=True))
    alone = F.linear(F.silu(F.linear(F.silu(F.linear(x[1], *one)), *two)), *last)
    torch.testing.assert_close(network(x)[1], alone)


def test_some_inputs_of_some_members_are_drawn() -> None:
    network = StackedNetwork(MEMBERS, (INPUTS, 8, OUTPUTS))
    network.draw(slice(1, 3), torch.tensor([0, 3]), torch.Generator().manual_seed(0))
    drawn = network.weights[0] != 0
    assert drawn[1:, :, [0, 3]].all()
    assert not drawn[0].any()
    assert not drawn[:, :, [1, 2]].any()
    assert not network(rows()).any()


def test_the_written_gradients_are_those_of_autograd() -> None:
    network, x = shaken().double(), rows(2).double()
    outputs, tape = network.record(x)
    assert outputs.shape == (MEMBERS, 2, ROWS, OUTPUTS)
    slope = torch.randn(outputs.shape, dtype=torch.float64)
    expected = torch.autograd.grad(outputs, list(network.parameters()), slope)
    for found, slow in zip(network.backward(slope, tape), expected, strict=True):
        torch.testing.assert_close(found, slow)
