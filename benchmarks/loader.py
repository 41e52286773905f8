"""Cost of a minibatch: whole-tensor indexing beside ``DataLoader(TensorDataset)``.

Both shuffle 10,000 rows of 5 + 5 dimensions and hand over batches of 256; ours also draws the
marginal partners. The loaders take turns; the figure is the median over the turns.

    python benchmarks/loader.py
"""

import argparse
import json
import statistics
import time
from collections.abc import Iterable
from pathlib import Path

import torch
from torch.utils.data import DataLoader, TensorDataset

from mine_lightning.data import Derangement, Sampling, Stacking, TrainingLoader

ROWS, DIMS, BATCH = 10_000, 5, 256


def seconds_per_batch(loader: Iterable, epochs: int) -> float:
    """Time the iteration alone."""
    start = time.perf_counter()
    for _ in range(epochs):
        for _ in loader:
            pass
    return (time.perf_counter() - start) / (epochs * (ROWS // BATCH))


def loaders(stack: int) -> dict[str, Iterable]:
    x, z = torch.randn(2, ROWS, DIMS)
    ours = (x, z, Sampling(BATCH, Derangement()))
    return {
        "mine_lightning": TrainingLoader(*ours),
        f"mine_lightning, stacks of {stack}": TrainingLoader(*ours, Stacking(stack)),
        "DataLoader(TensorDataset)": DataLoader(
            TensorDataset(x, z), BATCH, shuffle=True, drop_last=True
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/loader.json"))
    args = parser.parse_args()
    torch.manual_seed(0)
    times: dict[str, list[float]] = {}
    for _ in range(args.turns):
        for name, loader in loaders(stack=16).items():
            times.setdefault(name, []).append(seconds_per_batch(loader, args.epochs))
    medians = {name: statistics.median(values) for name, values in times.items()}
    usual = medians["DataLoader(TensorDataset)"]
    for name, seconds in medians.items():
        print(f"{name:32s} {1e6 * seconds:9.1f} us per batch   {usual / seconds:6.1f} x cheaper")
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(medians, indent=2) + "\n")


if __name__ == "__main__":
    main()
