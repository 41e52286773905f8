"""Pairs of rows that are already in memory."""

from typing import Any

from torch import Tensor

from mine_lightning.data.checks import Missing, check_pairs
from mine_lightning.data.modules import PairArguments, PairDataModule
from mine_lightning.support.keywords import Unpack, check_keywords

__all__ = ["TensorArguments", "TensorDataModule"]


class TensorArguments(PairArguments, total=False):
    """Keyword arguments of :class:`TensorDataModule`."""

    true_mi: float | None


class TensorDataModule(PairDataModule):
    """Pairs from arrays, tensors, data frames of any library, dicts of columns, or nested lists.

    The arrays are checked and copied here, before any training.

    Args:
        x: Array, shape ``(N,)`` or ``(N, ...)``; see :func:`~mine_lightning.data.checks.as_rows`.
        z: Array, likewise.
        true_mi: The true mutual information in nats, where it is known.
        missing: What to do with rows that have missing or infinite values: "raise" an error, or
            "drop" them and say in a warning how many they were.
        kwargs: Arguments of :class:`~mine_lightning.data.modules.PairDataModule`.

    Attributes:
        kept_rows: Row numbers of the input that were kept, shape ``(N,)``.
        dropped_rows: Number of rows that were not.
        x_columns: Name of each column of x; a one-hot column is called ``column=category``.
        z_columns: Name of each column of z.

    Raises:
        ValueError: If the arrays are not pairs of finite numbers that vary.

    Example:
        >>> import torch
        >>> x = torch.randn(1000, 3)
        >>> data = TensorDataModule(x, x[:, 0] + torch.randn(1000))
        >>> data.x_dim, data.z_dim
        (3, 1)
    """

    def __init__(
        self,
        x: Any,
        z: Any,
        true_mi: float | None = None,
        missing: Missing = "raise",
        **kwargs: Unpack[PairArguments],
    ) -> None:
        check_keywords(TensorDataModule.__init__, kwargs)
        super().__init__(**kwargs)
        self._pairs = check_pairs(x, z, missing)
        self._true_mi = true_mi
        self.kept_rows = self._pairs.kept
        self.dropped_rows = self._pairs.given - len(self.kept_rows)
        self.x_columns, self.z_columns = self._pairs.x_columns, self._pairs.z_columns

    @property
    def true_mi(self) -> float | None:
        """The true mutual information in nats, where it is known."""
        return self._true_mi

    def load(self) -> tuple[Tensor, Tensor]:
        return self._pairs.x, self._pairs.z
