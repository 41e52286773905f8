"""Closed forms that are normal after a transform of each side, by canonical correlations."""

import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Self

import torch
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor
from torch.nn.functional import pad

from mine_lightning.critics.gaussian import (
    all_pairs,
    canonical_pairs,
    gaussian_log_ratio,
    whitening,
)
from mine_lightning.data.transforms import RankToNormal, Standardize
from mine_lightning.estimate.features import Described
from mine_lightning.estimate.ratios.base import (
    LARGE,
    MOST_APART,
    PARTNERS,
    LogRatio,
    least,
    log_partition,
    logistic_losses,
    ranks,
)
from mine_lightning.estimate.ratios.samples import EachSample, PerSample, against

__all__ = ["Canonical", "DirectionAndRadius", "IndependentComponents", "NormalScores", "Values"]

STEPS, TOLERANCE = 40, 1e-3  # of FastICA
MOST_COLUMNS, ROWS_PER_COLUMN = 80, 20  # of a side whose components are looked for


class Side(PerSample):
    """Turn rows of one side into columns whose joint distribution is taken to be normal."""

    def fit(self, rows: Described) -> Tensor:
        """Fit on the training rows of S samples, and return their columns, ``(S, N, C)``."""
        return self(rows)

    def __call__(self, rows: Described) -> Tensor:
        """Return the columns, shape ``(*, M, C)``, float64."""
        raise NotImplementedError


class Canonical(LogRatio):
    r"""The log ratio of jointly normal columns, by their canonical correlations.

    The number of canonical pairs that are used is chosen on validation rows, from the first on: in
    the span of many functions of one variable, pairs beyond the first repeat it.

    Args:
        x_side: The columns of x.
        z_side: The columns of z.
    """

    def __init__(self, x_side: Side, z_side: Side) -> None:
        self.x_side, self.z_side = x_side, z_side

    def fit(self, x: Described, z: Described) -> Self:
        a, b = self.x_side.fit(x), self.z_side.fit(z)
        self.x_scale, self.z_scale = EachSample(Standardize()), EachSample(Standardize())
        a, b = self.x_scale.fit_transform(a), self.z_scale.fit_transform(b)
        self.pairs = canonical_pairs(a, b)
        return super().fit(x, z)

    def confirm(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        rho, few = self.pairs.correlations, b[..., :PARTNERS, :]
        losses = {
            rank: logistic_losses(
                gaussian_log_ratio(*_first(rank, a, b, against(rho, a))),
                all_pairs(*_first(rank, a, few, rho)),
            ).mean(-1)
            for rank in ranks(rho.shape[-1])
        }
        tried, best = least(losses)
        self._keep(best.new_tensor(tried)[best])
        self._leave_out_repeats(a[..., :MOST_APART, :], b[..., :MOST_APART, :])
        return a, b

    def _keep(self, counts: Tensor) -> None:
        """Use so many of the pairs of each sample, shape ``(S,)``."""
        rho = self.pairs.correlations
        used = torch.arange(rho.shape[-1], device=rho.device) < counts.unsqueeze(-1)
        self.pairs = replace(self.pairs, correlations=torch.where(used, rho, 0))

    def _leave_out_repeats(self, a: Tensor, b: Tensor) -> None:
        """Use fewer pairs where a large ratio counts some twice, see :func:`told_apart`."""
        rho = self.pairs.correlations
        counts = (rho > 0).sum(-1)
        means = gaussian_log_ratio(a, b, against(rho, a)).mean(-1)
        for place in (means >= LARGE).nonzero().flatten().tolist():
            counts[place] = told_apart(*_first(int(counts[place]), a[place], b[place], rho[place]))
        self._keep(counts)

    def trimmed(self) -> Self:
        self.pairs = self.pairs[: self.pairs.count]
        return self

    @property
    def correlations(self) -> Tensor:  # type: ignore[override]
        """Those of the canonical variates."""
        return self.pairs.correlations

    def encode_x(self, x: Described) -> Tensor:
        return self.x_scale(self.x_side(x)) @ self.pairs.x_directions

    def encode_z(self, z: Described) -> Tensor:
        return self.z_scale(self.z_side(z)) @ self.pairs.z_directions

    def paired(self, code: Tensor) -> Tensor:
        return code

    def pairwise(self, a: Tensor, b: Tensor) -> Tensor:
        return gaussian_log_ratio(a, b, against(self.pairs.correlations, a))

    def crosswise(self, a: Tensor, b: Tensor) -> Tensor:
        return all_pairs(a, b, self.pairs.correlations)


def _first(rank: int, *columns: Tensor) -> Iterator[Tensor]:
    return (part[..., :rank] for part in columns)


def told_apart(a: Tensor, b: Tensor, rho: Tensor) -> int:
    r"""Return how many pairs of variates are no functions of the others, as pairs drawn apart tell.

    Whatever T is, :math:`\mathbb E[T] - \ln Z` is a lower bound on what the sides share, see
    :func:`~mine_lightning.estimate.ratios.base.log_partition`. It is as many as bring the mean of T
    nearest to the largest of the bounds, or all.

    Args:
        a: Variates of x, shape ``(N, R)``.
        b: Variates of z, likewise.
        rho: Their correlations, shape ``(R,)``.
    """
    means: dict[int, float] = {}
    bounds: list[float] = []
    for rank in reversed(ranks(len(rho))):
        u, v, strengths = _first(rank, a, b, rho)
        mean = gaussian_log_ratio(u, v, strengths).mean().item()
        if mean < LARGE:
            break
        means[rank] = mean
        bounds.append(mean - (excess := log_partition(all_pairs(u, v, strengths))))
        if excess == 0:
            break
    most = max(bounds, default=0.0)
    return min(means, key=lambda rank: abs(means[rank] - most), default=len(rho))


class NormalScores(Canonical):
    """Columns that are jointly normal once each is mapped to the normal scores of its ranks."""

    def __init__(self) -> None:
        super().__init__(_Coordinates(), _Coordinates())


class _Coordinates(Side):
    def __call__(self, rows: Described) -> Tensor:
        return rows.coordinates


class Values(Canonical):
    """Columns that are jointly normal as they are: where ranks lose resolution."""

    def __init__(self) -> None:
        super().__init__(_Values(), _Values())


class _Values(Side):
    def __call__(self, rows: Described) -> Tensor:
        return rows.values


class IndependentComponents(Canonical):
    """Linear mixtures of independent sources, whose normal scores are jointly normal.

    References:
        Hyvärinen and Oja, "Independent Component Analysis: Algorithms and Applications", 2000.
    """

    def __init__(self) -> None:
        super().__init__(_Components(), _Components())

    @classmethod
    def suits(cls, x: Described, z: Described) -> bool:
        rows, most = x.values.shape[-2], max(x.values.shape[-1], z.values.shape[-1])
        return 2 <= most <= min(MOST_COLUMNS, rows / ROWS_PER_COLUMN)


class _Components(Side):
    def fit(self, rows: Described) -> Tensor:
        self.unmixing = torch.stack([unmixing(sample) for sample in rows.values])
        self.scores = EachSample(RankToNormal())
        return self.scores.fit_transform(rows.values @ self.unmixing)

    def __call__(self, rows: Described) -> Tensor:
        return self.scores(rows.values @ self.unmixing)


def unmixing(values: Tensor) -> Tensor:
    """Return directions along which standardised rows ``(N, D)`` are independent, ``(D, D)``.

    In the place of a direction without variance are zeros.
    """
    white = whitening(values.T @ values / len(values))
    varying = white[:, white.any(0)]
    if varying.shape[1] == 0:
        return white
    ica = FastICA(whiten=False, max_iter=STEPS, tol=TOLERANCE, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        ica.fit((values @ varying).float().cpu().numpy())
    found = varying @ torch.from_numpy(ica.components_).to(white).T
    return pad(found, (0, white.shape[1] - found.shape[1]))


class DirectionAndRadius(Canonical):
    r"""Elliptical distributions: the normal scores of :math:`x / |x|`, and those of :math:`|x|`."""

    def __init__(self) -> None:
        super().__init__(_Polar(), _Polar())

    @classmethod
    def suits(cls, x: Described, z: Described) -> bool:
        return min(x.values.shape[-1], z.values.shape[-1]) >= 2


class _Polar(Side):
    def fit(self, rows: Described) -> Tensor:
        self.scores = EachSample(RankToNormal())
        return self.scores.fit_transform(self._polar(rows))

    def __call__(self, rows: Described) -> Tensor:
        return self.scores(self._polar(rows))

    def _polar(self, rows: Described) -> Tensor:
        radius = rows.scaled.norm(dim=-1, keepdim=True)
        return torch.cat([rows.scaled / radius.clamp(min=1e-300), radius], dim=-1)
