r"""Distributions of pairs (x, z) that know their own mutual information, in nats.

Each also knows its pointwise mutual information :math:`\ln p(x, z) / p(x) p(z)`, the score of a
perfect critic, whose mean over joint pairs is the mutual information.
"""

import math

import torch
from torch import Tensor

from mine_lightning.data.distributions.warps import NormalToMixture, Warp
from mine_lightning.support.arguments import check_integer, check_positive
from mine_lightning.support.config import Configurable

__all__ = [
    "Bimodal",
    "Distribution",
    "GaussianPairs",
    "Independent",
    "Transformed",
    "UniformAdditive",
]


class Distribution(Configurable):
    """Base of the distributions of pairs.

    Subclasses set ``x_dim`` and ``z_dim`` and implement ``mutual_information``, ``_sample`` and
    ``_log_ratio``; the last two compute in float64.

    Attributes:
        x_dim: Number of columns of x.
        z_dim: Number of columns of z.
    """

    x_dim: int
    z_dim: int

    @property
    def mutual_information(self) -> float:
        """The true mutual information I(X; Z) in nats."""
        raise NotImplementedError

    def sample(self, rows: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Draw independent pairs.

        Args:
            rows: Number N of pairs.
            generator: Source of randomness; the global one by default.

        Returns:
            x, shape ``(N, x_dim)``, and z, shape ``(N, z_dim)``, float32.

        Raises:
            ValueError: If ``rows`` is not positive.
        """
        check_integer("rows", rows)
        x, z = self._sample(rows, generator)
        return x.float(), z.float()

    def log_ratio(self, x: Tensor, z: Tensor) -> Tensor:
        r"""Compute the pointwise mutual information :math:`\ln p(x, z) / p(x) p(z)`.

        Args:
            x: Rows, shape ``(*, x_dim)``.
            z: Rows, shape ``(*, z_dim)``; the leading dimensions broadcast.

        Returns:
            The log density ratio in nats, shape ``(*,)``, in the dtype of ``x``.

        Raises:
            ValueError: If the last dimension is not ``x_dim`` or ``z_dim``.
        """
        check_columns("x", x, self.x_dim)
        check_columns("z", z, self.z_dim)
        batch = torch.broadcast_shapes(x.shape[:-1], z.shape[:-1])
        wide_x = x.double().expand(*batch, -1).reshape(-1, self.x_dim)
        wide_z = z.double().expand(*batch, -1).reshape(-1, self.z_dim)
        return self._log_ratio(wide_x, wide_z).reshape(batch).to(x.dtype)

    def _sample(self, rows: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def _log_ratio(self, x: Tensor, z: Tensor) -> Tensor:
        raise NotImplementedError


class GaussianPairs(Distribution):
    r"""Independent pairs :math:`(x_i, z_i)` of standard normal variables, equally correlated.

    .. math:: I(X; Z) = -\frac{d}{2} \ln(1 - \rho^2)

    References:
        Belghazi et al., "MINE", 2018, section 4.1.

    Args:
        dim: Number d of pairs.
        correlation: Correlation :math:`\rho` of each pair, in (-1, 1).
        target: The mutual information in nats, in place of ``correlation``.

    Raises:
        ValueError: If not exactly one of ``correlation`` and ``target`` is given, or one is out
            of its range.

    Example:
        >>> round(GaussianPairs(correlation=0.4).mutual_information, 4)
        0.0872
        >>> round(GaussianPairs(dim=20, target=2.0).correlation, 4)
        0.4258
    """

    def __init__(
        self, dim: int = 1, correlation: float | None = None, target: float | None = None
    ) -> None:
        check_integer("dim", dim)
        if (correlation is None) == (target is None):
            raise ValueError(
                f"Expected exactly one of `correlation` and `target`, got {correlation} and "
                f"{target}."
            )
        if target is not None:
            correlation = correlation_for(target, dim)
        self.correlation = check_correlation(correlation)
        self.x_dim = self.z_dim = dim
        self._target = target

    @property
    def mutual_information(self) -> float:
        if self._target is not None:
            return float(self._target)
        return -self.x_dim / 2 * math.log1p(-(self.correlation**2))

    def _sample(self, rows: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        x, noise = standard_normal(rows, 2 * self.x_dim, generator).chunk(2, dim=1)
        return x, self.correlation * x + math.sqrt(1 - self.correlation**2) * noise

    def _log_ratio(self, x: Tensor, z: Tensor) -> Tensor:
        rho = self.correlation
        squares = rho**2 * (x**2 + z**2) - 2 * rho * x * z
        return self.mutual_information - squares.sum(1) / (2 * (1 - rho**2))


def correlation_for(target: float, dim: int) -> float:
    """Return the positive correlation at which ``dim`` pairs have ``target`` nats."""
    if not (target >= 0 and math.isfinite(target)):
        raise ValueError(f"Expected `target` to be finite and not negative, got {target}.")
    correlation = math.sqrt(-math.expm1(-2 * target / dim))
    if correlation == 1:
        raise ValueError(
            f"Expected `target` to need a correlation below 1, got {target} for {dim} pairs."
        )
    return correlation


class UniformAdditive(Distribution):
    r"""A uniform variable and a noisy copy, :math:`Z = X + U(-e, e)` with :math:`X \sim U(0, 1)`.

    .. math:: I(X; Z) = e - \ln(2 e) \text{ for } e \le \tfrac{1}{2}, \text{ else } \frac{1}{4 e}

    The density ratio is zero, its logarithm ``-inf``, where x and z lie more than e apart.

    References:
        Czyż et al., "Beyond Normal", 2023 ("additive noise").

    Args:
        noise: Half-width e of the noise, positive.

    Raises:
        ValueError: If ``noise`` is not positive.

    Example:
        >>> round(UniformAdditive(noise=0.1).mutual_information, 6)
        1.709438
    """

    x_dim = z_dim = 1

    def __init__(self, noise: float) -> None:
        check_positive("noise", noise)
        self.noise = noise

    @property
    def mutual_information(self) -> float:
        if self.noise <= 0.5:
            return self.noise - math.log(2 * self.noise)
        return 1 / (4 * self.noise)

    def _sample(self, rows: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        draw = torch.rand(rows, 2, generator=generator, dtype=torch.float64)
        x, noise = draw.chunk(2, dim=1)
        return x, x + self.noise * (2 * noise - 1)

    def _log_ratio(self, x: Tensor, z: Tensor) -> Tensor:
        rounding = 4 * torch.finfo(torch.float32).eps * (1 + self.noise)
        overlap = (z + self.noise).clamp(max=1) - (z - self.noise).clamp(min=0)
        ratio = -overlap.clamp(min=rounding).log()
        return ratio.where((z - x).abs() <= self.noise + rounding, -math.inf).squeeze(1)


class Transformed(Distribution):
    r"""Pairs whose variables went through invertible maps: the mutual information stays.

    .. math:: I(f(X); g(Z)) = I(X; Z)

    Several maps in a row are a ``Transformed`` of a ``Transformed``.

    Args:
        base: Where the pairs come from.
        x_warp: Map of x; none by default.
        z_warp: Map of z; none by default.

    Raises:
        ValueError: If a map does not take the number of columns of its variable.

    Example:
        >>> from mine_lightning.data.distributions.warps import Cube
        >>> cubed = Transformed(GaussianPairs(correlation=0.4), x_warp=Cube())
        >>> round(cubed.mutual_information, 4)
        0.0872
    """

    def __init__(
        self, base: Distribution, x_warp: Warp | None = None, z_warp: Warp | None = None
    ) -> None:
        self.base, self.x_warp, self.z_warp = base, x_warp, z_warp
        self.x_dim = base.x_dim if x_warp is None else x_warp.output_dim(base.x_dim)
        self.z_dim = base.z_dim if z_warp is None else z_warp.output_dim(base.z_dim)

    @property
    def mutual_information(self) -> float:
        return self.base.mutual_information

    def _sample(self, rows: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        x, z = self.base._sample(rows, generator)
        return (
            x if self.x_warp is None else self.x_warp(x),
            z if self.z_warp is None else self.z_warp(z),
        )

    def _log_ratio(self, x: Tensor, z: Tensor) -> Tensor:
        return self.base._log_ratio(
            x if self.x_warp is None else self.x_warp.inverse(x),
            z if self.z_warp is None else self.z_warp.inverse(z),
        )


class Bimodal(Transformed):
    r"""A pair of two-peaked variables with the dependence of a correlated normal pair.

    X is distributed as :math:`0.3 N(0, 1) + 0.7 N(5, 1)`, Z as
    :math:`0.5 N(-1, 1) + 0.5 N(3, 1)`.

    References:
        Czyż et al., "Beyond Normal", 2023.

    Args:
        correlation: Correlation of the normal pair, in (-1, 1).

    Raises:
        ValueError: If the correlation is outside (-1, 1).

    Example:
        >>> round(Bimodal(correlation=0.75).mutual_information, 6)
        0.413339
    """

    def __init__(self, correlation: float = 0.75) -> None:
        super().__init__(
            GaussianPairs(correlation=correlation),
            x_warp=NormalToMixture(means=[0.0, 5.0], weights=[0.3, 0.7]),
            z_warp=NormalToMixture(means=[-1.0, 3.0], weights=[0.5, 0.5]),
        )


class Independent(Distribution):
    """The marginals of another distribution, drawn apart: the mutual information is 0.

    Args:
        base: Where x and, in a separate draw, z come from.

    Example:
        >>> Independent(GaussianPairs(correlation=0.9)).mutual_information
        0.0
    """

    def __init__(self, base: Distribution) -> None:
        self.base = base
        self.x_dim, self.z_dim = base.x_dim, base.z_dim

    @property
    def mutual_information(self) -> float:
        return 0.0

    def _sample(self, rows: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        x, _ = self.base._sample(rows, generator)
        _, z = self.base._sample(rows, generator)
        return x, z

    def _log_ratio(self, x: Tensor, z: Tensor) -> Tensor:
        return x.new_zeros(len(x))


def standard_normal(rows: int, columns: int, generator: torch.Generator | None) -> Tensor:
    return torch.randn(rows, columns, generator=generator, dtype=torch.float64)


def check_correlation(value: float | None) -> float:
    if value is None or not -1 < value < 1:
        raise ValueError(f"Expected `correlation` to be in (-1, 1), got {value}.")
    return float(value)


def check_columns(name: str, rows: Tensor, dim: int) -> None:
    if rows.ndim == 0 or rows.shape[-1] != dim:
        raise ValueError(f"Expected `{name}` to have shape (*, {dim}), got {tuple(rows.shape)}.")
