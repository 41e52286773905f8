"""Evidence against independence: p-values from re-paired rows, alone and among many."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

__all__ = ["CROSS_FITTED", "Rings", "benjamini_hochberg", "p_value", "rings"]

DRAWS = 9_999
CROSS_FITTED = 2.0  # chance in a fold shapes the other folds' critics: every pair counts twice
AT_ONCE = 2**16  # sums gathered together, which stay in the cache
RINGS_AT_ONCE = 256
MOST_TURNED = 200  # rings of a fold: more turn the sum no better, and take longer


@dataclass(frozen=True)
class Rings:
    """Partners of rows that stand in rings of equal size, every row with all others of its ring.

    Turning a ring re-pairs its rows, and all scores that this takes are at hand.

    Attributes:
        order: The rows in random order, ring after ring, shape ``(N,)``. Those left over are in no
            ring; their partners are among the last ``size`` rows.
        size: Number K + 1 of rows in a ring.
    """

    order: Tensor
    size: int

    @cached_property
    def places(self) -> Tensor:
        """The place of each row in the order, shape ``(N,)``."""
        return self.order.argsort()

    def around(self, places: Tensor) -> Tensor:
        """Return the places of rows and of their partners, those 1, ..., K places on in the ring.

        Args:
            places: Places in the order, shape ``(n,)``.

        Returns:
            Places in the order, shape ``(n, 1 + K)``.
        """
        first = (places // self.size * self.size).clamp(max=len(self.order) - self.size)
        steps = (places - first).unsqueeze(1) + torch.arange(self.size)
        return first.unsqueeze(1) + steps % self.size

    def sums(self, scores: Tensor) -> Tensor:
        """Sum the scores of each ring after each turn.

        Beyond :data:`MOST_TURNED` rings several are turned together.

        Args:
            scores: Of each row with itself and with its partners, in the order, ``(N, 1 + K)``.

        Returns:
            Shape ``(R, 1 + K)``, float64; the first column is of the rows as they are.
        """
        whole = scores[: len(scores) - len(scores) % self.size].unflatten(0, (-1, self.size))
        sums = torch.cat([rings.double().sum(1) for rings in whole.split(RINGS_AT_ONCE)])
        together = torch.arange(len(sums)) % MOST_TURNED
        return sums.new_zeros(min(len(sums), MOST_TURNED), sums.shape[1]).index_add(
            0, together, sums
        )


def ring_size(rows: int, partners: int) -> int:
    """Return the size of rings that leave few rows over, with ``partners`` + 1 rows at most.

    Example:
        >>> ring_size(2000, 20), ring_size(30, 20)
        (20, 15)
    """
    return rows // math.ceil(rows / (partners + 1))


def rings(rows: int, size: int, generator: torch.Generator) -> Rings:
    """Arrange rows at random in rings.

    Args:
        rows: Number N of rows, at least ``size``.
        size: Number K + 1 of rows in a ring, at least 2.
        generator: Source of randomness.

    Example:
        >>> found = rings(7, size=3, generator=torch.Generator().manual_seed(0))
        >>> found.around(torch.tensor([0, 1, 5, 6]))
        tensor([[0, 1, 2],
                [1, 2, 0],
                [5, 3, 4],
                [6, 4, 5]])
    """
    return Rings(torch.randperm(rows, generator=generator), size)


def p_value(
    sums: Sequence[Tensor], seed: int = 0, draws: int = DRAWS, inflation: float = 1.0
) -> float:
    r"""Compare the sum of scores with those of rows that are paired anew, ring by ring.

    .. math:: p = \frac{1 + \#\{b : S_b \ge S\}}{1 + B}

    Scored by critics that have not seen them, independent rows are exchangeable under every turn of
    every ring, so that p is uniform, or larger where the critics are constant. With critics that
    are linear in what they have learned, and folds that learn from each other, the sum is a
    degenerate U-statistic, whose variance is twice that of the turns.

    References:
        Phipson and Smyth, "Permutation p-values should never be zero", 2010.

    Args:
        sums: Of each fold, see :meth:`Rings.sums`, shapes ``(R, M)``.
        seed: Seed of the turns.
        draws: Number B of turns of all rings.
        inflation: Variance of the sum over that of its turns, whose spread is widened accordingly:
            above 1 for rows that come in groups, and :data:`CROSS_FITTED` times that for folds
            whose critics have learned from each other's rows.

    Example:
        >>> own = torch.tensor([[9.0, 0.0, 0.0]]).repeat(20, 1)
        >>> p_value([own], draws=99)
        0.01
    """
    generator = torch.Generator().manual_seed(seed)
    observed = sum(fold[:, 0].sum().item() for fold in sums)
    null = sum(_turned(fold.double(), draws, generator) for fold in sums)
    assert isinstance(null, Tensor)
    wide = null.mean() + math.sqrt(inflation) * (null - null.mean())
    rounding = 1e-12 * sum(fold.abs().sum().item() for fold in sums)
    return (1 + int((wide >= observed - rounding).sum())) / (1 + draws)


def _turned(sums: Tensor, draws: int, generator: torch.Generator) -> Tensor:
    """Return the sum over the rings after random turns, shape ``(draws,)``."""
    count, size = sums.shape
    starts, flat = torch.arange(count) * size, sums.flatten()
    chunks = torch.arange(draws).split(max(1, AT_ONCE // count))
    turns = (torch.randint(size, (len(c), count), generator=generator) for c in chunks)
    places = (turn.add_(starts).flatten() for turn in turns)
    return torch.cat([flat.index_select(0, each).view(-1, count).sum(1) for each in places])


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    r"""Adjust p-values so that those below a level hold that share of false discoveries or less.

    .. math:: \tilde p_{(i)} = \min_{j \ge i} \frac{m}{j} p_{(j)}

    References:
        Benjamini and Hochberg 1995.

    Args:
        p_values: One for each of m hypotheses; nan where there is none.

    Example:
        >>> benjamini_hochberg([0.01, 0.04, 0.03, 0.5])
        [0.04, 0.0533..., 0.0533..., 0.5]
    """
    raw = np.asarray(p_values, dtype=float)
    known = np.flatnonzero(~np.isnan(raw))
    order = known[np.argsort(raw[known])]
    scaled = raw[order] * len(order) / np.arange(1, len(order) + 1)
    adjusted = np.full(len(raw), np.nan)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1)
    return adjusted.tolist()
