"""What several tests stand on."""

import numpy as np

from mine_lightning.estimate.results import MutualInformationEstimate

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
