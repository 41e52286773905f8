"""What several tests stand on."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mine_lightning.data.modules import PairDataModule
from mine_lightning.estimate.results import MutualInformationEstimate

SILENT: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False}
QUIET: dict[str, Any] = {**SILENT, "logger": False}
NO_FILES: dict[str, Any] = {**QUIET, "enable_checkpointing": False}
ON_CPU: dict[str, Any] = {**NO_FILES, "accelerator": "cpu"}
UNCHECKED: dict[str, Any] = {**NO_FILES, "num_sanity_val_steps": 0}
EVERY_STEP: dict[str, Any] = {
    **SILENT,
    "accelerator": "cpu",
    "enable_checkpointing": False,
    "log_every_n_steps": 1,
}
TRAINING_ALONE: dict[str, Any] = {**NO_FILES, "limit_val_batches": 0}

QUICK: dict[str, Any] = {"max_epochs": 3, "progress_bar": False}
"""What an estimate takes whose value does not matter."""
TWO_FOLDS: dict[str, Any] = {"folds": 2, "max_epochs": 4}
"""What the choice of columns takes."""

RNG = np.random.default_rng(0)
RESULT = MutualInformationEstimate(
    nats=1.0212,
    standard_error=0.011,
    held_out=1.01,
    in_sample=1.03,
    lower_bound=0.99,
    per_fold=(1.0, 1.02),
    pointwise=np.append(RNG.normal(size=99), np.nan),
    terms=RNG.normal(size=99),
    rows=10_000,
    folds=5,
    learning_curve=RNG.normal(size=(8, 2)),
    validation_loss=RNG.normal(size=(8, 2)),
    diagnostics={"clipped": "A sentence."},
    seed=0,
    seconds=6.2,
    settings={"batch_size": 512},
    versions={"torch": "2"},
)
SAMPLE = np.random.default_rng(1).normal(size=(2, 100))
PLAIN = replace(RESULT, x=SAMPLE[0], z=SAMPLE[1])
"""The same of one column on either side, which can be drawn."""


def drawn(seed: int) -> pd.DataFrame:
    """Draw 200 rows of three columns of numbers and one of words; b follows a, and kind b."""
    rng = np.random.default_rng(seed)
    a, b, c = rng.normal(size=(3, 200))
    kind = np.where(b > 0, "high", "low")
    return pd.DataFrame({"a": a, "b": a + 0.3 * b, "c": c, "kind": kind})


ROWS = 500
X = np.random.default_rng(0).normal(size=(ROWS, 2))
Z = X[:, :1] + np.random.default_rng(1).normal(size=(ROWS, 1))


def rows_of(data: PairDataModule, split: str) -> tuple[Tensor, ...]:
    """Collect the joint pairs of a split."""
    data.setup()
    batches = getattr(data, f"{split}_dataloader")()
    return tuple(torch.cat(parts) for parts in zip(*(b["joint"] for b in batches), strict=True))


COVARIANCE = [[2.0, 0.3, 0.8], [0.3, 1.0, -0.2], [0.8, -0.2, 1.5]]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def strong_and_weak(rows: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return a strong column, its copy, a weak one, noise and a constant; and their target."""
    rng = np.random.default_rng(seed)
    strong, weak, noise, rest, blur = rng.normal(size=(5, rows))
    x = np.stack([noise, strong, strong + 0.1 * blur, weak, np.full(rows, 3.0)], axis=1)
    return x, 2 * strong + weak + 0.5 * rest
