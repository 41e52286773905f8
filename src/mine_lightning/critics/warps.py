"""Warps of canonical variates: networks that see one side each, inside the normal log ratio."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mine_lightning.critics.backprop import Tape
from mine_lightning.critics.candidates import candidates, ring_gradient
from mine_lightning.critics.ensemble import take_members
from mine_lightning.critics.gaussian import gaussian_log_ratio
from mine_lightning.critics.stacked import StackedNetwork, drawn

__all__ = ["WarpTape", "Warps"]

LARGEST = 0.999  # correlation: beyond it a warp in float32 is rounding
# On the samples that chose the widths in `estimate/networks`, 1.0 changes errors by +.003 ± .003
# nats; without further pairs they are larger by .026 ± .009.
FAINT = 0.1  # standard deviation of the weights that further pairs start at


class WarpTape(NamedTuple):
    """What the reverse pass needs: the tapes of f and g, warped variates, and correlations."""

    f: Tape
    g: Tape
    u: Tensor
    v: Tensor
    rho: Tensor


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
        torch.Size([5, 2, 100])
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
            side.draw(members, slice(count), generator)
            more = side.weights[-1][members, -self.more :]
            more.copy_(drawn(more, FAINT**2, 0.0, generator)[0])

    def forward(
        self, x: Tensor, z: Tensor, u: Tensor, v: Tensor, places: Tensor | None = None
    ) -> Tensor:
        """Return the change of the scores of pairs.

        Args:
            x: Inputs of f, shape ``(E, N, D_x)``.
            z: Inputs of g, shape ``(E, M, D_z)``: a row in many pairs is warped once.
            u: Variates of x, shape ``(E, N, R)``.
            v: Variates of z, shape ``(E, M, R)``.
            places: Where the :func:`~mine_lightning.critics.candidates.candidates` of each x stand
                among the z, shape ``(E, N, K)``; by default they are its own and the next one.

        Returns:
            In nats, shape ``(E, K, N)``.
        """
        return self.record(x, z, u, v, places)[0]

    def record(
        self, x: Tensor, z: Tensor, u: Tensor, v: Tensor, places: Tensor | None = None
    ) -> tuple[Tensor, WarpTape]:
        """Return the change of the scores, and the tape for :meth:`backward`."""
        (f, f_tape), (g, g_tape) = self.x_side.record(x), self.z_side.record(z)
        u, v = (F.pad(variates, (0, self.more)) for variates in (u, v))
        rho, known = ((s.tanh()[:, None, None]) for s in (self.start + self.change, self.start))
        warped = by_columns((u + f).unsqueeze(1)), by_columns(candidates(v + g, places))
        given = by_columns(u.unsqueeze(1)), by_columns(candidates(v, places))
        change = gaussian_log_ratio(*warped, rho) - gaussian_log_ratio(*given, known)
        return change, WarpTape(f_tape, g_tape, *warped, rho)

    @torch.no_grad()
    def backward(self, gradient: Tensor, tape: WarpTape) -> list[Tensor]:
        r"""Return the gradients by the parameters, in their order, of pairs in a ring.

        .. math::
            e = \frac{v - \rho u}{1 - \rho^2}, \quad
            \partial_u \ell = \rho e, \quad \partial_v \ell = v - e, \quad
            \partial_{\operatorname{artanh} \rho} \ell = (1 - \rho^2) e (u - \rho e) + \rho

        Args:
            gradient: Gradient by the change of the scores, shape ``(E, 2, N)``.
            tape: As returned by :meth:`record` without places.
        """
        _, _, u, v, rho = tape
        gradient, rest = gradient.unsqueeze(3), 1 - rho**2
        error = (v - rho * u) / rest
        share = gradient * error
        by_change = (share * (u - rho * error)).sum((1, 2)) * rest[:, 0, 0]
        by_change += rho[:, 0, 0] * gradient.sum((1, 2))
        by_f = self.x_side.backward(rho[:, 0] * share.sum(1), tape.f)
        by_g = self.z_side.backward(ring_gradient(gradient * v - share), tape.g)
        return [by_change, *by_f, *by_g]

    def take(self, chosen: Tensor) -> Self:
        """Return copies of some members, by their numbers, shape ``(F,)``."""
        return take_members(self, chosen)


def by_columns(rows: Tensor) -> Tensor:
    """Return rows, shape ``(E, *, D)``, laid out column by column: they are few and short."""
    return rows.movedim(-1, 1).contiguous().movedim(1, -1)
