"""Kinds of distributions of pairs, drawn at random, whose mutual information is known.

None is among the 40 tasks of "Beyond Normal", among :mod:`unseen`, or in the tests. A kind takes a
source of randomness and returns a :class:`Case` with parameters, dimensions and a size of effect of
its own. The truth follows from a formula, from maps that keep it, or from the log density ratio.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import digamma, gammaln, i0e, i1e, logsumexp, ndtr, ndtri, xlogy
from scipy.stats import ortho_group, poisson

__all__ = ["KINDS", "Case", "effects"]

Rows = NDArray[np.float64]
Draw = Callable[[int, Generator], tuple[Rows, Rows]]
SIZES = [0.02, 4.0]  # of effects, in nats
MOST_PAIRS, QUADRATURE = 200_000, 1_000


@dataclass
class Case:
    """A distribution of pairs: how to draw them, and the truth or the log ratio."""

    draw: Draw
    truth: float | None = None
    log_ratio: Callable[[Rows, Rows], Rows] | None = None

    @cached_property
    def mutual_information(self) -> float:
        if self.truth is not None:
            return self.truth
        assert self.log_ratio is not None
        return float(self.log_ratio(*self.draw(MOST_PAIRS, np.random.default_rng(99))).mean())

    def mapped(self, f: Callable[[Rows], Rows], g: Callable[[Rows], Rows]) -> "Case":
        """Return the case after an injective map of each side, which keeps the truth."""

        def draw(n: int, rng: Generator) -> tuple[Rows, Rows]:
            x, z = self.draw(n, rng)
            return f(x), g(z)

        return Case(draw, self.mutual_information)


def some(rng: Generator, least: float, most: float) -> int:
    """Return an integer between the two, as often small as large by ratio."""
    return int(np.exp(rng.uniform(np.log(least), np.log(most + 0.99))))


@contextmanager
def effects(least: float, most: float) -> Iterator[None]:
    """Let the kinds that choose their mutual information choose it between these, in nats."""
    before = SIZES[:]
    SIZES[:] = least, most
    try:
        yield
    finally:
        SIZES[:] = before


def effect(rng: Generator, share: float = 1.0) -> float:
    """Return a mutual information in nats: mostly moderate, sometimes weak or strong."""
    least, most = SIZES
    return float(np.exp(rng.uniform(np.log(least), np.log(share * most))))


# Normal pairs, and maps that keep their information ------------------------------------------


def correlations(rng: Generator, d: int, nats: float) -> Rows:
    """Return correlations of d pairs with so many nats together, evenly, or in a few of them."""
    shares = rng.dirichlet(np.full(d, rng.choice([0.2, 1.0, 20.0])))
    return np.sqrt(-np.expm1(-2 * nats * shares))


def normal_pairs(rng: Generator, d: int, nats: float) -> Case:
    rho = correlations(rng, d, nats)

    def draw(n: int, rng: Generator) -> tuple[Rows, Rows]:
        x = rng.normal(size=(n, d))
        return x, rho * x + np.sqrt(1 - rho**2) * rng.normal(size=(n, d))

    return Case(draw, nats)


def linear(rng: Generator, d: int) -> Callable[[Rows], Rows]:
    scale = np.exp(0.5 * rng.normal(size=d))
    matrix = ortho_group.rvs(d, random_state=rng) * scale if d > 1 else scale[None]
    return lambda rows: rows @ matrix


def monotone(rng: Generator) -> Callable[[Rows], Rows]:
    """Return an increasing map of every column: bounded, heavy-tailed, skew or kinked."""
    power, kink = rng.uniform(0.5, 2.5), rng.uniform(0.2, 4)
    maps: list[Callable[[Rows], Rows]] = [
        lambda u: u,
        ndtr,
        lambda u: np.sign(u) * np.abs(u) ** power,
        lambda u: np.exp(0.8 * u),
        lambda u: np.where(u > 0.3, u, 0.3 + kink * (u - 0.3)),
        lambda u: u + 0.9 * np.sin(u),
    ]
    return maps[rng.integers(len(maps))]


def network(rng: Generator, d: int) -> Callable[[Rows], Rows]:
    """Return a random invertible network: rotations and affine couplings, d >= 2."""
    half, layers = d // 2, []
    for _ in range(rng.integers(1, 4)):
        weights = [
            rng.normal(size=s) * c
            for s, c in (((half, 16), half**-0.5), ((16, 2 * (d - half)), 0.25))
        ]
        layers.append((ortho_group.rvs(d, random_state=rng), *weights))
    strength = rng.uniform(0.3, 1.2)

    def apply(rows: Rows) -> Rows:
        for rotation, first, second in layers:
            rows = rows @ rotation
            a, b = rows[:, :half], rows[:, half:]
            scale, shift = np.split(np.tanh(1.5 * a @ first) @ second, 2, axis=1)
            rows = np.hstack([a, b * np.exp(strength * scale) + 2 * strength * shift])
        return rows

    return apply


def rotated(rng: Generator) -> Case:
    d = some(rng, 1, 60)
    return normal_pairs(rng, d, effect(rng)).mapped(linear(rng, d), linear(rng, d))


def columnwise(rng: Generator) -> Case:
    d = some(rng, 1, 40)
    return normal_pairs(rng, d, effect(rng)).mapped(monotone(rng), monotone(rng))


def sources(rng: Generator) -> Case:
    """Linear mixtures of independent sources that are not normal."""
    d = some(rng, 2, 16)
    f, g, a, b = monotone(rng), monotone(rng), linear(rng, d), linear(rng, d)
    return normal_pairs(rng, d, effect(rng)).mapped(lambda u: a(f(u)), lambda v: b(g(v)))


def networks(rng: Generator) -> Case:
    d = some(rng, 2, 32)
    other = network(rng, d) if rng.random() < 0.7 else linear(rng, d)
    return normal_pairs(rng, d, effect(rng)).mapped(network(rng, d), other)


def embedded(rng: Generator) -> Case:
    """Few latent pairs, seen through many smooth functions of them."""
    k = some(rng, 1, 3)
    d = some(rng, 4 * k, 80)

    def view() -> Callable[[Rows], Rows]:
        weights = rng.normal(size=(k, d)) * rng.uniform(0.3, 1.2)
        phases = rng.uniform(0, 2 * np.pi, d)
        return lambda u: np.sin(u @ weights + phases)

    return normal_pairs(rng, k, effect(rng)).mapped(view(), view())


def wide(rng: Generator) -> Case:
    """A few pairs among columns of noise."""
    k, d = some(rng, 1, 4), some(rng, 20, 150)
    case = normal_pairs(rng, k, effect(rng))

    def draw(n: int, rng: Generator) -> tuple[Rows, Rows]:
        x, z = case.draw(n, rng)
        return np.hstack([x, rng.normal(size=(n, d))]), np.hstack([z, rng.normal(size=(n, d // 4))])

    return Case(draw, case.truth)


# Other elliptical laws ---------------------------------------------------------------------


def student(rng: Generator) -> Case:
    """Multivariate t: the normal part, and what the common scale adds."""
    d, df = some(rng, 1, 20), some(rng, 2, 12)
    case = normal_pairs(rng, d, effect(rng, 0.5))
    half = (df + np.array([0, d, d, 2 * d])) / 2
    signs = np.array([1, -1, -1, 1])
    common = float(signs @ (gammaln(half) - half * digamma(half)))

    def draw(n: int, rng: Generator) -> tuple[Rows, Rows]:
        x, z = case.draw(n, rng)
        scale = np.sqrt(df / rng.chisquare(df, (n, 1)))
        return scale * x, scale * z

    assert case.truth is not None
    return Case(draw, case.truth + common)


def volatility(rng: Generator) -> Case:
    """The spread of z follows x."""
    d, slope = some(rng, 1, 4), rng.uniform(0.2, 1.2)

    def draw(n: int, rng: Generator) -> tuple[Rows, Rows]:
        x = rng.normal(size=(n, 1))
        return x, np.exp(slope * x) * rng.normal(size=(n, d))

    points = np.exp(slope * ndtri((np.arange(QUADRATURE) + 0.5) / QUADRATURE))

    def log_ratio(x: Rows, z: Rows) -> Rows:
        radius = (z**2).sum(1)
        own = -0.5 * radius * np.exp(-2 * slope * x[:, 0]) - d * slope * x[:, 0]
        return own - _averaged(radius, lambda r: -0.5 * r / points**2 - d * np.log(points))

    return Case(draw, log_ratio=log_ratio)


def _averaged(values: Rows, log_density: Callable[[Rows], Rows]) -> Rows:
    """Return the log of the mean over a quadrature of densities, in chunks of rows.

    Bounded noise may miss all points, by less than their distance: the nearest counts.
    """
    parts = []
    for chunk in np.array_split(values[:, None], max(1, len(values) // 2_000)):
        each = log_density(chunk)
        most = each.max(1, keepdims=True)
        most[np.isneginf(most)] = 0
        mean = np.exp(each - most).mean(1)
        parts.append(np.log(np.maximum(mean, 1 / each.shape[1])) + most[:, 0])
    return np.concatenate(parts)


# One column given another --------------------------------------------------------------------


def curve(rng: Generator) -> Case:
    """A random smooth function, with noise that is normal, uniform or Laplace."""
    waves, weights = rng.uniform(0.5, 9, 4), rng.normal(size=4) / np.arange(1, 5)
    phases, noise = rng.uniform(0, 2 * np.pi, 4), float(np.exp(rng.uniform(np.log(0.03), 0)))
    law = rng.integers(3)

    def f(x: Rows) -> Rows:
        return np.sin(x[..., None] * waves + phases) @ weights

    def log_noise(rest: Rows) -> Rows:
        scaled = np.abs(rest) / noise
        return [-0.5 * scaled**2, np.where(scaled < 1, 0.0, -np.inf), -scaled][law]

    def draw(n: int, rng: Generator) -> tuple[Rows, Rows]:
        x = rng.uniform(size=n)
        rest = [rng.normal(size=n), rng.uniform(-1, 1, n), rng.laplace(size=n)][law]
        return x[:, None], (f(x) + noise * rest)[:, None]

    points = f((np.arange(QUADRATURE) + 0.5) / QUADRATURE)

    def log_ratio(x: Rows, z: Rows) -> Rows:
        return log_noise(z[:, 0] - f(x[:, 0])) - _averaged(z[:, 0], lambda v: log_noise(v - points))

    return Case(draw, log_ratio=log_ratio)


def interaction(rng: Generator) -> Case:
    """A bounded product of columns, among others that do nothing."""
    k, others, noise = rng.integers(2, 4), some(rng, 1, 8) - 1, rng.uniform(0.2, 1.0)

    def draw(n: int, rng: Generator) -> tuple[Rows, Rows]:
        x = rng.normal(size=(n, k + others))
        return x, product(x)[:, None] + noise * rng.normal(size=(n, 1))

    def product(x: Rows) -> Rows:
        return 2 * np.tanh(x[:, :k].prod(1))

    points = product(np.random.default_rng(7).normal(size=(QUADRATURE, k)))

    def log_ratio(x: Rows, z: Rows) -> Rows:
        own = -0.5 * ((z[:, 0] - product(x)) / noise) ** 2
        return own - _averaged(z[:, 0], lambda v: -0.5 * ((v - points) / noise) ** 2)

    return Case(draw, log_ratio=log_ratio)


def circle(rng: Generator) -> Case:
    """An angle and one near it, around the circle; the radius says nothing."""
    kappa = float(np.exp(rng.uniform(np.log(0.5), np.log(60))))
    twice = int(rng.integers(1, 3))

    def draw(n: int, rng: Generator) -> tuple[Rows, Rows]:
        angle = rng.uniform(0, 2 * np.pi, n)
        near = twice * angle + rng.vonmises(0, kappa, n)
        radii = 1 + 0.3 * rng.uniform(-1, 1, (2, n))
        x, z = (
            r[:, None] * np.column_stack([np.cos(a), np.sin(a)])
            for r, a in zip(radii, (angle, near), strict=True)
        )
        return x, z

    return Case(draw, float(kappa * i1e(kappa) / i0e(kappa) - np.log(i0e(kappa)) - kappa))


def plackett(rng: Generator) -> Case:
    """Copulas of Plackett, a pair of columns each."""
    d, theta = some(rng, 1, 5), float(np.exp(rng.uniform(np.log(1.5), np.log(60))))
    f, g = monotone(rng), monotone(rng)

    def draw(n: int, rng: Generator) -> tuple[Rows, Rows]:
        u, w = rng.uniform(size=(2, n, d))
        a = w * (1 - w)
        b = theta + a * (theta - 1) ** 2
        c = 2 * a * (u * theta**2 + 1 - u) + theta * (1 - 2 * a)
        root = np.sqrt(theta) * np.sqrt(theta + 4 * a * u * (1 - u) * (1 - theta) ** 2)
        return u, (c - (1 - 2 * w) * root) / (2 * b)

    def log_ratio(u: Rows, v: Rows) -> Rows:
        eta = theta - 1
        top = theta * (1 + eta * (u + v - 2 * u * v))
        return (np.log(top) - 1.5 * np.log((1 + eta * (u + v)) ** 2 - 4 * theta * eta * u * v)).sum(
            1
        )

    def scored(h: Callable[[Rows], Rows]) -> Callable[[Rows], Rows]:
        return lambda u: h(ndtri(np.clip(u, 1e-12, 1 - 1e-12)))

    return Case(draw, log_ratio=log_ratio).mapped(scored(f), scored(g))


# Mixtures ------------------------------------------------------------------------------------


def mixture(rng: Generator) -> Case:
    """Normal regimes in the joint space."""
    dx, dz, k = some(rng, 1, 8), some(rng, 1, 8), rng.integers(2, 6)
    weights, d = rng.dirichlet(np.full(k, 3.0)), dx + dz
    means = rng.normal(size=(k, d)) * rng.uniform(0, 2.5)
    factors = np.linalg.qr(rng.normal(size=(k, d, d)))[0] * np.exp(0.6 * rng.normal(size=(k, 1, d)))
    covariances = factors @ factors.transpose(0, 2, 1)

    def draw(n: int, rng: Generator) -> tuple[Rows, Rows]:
        regime = rng.choice(k, n, p=weights)
        rows = means[regime] + np.einsum("nij,nj->ni", factors[regime], rng.normal(size=(n, d)))
        return rows[:, :dx], rows[:, dx:]

    def log_density(rows: Rows, chosen: slice) -> Rows:
        parts = []
        for weight, mean, covariance in zip(weights, means, covariances, strict=True):
            lower = np.linalg.cholesky(covariance[chosen, chosen])
            scaled = np.linalg.solve(lower, (rows - mean[chosen]).T)
            parts.append(np.log(weight) - 0.5 * (scaled**2).sum(0) - np.log(np.diag(lower)).sum())
        return logsumexp(parts, axis=0)

    def log_ratio(x: Rows, z: Rows) -> Rows:
        both = log_density(np.hstack([x, z]), slice(None))
        return both - log_density(x, slice(dx)) - log_density(z, slice(dx, None))

    return Case(draw, log_ratio=log_ratio)


def labels(rng: Generator) -> Case:
    """A label, and values around a centre of its own."""
    k, d = some(rng, 2, 12), some(rng, 1, 30)
    centres = rng.normal(size=(k, d)) * rng.uniform(0.2, 2) / math.sqrt(d) ** 0.7
    scales = np.exp(0.3 * rng.normal(size=(k, 1)))

    def draw(n: int, rng: Generator) -> tuple[Rows, Rows]:
        label = rng.integers(0, k, n)
        return label, centres[label] + scales[label] * rng.normal(size=(n, d))

    def log_ratio(label: Rows, z: Rows) -> Rows:
        each = np.array(
            [
                -0.5 * ((z - c) ** 2).sum(1) / s**2 - d * np.log(s)
                for c, s in zip(centres, scales[:, 0], strict=True)
            ]
        )
        return each[label, np.arange(len(z))] - logsumexp(each, axis=0) + math.log(k)

    return Case(draw, log_ratio=log_ratio)


def constellation(rng: Generator) -> Case:
    """A number of few levels, sent through noise."""
    levels, noise = some(rng, 2, 16), float(np.exp(rng.uniform(np.log(0.1), np.log(2))))
    places = np.arange(levels) - (levels - 1) / 2

    def draw(n: int, rng: Generator) -> tuple[Rows, Rows]:
        sent = places[rng.integers(0, levels, n)]
        return sent[:, None], (sent + noise * rng.normal(size=n))[:, None]

    def log_ratio(x: Rows, z: Rows) -> Rows:
        each = -0.5 * ((z - places) / noise) ** 2
        return -0.5 * ((z - x) / noise)[:, 0] ** 2 - logsumexp(each, axis=1) + math.log(levels)

    return Case(draw, log_ratio=log_ratio)


# Counts, tables, zeros -----------------------------------------------------------------------


def table(rng: Generator, joint: Rows) -> Case:
    """A joint distribution of two numbers of few values."""
    joint = joint / joint.sum()
    apart = joint.sum(1, keepdims=True) * joint.sum(0)
    truth = float(xlogy(joint, np.where(joint > 0, joint, 1) / np.where(apart > 0, apart, 1)).sum())

    def draw(n: int, rng: Generator) -> tuple[Rows, Rows]:
        i, j = np.divmod(rng.choice(joint.size, n, p=joint.ravel()), joint.shape[1])
        return i, j

    return Case(draw, truth)


def channel(rng: Generator) -> Case:
    rows, columns = some(rng, 2, 12), some(rng, 2, 12)
    joint = rng.dirichlet(np.full(columns, rng.choice([0.3, 1.0, 4.0])), rows)
    return table(rng, joint * rng.dirichlet(np.full(rows, 3.0))[:, None])


def common_counts(rng: Generator) -> Case:
    """Counts that share a part: a + c and b + c, Poisson."""
    a, b, c = np.exp(rng.uniform(np.log(0.3), np.log(6), 3))
    i, j, k = np.ogrid[:40, :40, :40]
    shared = poisson.pmf(k, c) * poisson.pmf(i - k, a) * poisson.pmf(j - k, b)
    case = table(rng, shared.sum(2))

    def draw(n: int, rng: Generator) -> tuple[Rows, Rows]:
        x, z = case.draw(n, rng)
        return x[:, None].astype(float), z[:, None].astype(float)

    return Case(draw, case.truth)


def amounts(rng: Generator) -> Case:
    """Amounts that are often 0, together or not, and depend on each other where neither is."""
    p, q, nats = *rng.uniform(0.3, 0.9, 2), effect(rng, 0.375)
    together = rng.uniform(max(0, p + q - 1), min(p, q))
    joint = np.array([[1 - p - q + together, q - together], [p - together, together]])
    zeros, values = table(rng, joint), normal_pairs(rng, 1, nats)

    def draw(n: int, rng: Generator) -> tuple[Rows, Rows]:
        (i, j), (u, v) = zeros.draw(n, rng), values.draw(n, rng)
        return i[:, None] * np.exp(u), j[:, None] * np.exp(v)

    assert zeros.truth is not None
    return Case(draw, zeros.truth + together * nats)


def independent(rng: Generator) -> Case:
    """Any of the others, with z from another draw."""
    others = [kind for kind in KINDS.values() if kind is not independent]
    case = others[rng.integers(len(others))](rng)

    def draw(n: int, rng: Generator) -> tuple[Rows, Rows]:
        return case.draw(n, rng)[0], case.draw(n, rng)[1]

    return Case(draw, 0.0)


KINDS: dict[str, Callable[[Generator], Case]] = {
    kind.__name__: kind
    for kind in (
        rotated,
        columnwise,
        sources,
        networks,
        embedded,
        wide,
        student,
        volatility,
        curve,
        interaction,
        circle,
        plackett,
        mixture,
        labels,
        constellation,
        channel,
        common_counts,
        amounts,
        independent,
    )
}
