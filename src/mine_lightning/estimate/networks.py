"""What the critic of each fold adds to the scores of its closed form."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mine_lightning.critics.ensemble import CriticEnsemble
from mine_lightning.critics.networks import ConcatCritic
from mine_lightning.critics.warps import Warps, drawn
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
        """Return the places of one's inputs among those of concat critics for the widest.

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

    A :class:`~mine_lightning.ConcatCritic` sees the features of both sides, the products of paired
    variates, and the score of the closed form. Where a side has several columns,
    :class:`~mine_lightning.critics.warps.Warps` of the variates are added.

    A pair of variables with fewer inputs than another has zeros in their place.

    Args:
        widths: Their numbers of inputs.
        concat: The concat critics.
        warps: The warps, if there are any.
    """

    def __init__(self, widths: Widths, concat: CriticEnsemble, warps: Warps | None = None) -> None:
        super().__init__()
        self.widths, self.concat, self.warps = widths, concat, warps

    @classmethod
    def of(cls, widths: Widths, members: int, warped: bool) -> Self:
        """Return networks whose weights are still to be drawn."""
        concat = CriticEnsemble(ConcatCritic(HIDDEN, "silu"), 1, seed=0)
        concat(torch.zeros(1, 1, widths.x), torch.zeros(1, 1, widths.z + widths.variates + 1))
        warps = Warps(members, *widths, WARPS) if warped else None
        return cls(widths, concat.take(torch.zeros(members, dtype=torch.long)), warps)

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
        first, *head = self._layers()
        shown = widths.columns(self.widths)
        first.weight[members] = 0
        first.weight[members, :, shown], first.bias[members] = drawn(
            first.weight[members, :, shown], 1.0, 1.0, generator
        )
        for layer in head:
            layer.weight[members], layer.bias[members] = drawn(
                layer.weight[members], 2.0, 0.1, generator
            )
        head[-1].weight[members], head[-1].bias[members] = 0, 0
        if self.warps is not None:
            self.warps.draw(members, (widths.x, widths.z), correlations, generator)

    def _layers(self) -> list[Any]:
        critic: Any = self.concat.critic
        return [critic.first, *critic.head]

    def take(self, chosen: Tensor) -> Self:
        """Return copies of some members, by their numbers, shape ``(F,)``."""
        warps = None if self.warps is None else self.warps.take(chosen)
        return type(self)(self.widths, self.concat.take(chosen), warps)

    def inputs(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return what the concat critics are shown, shapes ``(E, N, 1, F)`` and ``(E, N, K, G)``.

        To the features of z is joined what is known of each pair of rows.
        """
        shown = OFFSET_BOUND / 2 * torch.tanh(batch["offset"] / OFFSET_BOUND)
        known = batch["z"], batch["u"] * batch["v"], shown.unsqueeze(-1)
        return batch["x"], torch.cat(known, dim=-1)

    def warp(self, batch: Batch) -> Tensor | float:
        """Return what the warps add, shape ``(E, N, K)``."""
        if self.warps is None:
            return 0.0
        x, z, u, v = (batch[name] for name in FEATURES)
        return self.warps(x, batch.get("near", z), u, v, batch.get("places"))

    def forward(self, batch: Batch) -> Tensor:
        """Return what is added to the closed forms' scores of a batch, shape ``(E, N, K)``.

        Inputs that the batch of a pair of variables alone does not have are zeros.
        """
        x, z, variates = self.widths
        sizes = {"x": x, "z": z, "u": variates, "v": variates, "near": z}
        filled = {
            name: F.pad(batch[name], (0, n - batch[name].shape[-1]))
            for name, n in sizes.items()
            if name in batch
        }
        batch = {**batch, **filled}
        return self.concat(*self.inputs(batch)) + self.warp(batch)
