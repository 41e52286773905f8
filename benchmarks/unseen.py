r"""Distributions that are not among the 40 of "Beyond Normal", with their mutual information.

Where there is no closed form, the log density ratio is known and averaged over two million pairs.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import digamma, gammaln, logsumexp, ndtr, xlogy

__all__ = ["UNSEEN", "Unseen"]

Rows = NDArray[np.float64]
Draw = Callable[[int, Generator], tuple[Rows, Rows]]


@dataclass
class Unseen:
    """A distribution of pairs: how to draw them, and the truth or the log ratio."""

    draw: Draw
    truth: float | None = None
    log_ratio: Callable[[Rows, Rows], Rows] | None = None

    @cached_property
    def mutual_information(self) -> float:
        if self.truth is not None:
            return self.truth
        assert self.log_ratio is not None
        rng = np.random.default_rng(99)
        return float(np.mean([self.log_ratio(*self.draw(200_000, rng)).mean() for _ in range(10)]))


def normal(rows: Rows, scale: float | Rows) -> Rows:
    """Return the log density of independent normal columns, up to the constant of 2 pi."""
    scale = np.broadcast_to(scale, rows.shape[-1:])
    return (-0.5 * (rows / scale) ** 2 - np.log(scale)).sum(-1)


def sine(n: int, rng: Generator) -> tuple[Rows, Rows]:
    x = rng.uniform(size=(n, 1))
    return x, np.sin(8 * np.pi * x) + 0.3 * rng.normal(size=(n, 1))


def sine_ratio(x: Rows, z: Rows) -> Rows:
    phases = np.sin(2 * np.pi * (np.arange(200) + 0.5) / 200)
    marginal = logsumexp([normal(z - phase, 0.3) for phase in phases], axis=0) - math.log(200)
    return normal(z - np.sin(8 * np.pi * x), 0.3) - marginal


def checkerboard(n: int, rng: Generator) -> tuple[Rows, Rows]:
    i = rng.integers(0, 4, (n, 1))
    j = 2 * rng.integers(0, 2, (n, 1)) + i % 2
    return i + rng.uniform(size=(n, 1)), j + rng.uniform(size=(n, 1))


def additive(n: int, rng: Generator) -> tuple[Rows, Rows]:
    x = rng.uniform(size=(n, 3))
    return x, x + rng.uniform(-0.3, 0.3, (n, 3))


def sign(n: int, rng: Generator) -> tuple[Rows, Rows]:
    x, side = rng.normal(size=(n, 5)), rng.choice([-1, 1], (n, 1))
    return x, 0.7 * side * x + math.sqrt(0.51) * rng.normal(size=(n, 5))


def sign_ratio(x: Rows, z: Rows) -> Rows:
    sides = [normal(z - side * 0.7 * x, math.sqrt(0.51)) for side in (-1, 1)]
    return np.logaddexp(*sides) - math.log(2) - normal(z, 1.0)


def cross(n: int, rng: Generator) -> tuple[Rows, Rows]:
    x = rng.normal(size=(n, 1))
    return x, rng.choice([-1, 1], (n, 1)) * x + 0.2 * rng.normal(size=(n, 1))


def cross_ratio(x: Rows, z: Rows) -> Rows:
    sides = [normal(z - side * x, 0.2) for side in (-1, 1)]
    return np.logaddexp(*sides) - math.log(2) - normal(z, math.sqrt(1.04))


def gamma_exponential(n: int, rng: Generator) -> tuple[Rows, Rows]:
    x = rng.gamma(0.7, size=(n, 1))
    return x, rng.exponential(size=(n, 1)) / x


SCALES = (0.3, 1.0, 2.5)


def common_scale(n: int, rng: Generator) -> tuple[Rows, Rows]:
    scale = rng.choice(SCALES, (n, 1))
    return scale * rng.normal(size=(n, 4)), scale * rng.normal(size=(n, 4))


def common_scale_ratio(x: Rows, z: Rows) -> Rows:
    sides = np.array([[normal(rows, scale) for scale in SCALES] for rows in (x, z)])
    both, apart = logsumexp(sides.sum(0), axis=0), logsumexp(sides, axis=1).sum(0)
    return both - apart + math.log(3)


CENTRES = np.random.default_rng(5).normal(size=(5, 4)) * 1.6


def clusters(n: int, rng: Generator) -> tuple[Rows, Rows]:
    rows = CENTRES[rng.integers(0, 5, n)] + 0.6 * rng.normal(size=(n, 4))
    return rows[:, :2], rows[:, 2:]


def clusters_ratio(x: Rows, z: Rows) -> Rows:
    centres = ((x, CENTRES[:, :2]), (z, CENTRES[:, 2:]))
    sides = np.array([[normal(rows - c, 0.6) for c in part] for rows, part in centres])
    both, apart = logsumexp(sides.sum(0), axis=0), logsumexp(sides, axis=1).sum(0)
    return both - apart + math.log(5)


MEANS = np.random.default_rng(7).normal(size=(6, 3)) * 0.9
SPREAD = np.array([0.5, 1.0, 1.0])


def label_and_values(n: int, rng: Generator) -> tuple[Rows, Rows]:
    label = rng.integers(0, 6, n)
    return label[:, None].astype(float), MEANS[label] + rng.normal(size=(n, 3)) * SPREAD


def label_ratio(x: Rows, z: Rows) -> Rows:
    each = np.array([normal(z - mean, SPREAD) for mean in MEANS])  # (6, n)
    own = np.take_along_axis(each, x.T.astype(int), axis=0)[0]
    return own - logsumexp(each, axis=0) + math.log(6)


def clayton(n: int, rng: Generator, theta: float = 3.0) -> tuple[Rows, Rows]:
    u, w = rng.uniform(size=(2, n, 1))
    return u, (u**-theta * (w ** (-theta / (1 + theta)) - 1) + 1) ** (-1 / theta)


def clayton_ratio(u: Rows, v: Rows, theta: float = 3.0) -> Rows:
    total = np.log(u**-theta + v**-theta - 1)
    ratio = math.log(1 + theta) - (1 + theta) * np.log(u * v) - (2 + 1 / theta) * total
    return ratio[:, 0]


def frank(n: int, rng: Generator, theta: float = 10.0) -> tuple[Rows, Rows]:
    u, w = rng.uniform(size=(2, n, 1))
    return u, -np.log1p(w * np.expm1(-theta) / (w + (1 - w) * np.exp(-theta * u))) / theta


def frank_ratio(u: Rows, v: Rows, theta: float = 10.0) -> Rows:
    g = -math.expm1(-theta)
    rest = np.log(g - np.expm1(-theta * u) * np.expm1(-theta * v))
    return (math.log(theta * g) - theta * (u + v) - 2 * rest)[:, 0]


def shift(n: int, rng: Generator) -> tuple[Rows, Rows]:
    x = rng.integers(0, 5, (n, 1)).astype(float)
    return x, x + rng.uniform(0, 2, (n, 1))


def zero_inflated_poisson(n: int, rng: Generator) -> tuple[Rows, Rows]:
    x = rng.exponential(size=(n, 1))
    return x, rng.binomial(1, 0.85, (n, 1)) * rng.poisson(x).astype(float)


def poisson_ratio(x: Rows, z: Rows) -> Rows:
    """p(z | x) against p(z) = 0.85 / 2^(z + 1), and 0.15 more of both at 0."""
    given = 0.85 * np.exp(xlogy(z, x) - x - gammaln(z + 1)) + 0.15 * (z == 0)
    return np.log(given / (0.85 * 0.5 ** (z + 1) + 0.15 * (z == 0)))[:, 0]


def parity(n: int, rng: Generator) -> tuple[Rows, Rows]:
    x, kept = rng.normal(size=(n, 3)), rng.choice([1, -1], (n, 1), p=[0.9, 0.1])
    return x, kept * np.sign(x.prod(1, keepdims=True))


def rings(n: int, rng: Generator) -> tuple[Rows, Rows]:
    angle = rng.uniform(0, 2 * np.pi, (n, 1))
    other = 2 * angle + rng.uniform(-0.6, 0.6, (n, 1))
    sides = [np.hstack([np.cos(a), np.sin(a)]) for a in (angle, other)]
    x, z = (side * rng.uniform(0.8, 1.2, (n, 1)) for side in sides)
    return x, z


def sine_among_noise(n: int, rng: Generator) -> tuple[Rows, Rows]:
    x, z = sine(n, rng)
    return np.hstack([x, rng.normal(size=(n, 7))]), np.hstack([z, rng.normal(size=(n, 3))])


def sine_among_noise_ratio(x: Rows, z: Rows) -> Rows:
    return sine_ratio(x[:, :1], z[:, :1])


def blobs(n: int, rng: Generator, side: int = 12) -> tuple[Rows, Rows]:
    """Images of a bright spot at the places p and q, whose coordinates are correlated."""
    rho = math.sqrt(1 - math.exp(-1))
    p = rng.normal(size=(n, 2))
    q = rho * p + math.sqrt(1 - rho**2) * rng.normal(size=(n, 2))
    pixel = np.arange(side)
    images = []
    for centre in (p, q):
        centre = 1.5 + (side - 4) * ndtr(centre)
        bright = np.exp(-0.5 * ((pixel - centre[..., None]) / 1.5) ** 2)  # (n, 2, side)
        images.append(bright[:, 0, :, None] * bright[:, 1, None, :])
    return images[0], images[1]


UNSEEN = {
    "sine": Unseen(sine, log_ratio=sine_ratio),
    "checkerboard": Unseen(checkerboard, truth=math.log(2)),
    "additive-3": Unseen(additive, truth=3 * (0.3 - math.log(0.6))),
    "random-sign-5": Unseen(sign, log_ratio=sign_ratio),
    "cross": Unseen(cross, log_ratio=cross_ratio),
    "gamma-exponential": Unseen(
        gamma_exponential, truth=-math.log(0.7) + 1 / 0.7 + float(digamma(0.7))
    ),
    "common-scale-4": Unseen(common_scale, log_ratio=common_scale_ratio),
    "clusters-2-2": Unseen(clusters, log_ratio=clusters_ratio),
    "label-and-values": Unseen(label_and_values, log_ratio=label_ratio),
    "clayton": Unseen(clayton, log_ratio=clayton_ratio),
    "frank": Unseen(frank, log_ratio=frank_ratio),
    "uniform-shift": Unseen(shift, truth=math.log(5) - 0.8 * math.log(2)),
    "zero-inflated-poisson": Unseen(zero_inflated_poisson, log_ratio=poisson_ratio),
    "parity-3": Unseen(parity, truth=math.log(2) + 0.9 * math.log(0.9) + 0.1 * math.log(0.1)),
    "rings": Unseen(rings, truth=math.log(2 * math.pi / 1.2)),
    "sine-among-noise": Unseen(sine_among_noise, log_ratio=sine_among_noise_ratio),
    "blob-images": Unseen(blobs, truth=1.0),
}
