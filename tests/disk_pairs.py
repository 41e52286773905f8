"""Pairs on disk whose rows carry their own number, in all three forms."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch import Trainer, seed_everything

from mine_lightning import MutualInformationEstimator
from mine_lightning.data import StreamingDataModule
from mine_lightning.data.loading.stacks import Stacking
from mine_lightning.data.transforms import Identity
from shared import QUIET

ROWS = 3000
RAW = {"x_transform": Identity(), "z_transform": Identity()}
NAMES = ["row", "other", "double", "noise"]
X, Z = [0, 1], [2]
ON_CPU = {**QUIET, "accelerator": "cpu"}


def table(rows: int = ROWS, dtype: str = "float64") -> np.ndarray:
    """Rows that carry their own number: z is twice it."""
    noise = np.random.default_rng(0).normal(size=(rows, 2))
    number = np.arange(rows)
    columns = [number, noise[:, 0], 2 * number, noise[:, 1]]
    return np.stack(columns, axis=1).astype(dtype)


def save(folder: Path, kind: str, values: np.ndarray, group: int = 40) -> tuple[list, dict]:
    """Write the pairs in one of the three forms; return the arguments that open them."""
    if kind == "parquet":
        frame = pd.DataFrame(values, columns=NAMES)
        frame.to_parquet(folder / "pairs.parquet", row_group_size=group, index=False)
        return [folder / "pairs.parquet", ["row", "other"], ["double"]], {}
    if kind == "one file":
        np.save(folder / "pairs.npy", values)
        return [folder / "pairs.npy", X, Z], {}
    np.save(folder / "x.npy", values[:, X])
    np.save(folder / "z.npy", values[:, Z])
    return [folder / "x.npy"], {"z_path": folder / "z.npy"}


KINDS = ["one file", "two files", "parquet"]
every_kind = pytest.mark.parametrize("kind", KINDS)


def module(folder: Path, kind: str = "one file", window: int = 700, **kwargs):
    """Return a set-up DataModule whose windows have few rows."""
    arguments, more = save(folder, kind, table())

    class Small(StreamingDataModule):
        window_rows = window

    options = {"batch_size": 64, "seed": 3, "val_fraction": 0.2, "test_fraction": 0.2, **RAW}
    data = Small(*arguments, **more, **(options | kwargs))
    data.setup()
    return data


def numbers(batches: list[dict]) -> torch.Tensor:
    """Return the row numbers of the joint pairs."""
    return torch.cat([batch["joint"][0][:, 0] for batch in batches]).long()


def with_loader(data, stack: int = 1, rank: int = 0, world_size: int = 1):
    data._place = lambda: (rank, world_size)
    loader = data.train_dataloader()
    loader.stacking = Stacking(stack)
    return loader


def gaussian(folder: Path, rows: int = 20_000, seed: int = 0) -> Path:
    x, noise = np.random.default_rng(seed).normal(size=(2, rows)).astype("float32")
    np.save(folder / "gaussian.npy", np.stack([x, 0.8 * x + 0.6 * noise], axis=1))
    return folder / "gaussian.npy"


def fit(path: Path, steps: int, ckpt_path: str | None = None, seed: int = 0, **kwargs):
    seed_everything(seed, verbose=False)
    data = StreamingDataModule(path, [0], [1], seed=seed + 1, batch_size=128)
    model = MutualInformationEstimator(minibatches_per_step=2)
    trainer = Trainer(max_steps=steps, max_epochs=-1, **ON_CPU, **kwargs)
    trainer.fit(model, data, ckpt_path=ckpt_path)
    return model, data, trainer


def damaged(folder: Path, kind: str, row: int, column: int, value: float) -> tuple[list, dict]:
    values = table()
    values[row, column] = value
    return save(folder, kind, values)
