"""Every logger gets the same names and the same values, in its mode without a network."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, WandbLogger

from mine_lightning import GaussianDataModule, MutualInformationEstimator
from shared import SILENT


def of_csv(folder: Path) -> CSVLogger:
    return CSVLogger(folder)


def read_csv(logger: Any) -> dict[str, float]:
    frame = pd.read_csv(Path(logger.log_dir) / "metrics.csv")
    return frame.ffill().iloc[-1].to_dict()


def of_mlflow(folder: Path) -> MLFlowLogger:
    pytest.importorskip("mlflow", reason="needs mlflow-skinny, an extra")
    return MLFlowLogger("mutual information", tracking_uri=f"file:{folder}")


def read_mlflow(logger: Any) -> dict[str, float]:
    return logger.experiment.get_run(logger.run_id).data.metrics


def of_wandb(folder: Path) -> WandbLogger:
    pytest.importorskip("wandb", reason="needs wandb, an extra")
    return WandbLogger("mutual information", save_dir=folder, offline=True)


def read_wandb(logger: Any) -> dict[str, float]:
    summary = logger.experiment.summary
    known = {name: summary[name] for name in list(summary.keys())}
    logger.experiment.finish()
    return known


@pytest.mark.parametrize(
    ("make", "read"),
    [(of_csv, read_csv), (of_mlflow, read_mlflow), (of_wandb, read_wandb)],
    ids=["csv", "mlflow", "wandb"],
)
@pytest.mark.filterwarnings("ignore")  # of the loggers' own packages
def test_a_logger_gets_the_result_by_its_names(make, read, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    logger: Logger = make(tmp_path)
    data = GaussianDataModule(rows=600, correlation=0.5, batch_size=64, seed=0)
    trainer = Trainer(
        max_epochs=1, logger=logger, log_every_n_steps=1, enable_checkpointing=False, **SILENT
    )
    model = MutualInformationEstimator()
    trainer.fit(model, data)
    (tested,) = trainer.test(model, data, verbose=False)
    known = read(logger)
    assert known["mi/estimate"] == pytest.approx(tested["test/mi"])
    assert known["mi/standard_error"] == pytest.approx(tested["test/mi_standard_error"])
    assert known["mi/truth"] == pytest.approx(data.true_mi)
    assert known["test/mi"] == known["mi/estimate"]
    assert {"train/mi", "val/mi", "train/loss"} <= known.keys()
