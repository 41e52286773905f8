"""Conditional mutual information, by the chain rule on shared folds."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from mine_lightning.data.checks import check_paired, check_pairs, count_rows
from mine_lightning.estimate.arguments import EstimateArguments
from mine_lightning.estimate.call import as_labels, estimate_mutual_information
from mine_lightning.estimate.readings import standard_error
from mine_lightning.estimate.results import MutualInformationEstimate, Quantity
from mine_lightning.support.keywords import Unpack, check_keywords

__all__ = ["ConditionalEstimate", "estimate_conditional_mutual_information"]


@dataclass(frozen=True, repr=False)
class ConditionalEstimate(Quantity):
    """An estimate of the conditional mutual information I(X; Z | Y), in nats.

    Attributes:
        nats: The estimate.
        standard_error: Its standard error: of the difference row by row, so that what both
            estimates share cancels.
        both: The estimate of I(X; (Y, Z)).
        given: The estimate of I(X; Y).
        rows: Number of rows used.
        folds: Number of folds.
        seconds: How long it took.
    """

    nats: float
    standard_error: float
    both: MutualInformationEstimate
    given: MutualInformationEstimate
    rows: int
    folds: int
    seconds: float

    @property
    def diagnostics(self) -> dict[str, str]:
        """What speaks against either estimate."""
        sides = {"both": self.both, "given": self.given}
        return {
            f"{side}_{name}": sentence
            for side, result in sides.items()
            for name, sentence in result.diagnostics.items()
        }


def estimate_conditional_mutual_information(
    x: Any, z: Any, given: Any, **kwargs: Unpack[EstimateArguments]
) -> ConditionalEstimate:
    r"""Estimate the information that z has about x beyond what y has.

    .. math:: I(X; Z \mid Y) = I(X; (Y, Z)) - I(X; Y)

    Both terms are estimated on the same folds, and the standard error is that of the difference of
    their rows.

    Args:
        x: Array, tensor, Series or DataFrame, shape ``(N,)`` or ``(N, ...)``; see
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
    missing = kwargs.get("missing", "raise")
    x, z, given = map(as_labels, (x, z, given))
    check_paired(x, z, count_rows("x", x), count_rows("z", z))
    first = check_pairs(z, given, missing, names=("z", "given"))
    second = check_pairs(_take(x, first.kept), first.x, missing)
    y = first.z[second.kept].flatten(1)
    yz = torch.cat([y, second.z.flatten(1)], dim=1)
    both = estimate_mutual_information(second.x, yz, **kwargs)
    alone = estimate_mutual_information(second.x, y, **kwargs)
    terms = both.terms - alone.terms
    gap = both.in_sample - both.held_out - alone.in_sample + alone.held_out
    nats = both.nats - alone.nats
    return ConditionalEstimate(
        nats=nats,
        standard_error=standard_error(torch.from_numpy(terms), gap, nats),
        both=both,
        given=alone,
        rows=both.rows,
        folds=both.folds,
        seconds=both.seconds + alone.seconds,
    )


def _take(values: Any, rows: torch.Tensor) -> Any:
    """Return some rows of whatever the user gave."""
    if isinstance(values, (pd.Series, pd.DataFrame)):
        return values.iloc[rows.numpy()]
    return (values if isinstance(values, torch.Tensor) else np.asarray(values))[rows]
