"""What the critic of each fold adds to the scores of its closed form."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mine_lightning.critics.backprop import Tape
from mine_lightning.critics.candidates import candidates
from mine_lightning.critics.ensemble import take_members
from mine_lightning.critics.stacked import StackedNetwork
from mine_lightning.critics.warps import Warps, WarpTape
from mine_lightning.data.loading.stacks import Batch

__all__ = ["FoldNetworks", "Widths"]

# `benchmarks/constants.py` changes them one by one, on 38 distributions of 500 rows with a mean
# error of .140 nats; by how much that changes stands beside them.
HIDDEN = (32, 32)  # (16, 16): +.008 ± .003, (64, 64): -.004 ± .003 nats; larger ones take longer
# On 21 samples of random invertible networks of 2 to 8 columns a side, 12 of 2,000 and 9 of 8,000
# rows, errors are .177 nats with (32, 32) and .152 with (64, 64). On 12 others of 2,000 rows they
# are .34 without warps and .25 with (64, 64).
WARPS = (64, 64)
OFFSET_BOUND = 4.0  # nats, where the offset shown levels off; 2: -.0003 ± .0014, 8: +.0017 ± .0008

FEATURES = "x", "z", "u", "v"  # of a batch: of both sides, and their variates

Tapes = tuple[Tape, WarpTape | None]


class Widths(NamedTuple):
    """Numbers of features of x, of z, and of pairs of variates, that networks are shown."""

    x: int
    z: int
    variates: int

    @classmethod
    def widest(cls, widths: Sequence["Widths"]) -> "Widths":
        """Return those of networks that can be shown any of several pairs of variables."""
        return cls(*map(max, zip(*widths, strict=True)))

    def columns(self, widest: "Widths") -> Tensor:
        """Return the places of one's inputs among those of networks of pairs for the widest.

        Example:
            >>> widest = Widths(2, 3, 1)
            >>> Widths(2, 1, 1).columns(widest), Widths(1, 3, 0).columns(widest)
            (tensor([0, 1, 2, 5, 6]), tensor([0, 2, 3, 4, 6]))
        """
        starts = (0, widest.x, widest.x + widest.z, sum(widest))
        parts = zip(starts, (*self, 1), strict=True)
        return torch.cat([torch.arange(start, start + count) for start, count in parts])


class FoldNetworks(nn.Module):
    """A network for each fold of each of P pairs of variables, P E in all.

    One sees the features of both sides, the products of paired variates, and the score of the
    closed form. Where a side has several columns,
    :class:`~mine_lightning.critics.warps.Warps` of the variates are added.

    A pair of variables with fewer inputs than another has zeros in their place.

    Args:
        widths: Their numbers of inputs.
        concat: Those of all features of a pair of rows.
        warps: The warps, if there are any.
    """

    def __init__(self, widths: Widths, concat: StackedNetwork, warps: Warps | None = None) -> None:
        super().__init__()
        self.widths, self.concat, self.warps = widths, concat, warps

    @classmethod
    def of(cls, widths: Widths, members: int, warped: bool) -> Self:
        """Return networks whose weights are still to be drawn."""
        warps = Warps(members, *widths, WARPS) if warped else None
        return cls(widths, StackedNetwork(members, (1 + sum(widths), *HIDDEN, 1)), warps)

    @torch.no_grad()
    def draw(self, pair: int, widths: Widths, correlations: Tensor, seed: int) -> None:
        """Draw initial weights of the folds of a pair of variables, which add nothing yet.

        Args:
            pair: Which one.
            widths: Its numbers of inputs.
            correlations: Those of its variates, shape ``(E, R)``.
            seed: Seed of the weights.
        """
        folds, generator = len(correlations), torch.Generator().manual_seed(seed)
        members = slice(pair * folds, (pair + 1) * folds)
        self.concat.draw(members, widths.columns(self.widths), generator)
        if self.warps is not None:
            self.warps.draw(members, (widths.x, widths.z), correlations, generator)

    def take(self, chosen: Tensor) -> Self:
        """Return copies of some members, by their numbers, shape ``(F,)``."""
        warps = None if self.warps is None else self.warps.take(chosen)
        return type(self)(self.widths, take_members(self.concat, chosen), warps)

    def inputs(self, batch: Batch) -> Tensor:
        """Return the features of each pair of rows, shape ``(E, K, N, F)``."""
        x, z, u, v = (batch[name] for name in FEATURES)
        z, v = (candidates(side, batch.get("places")) for side in (z, v))
        shown = OFFSET_BOUND / 2 * torch.tanh(batch["offset"].mT / OFFSET_BOUND)
        x = x.unsqueeze(1).expand(*z.shape[:-1], -1)
        return torch.cat([x, z, u.unsqueeze(1) * v, shown.unsqueeze(3)], dim=3)

    def record(self, batch: Batch) -> tuple[Tensor, Tapes]:
        """Return what is added to the closed forms' scores, and the tapes for :meth:`backward`."""
        change, warped = self._warped(batch)
        scores, tape = self.concat.record(self.inputs(batch))
        return (scores.squeeze(3) + change).mT, (tape, warped)

    def _warped(self, batch: Batch) -> tuple[Tensor | float, WarpTape | None]:
        if self.warps is None:
            return 0.0, None
        x, z, u, v = (batch[name] for name in FEATURES)
        return self.warps.record(x, z, u, v, batch.get("places"))

    def backward(self, gradient: Tensor, tapes: Tapes) -> list[Tensor]:
        """Return the gradients by the parameters, in their order.

        Args:
            gradient: Gradient by what is added, shape ``(E, N, 2)``.
            tapes: As returned by :meth:`record` for a batch without places.
        """
        gradient, (tape, warped) = gradient.mT.contiguous(), tapes
        found = self.concat.backward(gradient, tape)
        if self.warps is None or warped is None:
            return found
        return found + self.warps.backward(gradient, warped)

    def forward(self, batch: Batch) -> Tensor:
        """Return what is added to the closed forms' scores of a batch, shape ``(E, N, K)``.

        Inputs that the batch of a pair of variables alone does not have are zeros.
        """
        x, z, variates = self.widths
        sizes = zip(FEATURES, (x, z, variates, variates), strict=True)
        filled = {name: F.pad(batch[name], (0, n - batch[name].shape[-1])) for name, n in sizes}
        return self.record({**batch, **filled})[0]
