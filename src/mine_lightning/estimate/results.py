"""The result of an estimate: one number, its uncertainty, and what speaks against it."""

import json
import math
from dataclasses import dataclass, fields
from io import BytesIO
from pathlib import Path
from statistics import NormalDist
from typing import Any, BinaryIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import nn

from mine_lightning.support.files import check_output, written_whole

__all__ = ["MutualInformationEstimate", "Quantity"]

Array = NDArray[np.float64]
ARRAYS = ("pointwise", "terms", "learning_curve", "validation_loss", "x", "z")
UNSTORED = ("critics",)
UNCOMPARED = ("critics", "seconds", "versions")


class Quantity:
    """A number of nats with a standard error."""

    nats: float
    standard_error: float
    rows: int
    folds: int
    seconds: float

    @property
    def bits(self) -> float:
        """The estimate in bits."""
        return self.nats / math.log(2)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the confidence interval (low, high) in nats.

        Raises:
            ValueError: If ``level`` is not in (0, 1).
        """
        if not 0 < level < 1:
            raise ValueError(f"Expected `level` to be in (0, 1), got {level}.")
        half = NormalDist().inv_cdf((1 + level) / 2) * self.standard_error
        return self.nats - half, self.nats + half

    def __str__(self) -> str:
        low, high = self.interval()
        return (
            f"{self.nats:.3f} nats ({self.bits:.3f} bits), 95 % interval [{low:.3f}, {high:.3f}], "
            f"{self.rows:,} rows, {self.folds} folds, {self.seconds:.1f} s"
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self})"

    def __float__(self) -> float:
        return self.nats


@dataclass(frozen=True, eq=False, repr=False)
class MutualInformationEstimate(Quantity):
    """An estimate of mutual information from a sample, in nats.

    Two results are equal if all their numbers are, whatever their duration, their versions and
    their critics. They are ordered by :attr:`nats`, so that ``sorted`` and ``max`` work; whether a
    difference is more than noise is for the standard errors to say.

    Attributes:
        nats: The estimate.
        standard_error: Its standard error, from which :meth:`interval` follows.
        held_out: The estimate from rows scored by critics that had not seen them.
        in_sample: The same from rows that the critics were trained on.
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
    x: Array | None = None
    z: Array | None = None
    critics: nn.Module | None = None

    def summary(self) -> str:
        """Return the result for a person: the numbers, and what speaks against them."""
        low, high = self.interval()
        lines = {
            "mutual information": f"{self.nats:.4f} nats ({self.bits:.4f} bits)",
            "standard error": f"{self.standard_error:.4f} nats",
            "95 % interval": f"[{low:.4f}, {high:.4f}] nats",
            "held out, in sample": f"{self.held_out:.4f}, {self.in_sample:.4f} nats",
            "lower bound": f"{self.lower_bound:.4f} nats (held-out rows)",
            "rows": f"{self.rows:,} in {self.folds} folds",
            "epochs": f"{len(self.learning_curve) - 1}",
            "seed": f"{self.seed}",
            "time": f"{self.seconds:.1f} s",
        }
        width = max(map(len, lines)) + 2
        text = [f"{name:<{width}}{value}" for name, value in lines.items()]
        return "\n".join([*text, *self.notes()])

    def notes(self) -> list[str]:
        """Return a line for each diagnostic raised."""
        return [
            f"{name.replace('_', ' ')}: {sentence}" for name, sentence in self.diagnostics.items()
        ]

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
        """Return the result as plain data that JSON can hold; without the arrays' rows."""
        plain = {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if f.name not in (*ARRAYS, *UNSTORED)
        }
        more = {"bits": self.bits, "interval": list(self.interval())}
        return {**plain, "per_fold": list(self.per_fold), **more}

    def save(self, path: str | Path) -> None:
        """Write the result, whole or not at all: ``.json``, or ``.npz`` with the arrays.

        Raises:
            ValueError: If the suffix is another one, or the directory is missing or read-only.
        """
        path = check_output(path, (".json", ".npz"))
        text = json.dumps(self.to_dict(), indent=2)
        with written_whole(path) as temporary:
            if path.suffix == ".json":
                temporary.write_text(text + "\n", encoding="utf-8")
                return
            arrays = {name: getattr(self, name) for name in ARRAYS}
            kept = {name: array for name, array in arrays.items() if array is not None}
            content = BytesIO()
            np.savez_compressed(content, result=np.array(text), **kept)
            temporary.write_bytes(content.getvalue())

    @classmethod
    def load(cls, path: str | Path) -> "MutualInformationEstimate":
        """Read a result from an ``.npz`` file; nothing in it is executed.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file holds no result.
        """
        with Path(path).open("rb") as file:
            try:
                return cls._read(file)
            except Exception as error:  # a damaged file makes its reader raise anything
                reason = " ".join(str(error).split()) or type(error).__name__
                raise ValueError(
                    f"Expected `path` to be a saved result (.npz), got {str(path)!r}: {reason}"
                ) from error

    @classmethod
    def _read(cls, file: BinaryIO) -> "MutualInformationEstimate":
        with np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in ARRAYS if name in stored.files}
            plain = json.loads(str(stored["result"]))
        plain["per_fold"] = tuple(plain["per_fold"])
        known = {f.name for f in fields(cls)}
        return cls(**{name: value for name, value in plain.items() if name in known}, **arrays)

    def plot(self, figure: Figure | None = None) -> Figure:
        """Draw the learning curve with the estimate and its interval.

        Where x and z have one column each, the samples are drawn beside it, coloured by their
        pointwise mutual information.

        Args:
            figure: Where to draw; a new figure by default.
        """
        scatter = self.x is not None
        if figure is None:
            figure = Figure(figsize=(9 if scatter else 5, 4), layout="constrained")
        axes = figure.subplots(1, 1 + scatter, squeeze=False)[0]
        self._plot_curve(axes[0])
        if scatter:
            self._plot_samples(figure, axes[1])
        return figure

    def _plot_curve(self, axes: Axes) -> None:
        low, high = self.interval()
        epochs = np.arange(len(self.learning_curve))
        axes.plot(epochs, self.learning_curve, color="tab:blue", alpha=0.3, linewidth=1)
        axes.plot(epochs, self.learning_curve.mean(1), color="tab:blue", label="validation rows")
        axes.axhline(self.nats, color="black", linewidth=1, label="estimate")
        axes.axhspan(low, high, color="black", alpha=0.12, linewidth=0, label="95 % interval")
        axes.set(xlabel="epoch", ylabel="mutual information (nats)")
        axes.legend(frameon=False)

    def _plot_samples(self, figure: Figure, axes: Axes) -> None:
        largest = float(np.nanquantile(np.abs(self.pointwise), 0.99)) or 1.0
        x, z = np.asarray(self.x), np.asarray(self.z)
        points = axes.scatter(
            x, z, c=self.pointwise, s=4, cmap="coolwarm", vmin=-largest, vmax=largest
        )
        figure.colorbar(points, ax=axes, label="pointwise mutual information (nats)")
        axes.set(xlabel="x", ylabel="z")


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        arrays = isinstance(a, np.ndarray) and isinstance(b, np.ndarray)
        return arrays and np.array_equal(a, b, equal_nan=True)
    return bool(a == b)
