"""Short trainings of the demos."""

import lightning.pytorch as pl

from hosts import Records
from mine_lightning.demos import PlainGAN
from shared import EVERY_STEP

SMALL = {"codes": 5, "hidden_features": (16,)}


def fit(host, data, steps=4, seed=0, **options):
    """Train a host and return what it logged."""
    pl.seed_everything(seed, verbose=False)
    records = Records()
    manual = len(host.configure_optimizers()[0]) if isinstance(host, PlainGAN) else 1
    options = {"max_steps": manual * steps, "max_epochs": -1, "logger": records} | options
    trainer = pl.Trainer(**EVERY_STEP, **options)
    trainer.fit(host, data)
    return [row for _, row in records.rows], trainer
