"""A number of nats with its uncertainty, and how it shows itself."""

import html
import math
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FLAGS_PAGE", "Quantity", "correlation_of"]

FLAGS_PAGE = "https://mine-lightning.readthedocs.io/en/stable/interval.html"


class Quantity:
    """A number of nats, its standard errors, and what speaks against it.

    Attributes:
        nats: The estimate.
        standard_error: Its standard error: sampling, the critics' variance, and what they miss.
        errors: The standard errors below and above it, where they differ: a critic that misses
            dependence reads too low, so that the truth lies more often above.
        diagnostics: What speaks against the number: a sentence for each flag raised.
        rows: Number of rows used.
        folds: Number of folds.
        seconds: How long it took.
    """

    nats: float
    standard_error: float
    errors: tuple[float, float] | None
    diagnostics: dict[str, str]
    rows: int
    folds: int
    seconds: float

    @property
    def bits(self) -> float:
        """The estimate in bits."""
        return self.nats / math.log(2)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the confidence interval (low, high) in nats; high may be infinite.

        Raises:
            ValueError: If ``level`` is not in (0, 1).
        """
        if not 0 < level < 1:
            raise ValueError(f"Expected `level` to be in (0, 1), got {level}.")
        quantile = NormalDist().inv_cdf((1 + level) / 2)
        below, above = self.errors or (self.standard_error, self.standard_error)
        return self.nats - quantile * below, self.nats + quantile * above

    @property
    def correlation(self) -> float:
        r"""The correlation of a normal pair with this information, between 0 and 1.

        .. math:: \rho = \sqrt{1 - e^{-2 I}}

        An estimate below 0 gives the negative of what its absolute value gives.

        References:
            Linfoot, "An informational measure of correlation", 1957.
        """
        return correlation_of(self.nats)

    def correlation_interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the ends of :meth:`interval` on the scale of :attr:`correlation`.

        Raises:
            ValueError: If ``level`` is not in (0, 1).
        """
        low, high = self.interval(level)
        return correlation_of(low), correlation_of(high)

    def summary(self) -> str:
        """Return the result for a person: the numbers, and what speaks against them."""
        lines = self._lines()
        width = max(map(len, lines)) + 2
        text = [f"{name:<{width}}{value}" for name, value in lines.items()]
        more = [f"what the notes mean: {FLAGS_PAGE}"] if self.diagnostics else []
        return "\n".join([*text, *self.notes(), *more])

    def notes(self) -> list[str]:
        """Return a line for each diagnostic raised."""
        return [
            f"{name.replace('_', ' ')}: {sentence}" for name, sentence in self.diagnostics.items()
        ]

    @property
    def headline(self) -> str:
        """The number, its interval and its sample in one line."""
        low, high = self.interval()
        return (
            f"{self.nats:.3f} nats ({self.bits:.3f} bits), 95 % interval [{low:.3f}, {high:.3f}], "
            f"{self.rows:,} rows, {self.folds} folds, {self.seconds:.1f} s"
        )

    def plot(self, figure: "Figure | None" = None) -> "Figure":
        """Draw the result."""
        raise NotImplementedError

    def _lines(self) -> dict[str, str]:
        """Return what a summary says, line by line."""
        (low, high), (weak, strong) = self.interval(), self.correlation_interval()
        return {
            "mutual information": f"{self.nats:.4f} nats ({self.bits:.4f} bits)",
            "standard error": f"{self.standard_error:.4f} nats",
            "95 % interval": f"[{low:.4f}, {high:.4f}] nats",
            "as a correlation": f"{self.correlation:.3f} [{weak:.3f}, {strong:.3f}]",
            "rows": f"{self.rows:,} in {self.folds} folds",
            "time": f"{self.seconds:.1f} s",
        }

    def __str__(self) -> str:
        return "\n".join([self.headline, *(f"note: {note}" for note in self.notes())])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'; '.join([self.headline, *self.diagnostics])})"

    def __format__(self, spec: str) -> str:
        return format(self.nats, spec) if spec else str(self)

    def __float__(self) -> float:
        return self.nats

    def _repr_html_(self) -> str:
        from mine_lightning.estimate.figures import as_image

        low, high = self.interval()
        notes = "".join(map(_as_item, self.diagnostics.items()))
        return (
            f"<div><b>{self.nats:.3f} nats</b> &nbsp; 95 % interval [{low:.3f}, {high:.3f}]<br>"
            f"<small>{self.bits:.3f} bits, correlation {self.correlation:.2f}, {self.rows:,} rows, "
            f"{self.folds} folds, {self.seconds:.1f} s</small>"
            f"<ul>{notes}</ul>{as_image(self.plot())}</div>"
        )


def _as_item(note: tuple[str, str]) -> str:
    """Return a flag and its sentence as an item of a list, the flag as a link to its paragraph."""
    name, sentence = note[0].replace("_", " "), html.escape(note[1])
    anchor = name.removeprefix("both ").removeprefix("given ").replace(" ", "-")
    return f'<li><a href="{FLAGS_PAGE}#{anchor}">{name}</a>: {sentence}</li>'


def correlation_of(nats: float) -> float:
    r"""Return :math:`\sqrt{1 - e^{-2 I}}`, with the sign of I.

    Example:
        >>> round(correlation_of(0.5108256), 6), correlation_of(0.0), correlation_of(math.inf)
        (0.8, 0.0, 1.0)
    """
    return math.copysign(math.sqrt(-math.expm1(-2 * abs(nats))), nats)
