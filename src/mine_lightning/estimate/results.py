"""The result of an estimate: one number, its uncertainty, and what speaks against it."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from mine_lightning.estimate.quantity import Quantity
from mine_lightning.estimate.storage import Arrays, read_errors, read_result, write_result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MutualInformationEstimate"]

Array = NDArray[np.float64]
ARRAYS = ("pointwise", "terms", "learning_curve", "validation_loss", "x", "z")
UNSTORED = ("critics",)
UNCOMPARED = ("critics", "seconds", "versions")


@dataclass(frozen=True, eq=False, repr=False)
class MutualInformationEstimate(Quantity):
    """An estimate of mutual information from a sample, in nats.

    Two results are equal if all their numbers are, whatever their duration, their versions and
    their critics. They are ordered by :attr:`nats`, so that ``sorted`` and ``max`` work; whether a
    difference is more than noise is for the standard errors to say.

    Attributes:
        nats: The estimate.
        standard_error: Its standard error: sampling, the critics' variance, and what they miss.
        held_out: The estimate from rows scored by critics that had not seen them.
        in_sample: The same, more by what the terms of rows gain where critics were trained on them.
        lower_bound: A lower bound from held-out rows: the larger of Donsker-Varadhan's and
            InfoNCE's or, for labels, the entropy less the cross-entropy.
        per_fold: The held-out estimate of each fold.
        pointwise: Pointwise mutual information of each row of the input, held out; nan for rows
            that were dropped as missing. Shape ``(N,)``.
        terms: The held-out terms whose mean is ``held_out`` (up to the sizes of the folds), in the
            order of the rows used. Their spread makes the standard error.
        rows: Number of rows used.
        folds: Number of folds.
        learning_curve: The estimate of each fold on its validation rows before the first epoch and
            after each, shape ``(1 + epochs, folds)``.
        validation_loss: The loss there, by which states are selected.
        diagnostics: What speaks against the number: a sentence for each flag raised.
        seed: The seed that repeats the estimate.
        seconds: How long it took.
        settings: The settings used, as plain data.
        versions: Versions of the packages that computed it.
        errors: Standard errors below and above ``nats``, from which :meth:`interval` follows;
            ``standard_error`` on either side if None.
        p_value: Share of re-pairings of the rows that the held-out critics score as high:
            evidence against independence.
        x: The column of x, for the plot, where x and z have one each.
        z: The column of z, likewise.
        critics: The trained critics; not saved.

    Example:
        >>> import torch
        >>> from mine_lightning import estimate_mutual_information
        >>> x, noise = torch.randn(2, 200, generator=torch.Generator().manual_seed(0))
        >>> result = estimate_mutual_information(x, x + noise, max_epochs=3, progress_bar=False)
        >>> low, high = result.interval(level=0.95)
        >>> low < result.nats < high
        True
    """

    nats: float
    standard_error: float
    held_out: float
    in_sample: float
    lower_bound: float
    per_fold: tuple[float, ...]
    pointwise: Array
    terms: Array
    rows: int
    folds: int
    learning_curve: Array
    validation_loss: Array
    diagnostics: dict[str, str]
    seed: int
    seconds: float
    settings: dict[str, Any]
    versions: dict[str, str]
    errors: tuple[float, float] | None = None
    p_value: float | None = None
    x: Array | None = None
    z: Array | None = None
    critics: nn.Module | None = None

    def _lines(self) -> dict[str, str]:
        tested = {} if self.p_value is None else {"p-value": f"{self.p_value:.2g} (permutation)"}
        return {
            **super()._lines(),
            "held out, in sample": f"{self.held_out:.4f}, {self.in_sample:.4f} nats",
            "lower bound": f"{self.lower_bound:.4f} nats (held-out rows)",
            **tested,
            "epochs": f"{len(self.learning_curve) - 1}",
            "seed": f"{self.seed}",
        }

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MutualInformationEstimate):
            return NotImplemented
        names = [f.name for f in fields(self) if f.name not in UNCOMPARED]
        return all(_same(getattr(self, name), getattr(other, name)) for name in names)

    def __hash__(self) -> int:
        return hash((self.nats, self.standard_error, self.rows, self.seed))

    def __lt__(self, other: "MutualInformationEstimate") -> bool:
        return self.nats < other.nats

    def __le__(self, other: "MutualInformationEstimate") -> bool:
        return self.nats <= other.nats

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain data; without the arrays' rows."""
        plain = {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if f.name not in (*ARRAYS, *UNSTORED)
        }
        more = {"bits": self.bits, "correlation": self.correlation}
        return {**plain, "per_fold": list(self.per_fold), **more, "interval": list(self.interval())}

    def arrays(self) -> dict[str, Array]:
        """Return the arrays by name, those that the result has."""
        arrays = {name: getattr(self, name) for name in ARRAYS}
        return {name: array for name, array in arrays.items() if array is not None}

    @classmethod
    def from_parts(cls, plain: dict[str, Any], arrays: Arrays) -> "MutualInformationEstimate":
        """Build the result that :meth:`to_dict` and :meth:`arrays` took apart."""
        known = {f.name for f in fields(cls)}
        parts = {name: value for name, value in plain.items() if name in known}
        per_fold = tuple(parts["per_fold"])
        return cls(**{**parts, **read_errors(parts), "per_fold": per_fold, **arrays})

    def save(self, path: str | Path) -> None:
        """Write the result, whole or not at all: ``.json``, or ``.npz``, smaller for many rows.

        Raises:
            ValueError: If the suffix is another one, or the directory is missing or read-only.
        """
        write_result(path, self.to_dict(), self.arrays())

    @classmethod
    def load(cls, path: str | Path) -> "MutualInformationEstimate":
        """Read a result from a file that :meth:`save` wrote; nothing in it is executed.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file holds no result.
        """
        return read_result(path, cls.from_parts)

    def plot(self, figure: "Figure | None" = None) -> "Figure":
        """Draw the learning curve with the estimate and its interval.

        Where x and z have one column each, the samples are drawn beside it, coloured by their
        pointwise mutual information.

        Args:
            figure: Where to draw; a new figure by default.
        """
        scatter = self.x is not None
        from mine_lightning.estimate.figures import drawing

        figure = drawing(figure, 9 if scatter else 5, 4)
        axes = figure.subplots(1, 1 + scatter, squeeze=False)[0]
        self._plot_curve(axes[0])
        if scatter:
            self._plot_samples(figure, axes[1])
        return figure

    def _plot_curve(self, axes: "Axes") -> None:
        from matplotlib.ticker import MaxNLocator

        low, high = self.interval()
        top = high if np.isfinite(high) else 2 * self.nats - low
        epochs = np.arange(len(self.learning_curve))
        axes.plot(epochs, self.learning_curve, color="tab:blue", alpha=0.3, linewidth=1)
        axes.plot(epochs, self.learning_curve.mean(1), color="tab:blue", label="validation rows")
        axes.axhline(self.nats, color="black", linewidth=1, label="estimate")
        axes.axhspan(low, top, color="black", alpha=0.12, linewidth=0, label="95 % interval")
        axes.set(xlabel="epoch", ylabel="mutual information (nats)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False)

    def _plot_samples(self, figure: "Figure", axes: "Axes") -> None:
        largest = float(np.nanquantile(np.abs(self.pointwise), 0.99)) or 1.0
        x, z = np.asarray(self.x), np.asarray(self.z)
        points = axes.scatter(
            x, z, c=self.pointwise, s=4, cmap="coolwarm", vmin=-largest, vmax=largest
        )
        figure.colorbar(points, ax=axes, label="pointwise mutual information (nats)")
        axes.set(xlabel=self._axis("x"), ylabel=self._axis("z"))

    def _axis(self, side: str) -> str:
        """Return the name of the one column of a side, or that of the side where it has none."""
        column = self.settings.get(f"{side}_columns", ["0"])[0]
        return side if column == "0" else column


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        arrays = isinstance(a, np.ndarray) and isinstance(b, np.ndarray)
        return arrays and np.array_equal(a, b, equal_nan=True)
    return bool(a == b)
