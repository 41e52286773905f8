"""What a critic is shown of one side: normal scores, radii, and cosines of the ranks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Self

import torch
from torch import Tensor

from mine_lightning.data.transforms import RankToNormal, Standardize, Transform

__all__ = ["Described", "Features"]

LARGEST = 6.0  # standard deviations
COSINES = 8
WAVES = range(2, COSINES + 1)  # half waves of a rank; the first is hardly more than u
MOST_FUNCTIONS, LEAST_ROWS = 200, 10  # functions of a side, and rows for each of them


@dataclass(frozen=True)
class Described:
    """Rows of one variable as critics see them, perhaps of several samples.

    Attributes:
        coordinates: The transformed, standardised columns u, shape ``(*, M, D)``, float64.
        values: The columns as they are, standardised; shape and type likewise.
        scaled: The columns less their medians, divided by their interquartile ranges, likewise.
        radii: Normal scores of the two radii, ``(*, M, 2)``; of one column none, ``(*, M, 0)``.
        most: Largest number of functions.
    """

    coordinates: Tensor
    values: Tensor
    scaled: Tensor
    radii: Tensor
    most: int

    @cached_property
    def inputs(self) -> Tensor:
        """What a network is shown, shape ``(*, M, F)``, float32."""
        u = self.coordinates
        more = (
            [self.radii] if self.radii.shape[-1] else [(u * u - 1) / math.sqrt(2), waves(u, WAVES)]
        )
        return torch.cat([u, *more], dim=-1).clamp(-LARGEST, LARGEST).float()

    @property
    def kinds(self) -> list[str]:
        """Kinds of :meth:`functions` that are not too many for the rows."""
        columns = self.coordinates.shape[-1]
        cosines = ["waves"] if COSINES * columns <= self.most else []
        return ["modulated", *cosines, *(["products"] if products_of(columns, self.most) else [])]

    def functions(self, kind: str) -> Tensor:
        """Return functions of u whose correlations with the other side's show dependence.

        * ``modulated``: u beside u times the normal score of the first radius, for dependence
          that turns with the distance from the centre. One column has no radius: u alone.
        * ``waves``: u beside :math:`\\cos(\\pi k \\Phi(u_j))`, k = 3, ..., 8, for columns that
          oscillate among others that do not;
        * ``products``: u beside products of :math:`\\sqrt 3 (2 \\Phi(u_j) - 1)` over two columns,
          three and so on as long as they are few enough.

        Returns:
            Shape ``(*, M, C)``, float64.
        """
        return torch.cat([self.coordinates, self.beside(kind)], dim=-1)

    def beside(self, kind: str) -> Tensor:
        """Return the functions of a kind without u."""
        u = self.coordinates
        if kind == "modulated":
            return u * self.radii[..., :1] if self.radii.shape[-1] else u[..., :0]
        if kind == "waves":
            return waves(u, WAVES[1:])
        return _products(u, products_of(u.shape[-1], self.most))

    @cached_property
    def all_functions(self) -> Tensor:
        """The functions of all kinds, u once, shape ``(*, M, C)``, float64."""
        return torch.cat([self.coordinates, *map(self.beside, self.kinds)], dim=-1)

    @property
    def _parts(self) -> tuple[Tensor, ...]:
        return self.coordinates, self.values, self.scaled, self.radii

    def take(self, rows: Tensor | slice) -> "Described":
        """Return some of the rows."""
        u, values, scaled, radii = (part[..., rows, :] for part in self._parts)
        return Described(u, values, scaled, radii, self.most)

    def samples(self, places: Tensor) -> "Described":
        """Return some of the samples."""
        u, values, scaled, radii = (part[places] for part in self._parts)
        return Described(u, values, scaled, radii, self.most)

    @classmethod
    def together(cls, samples: Sequence["Described"]) -> "Described":
        """Stack rows of several samples, of as many rows and columns each."""
        parts = zip(*(sample._parts for sample in samples), strict=True)
        u, values, scaled, radii = map(torch.stack, map(list, parts))
        return cls(u, values, scaled, radii, samples[0].most)

    def followed_by(self, others: "Described") -> "Described":
        """Return the rows, and others after them."""
        pairs = zip(self._parts, others._parts, strict=True)
        u, values, scaled, radii = map(torch.cat, pairs)
        return Described(u, values, scaled, radii, self.most)


class Features:
    r"""Describe rows of one variable by numbers of order one, fitted on training rows.

    * the coordinates u: the variable after an invertible transform, standardised;
    * for two columns or more, the ranks of two radii as normal scores: :math:`\sum_j u_j^2`, and
      the same of the values scaled by median and interquartile range, which knows of heavy tails;
    * for one column, :math:`u^2` and :math:`\cos(\pi k \Phi(u))`, k = 2, ..., 8, for dependence
      that oscillates.

    Args:
        transform: The invertible transform; :class:`~mine_lightning.RankToNormal` by default.

    Example:
        >>> rows = torch.randn(100, 3)
        >>> Features().fit(rows)(rows).inputs.shape
        torch.Size([100, 5])
    """

    def __init__(self, transform: Transform | None = None) -> None:
        self.transform = RankToNormal() if transform is None else transform

    def fit(self, rows: Tensor) -> Self:
        """Fit on training rows, shape ``(N, ...)``."""
        self.fit_describe(rows)
        return self

    def fit_describe(self, rows: Tensor) -> Described:
        """Fit on training rows, shape ``(N, ...)``, and describe them."""
        rows = rows.double()
        transformed = self.transform.fit_transform(rows).flatten(1)
        self.standardize = Standardize().fit(transformed)
        coordinates, values = self.standardize(transformed), rows.flatten(1)
        self.range = values.amin(0), values.amax(0)
        self.moments = Standardize().fit(values)
        low, self.center, high = quartiles(values)
        spread = values.std(dim=0).clamp(min=1e-12)
        self.scale = torch.where(high > low, (high - low) / 1.349, spread)
        self.most = min(MOST_FUNCTIONS, len(rows) // LEAST_ROWS)
        scaled, self.radii = self._scaled(values), RankToNormal()
        radii = coordinates[:, :0]
        if coordinates.shape[1] > 1:
            radii = self.radii.fit_transform(self._radii(scaled, coordinates))
        return Described(coordinates, self.moments(values), scaled, radii, self.most)

    def __call__(self, rows: Tensor) -> Described:
        """Describe rows, shape ``(M, ...)``."""
        rows = rows.double()
        u = self.standardize(self.transform(rows).flatten(1))
        values = rows.flatten(1).clamp(*self.range)
        scaled = self._scaled(values)
        radii = u[:, :0] if u.shape[1] == 1 else self.radii(self._radii(scaled, u))
        return Described(u, self.moments(values), scaled, radii, self.most)

    def _scaled(self, values: Tensor) -> Tensor:
        return (values - self.center) / self.scale

    def _radii(self, scaled: Tensor, coordinates: Tensor) -> Tensor:
        radii = torch.stack([coordinates.square().sum(1), scaled.square().sum(1)], dim=1)
        return radii.log1p().float().double()  # equal rows stay equal, whatever sums are rounded to


def products_of(columns: int, most: int) -> list[tuple[int, ...]]:
    """Return the sets of two columns, of three and so on, as long as all of a size fit in.

    Example:
        >>> products_of(3, 10)
        [(0, 1), (0, 2), (1, 2), (0, 1, 2)]
        >>> products_of(100, 200)
        []
    """
    sets: list[tuple[int, ...]] = []
    for size in range(2, columns + 1):
        if len(sets) + math.comb(columns, size) > most:
            break
        sets += combinations(range(columns), size)
    return sets


def _products(u: Tensor, sets: list[tuple[int, ...]]) -> Tensor:
    even = (math.sqrt(3) * (2 * torch.special.ndtr(u) - 1)).movedim(-1, 0).contiguous()
    found: dict[tuple[int, ...], Tensor] = {(place,): column for place, column in enumerate(even)}
    for columns in sets:
        found[columns] = found[columns[:-1]] * even[columns[-1]]
    return torch.stack([found[columns] for columns in sets], dim=-1)


def waves(u: Tensor, half_waves: Sequence[int]) -> Tensor:
    """Return cosines of the ranks, those of all columns for each number of half waves in turn."""
    phase = math.pi * torch.special.ndtr(u).unsqueeze(-2)
    return torch.cos(torch.tensor(half_waves).to(u).unsqueeze(1) * phase).flatten(-2)


def quartiles(values: Tensor) -> Tensor:
    """Return the quartiles of each column; ``torch.quantile`` takes at most 2^24 values.

    Args:
        values: Shape ``(N, D)``.

    Returns:
        Shape ``(3, D)``.

    Example:
        >>> quartiles(torch.arange(5.0).unsqueeze(1)).flatten()
        tensor([1., 2., 3.])
    """
    ordered = values.sort(dim=0).values
    places = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64) * (len(values) - 1)
    below, above = places.floor().long(), places.ceil().long()
    share = (places - below).to(values).unsqueeze(1)
    return torch.lerp(ordered[below], ordered[above], share)
