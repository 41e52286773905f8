"""Optimizer steps per second of ``Trainer.fit``, beside loops that people write and other packages.

Batches of 256 rows of 5 + 5 dimensions out of 10,000, hidden layers of 64 and 64, the
Donsker-Varadhan bound with one shuffled partner, Adam. Ours runs at the default settings, with
progress bar and TensorBoard on; an ensemble counts a step for each member. All take turns in one
process; the figure is the median over the turns, and ratios are medians of the turns' own ratios.

    pip install torch-mist benchmark-mi    # peers, each is left out where it is not installed
    python benchmarks/speed.py
    python benchmarks/speed.py --scaling   # cost against batch size, dimension, width, E and N
    python benchmarks/speed.py --soak      # memory over 200,000 steps
    python benchmarks/speed.py --calls     # seconds and error of one call and of a matrix

``ATEN_CPU_CAPABILITY=avx2`` imitates a lesser processor; give it a ``TORCHINDUCTOR_CACHE_DIR`` of
its own, as PyTorch takes a step compiled for one processor for that of another.

On a GPU a step is timed by the device's events, beside the plain step replayed as one CUDA graph.
"""

import argparse
import contextlib
import importlib.util
import io
import itertools
import json
import logging
import math
import resource
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from sklearn.feature_selection import mutual_info_regression
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from mine_lightning import (
    ConcatCritic,
    DonskerVaradhan,
    MutualInformationEnsemble,
    MutualInformationEstimator,
    TensorDataModule,
    estimate_mutual_information,
    mutual_information_matrix,
)
from mine_lightning.functional import donsker_varadhan
from mine_lightning.support.capture import CudaGraphs

ROWS, DIMS, BATCH, HIDDEN, MEMBERS = 10_000, 5, 256, 64, 5
RESULTS = Path(__file__).resolve().parent / "results"
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
Loop = Callable[[int, Tensor, Tensor], None]


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
        apart = z[torch.randperm(len(z), device=z.device)]
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


def fit(model: LightningModule, data: Any, steps: int, *callbacks: Callback) -> None:
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            max_steps=steps,
            max_epochs=-1,
            logger=TensorBoardLogger(folder),
            limit_val_batches=0,
            enable_checkpointing=False,
            enable_model_summary=False,
            callbacks=list(callbacks),
        )
        trainer.fit(model, data)


def ours(steps: int, x: Tensor, z: Tensor, batch: int = BATCH, **kwargs: Any) -> None:
    data = TensorDataModule(x, z, val_fraction=0.01, test_fraction=0.01, batch_size=batch)
    settings: dict[str, Any] = {"compile": False, **kwargs}
    kind = MutualInformationEnsemble if "members" in settings else MutualInformationEstimator
    fit(kind(objective=DonskerVaradhan(), **settings), data, steps)


def usual(steps: int, x: Tensor, z: Tensor) -> None:
    fit(Usual(), DataLoader(TensorDataset(x, z), BATCH, shuffle=True, drop_last=True), steps)


def plain(steps: int, x: Tensor, z: Tensor) -> None:
    network, x, z = (part.to(DEVICE) for part in (Network(), x, z))
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    taken = 0
    while taken < steps:
        for rows in torch.randperm(len(x), device=x.device).split(BATCH)[: steps - taken]:
            loss = network.loss(x[rows], z[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            taken += 1


def torch_mist(steps: int, x: Tensor, z: Tensor) -> None:
    from torch_mist.estimators import mine
    from torch_mist.utils.train import train_mi_estimator

    estimator = mine(x_dim=DIMS, y_dim=DIMS, hidden_dims=[HIDDEN, HIDDEN], neg_samples=1)
    train_mi_estimator(
        estimator, train_data=(x, z), max_iterations=steps, batch_size=BATCH, verbose=False
    )


def benchmark_mi(steps: int, x: Tensor, z: Tensor) -> None:
    from bmi.estimators.neural import MINEEstimator

    estimator = MINEEstimator(
        batch_size=BATCH,
        max_n_steps=steps,
        hidden_layers=(HIDDEN, HIDDEN),
        test_every_n_steps=10 * steps,
        train_test_split=None,
        verbose=False,
    )
    estimator.estimate(x.numpy(), z.numpy())


def torch_mist_call(x: Tensor, z: Tensor) -> float:
    from torch_mist.utils import estimate_mi

    layers = {"hidden_dims": [HIDDEN, HIDDEN], "neg_samples": 1}
    found = estimate_mi(
        (x, z), "mine", max_iterations=PEER_STEPS, logger=False, verbose=False, **layers
    )
    return float(found)


def benchmark_mi_call(x: Tensor, z: Tensor) -> float:
    from bmi.estimators.neural import MINEEstimator

    estimator = MINEEstimator(max_n_steps=PEER_STEPS, verbose=False)
    return estimator.estimate(x.numpy(), z.numpy())


def captured(steps: int, x: Tensor, z: Tensor) -> None:
    """The plain step as one CUDA graph, the limit on a GPU."""
    network, x, z = (part.to(DEVICE) for part in (Network(), x, z))
    optimizer = torch.optim.Adam(network.parameters(), fused=True, capturable=True)
    rows = torch.randint(len(x), (BATCH,), device=DEVICE)

    def step() -> None:
        optimizer.zero_grad()
        network.loss(x[rows], z[rows]).backward()
        optimizer.step()

    graphs = CudaGraphs()
    graphs.warm_up(lambda: [step() for _ in range(3)])
    replay = graphs.record(step)
    for _ in range(steps):
        rows.random_(len(x))
        replay()


LOOPS: dict[str, tuple[Loop, int]] = {
    "ours": (ours, 1),
    "plain loop": (plain, 1),
    "usual Lightning": (usual, 1),
    "ours, compiled": (partial(ours, compile=True), 1),
    "ours, ensemble": (partial(ours, members=MEMBERS), MEMBERS),
    "ours, ensemble, compiled": (partial(ours, members=MEMBERS, compile=True), MEMBERS),
    "torch-mist": (torch_mist, 1),
    "benchmark-mi": (benchmark_mi, 1),
}
PEERS = {"torch-mist": "torch_mist", "benchmark-mi": "bmi"}
PEER_CALLS = {"torch-mist": torch_mist_call, "benchmark-mi": benchmark_mi_call}
PEER_STEPS = 10_000  # at most, the default of benchmark-mi


def sample(rows: int = ROWS, dims: int = DIMS) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    x, noise = torch.randn(2, rows, dims)
    return x, 0.5 * x + noise


def elapsed(work: Callable[[], Any]) -> float:
    """Return the seconds of some work: by the GPU's events, else of the processor, maybe shared."""
    with contextlib.redirect_stdout(io.StringIO()):  # the progress bars
        if not torch.cuda.is_available():
            start = time.process_time()
            work()
            return time.process_time() - start
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()
        work()
        last.record()
        last.synchronize()
        return first.elapsed_time(last) / 1000


def seconds(loop: Loop, steps: int, x: Tensor, z: Tensor) -> float:
    """Time a step: a long run less a short one, so that starting up does not count."""
    short, long = (elapsed(partial(loop, n, x, z)) for n in (steps // 5, steps + steps // 5))
    return (long - short) / steps


def installed() -> list[str]:
    """Name the peers that are there."""
    return [name for name, module in PEERS.items() if importlib.util.find_spec(module)]


def compare(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Let all loops take turns; a first, untimed turn compiles and warms up."""
    missing = PEERS.keys() - installed()
    loops = {name: loop for name, loop in LOOPS.items() if name not in missing}
    if torch.cuda.is_available():
        loops["plain step, captured"] = (captured, 1)
    x, z = sample()
    for loop, _ in loops.values():
        seconds(loop, 50, x, z)
    turns: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(args.turns):
        for name, (loop, members) in loops.items():
            turns[name].append(seconds(loop, args.steps, x, z) / members)
    rows = []
    for name, taken in turns.items():
        row = {"loop": name, "critic_steps_per_s": 1 / statistics.median(taken)}
        for other in ("plain loop", "usual Lightning", "ours"):
            ratios = [b / a for a, b in zip(taken, turns[other], strict=True)]
            row[f"times {other}"] = statistics.median(ratios)
        rows.append(row)
    return rows


SCALED = {
    "batch size": [("batch", size) for size in (64, 256, 1024, 4096)],
    "dimension": [("dims", dims) for dims in (1, 5, 20, 100)],
    "width": [("width", width) for width in (16, 64, 256)],
    "members": [("members", members) for members in (2, 5, 10, 20)],
    "rows": [("rows", rows) for rows in (5_000, 50_000, 500_000)],
}


def scaling(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure the cost of a step against one size at a time."""
    rows = []
    for name, sizes in SCALED.items():
        for key, size in sizes:
            x, z = sample(**({key: size} if key in ("rows", "dims") else {"rows": 20_000}))
            kwargs: dict[str, Any] = {key: size} if key in ("batch", "members") else {}
            if key == "width":
                kwargs["critic"] = ConcatCritic((size, size))
            taken = [seconds(partial(ours, **kwargs), args.steps // 5, x, z) for _ in range(3)]
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            rows.append(
                {
                    "against": name,
                    "size": size,
                    "microseconds": 1e6 * statistics.median(taken),
                    "peak_mb": peak,
                }
            )
    return rows


class Memory(Callback):
    """Resident memory in MB every so many steps."""

    def __init__(self, every: int) -> None:
        self.every, self.seen = every, []

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        if trainer.global_step >= self.every * (len(self.seen) + 1):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            size = pages * resource.getpagesize() / 2**20
            self.seen.append({"step": trainer.global_step, "resident_mb": size})


def soak(args: argparse.Namespace) -> list[dict[str, Any]]:
    memory = Memory(20_000)
    data = TensorDataModule(*sample(), val_fraction=0.01, test_fraction=0.01)
    model = MutualInformationEstimator(objective=DonskerVaradhan(), compile=False)
    with contextlib.redirect_stdout(io.StringIO()):
        fit(model, data, 200_000, memory)
    return memory.seen


def calls(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Time one call and one matrix of normal columns in processor seconds, beside scikit-learn's.

    Where scikit-learn has none, with several columns, beside the MINE of the peers, at their own
    settings and with 10,000 steps at most. A call is also counted in steps of the plain loop, timed
    in the same run.
    """
    step = seconds(plain, args.steps, *sample())
    rows = []
    for count, dims in itertools.product(args.rows, (1, DIMS)):
        x, z = sample(count, dims)
        truth = dims * math.log(1.25) / 2
        ways: dict[str, Callable[[], Any]] = {
            "ours": lambda x=x, z=z: estimate_mutual_information(x, z, progress_bar=False).nats
        }
        if dims == 1:
            ways["scikit-learn"] = lambda x=x, z=z: mutual_info_regression(x, z[:, 0])[0]
        else:
            ways |= {name: partial(PEER_CALLS[name], x, z) for name in installed()}
        rows += [
            called(f"{count:,} rows, {dims} + {dims}", *way, truth, step) for way in ways.items()
        ]
    return rows + matrices(args.columns, step)


def matrices(columns: int, step: float) -> list[dict[str, Any]]:
    """Time all pairs of columns that share a normal factor; the error is the mean absolute one."""
    torch.manual_seed(0)
    table = (torch.randn(1_000, 1) + torch.randn(1_000, columns)).numpy()
    pairs = [[n for n in range(columns) if n != place] for place in range(columns)]
    ways: dict[str, Callable[[], Any]] = {
        "ours": lambda: [
            result.nats
            for result in mutual_information_matrix(table, progress_bar=False).estimates.values()
        ],
        "scikit-learn": lambda: [
            mutual_info_regression(table[:, others], table[:, place])
            for place, others in enumerate(pairs)
        ],
    }
    name = f"matrix of {columns} columns, 1,000 rows"
    return [called(name, *way, -math.log(0.75) / 2, step) for way in ways.items()]


def called(
    name: str, package: str, call: Callable[[], Any], truth: float, step: float
) -> dict[str, Any]:
    start = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        found = np.asarray(call())
    taken = time.process_time() - start
    error = float(np.abs(found - truth).mean())
    return {"call": name, "by": package, "seconds": taken, "error": error, "steps": taken / step}


def show(rows: list[dict[str, Any]]) -> None:
    names = list(rows[0])
    print("| " + " | ".join(names) + " |\n" + "|---" * len(names) + "|")
    for row in rows:
        cells = (f"{v:.2f}" if isinstance(v, float) and v < 20 else v for v in row.values())
        print("| " + " | ".join(f"{v:.0f}" if isinstance(v, float) else str(v) for v in cells), "|")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--loops", nargs="+", choices=LOOPS, help="only these")
    parser.add_argument("--scaling", action="store_true")
    parser.add_argument("--soak", action="store_true")
    parser.add_argument("--calls", action="store_true")
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--columns", type=int, default=10, help="of the matrix")
    args = parser.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    torch.set_num_threads(args.threads)
    if args.loops:
        for name in set(LOOPS) - {*args.loops, "plain loop", "usual Lightning", "ours"}:
            del LOOPS[name]
    tables = {"scaling": scaling, "soak": soak, "calls": calls}
    kind = next((name for name in tables if getattr(args, name)), "speed")
    rows = tables.get(kind, compare)(args)
    show(rows)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{kind}.json").write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
