r"""Invertible maps of one variable: they leave its mutual information with any other unchanged.

.. math:: I(f(X); g(Z)) = I(X; Z) \quad \text{for injective } f, g

Each takes rows of shape ``(N, D)`` and has an inverse.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from mine_lightning.support.config import Configurable

__all__ = [
    "Asinh",
    "Cube",
    "HalfCube",
    "NormalCDF",
    "NormalToMixture",
    "Spiral",
    "SwissRoll",
    "Warp",
    "Wiggly",
]


def invert_increasing(
    function: Callable[[Tensor], Tensor], values: Tensor, low: Tensor, high: Tensor
) -> Tensor:
    """Solve ``function(y) == values`` by bisection, elementwise, for an increasing function.

    Args:
        function: An increasing elementwise function.
        values: What it should return, any shape.
        low: Below or at the solution, same shape.
        high: Above or at the solution, same shape.

    Returns:
        The solution, within ``(high - low) / 2**45``.

    Example:
        >>> nine = torch.tensor([9.0])
        >>> invert_increasing(torch.square, nine, 0 * nine, nine)
        tensor([3.])
    """
    for _ in range(45):
        middle = (low + high) / 2
        below = function(middle) < values
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2


def normal_quantile(probabilities: Tensor) -> Tensor:
    """Return the standard normal quantile, finite where float32 has rounded to 0 or 1."""
    least = 2.0**-24  # 1 less this is the last float32 below 1
    return torch.special.ndtri(probabilities.clamp(least, 1 - least))


class Warp(Configurable):
    """Base of the warps: call it on rows, or its ``inverse`` on warped rows."""

    def output_dim(self, dim: int) -> int:
        """Return how many columns the warp makes of ``dim``.

        Raises:
            ValueError: If it cannot be applied to ``dim`` columns.
        """
        return dim

    def __call__(self, rows: Tensor) -> Tensor:
        """Apply the warp to rows, shape ``(N, D)``."""
        raise NotImplementedError

    def inverse(self, rows: Tensor) -> Tensor:
        """Undo the warp."""
        raise NotImplementedError


def signed_power(rows: Tensor, exponent: float) -> Tensor:
    return rows.sign() * rows.abs() ** exponent


class Cube(Warp):
    r"""Cube each coordinate, :math:`x \mapsto x^3`: longer tails.

    Example:
        >>> Cube()(torch.tensor([[-2.0, 3.0]]))
        tensor([[-8., 27.]])
    """

    def __call__(self, rows: Tensor) -> Tensor:
        return rows**3

    def inverse(self, rows: Tensor) -> Tensor:
        return signed_power(rows, 1 / 3)


class HalfCube(Warp):
    r"""Lengthen each coordinate's tails, :math:`x \mapsto x \sqrt{|x|}`.

    References:
        Czyż et al., "Beyond Normal", 2023.

    Example:
        >>> HalfCube()(torch.tensor([[-4.0, 1.0]]))
        tensor([[-8.,  1.]])
    """

    def __call__(self, rows: Tensor) -> Tensor:
        return rows * rows.abs().sqrt()

    def inverse(self, rows: Tensor) -> Tensor:
        return signed_power(rows, 2 / 3)


class Asinh(Warp):
    r"""Shorten each coordinate's tails, :math:`x \mapsto \ln(x + \sqrt{x^2 + 1})`.

    References:
        Czyż et al., "Beyond Normal", 2023.

    Example:
        >>> Asinh()(torch.tensor([[0.0]]))
        tensor([[0.]])
    """

    def __call__(self, rows: Tensor) -> Tensor:
        return rows.asinh()

    def inverse(self, rows: Tensor) -> Tensor:
        return rows.sinh()


class NormalCDF(Warp):
    r"""Apply the standard normal distribution function :math:`\Phi` to each coordinate.

    A standard normal variable becomes uniform on (0, 1).

    References:
        Czyż et al., "Beyond Normal", 2023.

    Example:
        >>> NormalCDF()(torch.tensor([[0.0]]))
        tensor([[0.5000]])
    """

    def __call__(self, rows: Tensor) -> Tensor:
        return torch.special.ndtr(rows)

    def inverse(self, rows: Tensor) -> Tensor:
        return normal_quantile(rows)


class NormalToMixture(Warp):
    r"""Turn each standard normal coordinate into a mixture of unit-variance normals.

    .. math:: x \mapsto F^{-1}(\Phi(x)), \qquad F(y) = \sum_k w_k \Phi(y - m_k)

    References:
        Czyż et al., "Beyond Normal", 2023 (bimodal variables).

    Args:
        means: Centres :math:`m_k` of the components.
        weights: Their probabilities :math:`w_k`, positive, of sum 1.

    Raises:
        ValueError: If the lengths differ, or the weights are not probabilities.

    Example:
        >>> NormalToMixture(means=[-3.0, 3.0], weights=[0.5, 0.5])(torch.zeros(1, 1)).abs() < 1e-5
        tensor([[True]])
    """

    def __init__(self, means: list[float], weights: list[float]) -> None:
        if len(means) != len(weights) or not means:
            raise ValueError(
                f"Expected `means` and `weights` to have one entry for each component, "
                f"got {len(means)} and {len(weights)}."
            )
        if not (min(weights) > 0 and math.isclose(sum(weights), 1, abs_tol=1e-6)):
            raise ValueError(f"Expected `weights` to be positive with sum 1, got {list(weights)}.")
        if not all(map(math.isfinite, means)):
            raise ValueError(f"Expected `means` to be finite, got {list(means)}.")
        self.means, self.weights = list(means), list(weights)

    def __call__(self, rows: Tensor) -> Tensor:
        low, high = rows + min(self.means), rows + max(self.means)
        return invert_increasing(self._cdf, torch.special.ndtr(rows), low, high)

    def inverse(self, rows: Tensor) -> Tensor:
        return normal_quantile(self._cdf(rows))

    def _cdf(self, rows: Tensor) -> Tensor:
        means, weights = rows.new_tensor(self.means), rows.new_tensor(self.weights)
        return (weights * torch.special.ndtr(rows.unsqueeze(-1) - means)).sum(-1)


class Wiggly(Warp):
    r"""Add waves to each coordinate, few and flat enough to keep the map increasing.

    .. math:: x \mapsto x + \sum_k a_k \sin(f_k x + \varphi_k), \qquad \sum_k |a_k f_k| < 1

    References:
        Czyż et al., "Beyond Normal", 2023.

    Args:
        waves: ``[amplitude, frequency, phase]`` of each wave.

    Raises:
        ValueError: If a wave does not have three numbers, or the map might not be increasing.

    Example:
        >>> Wiggly([[0.5, 1.0, 0.0]])(torch.tensor([[0.0]]))
        tensor([[0.]])
    """

    def __init__(self, waves: list[list[float]]) -> None:
        if any(len(wave) != 3 for wave in waves):
            raise ValueError(
                f"Expected each of `waves` to be [amplitude, frequency, phase], got {waves}."
            )
        slope = sum(abs(amplitude * frequency) for amplitude, frequency, _ in waves)
        if not slope < 1:
            raise ValueError(
                f"Expected the sum of |amplitude * frequency| over `waves` to be below 1, "
                f"got {slope:.4g}: the map would not be invertible."
            )
        self.waves = [list(wave) for wave in waves]

    def __call__(self, rows: Tensor) -> Tensor:
        return rows + sum(
            amplitude * torch.sin(frequency * rows + phase)
            for amplitude, frequency, phase in self.waves
        )

    def inverse(self, rows: Tensor) -> Tensor:
        reach = sum(abs(amplitude) for amplitude, _, _ in self.waves)
        return invert_increasing(self, rows, rows - reach, rows + reach)


class SwissRoll(Warp):
    r"""Roll a variable on (0, 1) up into a spiral in the plane.

    .. math:: u \mapsto \frac{1}{21} (t \cos t, t \sin t), \qquad t = \tfrac{3}{2} \pi (1 + 2 u)

    References:
        Czyż et al., "Beyond Normal", 2023.

    Example:
        >>> SwissRoll()(torch.tensor([[0.0], [0.5]])).shape
        torch.Size([2, 2])
    """

    def output_dim(self, dim: int) -> int:
        if dim != 1:
            raise ValueError(f"Expected a variable of 1 dimension for SwissRoll, got {dim}.")
        return 2

    def __call__(self, rows: Tensor) -> Tensor:
        t = 1.5 * math.pi * (1 + 2 * rows)
        return torch.cat((t * t.cos(), t * t.sin()), dim=-1) / 21

    def inverse(self, rows: Tensor) -> Tensor:
        t = 21 * torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
        return (t / (1.5 * math.pi) - 1) / 2


class Spiral(Warp):
    r"""Rotate each row in one plane by an angle that grows with its length.

    .. math:: x \mapsto \exp\bigl(G \, \|x\|^2 / D\bigr) \, x, \qquad G_{ij} = -1, \; G_{ji} = 1

    It keeps the volume and every row's length.

    References:
        Czyż et al., "Beyond Normal", 2023.

    Args:
        plane: The two different axes i and j of the rotation.

    Raises:
        ValueError: If the axes are not two different non-negative integers.

    Example:
        >>> Spiral()(torch.tensor([[1.0, 0.0]]))  # an angle of 1 / 2
        tensor([[0.8776, 0.4794]])
    """

    def __init__(self, plane: tuple[int, int] = (0, 1)) -> None:
        if len(plane) != 2 or plane[0] == plane[1] or min(plane) < 0:
            raise ValueError(f"Expected `plane` to be two different axes, got {list(plane)}.")
        self.plane = tuple(plane)

    def output_dim(self, dim: int) -> int:
        if max(self.plane) >= dim:
            raise ValueError(
                f"Expected `plane` to name axes below the dimension {dim}, got {list(self.plane)}."
            )
        return dim

    def __call__(self, rows: Tensor) -> Tensor:
        return self._rotate(rows, 1.0)

    def inverse(self, rows: Tensor) -> Tensor:
        return self._rotate(rows, -1.0)

    def _rotate(self, rows: Tensor, direction: float) -> Tensor:
        i, j = self.plane
        angle = direction * rows.square().mean(-1)
        rotated = rows.clone()
        rotated[..., i] = angle.cos() * rows[..., i] - angle.sin() * rows[..., j]
        rotated[..., j] = angle.sin() * rows[..., i] + angle.cos() * rows[..., j]
        return rotated
