"""The result of an estimate: one number, its uncertainty, and what speaks against it."""

import json
import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtri
from typing_extensions import Self

from mine_lightning.files import check_output, written_whole

__all__ = ["MutualInformationEstimate"]

CURVE = ("epoch", "train", "validation")


@dataclass(frozen=True, eq=False)
class MutualInformationEstimate:
    """An estimate of mutual information from a sample, in nats.

    Attributes:
        nats: The estimate.
        standard_error: Its standard error, from which :meth:`interval` follows.
        held_out: The estimate from rows scored by critics that had not seen them.
        in_sample: The same from rows that the critics were trained on.
        lower_bound: The Donsker-Varadhan bound on held-out rows.
        per_fold: The held-out estimate of each fold.
        pointwise: Pointwise mutual information of each row of the input, held out; nan for rows
            that were dropped as missing.
        rows: Number of rows used.
        folds: Number of folds.
        learning_curve: Validation loss of each fold after each epoch, shape ``(epochs, folds)``.
        diagnostics: What speaks against the number: a sentence for each flag raised.
        seed: The seed that repeats the estimate.
        seconds: How long it took.
        settings: The settings used, as plain data.
        versions: Versions of the packages that computed it.
    """

    nats: float
    standard_error: float
    held_out: float
    in_sample: float
    lower_bound: float
    per_fold: tuple[float, ...]
    pointwise: np.ndarray = field(repr=False)
    rows: int
    folds: int
    learning_curve: np.ndarray = field(repr=False)
    diagnostics: dict[str, str]
    seed: int
    seconds: float
    settings: dict[str, Any]
    versions: dict[str, str]
