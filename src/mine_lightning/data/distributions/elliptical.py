"""Jointly normal and Student-t distributed pairs with any dependence between the columns."""

import math

import numpy as np
import torch
from torch import Tensor

from mine_lightning.data.distributions.base import (
    Distribution,
    check_correlation,
    standard_normal,
)
from mine_lightning.support.arguments import check_integer, check_positive

__all__ = ["DenseNormal", "MultivariateNormal", "MultivariateStudent", "SparseNormal"]


class Elliptical(Distribution):
    """Base of the distributions given by one positive definite matrix, in blocks of x and z."""

    def __init__(self, dispersion: Tensor, x_dim: int) -> None:
        self.x_dim, self.z_dim = x_dim, len(dispersion) - x_dim
        self._x_factor = torch.linalg.cholesky(dispersion[:x_dim, :x_dim])
        self._z_factor = torch.linalg.cholesky(dispersion[x_dim:, x_dim:])
        self._factor = torch.linalg.cholesky(dispersion)

    @property
    def normal_information(self) -> float:
        r"""The normal distribution's :math:`\frac{1}{2} \ln |S_x| |S_z| / |S|`, in nats."""
        factors = self._x_factor, self._z_factor, self._factor
        x, z, both = (factor.diagonal().log().sum().item() for factor in factors)
        return x + z - both

    def _sample(self, rows: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        draw = standard_normal(rows, self.x_dim + self.z_dim, generator) @ self._factor.T
        return draw[:, : self.x_dim], draw[:, self.x_dim :]

    def squares(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        r"""Return :math:`v^\top S_v^{-1} v` for x, for z and for both together, each ``(N,)``."""
        both = torch.cat((x, z), dim=1)
        return (
            whitened_square(x, self._x_factor),
            whitened_square(z, self._z_factor),
            whitened_square(both, self._factor),
        )


def whitened_square(rows: Tensor, factor: Tensor) -> Tensor:
    """Return the squared length of ``inv(factor) @ row`` for each row."""
    return torch.linalg.solve_triangular(factor, rows.T, upper=False).square().sum(0)


class MultivariateNormal(Elliptical):
    r"""Jointly normal x and z with any covariance.

    .. math:: I(X; Z) = \frac{1}{2} \ln \frac{|S_x| \, |S_z|}{|S|}

    References:
        Cover and Thomas, "Elements of Information Theory", section 8.5.

    Args:
        covariance: Covariance S of (x, z), symmetric and positive definite.
        x_dim: Number of its leading rows that belong to x.

    Raises:
        ValueError: If the matrix is no covariance, or leaves no column to x or to z.

    Example:
        >>> normal = MultivariateNormal([[1.0, 0.4], [0.4, 1.0]], x_dim=1)
        >>> round(normal.mutual_information, 4)
        0.0872
    """

    def __init__(self, covariance: list[list[float]], x_dim: int) -> None:
        matrix = check_covariance("covariance", covariance)
        check_integer("x_dim", x_dim)
        if x_dim >= len(matrix):
            raise ValueError(f"Expected `x_dim` to be in [1, {len(matrix) - 1}], got {x_dim}.")
        super().__init__(matrix, x_dim)

    @property
    def mutual_information(self) -> float:
        return self.normal_information

    def _log_ratio(self, x: Tensor, z: Tensor) -> Tensor:
        x_square, z_square, square = self.squares(x, z)
        return self.normal_information + (x_square + z_square - square) / 2


class DenseNormal(MultivariateNormal):
    """Standard normal variables of which any two have the same correlation.

    References:
        Czyż et al., "Beyond Normal", 2023 ("dense" interactions).

    Args:
        x_dim: Number of columns of x.
        z_dim: Number of columns of z.
        correlation: Correlation of any two columns, above ``-1 / (x_dim + z_dim - 1)``.

    Raises:
        ValueError: If no such distribution exists.

    Example:
        >>> round(DenseNormal(2, 2).mutual_information, 6)
        0.293893
    """

    def __init__(self, x_dim: int, z_dim: int, correlation: float = 0.5) -> None:
        covariance = identity(x_dim, z_dim)
        covariance[covariance == 0] = check_correlation(correlation)
        super().__init__(covariance.tolist(), x_dim)


class SparseNormal(MultivariateNormal):
    r"""Standard normal variables, independent but for a few correlated pairs :math:`(x_i, z_i)`.

    References:
        Czyż et al., "Beyond Normal", 2023 ("sparse" interactions, the 2-pair tasks).

    Args:
        x_dim: Number of columns of x.
        z_dim: Number of columns of z.
        pairs: Number of leading columns of x correlated with the same column of z.
        correlation: Their correlation.

    Raises:
        ValueError: If there are more pairs than columns, or the correlation is outside (-1, 1).

    Example:
        >>> round(SparseNormal(5, 5).mutual_information, 6)  # -ln(1 - 0.64)
        1.021651
    """

    def __init__(self, x_dim: int, z_dim: int, pairs: int = 2, correlation: float = 0.8) -> None:
        covariance = identity(x_dim, z_dim)
        if not 0 <= pairs <= min(x_dim, z_dim):
            raise ValueError(
                f"Expected `pairs` to be in [0, {min(x_dim, z_dim)}], the smaller of `x_dim` and "
                f"`z_dim`, got {pairs}."
            )
        columns = torch.arange(pairs)
        covariance[columns, x_dim + columns] = check_correlation(correlation)
        covariance[x_dim + columns, columns] = correlation
        super().__init__(covariance.tolist(), x_dim)


class MultivariateStudent(Elliptical):
    r"""Jointly Student-t distributed x and z: a normal draw divided by one chi variable.

    .. math::
        I(X; Z) = \frac{1}{2} \ln \frac{|S_x| \, |S_z|}{|S|} + f(D_x) + f(D_z) - f(D_x + D_z),
        \qquad f(D) = \tfrac{\nu + D}{2}
        \Bigl(\psi\bigl(\tfrac{\nu + D}{2}\bigr) - \psi\bigl(\tfrac{\nu}{2}\bigr)\Bigr)
        - \ln \Gamma\bigl(\tfrac{\nu + D}{2}\bigr) + \ln \Gamma\bigl(\tfrac{\nu}{2}\bigr)

    The common divisor makes x and z dependent even where the dispersion S is the identity.

    References:
        Arellano-Valle, Contreras-Reyes and Genton, 2013; Czyż et al., "Beyond Normal", 2023.

    Args:
        x_dim: Number of columns of x.
        z_dim: Number of columns of z.
        degrees_of_freedom: Degrees of freedom :math:`\nu`, positive.
        dispersion: Matrix S of (x, z); the identity by default.

    Raises:
        ValueError: If ``degrees_of_freedom`` is not positive, or the matrix does not fit.

    Example:
        >>> round(MultivariateStudent(1, 1, degrees_of_freedom=1).mutual_information, 6)
        0.224171
    """

    def __init__(
        self,
        x_dim: int,
        z_dim: int,
        degrees_of_freedom: float,
        dispersion: list[list[float]] | None = None,
    ) -> None:
        matrix = identity(x_dim, z_dim)
        check_positive("degrees_of_freedom", degrees_of_freedom)
        if dispersion is not None:
            matrix = check_covariance("dispersion", dispersion)
        if len(matrix) != x_dim + z_dim:
            raise ValueError(
                f"Expected `dispersion` to have x_dim + z_dim = {x_dim + z_dim} rows, "
                f"got {len(matrix)}."
            )
        super().__init__(matrix, x_dim)
        self.degrees_of_freedom = degrees_of_freedom

    @property
    def mutual_information(self) -> float:
        x, z, both = map(self._entropy, (self.x_dim, self.z_dim, self.x_dim + self.z_dim))
        return self.normal_information + x + z - both

    def _entropy(self, dim: int) -> float:
        """Return the entropy of ``dim`` columns, less what cancels in the information."""
        shape = torch.tensor(self.degrees_of_freedom / 2, dtype=torch.float64)
        digammas = torch.digamma(shape + dim / 2) - torch.digamma(shape)
        return ((shape + dim / 2) * digammas).item() - self._log_normalizer(dim)

    def _log_normalizer(self, dim: int) -> float:
        shape = self.degrees_of_freedom / 2
        return math.lgamma(shape + dim / 2) - math.lgamma(shape)

    def _sample(self, rows: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        x, z = super()._sample(rows, generator)
        scale = (self.degrees_of_freedom / self._chi_square(rows, generator)).sqrt()
        return scale * x, scale * z

    def _chi_square(self, rows: int, generator: torch.Generator | None) -> Tensor:
        """Draw from NumPy, which alone takes real degrees of freedom and a seed of our own."""
        seed = torch.randint(2**63 - 1, (), generator=generator).item()
        draw = np.random.default_rng(int(seed)).chisquare(self.degrees_of_freedom, (rows, 1))
        return torch.from_numpy(draw)

    def _log_ratio(self, x: Tensor, z: Tensor) -> Tensor:
        dims = self.x_dim, self.z_dim, self.x_dim + self.z_dim
        log_x, log_z, log_both = map(self._log_kernel, self.squares(x, z), dims)
        return self.normal_information + log_both - log_x - log_z

    def _log_kernel(self, square: Tensor, dim: int) -> Tensor:
        """Return the log density of ``dim`` columns, less what cancels in the ratio."""
        power = (self.degrees_of_freedom + dim) / 2
        return self._log_normalizer(dim) - power * torch.log1p(square / self.degrees_of_freedom)


def identity(x_dim: int, z_dim: int) -> Tensor:
    check_integer("x_dim", x_dim)
    check_integer("z_dim", z_dim)
    return torch.eye(x_dim + z_dim, dtype=torch.float64)


def check_covariance(name: str, rows: list[list[float]]) -> Tensor:
    """Return the matrix in float64, if it is square, symmetric and positive definite."""
    lengths = [len(row) for row in rows]
    if not lengths or set(lengths) != {len(lengths)}:
        raise ValueError(
            f"Expected `{name}` to be a square matrix, got {len(lengths)} rows of lengths "
            f"{sorted(set(lengths))}."
        )
    matrix = torch.tensor(rows, dtype=torch.float64)
    if not (matrix.isfinite().all() and torch.allclose(matrix, matrix.T)):
        raise ValueError(f"Expected `{name}` to be finite and symmetric, got {rows}.")
    eigenvalues = torch.linalg.eigvalsh(matrix)
    least, largest = eigenvalues[0].item(), eigenvalues[-1].item()
    if least <= 1e-14 * len(matrix) * largest:
        raise ValueError(
            f"Expected `{name}` to be positive definite, got a smallest eigenvalue of {least:.3g}."
        )
    return matrix
