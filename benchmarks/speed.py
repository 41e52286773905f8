"""Optimizer steps per second of ``Trainer.fit``, beside a plain loop and the usual Lightning code.

Batches of 256 rows of 5 + 5 dimensions out of 10,000, hidden layers of 64 and 64, the
Donsker-Varadhan bound with one shuffled partner, Adam. Ours runs with the default settings, with
progress bar and TensorBoard on. The loops take turns; the figure is the median over the turns.

    python benchmarks/speed.py
"""

import argparse
import contextlib
import io
import json
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from mine_lightning import DonskerVaradhan, MutualInformationEstimator, TensorDataModule
from mine_lightning.functional import donsker_varadhan

ROWS, DIMS, BATCH, HIDDEN = 10_000, 5, 256, 64


class Network(nn.Module):
    """The critic that everybody writes."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2 * DIMS, HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, 1),
        )

    def loss(self, x: Tensor, z: Tensor) -> Tensor:
        apart = z[torch.randperm(len(z))]
        pairs = torch.cat((torch.cat((x, z), 1), torch.cat((x, apart), 1)))
        return -donsker_varadhan(*self.layers(pairs).squeeze(-1).chunk(2))


class Usual(LightningModule):
    """The LightningModule that everybody writes."""

    def __init__(self) -> None:
        super().__init__()
        self.network = Network()

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        loss = self.network.loss(*batch)
        self.log("train/mi", -loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters())


def trainer(steps: int, folder: str) -> Trainer:
    return Trainer(
        max_steps=steps,
        max_epochs=-1,
        logger=TensorBoardLogger(folder),
        limit_val_batches=0,
        enable_checkpointing=False,
        enable_model_summary=False,
        accelerator="cpu",
    )


def ours(steps: int, x: Tensor, z: Tensor, folder: str) -> None:
    data = TensorDataModule(x, z, val_fraction=0.01, test_fraction=0.01)
    model = MutualInformationEstimator(objective=DonskerVaradhan())
    trainer(steps, folder).fit(model, data)


def usual(steps: int, x: Tensor, z: Tensor, folder: str) -> None:
    loader = DataLoader(TensorDataset(x, z), BATCH, shuffle=True, drop_last=True)
    trainer(steps, folder).fit(Usual(), loader)


def plain(steps: int, x: Tensor, z: Tensor, folder: str) -> None:
    network = Network()
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    taken = 0
    while taken < steps:
        for rows in torch.randperm(ROWS).split(BATCH)[: steps - taken]:
            loss = network.loss(x[rows], z[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            taken += 1


def steps_per_second(loop: Callable[..., None], steps: int, folder: str) -> float:
    """Time a whole run less a short one, so that starting up does not count."""
    torch.manual_seed(0)
    x, noise = torch.randn(2, ROWS, DIMS)
    z = 0.5 * x + noise
    start = time.perf_counter()
    loop(steps // 10, x, z, folder)
    middle = time.perf_counter()
    loop(steps + steps // 10, x, z, folder)
    return steps / (time.perf_counter() - middle - (middle - start))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/speed.json"))
    args = parser.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    speeds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(args.turns):
            for loop in (ours, plain, usual):
                with contextlib.redirect_stdout(io.StringIO()):  # the progress bars
                    speed = steps_per_second(loop, args.steps, folder)
                speeds.setdefault(loop.__name__, []).append(speed)
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    for name, speed in medians.items():
        print(
            f"{name:6s} {speed:8.0f} steps/s   ours is {medians['ours'] / speed:5.2f} times as fast"
        )
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(medians, indent=2) + "\n")


if __name__ == "__main__":
    main()
