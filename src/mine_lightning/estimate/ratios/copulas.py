"""Closed forms of columns that depend in pairs, one of x and one of z, in any way."""

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Self

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from mine_lightning.critics.gaussian import LARGEST, canonical_pairs
from mine_lightning.data.transforms import RankToNormal, Standardize
from mine_lightning.estimate.features import Described, waves
from mine_lightning.estimate.ratios.base import (
    PARTNERS,
    Fit,
    LogRatio,
    least,
    logistic_losses,
    ranks,
)
from mine_lightning.estimate.ratios.samples import EachSample, against

__all__ = ["CommonFunctions", "Copulas", "MatchedColumns", "MatchedProducts", "Oscillations"]

DECIMALS = 9  # of columns of order one
# `benchmarks/constants.py`: with 16 errors grow by .0011 ± .0008 nats, with 64 by .0014 ± .0010.
CELLS = 32  # along a side of the histogram
WIDTHS = (0.7, 1.5, 3.0, 6.0)  # of the kernel, in cells
MOST_PAIRS = 100_000  # of columns of rows, scored at once to choose among the widths
MOST_VARIATES, MOST_MATCHED = 16, 64
HALF_WAVES = 64  # of a column: what 700 rows allow at ten to a function; 16 change no error


class Copulas(LogRatio):
    r"""Base of the forms of independent pairs of columns, each normal times a density of its own.

    With the normal scores u and v of a pair, of correlation :math:`\rho`, and the residual
    :math:`e = (v - \rho u) / \sqrt{1 - \rho^2}`,

    .. math::
        T = \sum_r \ln \frac{\phi(e_r)}{\sqrt{1 - \rho_r^2} \, \phi(v_r)}
        + \ln g_r(\Phi(u_r), \Phi(e_r))

    where g is a histogram of the unit square, smoothed, uniform along u. How smooth it is, and how
    many of the pairs are used, is chosen on validation rows. Beyond ln N larger scores are not told
    from smaller ones there, and no more pairs are believed than the smaller side has columns.

    A subclass defines :meth:`match`, :meth:`columns_of_x` and :meth:`columns_of_z`.
    """

    rank: int | None = None  # the largest number of pairs that are used

    @classmethod
    def most(cls, x: Described, z: Described) -> int:
        """Return how many pairs rows of such shapes may have."""
        raise NotImplementedError

    @classmethod
    def fit_each(
        cls, x: Described, z: Described, x_val: Described, z_val: Described
    ) -> list[Fit[Self]]:
        rows = x_val.coordinates.shape[-2]
        if len(x.coordinates) == 1 or rows * cls.most(x, z) * PARTNERS <= MOST_PAIRS:
            return super().fit_each(x, z, x_val, z_val)
        # one by one, as the number of partners depends on the number of pairs that are found
        places = torch.arange(len(x.coordinates), device=x.coordinates.device).split(1)
        parts = ([side.samples(place) for side in (x, z, x_val, z_val)] for place in places)
        return [fit for part in parts for fit in super(Copulas, cls).fit_each(*part)]

    def match(self, x: Described, z: Described) -> tuple[Tensor, Tensor, Tensor]:
        """Find the pairs of columns on training rows, the strongest first.

        Returns:
            The columns of x and of z, shape ``(S, N, R)``, and which pairs there are in each
            sample, shape ``(S, R)``.
        """
        raise NotImplementedError

    def columns_of_x(self, x: Described) -> Tensor:
        """Return the columns of x, shape ``(*, M, R)``, float64."""
        raise NotImplementedError

    def columns_of_z(self, z: Described) -> Tensor:
        """Return the columns of z that they are paired with, likewise."""
        raise NotImplementedError

    def fit(self, x: Described, z: Described) -> Self:
        a, b, self.used = self.match(x, z)
        self.x_scores, self.z_scores = EachSample(RankToNormal()), EachSample(RankToNormal())
        a, b = self.x_scores.fit_transform(_settled(a)), self.z_scores.fit_transform(_settled(b))
        self.correlations = torch.where(self.used, _correlations(a, b), 0)
        self.counts = histograms(self._parts(a, b)[1], self.used.shape)
        self.log_density = self._smoothed(WIDTHS[-2])
        self.fewest = min(side.coordinates.shape[-1] for side in (x, z))
        return super().fit(x, z)

    def confirm(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        few = b[..., : self.partners(a), :]
        parts = [self._parts(*p) for p in ((a, b), (a.unsqueeze(-2), few.unsqueeze(-3)))]
        densities = torch.stack([self._smoothed(width) for width in WIDTHS])
        losses: dict[tuple[int, int], Tensor] = {}
        for place, density in enumerate(densities):
            joint, table = ((normal + density.take(cells)).unbind(-1) for normal, cells in parts)
            losses |= {(place, n): loss for n, loss in self._tried(joint, table)}
        if losses:  # of equal ones, the smoothest and that of the most pairs
            tried, best = least(dict(reversed(losses.items())))
            widths, counts = best.new_tensor(tried)[best].unbind(-1)
            self.log_density = densities[widths, torch.arange(len(widths), device=widths.device)]
            self._keep(counts)
        return a[..., : self.rank], b[..., : self.rank]

    def _tried(
        self, joint: Sequence[Tensor], table: Sequence[Tensor]
    ) -> Iterator[tuple[int, Tensor]]:
        """Yield numbers of pairs, and their losses in each sample, by the scores of each pair.

        More than the columns of a side are functions of the same columns, each counted again.
        """
        tried, ended = ranks(len(joint)), None
        # on CUDA, cumsum varies with the run
        sums = zip(accumulate(joint), accumulate(table), strict=True)
        for rank, (own, others) in enumerate(sums, start=1):
            if rank > self.fewest:
                beyond = own.mean(-1) > math.log(self.rows)
                ended = beyond if ended is None else ended | beyond
            if rank in tried:
                loss = logistic_losses(own, others).mean(-1)
                yield rank, loss if ended is None else loss.masked_fill(ended, math.inf)

    def _smoothed(self, width: float) -> Tensor:
        """Return the log densities of all pairs, 0 of those that are not used."""
        return torch.where(self.used[..., None, None], smoothed(self.counts, width), 0)

    def _keep(self, counts: Tensor) -> None:
        """Use so many pairs of each sample, shape ``(S,)``."""
        places = torch.arange(self.used.shape[-1], device=counts.device)
        self.used = self.used & (places < counts.unsqueeze(-1))
        self.correlations = torch.where(self.used, self.correlations, 0)
        self.log_density = torch.where(self.used[..., None, None], self.log_density, 0)
        self.trimmed()

    def trimmed(self) -> Self:
        self.rank = int(self.used.sum(-1).max())
        self.used = self.used[..., : self.rank]
        self.correlations = self.correlations[..., : self.rank]
        self.counts, self.log_density = (
            tables[..., : self.rank, :, :] for tables in (self.counts, self.log_density)
        )
        return self

    def partners(self, a: Tensor) -> int:
        return max(5, min(PARTNERS, MOST_PAIRS // max(1, a.shape[-2] * a.shape[-1])))

    def encode_x(self, x: Described) -> Tensor:
        return self.x_scores(_settled(self.columns_of_x(x)))[..., : self.rank]

    def encode_z(self, z: Described) -> Tensor:
        return self.z_scores(_settled(self.columns_of_z(z)))[..., : self.rank]

    def paired(self, code: Tensor) -> Tensor:
        return code

    def pairwise(self, a: Tensor, b: Tensor) -> Tensor:
        normal, cells = self._parts(a, b)
        return (normal + self.log_density.take(cells)).sum(-1)

    def _parts(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Return the normal log ratio of each pair of columns, and its place in its histogram.

        The cells of all histograms are counted through.
        """
        rho = against(self.correlations, b)
        rest = 1 - rho**2
        residual = (b - rho * a) / rest.sqrt()
        normal = (b**2 - residual**2 - rest.log()) / 2
        first = torch.arange(rho.numel(), device=rho.device).view(rho.shape) * CELLS**2
        return normal, (first + _cell(a) * CELLS) + _cell(residual)


class MatchedColumns(Copulas):
    """Columns matched one to one, by their correlations and those of their squares."""

    @classmethod
    def most(cls, x: Described, z: Described) -> int:
        return min(MOST_MATCHED, *(side.coordinates.shape[-1] for side in (x, z)))

    def match(self, x: Described, z: Described) -> tuple[Tensor, Tensor, Tensor]:
        a, b = self.columns(x), self.columns(z)
        sides = [(v, EachSample(Standardize()).fit_transform(v**2)) for v in (a, b)]
        found = [(p.mT @ q / p.shape[-2]).abs() for p in sides[0] for q in sides[1]]
        strengths = torch.stack(found).amax(0)
        places = [_matched(strength) for strength in strengths]
        self.x_places, self.z_places = map(torch.stack, zip(*places, strict=True))
        used = torch.ones_like(self.x_places, dtype=torch.bool)
        return _taken(a, self.x_places), _taken(b, self.z_places), used

    def columns(self, side: Described) -> Tensor:
        """Return the columns that are matched, shape ``(*, M, D)``, float64."""
        return side.coordinates

    def columns_of_x(self, x: Described) -> Tensor:
        return _taken(self.columns(x), self.x_places)

    def columns_of_z(self, z: Described) -> Tensor:
        return _taken(self.columns(z), self.z_places)


def _matched(strength: Tensor) -> tuple[Tensor, Tensor]:
    """Return the places of the columns of x and z that are matched one to one, the best first."""
    places = linear_sum_assignment(-strength.cpu().numpy())
    x_places, z_places = (torch.from_numpy(p).to(strength.device) for p in places)
    order = strength[x_places, z_places].argsort(descending=True)[:MOST_MATCHED]
    return x_places[order], z_places[order]


def _taken(columns: Tensor, places: Tensor) -> Tensor:
    """Return the columns ``(*, M, D)`` at places of each sample, ``(*, R)``."""
    chosen = against(places, columns).expand(*columns.shape[:-1], -1)
    return columns.gather(-1, chosen)


class MatchedProducts(MatchedColumns):
    """Columns and products of columns, matched likewise: what only several say together."""

    @classmethod
    def most(cls, x: Described, z: Described) -> int:
        return MOST_MATCHED

    @classmethod
    def suits(cls, x: Described, z: Described) -> bool:
        return "products" in x.kinds or "products" in z.kinds

    def columns(self, side: Described) -> Tensor:
        return side.functions("products") if "products" in side.kinds else side.coordinates


class CommonFunctions(Copulas):
    """The leading canonical variates of functions of each side, see :class:`Described`."""

    @classmethod
    def most(cls, x: Described, z: Described) -> int:
        return MOST_VARIATES

    def functions(self, side: Described) -> Tensor:
        """Return the functions whose variates are paired, shape ``(*, M, F)``, float64."""
        return side.all_functions

    def match(self, x: Described, z: Described) -> tuple[Tensor, Tensor, Tensor]:
        self.x_scale, self.z_scale = EachSample(Standardize()), EachSample(Standardize())
        a = self.x_scale.fit_transform(self.functions(x))
        b = self.z_scale.fit_transform(self.functions(z))
        self.pairs = canonical_pairs(a, b)[:MOST_VARIATES]
        variates = a @ self.pairs.x_directions, b @ self.pairs.z_directions
        return *variates, self.pairs.correlations > 0

    def columns_of_x(self, x: Described) -> Tensor:
        return self.x_scale(self.functions(x)) @ self.pairs.x_directions

    def columns_of_z(self, z: Described) -> Tensor:
        return self.z_scale(self.functions(z)) @ self.pairs.z_directions


class Oscillations(CommonFunctions):
    """Likewise of many cosines of the ranks, for few columns that oscillate fast."""

    @classmethod
    def suits(cls, x: Described, z: Described) -> bool:
        fewest = min(x.coordinates.shape[-1], z.coordinates.shape[-1])
        return HALF_WAVES * fewest <= x.most

    def functions(self, side: Described) -> Tensor:
        if HALF_WAVES * side.coordinates.shape[-1] > side.most:
            return super().functions(side)
        return waves(side.coordinates, range(1, HALF_WAVES + 1))


def _settled(columns: Tensor) -> Tensor:
    """Make values equal that differ by rounding, and whose ranks would be far apart."""
    return columns.round(decimals=DECIMALS)


def _correlations(a: Tensor, b: Tensor) -> Tensor:
    spread = (a.square().mean(-2) * b.square().mean(-2)).sqrt().clamp(min=1e-12)
    return ((a * b).mean(-2) / spread).clamp(-LARGEST, LARGEST)


def _cell(scores: Tensor) -> Tensor:
    halves = torch.erf(scores.float() / math.sqrt(2)) + 1  # in float32: no more than a cell
    return (halves * (CELLS / 2)).long().clamp(0, CELLS - 1)


def histograms(cells: Tensor, pairs: Sequence[int]) -> Tensor:
    """Count the rows in the cells of each pair's unit square, ``(*, CELLS, CELLS)``."""
    counts = torch.bincount(cells.flatten(), minlength=math.prod(pairs) * CELLS**2)
    return counts.view(*pairs, CELLS, CELLS).double()


def smoothed(counts: Tensor, width: float) -> Tensor:
    """Return the log density of smoothed histograms, uniform along the first axis.

    By :func:`kernel`; one row is spread over each strip of the square, so that no density is 0.
    """
    spread = kernel(width, CELLS).to(counts.device)
    density = spread.T @ counts @ spread + 1 / CELLS
    return (CELLS * density / density.sum(-1, keepdim=True)).log()


@lru_cache
def kernel(width: float, cells: int) -> Tensor:
    """Return the weights of a Gaussian kernel, reflected at the edges, shape ``(cells, cells)``."""
    places = torch.arange(cells, dtype=torch.float64)
    images = torch.stack([places, -1 - places, 2 * cells - 1 - places])
    weights = torch.exp(-0.5 * ((places - images.unsqueeze(2)) / width) ** 2).sum(0)
    return weights / weights.sum(0)
