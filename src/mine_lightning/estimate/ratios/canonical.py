"""Closed forms that are normal after a transform of each side, by canonical correlations."""

import warnings
from typing import Self

import torch
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

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

__all__ = ["Canonical", "DirectionAndRadius", "IndependentComponents", "NormalScores", "Values"]

STEPS, TOLERANCE = 40, 1e-3  # of FastICA
MOST_COLUMNS, ROWS_PER_COLUMN = 80, 20  # of a side whose components are looked for


class Side:
    """Turn rows of one side into columns whose joint distribution is taken to be normal."""

    def fit(self, rows: Described) -> Tensor:
        """Fit on training rows, and return their columns."""
        return self(rows)

    def __call__(self, rows: Described) -> Tensor:
        """Return the columns, shape ``(M, C)``, float64."""
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
        self.x_scale, self.z_scale = Standardize().fit(a), Standardize().fit(b)
        self.pairs = canonical_pairs(self.x_scale(a), self.z_scale(b))
        return super().fit(x, z)

    def confirm(self, x: Described, z: Described) -> Self:
        a, b, rho = self.encode_x(x), self.encode_z(z), self.pairs.correlations
        few = b[:PARTNERS]
        losses = {
            rank: logistic_losses(
                gaussian_log_ratio(a[:, :rank], b[:, :rank], rho[:rank]),
                all_pairs(a[:, :rank], few[:, :rank], rho[:rank]),
            ).mean()
            for rank in ranks(len(rho))
        }
        self.pairs = self.pairs[: least(losses)]
        return self._without_repeats(a, b)

    def _without_repeats(self, a: Tensor, b: Tensor) -> Self:
        r"""Use fewer pairs where a large ratio counts some twice, as pairs drawn apart tell.

        Whatever T is, :math:`\mathbb E[T] - \ln Z` is a lower bound on what the sides share, see
        :func:`~mine_lightning.estimate.ratios.base.log_partition`. As many pairs are used as bring
        the mean of T nearest to the largest of the bounds.
        """
        a, b, rho = a[:MOST_APART], b[:MOST_APART], self.pairs.correlations
        means: dict[int, float] = {}
        bounds: list[float] = []
        for rank in reversed(ranks(len(rho))):
            u, v = a[:, :rank], b[:, :rank]
            mean = gaussian_log_ratio(u, v, rho[:rank]).mean().item()
            if mean < LARGE:
                break
            means[rank] = mean
            bounds.append(mean - (excess := log_partition(all_pairs(u, v, rho[:rank]))))
            if excess == 0:
                break
        if bounds:
            most = max(bounds)
            self.pairs = self.pairs[: min(means, key=lambda rank: abs(means[rank] - most))]
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
        return gaussian_log_ratio(a, b, self.pairs.correlations)

    def crosswise(self, a: Tensor, b: Tensor) -> Tensor:
        return all_pairs(a, b, self.pairs.correlations)


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
        rows, most = x.values.shape[0], max(x.values.shape[1], z.values.shape[1])
        vary = all(bool((side.values != side.values[0]).any()) for side in (x, z))
        return vary and 2 <= most <= min(MOST_COLUMNS, rows / ROWS_PER_COLUMN)


class _Components(Side):
    def fit(self, rows: Described) -> Tensor:
        whitened = rows.values @ (
            white := whitening(rows.values.T @ rows.values / len(rows.values))
        )
        ica = FastICA(whiten=False, max_iter=STEPS, tol=TOLERANCE, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            ica.fit(whitened.float().cpu().numpy())
        self.unmixing = white @ torch.from_numpy(ica.components_).to(white).T
        self.scores = RankToNormal()
        return self.scores.fit_transform(rows.values @ self.unmixing)

    def __call__(self, rows: Described) -> Tensor:
        return self.scores(rows.values @ self.unmixing)


class DirectionAndRadius(Canonical):
    r"""Elliptical distributions: the normal scores of :math:`x / |x|`, and those of :math:`|x|`."""

    def __init__(self) -> None:
        super().__init__(_Polar(), _Polar())

    @classmethod
    def suits(cls, x: Described, z: Described) -> bool:
        return min(x.values.shape[1], z.values.shape[1]) >= 2


class _Polar(Side):
    def fit(self, rows: Described) -> Tensor:
        self.scores = RankToNormal()
        return self.scores.fit_transform(self._polar(rows))

    def __call__(self, rows: Described) -> Tensor:
        return self.scores(self._polar(rows))

    def _polar(self, rows: Described) -> Tensor:
        radius = rows.scaled.norm(dim=1, keepdim=True)
        return torch.cat([rows.scaled / radius.clamp(min=1e-300), radius], dim=1)
