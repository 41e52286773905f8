"""Warps of canonical variates: networks that see one side each, inside the normal log ratio."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mine_lightning.critics.ensemble import take_members
from mine_lightning.critics.gaussian import gaussian_log_ratio
from mine_lightning.critics.layers import batched_linear

__all__ = ["StackedNetwork", "Warps", "drawn"]

LARGEST = 0.999  # correlation: beyond it a warp in float32 is rounding
# On the samples that chose the widths in `estimate/networks`, 1.0 changes errors by +.003 ± .003
# nats; without further pairs they are larger by .026 ± .009.
FAINT = 0.1  # standard deviation of the weights that further pairs start at


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
    def draw(self, members: slice, inputs: int, generator: torch.Generator) -> None:
        """Draw the weights of some members for their first inputs, and zeros for the last layer."""
        for layer, (weight, bias) in enumerate(zip(self.weights[:-1], self.biases, strict=False)):
            columns = slice(None) if layer else slice(inputs)
            gains = (2.0, 0.1) if layer else (1.0, 1.0)
            weight[members, :, columns], bias[members] = drawn(
                weight[members, :, columns], *gains, generator
            )

    def forward(self, rows: Tensor) -> Tensor:
        """Return the outputs for rows, shape ``(E, *, D)``."""
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            rows = batched_linear(F.silu(rows) if layer else rows, weight, bias)
        return rows


class Warps(nn.Module):
    r"""By how much warps of canonical variates change the normal log ratio, for E members.

    .. math::
        \Delta T = \sum_r \ell(u_r + f_r(x), v_r + g_r(z); \rho_r) - \ell(u_r, v_r; \rho_r^0)

    with the :func:`~mine_lightning.critics.gaussian.gaussian_log_ratio` :math:`\ell` of one pair.
    The networks f and g start at zero and the correlations :math:`\rho` at given ones. Variables
    that are jointly normal up to an invertible map of each side, whatever maps these are, have a
    log ratio of this form, in which a network only has to learn functions of one side. A few more
    pairs start without variates and correlation, and with faint functions.

    Args:
        members: Number E of members.
        x_features: Number of inputs of f.
        z_features: Number of inputs of g.
        variates: Number of pairs of variates.
        hidden: Widths of the hidden layers.
        more: Number of further pairs.

    Example:
        >>> u, v = torch.randn(2, 5, 100, 2)
        >>> warps = Warps(5, x_features=3, z_features=4, variates=2)
        >>> warps(torch.randn(5, 100, 3), torch.randn(5, 100, 4), u, v).shape
        torch.Size([5, 100])
    """

    start: Tensor

    def __init__(
        self,
        members: int,
        x_features: int,
        z_features: int,
        variates: int,
        hidden: Sequence[int] = (32, 32),
        more: int = 2,
    ) -> None:
        super().__init__()
        self.more = more
        self.x_side = StackedNetwork(members, (x_features, *hidden, variates + more))
        self.z_side = StackedNetwork(members, (z_features, *hidden, variates + more))
        self.register_buffer("start", torch.zeros(members, variates + more))
        self.change = nn.Parameter(torch.zeros(members, variates + more))

    @torch.no_grad()
    def draw(
        self, members: slice, inputs: tuple[int, int], rho: Tensor, generator: torch.Generator
    ) -> None:
        """Draw initial weights of some members, with which no warp changes anything yet.

        Args:
            members: Which ones, n of them.
            inputs: How many of the inputs of f and of g they have.
            rho: The correlations that they start at, shape ``(n, R)``.
            generator: Source of randomness.
        """
        self.start[members, : rho.shape[1]] = rho.clamp(-LARGEST, LARGEST).atanh().float()
        for side, count in zip((self.x_side, self.z_side), inputs, strict=True):
            side.draw(members, count, generator)
            more = side.weights[-1][members, -self.more :]
            more.copy_(drawn(more, FAINT**2, 0.0, generator)[0])

    def forward(
        self, x: Tensor, z: Tensor, u: Tensor, v: Tensor, places: Tensor | None = None
    ) -> Tensor:
        """Return the change of the scores of pairs.

        Args:
            x: Inputs of f, shape ``(E, *, D_x)``; the dimensions ``*`` broadcast.
            z: Inputs of g, likewise.
            u: Variates of x, shape ``(E, *, R)``.
            v: Variates of z, likewise.
            places: Where z stand among M rows, shape ``(E, *)``, if z has the inputs of these rows,
                ``(E, M, D_z)``: a row in many pairs is warped once.

        Returns:
            In nats, shape ``(E, *)``.
        """
        u, v = (F.pad(variates, (0, self.more)) for variates in (u, v))
        g = self.z_side(z)
        warped = u + self.x_side(x), v + (g if places is None else rows_at(g, places))
        return self._normal(*warped, self.start + self.change) - self._normal(u, v, self.start)

    def take(self, chosen: Tensor) -> Self:
        """Return copies of some members, by their numbers, shape ``(F,)``."""
        return take_members(self, chosen)

    @staticmethod
    def _normal(u: Tensor, v: Tensor, stretched: Tensor) -> Tensor:
        ones = [1] * (v.ndim - 2)
        rho = stretched.tanh().view(len(stretched), *ones, -1)
        return gaussian_log_ratio(u, v, rho)


def rows_at(rows: Tensor, places: Tensor) -> Tensor:
    """Return the rows, ``(E, M, D)``, at places within each first index, ``(E, *)``."""
    chosen = places.flatten(1).unsqueeze(2).expand(-1, -1, rows.shape[2])
    return rows.gather(1, chosen).view(*places.shape, -1)


def drawn(
    weight: Tensor, gain: float, bound: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw weights of a given shape and variance gain / width, and biases within a bound."""
    scale = math.sqrt(gain / weight.shape[-1])
    drawn = scale * torch.randn(weight.shape, generator=generator)
    biases = bound * (2 * torch.rand(weight.shape[:-1], generator=generator) - 1)
    return drawn.to(weight), biases.to(weight)
