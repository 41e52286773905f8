r"""What a window of pairs shares by a closed form: nothing is trained, every row is held out.

One closed form is fitted on the even rows of the window and one on the odd rows; each is read on
the rows of the other by InfoNCE, with all N rows of the window as candidates,

.. math::
    \hat I = \frac 1N \sum_i \Bigl(T(x_i, z_i) - \ln \frac 1N \sum_j e^{T(x_i, z_j)}\Bigr)
    \le \ln N,

which is a lower bound whatever the distribution is, and cannot run away.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from mine_lightning.critics.gaussian import all_pairs, canonical_pairs, gaussian_log_ratio
from mine_lightning.monitor.changes import jump, parts, trend
from mine_lightning.objectives.pooling import widest

__all__ = [
    "ClosedForm",
    "HeldOut",
    "NormalScores",
    "Reading",
    "ScoredForm",
    "evenly",
    "follow",
    "hold_out",
]

KNOTS = 1024  # rows that normal scores rest on: they place a rank to a thirtieth
CELLS, END = 512, 8.0  # ln(1 + 2980): beyond so many spreads lies one last cell
LOWEST = 0.5 / KNOTS  # rank, as a share
# Log ratios below count as this much, a share of e^-60 of a candidate: exponentials below e^-87
# take float32 a hundred times as long.
LEAST = -60.0
SAMPLED = 64  # rows of either half whose bound is computed: a third of the time of a refit


def wide(rows: Tensor) -> Tensor:
    """Return rows in float64, where there is that type."""
    return rows.to(widest(rows.device))


def evenly(count: int, most: int, device: torch.device) -> Tensor:
    """Return at most ``most`` evenly spaced indices below ``count``."""
    steps = min(most, count)
    return torch.arange(steps, device=device) * (count - 1) // max(1, steps - 1)


class NormalScores:
    r"""Columns as normal scores of their ranks among given rows: heavy tails are gone.

    The scores stand in a table of 512 cells, even in
    :math:`\operatorname{sgn}(u) \ln(1 + |u|)` of :math:`u = (v - m) / s` with the median m and the
    spread s of a column; a cell has the score of its middle rank.
    :class:`~mine_lightning.RankToNormal` is exact and ten times as slow.

    Args:
        rows: Rows to rank among, shape ``(N, D)``; at most 1,024 of them, evenly spaced, are used.
    """

    def __init__(self, rows: Tensor) -> None:
        ranked = rows[evenly(len(rows), KNOTS, rows.device)].T.contiguous().sort(1).values  # (D, K)
        count = ranked.shape[1]
        low, self.center, high = (ranked[:, int(share * count)] for share in (0.16, 0.5, 0.84))
        spread = torch.where(high > low, high - low, ranked.std(1, correction=0))
        self.spread = spread.clamp(min=torch.finfo(spread.dtype).tiny)
        edges = torch.linspace(-END, END, CELLS + 1, device=rows.device)[1:-1]
        even = self._even(ranked.T).T.contiguous()
        below = torch.searchsorted(even, edges.repeat(rows.shape[1], 1))
        middle = (pad(below, (1, 0)) + pad(below, (0, 1), value=count)) / (2 * count)
        self.scores = torch.special.ndtri(
            middle.clamp(LOWEST, 1 - LOWEST)
        ).flatten()  # (D * CELLS,)
        self.first = CELLS * torch.arange(rows.shape[1], device=rows.device)

    def _even(self, rows: Tensor) -> Tensor:
        away = (rows - self.center) / self.spread
        return away.abs().log1p_().copysign_(away)

    def __call__(self, rows: Tensor) -> Tensor:
        """Return the scores, shape ``(M, D)``."""
        cells = (self._even(rows) + END).mul_(CELLS / (2 * END)).clamp_(0, CELLS - 1).long()
        return self.scores[cells.add_(self.first)]


class ClosedForm:
    r"""The log density ratio of pairs whose canonical variates are jointly normal.

    Args:
        x: Rows to fit on, shape ``(N, D_x)``.
        z: Rows to fit on, shape ``(N, D_z)``.
    """

    def __init__(self, x: Tensor, z: Tensor) -> None:
        x, z = wide(x), wide(z)
        self.x_mean, self.z_mean = x.mean(0), z.mean(0)
        self.pairs = canonical_pairs(x - self.x_mean, z - self.z_mean, weak=True)

    def variates(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return the canonical variates of rows of either side."""
        to_u, to_v = self.pairs.x_directions, self.pairs.z_directions
        return wide(x) @ to_u - self.x_mean @ to_u, wide(z) @ to_v - self.z_mean @ to_v

    def __call__(self, x: Tensor, z: Tensor) -> Tensor:
        """Return the log ratios of every x with every z, shape ``(N, M)``, in nats."""
        scores = all_pairs(*self.variates(x, z), self.pairs.correlations)
        return scores.clamp_(min=LEAST).float()


class ScoredForm(ClosedForm):
    """A closed form of normal scores.

    Args:
        x: Rows to fit on, shape ``(N, D_x)``.
        z: Rows to fit on, shape ``(N, D_z)``.
    """

    def __init__(self, x: Tensor, z: Tensor) -> None:
        self.x_scores, self.z_scores = NormalScores(x), NormalScores(z)
        super().__init__(self.x_scores(x), self.z_scores(z))

    def variates(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return the canonical variates of rows of either side."""
        return super().variates(self.x_scores(x), self.z_scores(z))


class Reading(NamedTuple):
    """A value, its standard error and its ceiling, in nats."""

    value: float = math.nan
    standard_error: float = math.nan
    ceiling: float = math.nan


class Bound(NamedTuple):
    """InfoNCE of all rows, its slope in their log ratios, and the variance of its sampling."""

    value: float
    slope: float
    variance: float


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

    def bound(self) -> Bound:
        """Return InfoNCE by regression of the computed bounds on their rows' log ratios."""
        sampled, bounds = self.ratios[self.sampled], self.shares + math.log(len(self.ratios))
        apart = sampled - sampled.mean()
        slope = float((apart @ bounds / apart.square().sum().clamp(min=1e-12)).clamp(0, 1))
        rest = bounds - slope * sampled
        variance = rest.var() / len(rest) + slope**2 * self.ratios.var() / len(self.ratios)
        return Bound(float(rest.mean() + slope * self.ratios.mean()), slope, float(variance))

    def reading(self) -> Reading:
        r"""Read the bound of the rows, brought up to all of them and up to now.

        Half of the optimism is added, which is what a likelihood's fit on so many rows costs on
        others; and the trend of the rows, which are in order of time. The standard error covers the
        sampling, half of these two, and half of :math:`-\overline{\ln(1 - p)}` with p a row's own
        share, as about so much does the bound miss for want of candidates. A bound below zero reads
        as zero, that of a ratio of 1.
        """
        bound, slope, variance = self.bound()
        ceiling = math.log(len(self.ratios))
        added = slope * self.optimism / 2, slope * trend(parts(self.ratios))
        if not bound + sum(added) > 0:
            return Reading(0.0, self.resolution, ceiling)
        missed = float(-torch.log1p(-self.shares.exp().clamp(max=0.999)).mean())
        value, halves = bound + sum(added), (part / 2 for part in (*added, missed))
        error = math.hypot(math.sqrt(variance), self.resolution, *halves)
        return Reading(value, error, ceiling)


def hold_out(x: Tensor, z: Tensor, start: int = 0) -> HeldOut:
    """Fit on the even and on the odd rows, read each on the others of those from ``start`` on.

    Args:
        x: Rows, shape ``(N, D_x)``.
        z: Rows, shape ``(N, D_z)``.
        start: First row that is read; even.
    """
    x, z = wide(x), wide(z)
    halves = [_half(x, z, start, half) for half in (0, 1)]
    most = 2 * math.log(len(x) - start)  # one outlier of a heavy tail moves no mean
    ratios = torch.stack([half.ratios for half in halves]).clamp(-most, most)  # (2, N)
    parity = torch.arange(ratios.shape[1], device=x.device) % 2
    held, fitted = (ratios.gather(0, which.unsqueeze(0))[0] for which in (parity, 1 - parity))
    return HeldOut(
        held,
        float(fitted.mean() - held.mean()),
        torch.cat([half.sampled for half in halves]),
        torch.cat([half.shares for half in halves]),
        math.sqrt(x.shape[1] * z.shape[1] / 2) / len(held),
    )


class Half(NamedTuple):
    """All log ratios by a closed form of one half, and of some rows of the other their share."""

    ratios: Tensor
    sampled: Tensor
    shares: Tensor


def _half(x: Tensor, z: Tensor, start: int, half: int) -> Half:
    """Fit on one half of the rows, and read those from ``start`` on."""
    form = ClosedForm(x[1 - half :: 2], z[1 - half :: 2])
    u, v = form.variates(x[start:], z[start:])
    correlations = form.pairs.correlations
    own = gaussian_log_ratio(u, v, correlations)
    held = torch.arange(half, len(u), 2, device=x.device)
    sampled = held[evenly(len(held), SAMPLED, x.device)]
    against = all_pairs(u[sampled], v, correlations).sub_(own[sampled].unsqueeze(1))
    shares = -against.clamp_(min=LEAST).float().logsumexp(1)
    return Half(own.float(), sampled, shares)


class Followed(NamedTuple):
    """What the latest rows share.

    Attributes:
        reading: Their reading.
        bound: What the rows say of it, without additions.
        normal: Whether the closed form is that of normal scores, not of values.
        ratios: Log ratio of each row that was read.
        jumped: Whether the mean log ratio jumped, so that earlier rows were not read.
        forget: How many of the first rows the closed form does better without.
    """

    reading: Reading
    bound: Bound
    normal: bool
    ratios: Tensor
    jumped: bool = False
    forget: int = 0


def follow(x: Tensor, z: Tensor, choices: Sequence[bool] = (False, True)) -> Followed:
    """Read the latest rows, as far back as the mean log ratio shows no jump.

    After a jump the closed form is that of all rows or, where it says more, of the rows since.

    Args:
        x: Rows, oldest first, shape ``(N, D_x)``.
        z: Rows, oldest first, shape ``(N, D_z)``.
        choices: Whether normal scores are taken to be normal, or values: the present choice first,
            and where there is one what it is compared with.
    """
    latest = _better(x, z, choices)
    start = jump(latest.ratios)
    if start > 0:
        late = _read(x, z, latest.normal, start)._replace(jumped=True)
        alone = _better(x[start:], z[start:], choices)._replace(jumped=True, forget=start)
        latest = alone if alone.bound.value > late.bound.value else late
    return latest


def _better(x: Tensor, z: Tensor, choices: Sequence[bool]) -> Followed:
    """Return the first reading, or another that says more by a standard error of its sampling."""
    first, *others = (_read(x, z, normal) for normal in choices)
    best = max(others, key=lambda other: other.bound.value, default=first)
    margin = math.sqrt(first.bound.variance)
    return best if best.bound.value > first.bound.value + margin else first


def _read(x: Tensor, z: Tensor, normal: bool, start: int = 0) -> Followed:
    """Read values or normal scores."""
    if normal:
        x, z = NormalScores(x)(x), NormalScores(z)(z)
    held = hold_out(x, z, start)
    return Followed(held.reading(), held.bound(), normal, held.ratios)
