"""Invertible per-variable transforms: they leave the mutual information unchanged.

Each is fitted on training rows only and then applied to all rows.
"""

from typing import Any, Literal, Protocol, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from mine_lightning.support.config import Configurable, public_path
from mine_lightning.support.text import near

__all__ = [
    "TRANSFORMS",
    "Identity",
    "RankToNormal",
    "ScikitTransform",
    "Standardize",
    "Transform",
    "TransformLike",
    "Transformer",
    "as_transform",
]


class Transform(Configurable):
    """Base of the transforms: ``fit`` on training rows, then call on any rows."""

    def fit(self, rows: Tensor) -> Self:
        """Learn the transform from training rows, shape ``(N, ...)``, and return it.

        Raises:
            ValueError: If there are no rows, or they are not finite floating point numbers.
        """
        raise NotImplementedError

    def __call__(self, rows: Tensor) -> Tensor:
        """Apply the fitted transform to rows, shape ``(M, ...)``."""
        raise NotImplementedError

    def fit_transform(self, rows: Tensor) -> Tensor:
        """Learn the transform from training rows, and return them transformed."""
        return self.fit(rows)(rows)


def check_rows(rows: Tensor) -> Tensor:
    """Return rows that a transform can be fitted on.

    Raises:
        ValueError: If there are none, or they are not finite floating point numbers.
    """
    if rows.ndim == 0 or len(rows) == 0 or not rows.is_floating_point():
        raise ValueError(
            "Expected `rows` to hold at least one row of floating point numbers, shape (N, ...), "
            f"got {tuple(rows.shape)}, {rows.dtype}."
        )
    if not bool(rows.isfinite().all()):
        raise ValueError("Expected `rows` to be finite, got missing or infinite values.")
    return rows


class Identity(Transform):
    """Leave rows as they are.

    Example:
        >>> Identity().fit(torch.ones(2, 1))(torch.tensor([[3.0]]))
        tensor([[3.]])
    """

    def fit(self, rows: Tensor) -> Self:
        return self

    def __call__(self, rows: Tensor) -> Tensor:
        return rows


class Standardize(Transform):
    r"""Shift and scale every column to mean 0 and standard deviation 1 on the training rows.

    .. math:: x \mapsto (x - \bar{x}) / s_x

    A column that is constant, up to rounding, on the training rows is only shifted.

    Example:
        >>> Standardize().fit(torch.tensor([[1.0], [3.0]]))(torch.tensor([[3.0], [5.0]]))
        tensor([[1.],
                [3.]])
    """

    def fit(self, rows: Tensor) -> Self:
        wide = check_rows(rows).double()
        scale = wide.std(dim=0, correction=0)
        return self.from_moments(wide.mean(dim=0), scale, wide.abs().amax(dim=0))

    def from_moments(self, mean: Tensor, scale: Tensor, largest: Tensor) -> Self:
        """Set the transform from what one pass over the training rows gives.

        Args:
            mean: Mean of each column, shape ``(...)``, float64.
            scale: Standard deviation of each column, same shape.
            largest: Largest magnitude in each column, same shape.
        """
        self.mean = mean
        self.scale = torch.where(scale > 1e-15 * largest, scale, torch.ones_like(scale))
        return self

    def __call__(self, rows: Tensor) -> Tensor:
        return ((rows.double() - self.mean) / self.scale).to(rows.dtype)


def _columns(rows: Tensor) -> Tensor:
    """Return rows as ``(N, D)``."""
    return rows.unsqueeze(1) if rows.ndim == 1 else rows.flatten(1)


class RankToNormal(Transform):
    r"""Map every column to normal scores of its ranks among the training rows.

    .. math:: x \mapsto \Phi^{-1}(\hat F(x))

    :math:`\hat F` is the empirical distribution function: midranks :math:`(r - 1/2) / N` at the
    training values, linear between them, constant beyond the smallest and the largest. Equal values
    share the middle of their ranks, so that a discrete column keeps its levels, and columns of
    either kind stand side by side on one scale. The scores do not depend on the units, nor on any
    increasing function of a column; outliers and heavy tails are gone.

    References:
        Blom, "Statistical Estimates and Transformed Beta-Variables", 1958.

    Example:
        >>> transform = RankToNormal().fit(torch.tensor([[1.0], [10.0], [100.0], [100.0]]))
        >>> transform(torch.tensor([[1.0], [10.0], [1000.0]]))
        tensor([[-1.1503],
                [-0.3186],
                [ 1.5341]])
    """

    def fit(self, rows: Tensor) -> Self:
        self._fit(rows)
        return self

    def __call__(self, rows: Tensor) -> Tensor:
        values = _columns(rows.double()).T.contiguous()
        order = _order(values)
        return self._scores(self._ranks(values.gather(1, order)), order, rows)

    def fit_transform(self, rows: Tensor) -> Tensor:
        order = self._fit(rows)
        return self._scores(self.middle, order, rows)

    def _fit(self, rows: Tensor) -> Tensor:
        """Learn from training rows, and return what sorts their columns, shape ``(D, N)``."""
        columns = _columns(check_rows(rows).double()).T.contiguous()
        order = _order(columns)
        self.sorted = columns.gather(1, order)  # (D, N)
        self.middle = _middle_ranks(self.sorted)
        return order

    def _scores(self, ranks: Tensor, order: Tensor, rows: Tensor) -> Tensor:
        """Return normal scores of ranks of sorted values, in the order and shape of the rows."""
        scores = torch.special.ndtri(ranks / self.sorted.shape[1])
        return torch.empty_like(scores).scatter_(1, order, scores).T.reshape(rows.shape).to(rows)

    def _ranks(self, values: Tensor) -> Tensor:
        """Return the ranks of sorted values: in order, the search stays in the cache."""
        count = self.sorted.shape[1]
        below = _below(self.sorted, values)
        place = below.clamp(max=count - 1)
        left = self.sorted.gather(1, (below - 1).clamp(min=0))
        right = self.sorted.gather(1, place)
        share = ((values - left) / (right - left).clamp(min=1e-300)).clamp(0, 1)
        between = (below - 0.5 + share).clamp(0.25, count - 0.25)
        return torch.where(right == values, self.middle.gather(1, place), between)


def _order(columns: Tensor) -> Tensor:
    """Return what sorts each column, shape ``(D, N)``; on a CPU NumPy is four times as fast."""
    if columns.device.type != "cpu":
        return columns.argsort(1)
    return torch.from_numpy(np.argsort(columns.numpy(), axis=1))


def _below(ordered: Tensor, values: Tensor) -> Tensor:
    """Return how many of sorted columns ``(D, N)`` are below sorted values, shape ``(D, M)``.

    On a CPU NumPy, which begins where it found the value before, is twice as fast as torch.
    """
    if values.device.type != "cpu":
        return torch.searchsorted(ordered, values)
    found = torch.empty(values.shape, dtype=torch.long)
    for below, *column in zip(found.numpy(), ordered.numpy(), values.numpy(), strict=True):
        below[:] = np.searchsorted(*column)
    return found


def _middle_ranks(ordered: Tensor) -> Tensor:
    """Return the middle of the ranks of values equal to each, of sorted columns ``(D, N)``."""
    places = torch.arange(ordered.shape[1], device=ordered.device)
    changes = ordered[:, 1:] != ordered[:, :-1]
    below = torch.where(pad(changes, (1, 0), value=True), places, 0).cummax(1).values
    last = torch.where(pad(changes, (0, 1), value=True), places, len(places))
    upto = last.flip(1).cummin(1).values.flip(1) + 1
    return (below + upto).double() / 2


class Transformer(Protocol):
    """What scikit-learn's transformers have in common."""

    def fit(self, X: Any, y: Any = None) -> Any:  # noqa: N803
        """Learn from rows, shape ``(N, D)``."""

    def transform(self, X: Any) -> Any:  # noqa: N803
        """Return transformed rows, shape ``(N, D')``."""


class ScikitTransform(Transform):
    """A transformer of scikit-learn as a transform of rows.

    The transformer itself is left as it was; a copy of it is fitted, with ``random_state=0``
    wherever it has none.

    Args:
        transformer: It has to be invertible on the rows for the mutual information to stay.

    Raises:
        ValueError: When it is called, if the transformed rows are not finite numbers.

    Example:
        >>> from sklearn.preprocessing import MinMaxScaler
        >>> transform = ScikitTransform(MinMaxScaler()).fit(torch.tensor([[1.0], [3.0]]))
        >>> transform(torch.tensor([[2.0], [3.0]]))
        tensor([[0.5000],
                [1.0000]])
    """

    def __init__(self, transformer: Transformer) -> None:
        self.transformer = transformer

    def fit(self, rows: Tensor) -> Self:
        from sklearn.base import clone

        copied = clone(self.transformer)
        states = [name for name in copied.get_params() if name.split("__")[-1] == "random_state"]
        copied.set_params(**{s: 0 for s in states if copied.get_params()[s] is None})
        self.fitted = copied.fit(_columns(check_rows(rows).double()).cpu().numpy())
        return self

    def __call__(self, rows: Tensor) -> Tensor:
        found = self.fitted.transform(_columns(rows.double()).cpu().numpy())
        dense = found.toarray() if hasattr(found, "toarray") else found
        values = torch.from_numpy(np.array(dense, dtype=np.float64)).to(rows)
        if not bool(values.isfinite().all()):
            raise ValueError(
                f"Expected `{self.transformer}` to give finite numbers, got missing or infinite "
                "values."
            )
        return values.reshape(rows.shape) if values.numel() == rows.numel() else values

    def config(self) -> dict[str, Any]:
        """Name the transformer as it prints itself: its arguments may be functions."""
        arguments = {"transformer": repr(self.transformer)}
        return {"class_path": public_path(type(self)), "init_args": arguments}


TransformName = Literal["rank", "standardize", "identity"]
TransformLike = Transform | Transformer | TransformName

TRANSFORMS: dict[TransformName, type[Transform]] = {
    "rank": RankToNormal,
    "standardize": Standardize,
    "identity": Identity,
}


def as_transform(name: str, value: Any) -> Transform | None:
    """Return the transform that a word or a transformer of scikit-learn stands for.

    Args:
        name: What to call the argument in an error.
        value: A :class:`Transform`, "rank", "standardize", "identity", a transformer, or None.

    Raises:
        ValueError: If it is something else.

    Example:
        >>> type(as_transform("x_transform", "rank"))
        <class 'mine_lightning.data.transforms.RankToNormal'>
    """
    if value is None or isinstance(value, Transform):
        return value
    if isinstance(value, str) and value in TRANSFORMS:
        return TRANSFORMS[value]()
    if hasattr(value, "fit") and hasattr(value, "transform") and not isinstance(value, type):
        return ScikitTransform(value)
    hint = f" {near(value, TRANSFORMS)}" if isinstance(value, str) else ""
    raise ValueError(
        f"Expected `{name}` to be one of {', '.join(map(repr, TRANSFORMS))}, a `Transform` or a "
        f"transformer of scikit-learn, got {value!r}.{hint}"
    )
