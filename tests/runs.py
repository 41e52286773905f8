"""Runs of the command line, short ones."""

from pathlib import Path

import jsonargparse
import pytest
from packaging.version import Version

from mine_lightning.cli import main

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
QUICK = [
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
    "--trainer.max_epochs=1",
    "--trainer.log_every_n_steps=1",
    "--trainer.limit_train_batches=3",
    "--trainer.limit_val_batches=2",
    "--trainer.limit_test_batches=2",
]
SHORT = ["--quiet", "--max_epochs=3"]
"""Of an estimate, which is no run of Lightning."""

names_choices = pytest.mark.skipif(
    Version(jsonargparse.__version__) < Version("4.43"),
    reason="before jsonargparse 4.43, an error does not name the choices of text",
)


def fit(config: Path, logs: Path, *more: str) -> None:
    where = f"--trainer.logger.init_args.save_dir={logs}"
    main(["fit", "--config", str(config), where, *QUICK, *more])
