"""Several fully connected networks of the same widths, computed as one."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from mine_lightning.critics.backprop import Layers, Tape

__all__ = ["StackedNetwork", "drawn"]


class StackedNetwork(nn.Module):
    """E fully connected networks of the same widths with SiLU, each for rows of its own.

    Args:
        members: Number E of networks.
        widths: Numbers of features: of the input, of every hidden layer, of the output.

    Example:
        >>> StackedNetwork(5, (3, 32, 2))(torch.randn(5, 100, 3)).shape
        torch.Size([5, 100, 2])
    """

    def __init__(self, members: int, widths: Sequence[int]) -> None:
        super().__init__()
        sizes = [(members, outputs, inputs) for inputs, outputs in pairwise(widths)]
        self.weights = nn.ParameterList(torch.zeros(size) for size in sizes)
        self.biases = nn.ParameterList(torch.zeros(size[:2]) for size in sizes)

    @torch.no_grad()
    def draw(self, members: slice, inputs: slice | Tensor, generator: torch.Generator) -> None:
        """Draw the weights of some members for some inputs, and zeros for the last layer."""
        for layer, (weight, bias) in enumerate(zip(self.weights[:-1], self.biases, strict=False)):
            columns = slice(None) if layer else inputs
            gains = (2.0, 0.1) if layer else (1.0, 1.0)
            weight[members, :, columns], bias[members] = drawn(
                weight[members, :, columns], *gains, generator
            )

    @property
    def layers(self) -> Layers:
        """The layers, with their reverse pass."""
        return Layers(list(self.weights), list(self.biases), "silu")

    def forward(self, rows: Tensor) -> Tensor:
        """Return the outputs for rows, shape ``(E, *, D)``."""
        return self.record(rows)[0]

    def record(self, rows: Tensor) -> tuple[Tensor, Tape]:
        """Return the outputs for rows, shape ``(E, *, D)``, and the tape for :meth:`backward`."""
        outputs, tape = self.layers.forward(rows.flatten(1, -2))
        return outputs.view(*rows.shape[:-1], outputs.shape[-1]), tape

    def backward(self, gradient: Tensor, tape: Tape) -> list[Tensor]:
        """Return the gradients by the parameters, in their order, from that by the outputs."""
        found = self.layers.backward(gradient, tape)
        return found[::2] + found[1::2]


def drawn(
    weight: Tensor, gain: float, bound: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw weights of a given shape and variance gain / width, and biases within a bound."""
    scale = math.sqrt(gain / weight.shape[-1])
    drawn = scale * torch.randn(weight.shape, generator=generator)
    biases = bound * (2 * torch.rand(weight.shape[:-1], generator=generator) - 1)
    return drawn.to(weight), biases.to(weight)
