"""Conditional mutual information, by the chain rule on shared folds."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mine_lightning.data.checks import check_together
from mine_lightning.estimate.arguments import GroupedArguments
from mine_lightning.estimate.call import estimate_mutual_information
from mine_lightning.estimate.dependence import mean_variance, row_groups
from mine_lightning.estimate.quantity import Quantity
from mine_lightning.estimate.results import MutualInformationEstimate
from mine_lightning.estimate.storage import Arrays, read_errors, read_result, write_result
from mine_lightning.estimate.uncertainty import Errors, difference_errors
from mine_lightning.support.ambient import own_settings
from mine_lightning.support.keywords import Unpack, check_keywords

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ConditionalEstimate", "difference", "estimate_conditional_mutual_information"]


@dataclass(frozen=True, repr=False)
class ConditionalEstimate(Quantity):
    """An estimate of the conditional mutual information I(X; Z | Y), in nats.

    Attributes:
        nats: The estimate.
        standard_error: Its standard error: of the difference row by row, so that what both
            estimates share cancels.
        both: The estimate of I(X; (Y, Z)).
        given: The estimate of I(X; Y).
        diagnostics: What speaks against either estimate.
        rows: Number of rows used.
        folds: Number of folds.
        seconds: How long it took.
        errors: Standard errors below and above ``nats``, where they differ.
    """

    nats: float
    standard_error: float
    both: MutualInformationEstimate
    given: MutualInformationEstimate
    diagnostics: dict[str, str]
    rows: int
    folds: int
    seconds: float
    errors: tuple[float, float] | None = None

    @property
    def amplification(self) -> float:
        r"""How much larger a relative error of the two terms is in their difference.

        .. math:: (I(X; Y, Z) + I(X; Y)) / |I(X; Z | Y)|
        """
        return (abs(self.both.nats) + abs(self.given.nats)) / max(abs(self.nats), 1e-12)

    def _lines(self) -> dict[str, str]:
        parts = f"{self.both.nats:.4f} - {self.given.nats:.4f} nats"
        factor = f"{self.amplification:.1f}"
        return {
            **super()._lines(),
            "difference": f"{parts}: relative errors grow {factor} times",
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain data; without the arrays' rows."""
        names = ("nats", "standard_error", "diagnostics", "rows", "folds", "seconds", "errors")
        return {
            **{name: getattr(self, name) for name in names},
            "interval": list(self.interval()),
            "both": self.both.to_dict(),
            "given": self.given.to_dict(),
        }

    @classmethod
    def from_parts(cls, plain: dict[str, Any], arrays: Arrays) -> "ConditionalEstimate":
        """Build the result that :meth:`save` took apart."""
        sides: dict[str, Any] = {
            side: MutualInformationEstimate.from_parts(plain[side], _within(arrays, side))
            for side in ("both", "given")
        }
        names = ("nats", "diagnostics", "rows", "folds", "seconds")
        return cls(**{name: plain[name] for name in names}, **read_errors(plain), **sides)

    def save(self, path: str | Path) -> None:
        """Write the result, whole or not at all: ``.json``, or ``.npz``, smaller for many rows.

        Raises:
            ValueError: If the suffix is another one, or the directory is missing or read-only.
        """
        arrays = {
            f"{side}.{name}": array
            for side in ("both", "given")
            for name, array in getattr(self, side).arrays().items()
        }
        write_result(path, self.to_dict(), arrays)

    @classmethod
    def load(cls, path: str | Path) -> "ConditionalEstimate":
        """Read a result from a file that :meth:`save` wrote; nothing in it is executed.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file holds no result.
        """
        return read_result(path, cls.from_parts)

    def plot(self, figure: "Figure | None" = None) -> "Figure":
        """Draw the two terms and their difference, each with its 95 % interval.

        Args:
            figure: Where to draw; a new figure by default.
        """
        from mine_lightning.estimate.figures import drawing

        figure = drawing(figure, 5, 2.5)
        axes = figure.subplots()
        parts = {"I(X; Y, Z)": self.both, "I(X; Y)": self.given, "I(X; Z | Y)": self}
        for place, part in enumerate(parts.values()):
            low, high = part.interval()
            top = high if math.isfinite(high) else 2 * part.nats - low
            axes.plot([low, top], [place, place], color="tab:blue")
            axes.plot(part.nats, place, "o", color="tab:blue")
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_yticks(range(len(parts)), list(parts))
        axes.invert_yaxis()
        axes.set(xlabel="nats, with 95 % intervals")
        return figure


def _within(arrays: Arrays, side: str) -> Arrays:
    """Return the arrays of one side by their own names."""
    return {
        name.removeprefix(f"{side}."): array
        for name, array in arrays.items()
        if name.startswith(f"{side}.")
    }


@own_settings()
def estimate_conditional_mutual_information(
    x: Any, z: Any, given: Any, **kwargs: Unpack[GroupedArguments]
) -> ConditionalEstimate:
    r"""Estimate the information that z has about x beyond what y has.

    .. math:: I(X; Z \mid Y) = I(X; (Y, Z)) - I(X; Y)

    Both terms are estimated on the same folds, and the standard error is that of the difference of
    their rows.

    Args:
        x: Array, tensor or table, shape ``(N,)`` or ``(N, ...)``; see
            :func:`~mine_lightning.estimate_mutual_information`.
        z: Likewise.
        given: The variable y, likewise.
        kwargs: Arguments of :func:`~mine_lightning.estimate_mutual_information`.

    Raises:
        ValueError: As :func:`~mine_lightning.estimate_mutual_information`.

    Example:
        >>> y, a, b = torch.randn(3, 300, generator=torch.Generator().manual_seed(0))
        >>> result = estimate_conditional_mutual_information(
        ...     y + a, y + b, given=y, max_epochs=2, progress_bar=False
        ... )  # x and z depend on y alone
        >>> abs(result.nats) < 0.15
        True
    """
    check_keywords(estimate_conditional_mutual_information, kwargs)
    variables = {"x": x, "z": z, "given": given}
    checked, kept, count = check_together(variables, kwargs.get("missing", "raise"), labels=True)
    x, z, y = (checked[name].rows.flatten(1) for name in variables)
    together = row_groups(kwargs.pop("groups", None), kwargs.pop("blocks", None), count)
    if together is not None:
        together = together[kept]
    kwargs["groups"] = together
    both = estimate_mutual_information(x, torch.cat([y, z], dim=1), **kwargs)
    alone = estimate_mutual_information(x, y, **kwargs)
    return difference(both, alone, together)


def difference(
    both: MutualInformationEstimate,
    given: MutualInformationEstimate,
    groups: torch.Tensor | None = None,
) -> ConditionalEstimate:
    """Return I(X; Z | Y) from the estimates of I(X; (Y, Z)) and I(X; Y) on the same folds.

    Args:
        both: The estimate of I(X; (Y, Z)).
        given: The estimate of I(X; Y).
        groups: Number of the group of each row, whose rows depend on each other.
    """
    errors = _errors(both, given, groups)
    return ConditionalEstimate(
        nats=both.nats - given.nats,
        standard_error=errors.both,
        errors=errors,
        both=both,
        given=given,
        diagnostics=_diagnostics(both, given),
        rows=both.rows,
        folds=both.folds,
        seconds=both.seconds + given.seconds,
    )


def _errors(
    both: MutualInformationEstimate, given: MutualInformationEstimate, groups: torch.Tensor | None
) -> Errors:
    """Return the standard errors of the difference, in which the rows' common part cancels."""
    first, second = (torch.from_numpy(result.terms) for result in (both, given))
    separate = (mean_variance(terms, groups) for terms in (first, second))
    more, less = (
        Errors(*(result.errors or 2 * (result.standard_error,))) for result in (both, given)
    )
    return difference_errors(mean_variance(first - second, groups), more, less, sum(separate))


def _diagnostics(
    both: MutualInformationEstimate, given: MutualInformationEstimate
) -> dict[str, str]:
    """Name the flags of either estimate after it."""
    sides = {"both": both, "given": given}
    return {
        f"{side}_{name}": sentence
        for side, result in sides.items()
        for name, sentence in result.diagnostics.items()
        if name != "contains_zero"
    }
