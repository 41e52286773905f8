"""Marginal samplers: which rows are drawn apart.

A sampler names, for every row of a minibatch, the row or rows whose z becomes its partner. No
sampler ever names the row itself, which would put joint pairs among the marginal ones.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from mine_lightning.support.arguments import check_integer
from mine_lightning.support.config import Configurable

__all__ = ["CyclicShift", "Derangement", "IndependentDraw", "MarginalSampler", "Partners"]


class MarginalSampler(Configurable):
    """Base of the marginal samplers.

    Attributes:
        least_rows: The smallest minibatch that leaves every row a partner.
    """

    least_rows: int = 2

    def partners(self, rows: Tensor, pool: int, generator: torch.Generator | None = None) -> Tensor:
        """Name the partners of each row.

        Args:
            rows: Row numbers of a minibatch, shape ``(*, N)``; each leading index is a minibatch
                of its own.
            pool: Number of rows that exist in all.
            generator: Source of randomness; the global one by default.

        Returns:
            Row numbers of the partners, shape ``(*, N)`` or, for K partners, ``(*, N, K)``.

        Raises:
            ValueError: If the minibatch has too few rows to leave every row a partner.
        """
        raise NotImplementedError

    def partners_of_shuffled(
        self, rows: Tensor, pool: int, generator: torch.Generator | None = None
    ) -> Tensor:
        """Name the partners of rows that are in random order, which may save drawing another."""
        return self.partners(rows, pool, generator)

    def fix(
        self, rows: int, generator: torch.Generator | None = None
    ) -> Callable[[Tensor], Tensor]:
        """Draw the partners of rows 0 to ``rows`` - 1 from among them, once.

        Returns:
            A function from row numbers, shape ``(N,)``, to those of their partners, shape ``(N,)``
            or ``(N, K)``.
        """
        return self.partners(torch.arange(rows), rows, generator).__getitem__

    def within(self, rows: int) -> "MarginalSampler":
        """Return the sampler for so many rows: with fewer partners where there are not as many."""
        return self

    def __call__(self, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the partners of a minibatch ``z``, shape ``(N, ...)``, drawn from itself.

        Returns:
            Shape ``(N, ...)`` or, for K partners, ``(N, K, ...)``.
        """
        return z[self.partners(torch.arange(len(z)), len(z), generator)]

    def check(self, rows: int) -> None:
        """Raise unless a minibatch of ``rows`` rows leaves every row a partner."""
        if rows < self.least_rows:
            raise ValueError(
                f"Expected at least {self.least_rows} rows in a minibatch for "
                f"{type(self).__name__}, got {rows}."
            )


def random_cycle(rows: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Return a random order of each minibatch's positions and the positions' ranks in it."""
    order = torch.rand(rows.shape, generator=generator, device=rows.device).argsort(-1)
    ranks = torch.empty_like(order).scatter_(-1, order, _positions(rows).expand_as(order))
    return order, ranks


def _positions(rows: Tensor) -> Tensor:
    return torch.arange(rows.shape[-1], device=rows.device)


class Derangement(MarginalSampler):
    """A random permutation of the minibatch without fixed points.

    The permutation is one cycle through all rows, uniform among all such cycles.

    Example:
        >>> z = torch.arange(6)
        >>> bool((Derangement()(z) == z).any())
        False
    """

    def partners(self, rows: Tensor, pool: int, generator: torch.Generator | None = None) -> Tensor:
        self.check(rows.shape[-1])
        order, ranks = random_cycle(rows, generator)
        return rows.gather(-1, order.gather(-1, (ranks + 1) % rows.shape[-1]))

    def partners_of_shuffled(
        self, rows: Tensor, pool: int, generator: torch.Generator | None = None
    ) -> Tensor:
        self.check(rows.shape[-1])
        return rows.roll(-1, -1)


class CyclicShift(MarginalSampler):
    """The row ``shift`` places further on in the minibatch; nothing random.

    Args:
        shift: Number of places, at least 1 and not a multiple of the minibatch size.

    Raises:
        ValueError: If ``shift`` is not positive.

    Example:
        >>> CyclicShift()(torch.arange(4))
        tensor([1, 2, 3, 0])
    """

    def __init__(self, shift: int = 1) -> None:
        check_integer("shift", shift)
        self.shift = shift

    def partners(self, rows: Tensor, pool: int, generator: torch.Generator | None = None) -> Tensor:
        self.check(rows.shape[-1])
        if self.shift % rows.shape[-1] == 0:
            raise ValueError(
                f"Expected `shift` not to be a multiple of the minibatch size "
                f"{rows.shape[-1]}, got {self.shift}: every row would be its own partner."
            )
        return rows.roll(-self.shift, -1)


class IndependentDraw(MarginalSampler):
    """Any other of the training rows, drawn with equal probability.

    Example:
        >>> IndependentDraw().partners(torch.tensor([0, 1]), pool=2)
        tensor([1, 0])
    """

    least_rows = 1

    def partners(self, rows: Tensor, pool: int, generator: torch.Generator | None = None) -> Tensor:
        if pool < 2:
            raise ValueError(f"Expected at least 2 rows to draw partners from, got {pool}.")
        draw = torch.randint(pool - 1, rows.shape, generator=generator, device=rows.device)
        return draw + (draw >= rows)


class Partners(MarginalSampler):
    """``count`` different other rows of the minibatch for each row.

    A random cycle goes through all rows; the partners of a row are the next ``count`` on it, so
    each row also serves as a partner ``count`` times.

    Args:
        count: Number K of partners, at least 1 and below the minibatch size.

    Raises:
        ValueError: If ``count`` is not positive.

    Example:
        >>> Partners(count=3)(torch.randn(8, 2)).shape
        torch.Size([8, 3, 2])
    """

    def __init__(self, count: int = 8) -> None:
        check_integer("count", count)
        self.count = count
        self.least_rows = count + 1

    def within(self, rows: int) -> "Partners":
        return Partners(min(self.count, rows - 1))

    def partners(self, rows: Tensor, pool: int, generator: torch.Generator | None = None) -> Tensor:
        self.check(rows.shape[-1])
        order, ranks = random_cycle(rows, generator)
        steps = torch.arange(1, self.count + 1, device=rows.device)
        places = (ranks.unsqueeze(-1) + steps) % rows.shape[-1]  # (*, N, K)
        partners = order.gather(-1, places.flatten(-2)).view(places.shape)
        return rows.gather(-1, partners.flatten(-2)).view(places.shape)

    def partners_of_shuffled(
        self, rows: Tensor, pool: int, generator: torch.Generator | None = None
    ) -> Tensor:
        self.check(rows.shape[-1])
        return torch.stack([rows.roll(-step, -1) for step in range(1, self.count + 1)], dim=-1)

    def fix(
        self, rows: int, generator: torch.Generator | None = None
    ) -> Callable[[Tensor], Tensor]:
        """Keep the cycle alone, not all of the partners: memory does not grow with ``count``."""
        self.check(rows)
        order, ranks = random_cycle(torch.arange(rows), generator)
        steps = torch.arange(1, self.count + 1)
        return lambda chosen: order[(ranks[chosen].unsqueeze(-1) + steps) % rows]
