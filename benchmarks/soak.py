"""Train for hundreds of thousands of steps with logs and checkpoints; watch memory and files.

    python benchmarks/soak.py --steps 300000

Resident memory and open files are read every 1 % of the steps. The exit status is 1 if the memory
of the last tenth exceeds that of the second tenth by more than 5 %, or more files are open all the
time: while a checkpoint is written, one more is.
"""

import argparse
import json
import logging
import os
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger

from mine_lightning import (
    ConcatCritic,
    GaussianDataModule,
    MutualInformationEstimator,
    RestartCheckpoint,
    WholeCheckpointIO,
)

LEAST_STEPS = 10_000  # an epoch has hundreds, and a reading needs new ones
PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_megabytes() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 2**20


class Watch(Callback):
    """Read memory and open files every so many steps."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.readings: list[dict[str, float]] = []
        self.start = time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.global_step < self.every * (len(self.readings) + 1):
            return
        self.readings.append(
            {
                "step": trainer.global_step,
                "megabytes": resident_megabytes(),
                "files": len(os.listdir("/proc/self/fd")),
                "seconds": time.perf_counter() - self.start,
            }
        )


def soak(steps: int, folder: str) -> list[dict[str, float]]:
    watch = Watch(steps // 100)
    trainer = Trainer(
        max_steps=steps,
        max_epochs=-1,
        accelerator="cpu",
        logger=TensorBoardLogger(folder, name="", default_hp_metric=False),
        log_every_n_steps=50,
        callbacks=[
            watch,
            ModelCheckpoint(monitor="val/mi", mode="max", save_top_k=2),
            RestartCheckpoint(every_n_steps=1000),
        ],
        plugins=[WholeCheckpointIO()],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    data = GaussianDataModule(correlation=0.7, rows=20_000, batch_size=32, eval_partners=1, seed=0)
    trainer.fit(MutualInformationEstimator(ConcatCritic([16])), data)
    return watch.readings


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=300_000)
    parser.add_argument("--output", type=Path, default=None)
    given = parser.parse_args()
    if given.steps < LEAST_STEPS:
        parser.error(f"expected at least {LEAST_STEPS:,} steps, got {given.steps:,}")
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        readings = soak(given.steps, folder)
    tenth = len(readings) // 10
    early, late = readings[tenth : 2 * tenth], readings[-tenth:]
    memory = [statistics.median(r["megabytes"] for r in part) for part in (early, late)]
    files = max(r["files"] for r in early), min(r["files"] for r in late)
    growth = memory[1] / memory[0] - 1
    print(f"{'steps':>9s} {'resident MiB':>13s} {'open files':>11s} {'seconds':>8s}")
    for r in readings[:: max(1, tenth)] + readings[-1:]:
        print(f"{r['step']:9d} {r['megabytes']:13.1f} {r['files']:11d} {r['seconds']:8.0f}")
    print(f"memory {growth:+.1%}, open files {files[0]} and {files[1]}")
    if given.output is not None:
        given.output.write_text(json.dumps(readings, indent=1) + "\n")
    return int(growth > 0.05 or files[1] > files[0])


if __name__ == "__main__":
    sys.exit(main())
