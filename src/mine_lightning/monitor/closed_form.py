r"""What a window of pairs shares by a closed form: nothing is trained, every row is held out.

One closed form is fitted on the even rows of the window and one on the odd rows; each is read on
the rows of the other by InfoNCE, with all N rows of the window as candidates,

.. math::
    \hat I = \frac 1N \sum_i \Bigl(T(x_i, z_i) - \ln \frac 1N \sum_j e^{T(x_i, z_j)}\Bigr)
    \le \ln N,

which is a lower bound whatever the distribution is, and cannot run away.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from mine_lightning.critics.gaussian import all_pairs, canonical_pairs, gaussian_log_ratio
from mine_lightning.monitor.changes import jump, parts, trend
from mine_lightning.objectives.pooling import widest

__all__ = ["ClosedForm", "HeldOut", "NormalScores", "Reading", "evenly", "follow", "hold_out"]

KNOTS = 1024  # rows that normal scores rest on: they place a rank to a thirtieth
CELLS, END = 512, 8.0  # arsinh(1490): beyond so many spreads lies one last cell
LOWEST = 0.5 / KNOTS  # rank, as a share
SAMPLED = 128  # rows of either half whose bound is computed: a third of the time of a refit


def evenly(count: int, most: int, device: torch.device) -> Tensor:
    """Return at most ``most`` evenly spaced indices below ``count``."""
    steps = min(most, count)
    return torch.arange(steps, device=device) * (count - 1) // max(1, steps - 1)


class NormalScores:
    r"""Columns as normal scores of their ranks among given rows: heavy tails are gone.

    The scores stand in a table of 512 cells, even in :math:`\operatorname{arsinh}((v - m) / s)`
    with the median m and the spread s of a column; a cell has the score of its middle rank.
    :class:`~mine_lightning.RankToNormal` is exact and ten times as slow.

    Args:
        rows: Rows to rank among, shape ``(N, D)``; at most 1,024 of them, evenly spaced, are used.
    """

    def __init__(self, rows: Tensor) -> None:
        ranked = rows[evenly(len(rows), KNOTS, rows.device)].sort(0).values  # (K, D)
        low, self.center, high = (ranked[int(share * len(ranked))] for share in (0.16, 0.5, 0.84))
        spread = torch.where(high > low, high - low, ranked.std(0, correction=0))
        self.spread = spread.clamp(min=torch.finfo(spread.dtype).tiny)
        edges = torch.linspace(-END, END, CELLS + 1, device=rows.device)[1:-1]
        below = torch.searchsorted(
            self._even(ranked).T.contiguous(), edges.repeat(rows.shape[1], 1)
        )
        middle = (pad(below, (1, 0)) + pad(below, (0, 1), value=len(ranked))) / (2 * len(ranked))
        self.scores = torch.special.ndtri(
            middle.clamp(LOWEST, 1 - LOWEST)
        ).flatten()  # (D * CELLS,)
        self.first = CELLS * torch.arange(rows.shape[1], device=rows.device)

    def _even(self, rows: Tensor) -> Tensor:
        return torch.asinh((rows - self.center) / self.spread)

    def __call__(self, rows: Tensor) -> Tensor:
        """Return the scores, shape ``(M, D)``."""
        cells = (self._even(rows) + END).mul_(CELLS / (2 * END)).clamp_(0, CELLS - 1).long()
        return self.scores[cells.add_(self.first)]


class ClosedForm:
    r"""The log density ratio of pairs whose canonical variates are jointly normal.

    Args:
        x: Rows to fit on, shape ``(N, D_x)``.
        z: Rows to fit on, shape ``(N, D_z)``.
        normal: Whether normal scores of the values are taken to be normal, or the values.
    """

    def __init__(self, x: Tensor, z: Tensor, normal: bool = False) -> None:
        self.views = (NormalScores(x), NormalScores(z)) if normal else None
        x, z = self._seen(x, z)
        self.x_mean, self.z_mean = x.mean(0), z.mean(0)
        self.pairs = canonical_pairs(x - self.x_mean, z - self.z_mean, weak=True)

    def _seen(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        if self.views is not None:
            x, z = self.views[0](x), self.views[1](z)
        return x.to(widest(x.device)), z.to(widest(z.device))

    def variates(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return the canonical variates of rows of either side."""
        x, z = self._seen(x, z)
        pairs = self.pairs
        return (x - self.x_mean) @ pairs.x_directions, (z - self.z_mean) @ pairs.z_directions

    def __call__(self, x: Tensor, z: Tensor) -> Tensor:
        """Return the log ratios of every x with every z, shape ``(N, M)``, in nats."""
        return all_pairs(*self.variates(x, z), self.pairs.correlations).float()


class Reading(NamedTuple):
    """A value, its standard error and its ceiling, in nats."""

    value: float = math.nan
    standard_error: float = math.nan
    ceiling: float = math.nan


class HeldOut(NamedTuple):
    r"""What closed forms fitted on half of the rows say about the others.

    Attributes:
        ratios: Log ratio of every row, between :math:`\pm 2 \ln N`, shape ``(N,)``.
        optimism: By how much the mean log ratio of the rows of the fit is larger.
        sampled: Which rows' bounds were computed, shape ``(M,)``.
        shares: Logarithm of the share of a row's own pair among all candidates, shape ``(M,)``.
        resolution: Standard error of the closed form where nothing is shared.
    """

    ratios: Tensor
    optimism: float
    sampled: Tensor
    shares: Tensor
    resolution: float

    def reading(self) -> Reading:
        r"""Read InfoNCE, of all rows by regression of the computed bounds on their log ratios.

        Half of the optimism is added, which is what a likelihood's fit on so many rows costs on
        others; and the trend of the rows, which are in order of time. The standard error covers the
        sampling, half of these two, and half of :math:`-\overline{\ln(1 - p)}` with p a row's own
        share: about so much does the bound miss for want of candidates. A bound below zero reads as
        zero, that of a ratio of 1.
        """
        rows = len(self.ratios)
        sampled, bounds = self.ratios[self.sampled], self.shares + math.log(rows)
        apart = sampled - sampled.mean()
        slope = float((apart @ bounds / apart.square().sum().clamp(min=1e-12)).clamp(0, 1))
        rest = bounds - slope * sampled
        sampling = float(rest.var() / len(rest) + slope**2 * self.ratios.var() / rows)
        added = slope * self.optimism / 2, slope * trend(parts(self.ratios))
        value = float(rest.mean() + slope * self.ratios.mean()) + sum(added)
        if not value > 0:
            return Reading(0.0, self.resolution, math.log(rows))
        missed = float(-torch.log1p(-self.shares.exp().clamp(max=0.999)).mean())
        halves = (part / 2 for part in (*added, missed))
        return Reading(
            value, math.hypot(math.sqrt(sampling), self.resolution, *halves), math.log(rows)
        )


def hold_out(x: Tensor, z: Tensor, start: int = 0) -> HeldOut:
    """Fit on the even and on the odd rows, read each on the others of those from ``start`` on.

    Args:
        x: Rows, shape ``(N, D_x)``.
        z: Rows, shape ``(N, D_z)``.
        start: First row that is read; even.
    """
    halves = [_half(x, z, start, half) for half in (0, 1)]
    most = 2 * math.log(len(x) - start)  # one outlier of a heavy tail moves no mean
    ratios = torch.stack([ratios for ratios, *_ in halves]).clamp(-most, most)  # (2, N)
    parity = torch.arange(ratios.shape[1], device=x.device) % 2
    held, fitted = (ratios.gather(0, which.unsqueeze(0))[0] for which in (parity, 1 - parity))
    sampled, shares = (torch.cat(both) for both in zip(*(p[1:] for p in halves), strict=True))
    resolution = math.sqrt(x.shape[1] * z.shape[1] / 2) / len(held)
    return HeldOut(held, float(fitted.mean() - held.mean()), sampled, shares, resolution)


def _half(x: Tensor, z: Tensor, start: int, half: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return all log ratios, and of some rows of one half which they are and their own share."""
    form = ClosedForm(x[1 - half :: 2], z[1 - half :: 2])
    u, v = form.variates(x[start:], z[start:])
    correlations = form.pairs.correlations
    own = gaussian_log_ratio(u, v, correlations)
    held = torch.arange(half, len(u), 2, device=x.device)
    sampled = held[evenly(len(held), SAMPLED, x.device)]
    against = all_pairs(u[sampled], v, correlations).sub_(own[sampled].unsqueeze(1))
    return own.float(), sampled, -against.float().logsumexp(1)


class Followed(NamedTuple):
    """What the latest rows share.

    Attributes:
        reading: Their reading.
        normal: Whether the closed form is that of normal scores, not of values.
        ratios: Log ratio of each row that was read.
        jumped: Whether the mean log ratio jumped, so that earlier rows were not read.
        forget: How many of the first rows the closed form does better without.
    """

    reading: Reading
    normal: bool
    ratios: Tensor
    jumped: bool = False
    forget: int = 0


def follow(x: Tensor, z: Tensor) -> Followed:
    """Read the latest rows, as far back as the mean log ratio shows no jump.

    After a jump the closed form is that of all rows or, where it says more, of the rows since.

    Args:
        x: Rows, oldest first, shape ``(N, D_x)``.
        z: Rows, oldest first, shape ``(N, D_z)``.
    """
    latest = _better(x, z)
    start = jump(latest.ratios)
    if start > 0:
        late = _read(x, z, latest.normal, start)._replace(jumped=True)
        alone = _better(x[start:], z[start:])._replace(jumped=True, forget=start)
        latest = alone if alone.reading.value > late.reading.value else late
    return latest


def _better(x: Tensor, z: Tensor) -> Followed:
    """Read values and normal scores, and return what says more."""
    both = [_read(x, z, normal) for normal in (False, True)]
    return max(both, key=lambda followed: followed.reading.value)


def _read(x: Tensor, z: Tensor, normal: bool, start: int = 0) -> Followed:
    """Read values or normal scores."""
    if normal:
        x, z = NormalScores(x)(x), NormalScores(z)(z)
    held = hold_out(x, z, start)
    return Followed(held.reading(), normal, held.ratios)
