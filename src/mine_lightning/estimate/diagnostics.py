"""What speaks against an estimate: named flags, each with a sentence."""

import math
from dataclasses import dataclass

from torch import Tensor

from mine_lightning.estimate.sample import Sample
from mine_lightning.objectives.pooling import Pooled

__all__ = [
    "LEAST_PAIRS",
    "Evidence",
    "diagnose",
]

LEAST_PAIRS = 100  # effective pairs, from which on the Donsker-Varadhan bound is trusted
LEAST_ROWS, ROWS_A_COLUMN = 100, 10
SERIAL = 1.5


@dataclass(frozen=True)
class Evidence:
    """What the flags are decided from.

    Attributes:
        nats: The estimate.
        errors: Its standard errors below and above.
        held_out: The estimate on rows that the critics had not seen.
        in_sample: The estimate, more by what rows gain that they were trained on.
        joint: Held-out scores of pairs drawn together, shape ``(N,)``.
        pairs: Sums of the held-out scores of pairs drawn apart, each pair a row.
        terms: Held-out terms whose mean is the estimate, shape ``(N,)``.
        tilt: Score at which the correction of the read-out fades out.
        epochs: Number of epochs trained.
        best_epoch: Best epoch of each fold, shape ``(E,)``.
        stopped: Whether training ended because no fold improved any more.
        sample: What the rows show before any training.
    """

    nats: float
    errors: tuple[float, float]
    held_out: float
    in_sample: float
    joint: Tensor
    pairs: Pooled
    terms: Tensor
    tilt: float
    epochs: int
    best_epoch: Tensor
    stopped: bool
    sample: Sample


def diagnose(evidence: Evidence) -> dict[str, str]:
    """Return the flags raised, each with a sentence.

    * ``still_improving``: most folds were still improving when training ended.
    * ``overfit``: the in-sample value exceeds the held-out one by over 0.1 nats and a quarter.
    * ``near_ceiling``: the value is above :math:`\\ln N - 2`; :math:`N` rows support little more.
    * ``low_effective_sample_size``: fewer than 100 pairs carry the partition term.
    * ``clipped``: half of the rows score beyond the tilt, where the read-out is not corrected.
    * ``heavy_tails``: 1 % of the rows carry over half of the variance.
    * ``repeated_values``: a column with many values repeats one of them.
    * ``treated_as_ordered``: a column of many whole numbers is read as a scale.
    * ``duplicated_rows``: 5 % of the rows or more repeat another one, and not because values do.
    * ``few_rows``: fewer than 100 rows, or than ten for each column.
    * ``functional``: one variable follows from the other up to rounding.
    * ``serial_dependence``: neighbouring rows resemble each other on both sides, and the variance
      of a mean is half as large again as that of independent rows, or more.
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
    size = e.pairs.effective_sample_size.item()
    if size >= LEAST_PAIRS:
        return None
    return (
        f"The partition term rests on an effective {size:.0f} of {e.pairs.rows:,.0f} pairs: the "
        "Donsker-Varadhan bound is unreliable and is left out of the lower bound."
    )


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
    if not e.sample.repeated:
        return None
    found = ", ".join(f"{name} ({share:.0%} of rows)" for name, share in e.sample.repeated.items())
    return (
        f"Columns with many values repeat one of them: {found}. Where atoms of both sides fall "
        "together the mutual information of the continuous part may be infinite."
    )


def _duplicated_rows(e: Evidence) -> str | None:
    if e.sample.duplicated < 0.05:
        return None
    return (
        f"{e.sample.duplicated:.0%} of the rows repeat an earlier one: critics are scored on rows "
        "that they were trained on, and the value is too high. Leave the copies out."
    )


def _contains_zero(e: Evidence) -> str | None:
    below, above = e.errors
    if not e.nats - 1.96 * below <= 0 <= e.nats + 1.96 * above:
        return None
    return "The 95 % interval contains 0: no dependence was found by these critics."


def _treated_as_ordered(e: Evidence) -> str | None:
    if not e.sample.codes:
        return None
    return (
        f"Whole numbers are read as a scale, in column {', '.join(e.sample.codes)}. If they are "
        "codes of categories, make them such, `pandas.Categorical(codes)`, or put a letter before "
        "each."
    )


def _few_rows(e: Evidence) -> str | None:
    rows = len(e.joint)
    if rows >= max(LEAST_ROWS, ROWS_A_COLUMN * e.sample.columns):
        return None
    return (
        f"There are {rows:,} rows for {e.sample.columns:,} columns: dependence in a few of them, "
        "or of a kind that takes many rows to see, may be missed."
    )


def _functional(e: Evidence) -> str | None:
    if not e.sample.functional:
        return None
    return (
        "A column of one side follows from the other side without noise: the mutual information "
        "may be infinite, and any number for it is only a lower bound."
    )


def _serial_dependence(e: Evidence) -> str | None:
    if e.sample.serial < SERIAL:
        return None
    return (
        "Neighbouring rows resemble each other on both sides. Rows that are merely sorted do no "
        "harm; if they follow each other in time, value and interval are too sure: give `blocks`, "
        "longer than the resemblance lasts, or take differences."
    )


FLAGS = (
    _still_improving,
    _overfit,
    _near_ceiling,
    _low_effective_sample_size,
    _clipped,
    _heavy_tails,
    _repeated_values,
    _treated_as_ordered,
    _duplicated_rows,
    _few_rows,
    _functional,
    _serial_dependence,
    _contains_zero,
)
