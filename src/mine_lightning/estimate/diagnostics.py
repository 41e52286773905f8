"""What speaks against an estimate: named flags, each with a sentence."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mine_lightning.objectives import DonskerVaradhan

__all__ = [
    "LEAST_PAIRS",
    "Evidence",
    "diagnose",
    "duplicated_rows",
    "effective_sample_size",
    "repeated_values",
]

LEAST_PAIRS = 100  # effective pairs, from which on the Donsker-Varadhan bound is trusted


@dataclass(frozen=True)
class Evidence:
    """What the flags are decided from.

    Attributes:
        nats: The estimate.
        standard_error: Its standard error.
        held_out: The estimate on rows that the critics had not seen.
        in_sample: The estimate on rows that they were trained on.
        joint: Held-out scores of pairs drawn together, shape ``(N,)``.
        marginal: Held-out scores of pairs drawn apart, shape ``(N, K)``.
        terms: Held-out terms whose mean is the estimate, shape ``(N,)``.
        tilt: Score at which the correction of the read-out fades out.
        epochs: Number of epochs trained.
        best_epoch: Best epoch of each fold, shape ``(E,)``.
        stopped: Whether training ended because no fold improved any more.
        repeated: Columns with repeated values and the share of rows of the commonest one.
        duplicated: Share of rows that repeat an earlier one though neither side has few values.
    """

    nats: float
    standard_error: float
    held_out: float
    in_sample: float
    joint: Tensor
    marginal: Tensor
    terms: Tensor
    tilt: float
    epochs: int
    best_epoch: Tensor
    stopped: bool
    repeated: dict[str, float]
    duplicated: float = 0.0


def diagnose(evidence: Evidence) -> dict[str, str]:
    """Return the flags raised, each with a sentence.

    * ``still_improving``: most folds were still improving when training ended.
    * ``overfit``: the in-sample value exceeds the held-out one by over 0.1 nats and a quarter.
    * ``near_ceiling``: the value is above :math:`\\ln N - 2`; :math:`N` rows support little more.
    * ``low_effective_sample_size``: fewer than 100 pairs carry the partition term.
    * ``clipped``: half of the rows score beyond the tilt, where the read-out is not corrected.
    * ``heavy_tails``: 1 % of the rows carry over half of the variance.
    * ``repeated_values``: a column with many values repeats one of them.
    * ``duplicated_rows``: 5 % of the rows or more repeat another one.
    * ``contains_zero``: the 95 % interval contains 0.
    """
    flags = {flag.__name__[1:]: flag(evidence) for flag in FLAGS}
    return {name: sentence for name, sentence in flags.items() if sentence is not None}


def _still_improving(e: Evidence) -> str | None:
    improving = (e.best_epoch >= e.epochs - 1).float().mean().item()
    if e.stopped or improving <= 0.5:
        return None
    return (
        f"Most critics were still improving when training ended after {e.epochs} epochs: give "
        "more `max_epochs`."
    )


def _overfit(e: Evidence) -> str | None:
    gap = e.in_sample - e.held_out
    if gap <= max(0.1, 0.25 * abs(e.nats)):
        return None
    return (
        f"The critics find {e.in_sample:.3f} nats in their training rows and {e.held_out:.3f} in "
        "others: the rows are few for this dependence."
    )


def _near_ceiling(e: Evidence) -> str | None:
    rows = len(e.joint)
    if e.nats <= math.log(rows) - 2:
        return None
    return (
        f"No method can support much more than ln N = {math.log(rows):.1f} nats with {rows:,} rows "
        "without assuming a family: the value rests on extrapolation."
    )


def _low_effective_sample_size(e: Evidence) -> str | None:
    size = effective_sample_size(e.marginal)
    if size >= LEAST_PAIRS:
        return None
    return (
        f"The partition term rests on an effective {size:.0f} of {e.marginal.numel():,} pairs: the "
        "Donsker-Varadhan bound is unreliable and is left out of the lower bound."
    )


def effective_sample_size(scores: Tensor) -> float:
    r"""Return :math:`(\sum e^T)^2 / \sum e^{2 T}`: how many pairs carry the partition term."""
    scores = scores.flatten()
    return DonskerVaradhan().pool(scores, scores).effective_sample_size.item()


def _clipped(e: Evidence) -> str | None:
    share = (e.joint > e.tilt).double().mean().item()
    if share <= 0.5:
        return None
    return (
        f"{share:.0%} of the rows score above {e.tilt:g} nats, where errors of the critics are not "
        "corrected: the value rests on their fit."
    )


def _heavy_tails(e: Evidence) -> str | None:
    squares = (e.terms - e.terms.mean()).double().square().sort(descending=True).values
    top = max(1, len(squares) // 100)
    share = (squares[:top].sum() / squares.sum().clamp(min=1e-300)).item()
    if share <= 0.5:
        return None
    return f"{top:,} of {len(squares):,} rows carry {share:.0%} of the variance of the estimate."


def _repeated_values(e: Evidence) -> str | None:
    if not e.repeated:
        return None
    found = ", ".join(f"{name} ({share:.0%} of rows)" for name, share in e.repeated.items())
    return (
        f"Columns with many values repeat one of them: {found}. Where atoms of both sides fall "
        "together the mutual information of the continuous part may be infinite."
    )


def _duplicated_rows(e: Evidence) -> str | None:
    if e.duplicated < 0.05:
        return None
    return (
        f"{e.duplicated:.0%} of the rows repeat an earlier one: critics are scored on rows that "
        "they were trained on, and the value is too high. Leave the copies out."
    )


def _contains_zero(e: Evidence) -> str | None:
    half = 1.96 * e.standard_error
    if not e.nats - half <= 0 <= e.nats + half:
        return None
    return "The 95 % interval contains 0: the data do not show dependence."


FLAGS = (
    _still_improving,
    _overfit,
    _near_ceiling,
    _low_effective_sample_size,
    _clipped,
    _heavy_tails,
    _repeated_values,
    _duplicated_rows,
    _contains_zero,
)


def duplicated_rows(x: Tensor, z: Tensor) -> float:
    """Return the share of rows that repeat an earlier one, 0 where x or z has few values.

    Args:
        x: Shape ``(N, ...)``.
        z: Shape ``(N, ...)``.

    Example:
        >>> x, z = torch.arange(800.0).view(2, 400)
        >>> duplicated_rows(torch.cat([x, x]), torch.cat([z, z]))
        0.5
    """
    sides = [rows.flatten(1) if rows.ndim > 1 else rows.unsqueeze(1) for rows in (x, z)]
    different = [_different(rows) for rows in (*sides, torch.cat(sides, dim=1))]
    few = min(different[:2]) < max(100, len(x) // 20)
    return 0.0 if few else 1 - different[2] / len(x)


def _different(rows: Tensor) -> int:
    """Return the number of different rows."""
    values = np.ascontiguousarray(rows.numpy())
    return len(np.unique(values.view(np.dtype((np.void, values[0].nbytes)))))


def repeated_values(rows: Tensor, columns: list[str], most: int = 5) -> dict[str, float]:
    """Find columns of many values in which one value stands in 5 % of the rows or more.

    Args:
        rows: Shape ``(N, ...)``.
        columns: Name of each column.
        most: Largest number of columns to name.

    Returns:
        The share of the commonest value, by column.

    Example:
        >>> rows = torch.cat([torch.zeros(50), torch.arange(1.0, 51.0)]).unsqueeze(1)
        >>> repeated_values(rows, ["rain"])
        {'rain': 0.5}
    """
    found: dict[str, float] = {}
    for name, column in zip(columns, rows.flatten(1).T, strict=True):
        counts = column.unique(return_counts=True)[1]
        share = counts.max().item() / len(column)
        if len(counts) > max(20, len(column) // 10) and share >= 0.05:
            found[name] = share
        if len(found) == most:
            break
    return found
