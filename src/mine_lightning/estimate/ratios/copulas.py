"""Closed forms of columns that depend in pairs, one of x and one of z, in any way."""

import math
from functools import lru_cache
from itertools import accumulate
from typing import Self

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from mine_lightning.critics.gaussian import LARGEST, canonical_pairs
from mine_lightning.data.transforms import RankToNormal, Standardize
from mine_lightning.estimate.features import Described
from mine_lightning.estimate.ratios.base import PARTNERS, LogRatio, least, logistic_losses, ranks

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

    rank: int | None = None

    def match(self, x: Described, z: Described) -> None:
        """Find the pairs of columns on training rows, the strongest first."""
        raise NotImplementedError

    def columns_of_x(self, x: Described) -> Tensor:
        """Return the columns of x, shape ``(M, R)``, float64."""
        raise NotImplementedError

    def columns_of_z(self, z: Described) -> Tensor:
        """Return the columns of z that they are paired with, likewise."""
        raise NotImplementedError

    def fit(self, x: Described, z: Described) -> Self:
        self.match(x, z)
        self.x_scores, self.z_scores = RankToNormal(), RankToNormal()
        a = self.x_scores.fit_transform(_settled(self.columns_of_x(x)))
        b = self.z_scores.fit_transform(_settled(self.columns_of_z(z)))
        self.correlations = _correlations(a, b)
        self.counts = histograms(self._parts(a, b)[1], a.shape[1])
        self.log_density = smoothed(self.counts, WIDTHS[-2])
        return super().fit(x, z)

    def confirm(self, x: Described, z: Described) -> Self:
        a, b = self.encode_x(x), self.encode_z(z)
        pairs = (a, b), (a.unsqueeze(1), b[: self.partners(a)])
        parts = [self._parts(*pair) for pair in pairs]
        losses, tried = {}, ranks(a.shape[1])[1:]
        fewest = min(side.coordinates.shape[1] for side in (x, z))
        for width in WIDTHS:
            density = smoothed(self.counts, width).flatten()
            columns = ((normal + density[cells]).unbind(-1) for normal, cells in parts)
            # on CUDA, cumsum varies with the run
            for rank, scores in enumerate(zip(*map(accumulate, columns), strict=True), start=1):
                if rank > fewest and scores[0].mean() > math.log(self.rows):
                    break  # more would be functions of the same columns, each counted again
                if rank in tried:
                    losses[width, rank] = logistic_losses(*scores).mean()
        if losses:  # of equal ones, the smoothest and that of the most pairs
            self._keep(*least(dict(reversed(losses.items()))))
        return self

    def _keep(self, width: float, rank: int) -> None:
        self.log_density = smoothed(self.counts, width)[:rank]
        self.correlations = self.correlations[:rank]
        self.rank = rank

    def partners(self, a: Tensor) -> int:
        return max(5, min(PARTNERS, MOST_PAIRS // max(1, a.numel())))

    def encode_x(self, x: Described) -> Tensor:
        return self.x_scores(_settled(self.columns_of_x(x)))[:, : self.rank]

    def encode_z(self, z: Described) -> Tensor:
        return self.z_scores(_settled(self.columns_of_z(z)))[:, : self.rank]

    def paired(self, code: Tensor) -> Tensor:
        return code

    def pairwise(self, a: Tensor, b: Tensor) -> Tensor:
        normal, cells = self._parts(a, b)
        return (normal + self.log_density.flatten()[cells]).sum(-1)

    def _parts(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Return the normal log ratio of each pair of columns, and its place in its histogram.

        The cells of all histograms are counted through.
        """
        rho = self.correlations
        rest = 1 - rho**2
        residual = (b - rho * a) / rest.sqrt()
        normal = (b**2 - residual**2 - rest.log()) / 2
        first = torch.arange(len(rho), device=rho.device) * CELLS**2
        return normal, (first + _cell(a) * CELLS) + _cell(residual)


class MatchedColumns(Copulas):
    """Columns matched one to one, by their correlations and those of their squares."""

    def match(self, x: Described, z: Described) -> None:
        sides = [(v, Standardize().fit(v**2)(v**2)) for v in map(self.columns, (x, z))]
        found = [(p.T @ q / len(p)).abs() for p in sides[0] for q in sides[1]]
        strength = torch.stack(found).amax(0)
        places = linear_sum_assignment(-strength.cpu().numpy())
        self.x_places, self.z_places = (torch.from_numpy(p).to(strength.device) for p in places)
        order = strength[self.x_places, self.z_places].argsort(descending=True)[:MOST_MATCHED]
        self.x_places, self.z_places = self.x_places[order], self.z_places[order]

    def columns(self, side: Described) -> Tensor:
        """Return the columns that are matched, shape ``(M, D)``, float64."""
        return side.coordinates

    def columns_of_x(self, x: Described) -> Tensor:
        return self.columns(x)[:, self.x_places]

    def columns_of_z(self, z: Described) -> Tensor:
        return self.columns(z)[:, self.z_places]


class MatchedProducts(MatchedColumns):
    """Columns and products of columns, matched likewise: what only several say together."""

    @classmethod
    def suits(cls, x: Described, z: Described) -> bool:
        return "products" in x.kinds or "products" in z.kinds

    def columns(self, side: Described) -> Tensor:
        return side.functions("products") if "products" in side.kinds else side.coordinates


class CommonFunctions(Copulas):
    """The leading canonical variates of functions of each side, see :class:`Described`."""

    def functions(self, side: Described) -> Tensor:
        """Return the functions whose canonical variates are paired, shape ``(M, F)``, float64."""
        return side.all_functions

    def match(self, x: Described, z: Described) -> None:
        a, b = self.functions(x), self.functions(z)
        self.x_scale, self.z_scale = Standardize().fit(a), Standardize().fit(b)
        pairs = canonical_pairs(self.x_scale(a), self.z_scale(b))
        self.pairs = pairs[:MOST_VARIATES]

    def columns_of_x(self, x: Described) -> Tensor:
        return self.x_scale(self.functions(x)) @ self.pairs.x_directions

    def columns_of_z(self, z: Described) -> Tensor:
        return self.z_scale(self.functions(z)) @ self.pairs.z_directions


class Oscillations(CommonFunctions):
    """Likewise of many cosines of the ranks, for few columns that oscillate fast."""

    @classmethod
    def suits(cls, x: Described, z: Described) -> bool:
        fewest = min(x.coordinates.shape[1], z.coordinates.shape[1])
        return HALF_WAVES * fewest <= x.most

    def functions(self, side: Described) -> Tensor:
        if HALF_WAVES * side.coordinates.shape[1] > side.most:
            return super().functions(side)
        phase = math.pi * torch.special.ndtr(side.coordinates)
        return torch.cat([torch.cos(k * phase) for k in range(1, HALF_WAVES + 1)], dim=1)


def _settled(columns: Tensor) -> Tensor:
    """Make values equal that differ by rounding, and whose ranks would be far apart."""
    return columns.round(decimals=DECIMALS)


def _correlations(a: Tensor, b: Tensor) -> Tensor:
    spread = (a.square().mean(0) * b.square().mean(0)).sqrt().clamp(min=1e-12)
    return ((a * b).mean(0) / spread).clamp(-LARGEST, LARGEST)


def _cell(scores: Tensor) -> Tensor:
    halves = torch.erf(scores.float() / math.sqrt(2)) + 1  # in float32: no more than a cell
    return (halves * (CELLS / 2)).long().clamp(0, CELLS - 1)


def histograms(cells: Tensor, pairs: int) -> Tensor:
    """Count the rows in the cells of each pair's unit square, ``(R, CELLS, CELLS)``."""
    counts = torch.bincount(cells.flatten(), minlength=pairs * CELLS**2)
    return counts.view(pairs, CELLS, CELLS).double()


def smoothed(counts: Tensor, width: float) -> Tensor:
    """Return the log density of smoothed histograms, uniform along the first axis.

    By :func:`kernel`; one row is spread over each strip of the square, so that no density is 0.
    """
    spread = kernel(width, CELLS).to(counts.device)
    density = spread.T @ counts @ spread + 1 / CELLS
    return (CELLS * density / density.sum(2, keepdim=True)).log()


@lru_cache
def kernel(width: float, cells: int) -> Tensor:
    """Return the weights of a Gaussian kernel, reflected at the edges, shape ``(cells, cells)``."""
    places = torch.arange(cells, dtype=torch.float64)
    images = torch.stack([places, -1 - places, 2 * cells - 1 - places])
    weights = torch.exp(-0.5 * ((places - images.unsqueeze(2)) / width) ** 2).sum(0)
    return weights / weights.sum(0)
