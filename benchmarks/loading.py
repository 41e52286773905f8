"""Pairs on disk beside pairs in memory: the memory a training run takes, and its speed.

The first part writes an NPY file of 5 + 5 correlated normal columns, drops it from the page cache,
and trains and tests on it in a process of its own that may not have more than ``--limit`` of
private memory (RLIMIT_DATA, so Linux alone); its whole peak, libraries included, is the kernel's
VmHWM. The file repeats its first 64 MB: its size is what counts.

The second part takes turns between the same rows in memory, in an NPY file and in a Parquet file:
microseconds for a minibatch of 256 rows with its partners, and optimizer steps per second of
``Trainer.fit`` with default settings. The figure is the median over the turns.

    python benchmarks/loading.py                  # 4 GB
    python benchmarks/loading.py --gigabytes 20
"""

import argparse
import contextlib
import io
import json
import logging
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import Trainer, seed_everything

from mine_lightning import MutualInformationEstimator, StreamingDataModule, TensorDataModule
from mine_lightning.data import PairDataModule

DIMS, CORRELATION = 5, 0.5
COLUMNS = list(range(DIMS)), list(range(DIMS, 2 * DIMS))
TRUTH = -DIMS / 2 * np.log(1 - CORRELATION**2)
ROW_BYTES = 4 * 2 * DIMS
GIGABYTE = 10**9


def pairs(rows: int) -> np.ndarray:
    generator = np.random.default_rng(0)
    x, noise = generator.standard_normal((2, rows, DIMS), dtype=np.float32)
    return np.hstack([x, CORRELATION * x + np.float32((1 - CORRELATION**2) ** 0.5) * noise])


def write(path: Path, size: float) -> None:
    """Write an NPY file of about so many bytes, 64 MB at a time."""
    piece = pairs(2**26 // ROW_BYTES)
    pieces = max(1, round(size / piece.nbytes))
    header = {"descr": "<f4", "fortran_order": False, "shape": (pieces * len(piece), 2 * DIMS)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for _ in range(pieces):
            file.write(piece.data)
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@contextmanager
def quiet() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def trainer(folder: str, **kwargs) -> Trainer:
    return Trainer(default_root_dir=folder, accelerator="cpu", max_epochs=-1, **kwargs)


def timed(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def status(name: str) -> float:
    """Return a field of the kernel's account of this process, in MB."""
    (line,) = (s for s in Path("/proc/self/status").read_text().splitlines() if s.startswith(name))
    return int(line.split()[1]) / 1000


def child(path: Path, limit: float, steps: int, test_batches: int) -> None:
    """Train on a file under a limit of private memory and print what it took, as JSON."""
    resource.setrlimit(resource.RLIMIT_DATA, (int(limit), int(limit)))
    seed_everything(0, verbose=False)
    imported = status("VmHWM")
    with tempfile.TemporaryDirectory() as folder, quiet():
        data = StreamingDataModule(path, *COLUMNS, eval_partners=4)
        scan = timed(data.setup)
        model = MutualInformationEstimator()
        loop = trainer(
            folder, max_steps=steps, limit_val_batches=20, limit_test_batches=test_batches
        )
        fit = timed(lambda: loop.fit(model, data))
        test = timed(lambda: loop.test(model, data, verbose=False))
    found = {
        "rows": data.source.rows,
        "file_mb": path.stat().st_size / 1e6,
        "private_limit_mb": limit / 1e6,
        "peak_rss_mb": status("VmHWM"),
        "rss_after_imports_mb": imported,
        "scan_seconds": scan,
        "scan_mb_per_second": path.stat().st_size / 1e6 / scan,
        "steps": loop.global_step,
        "fit_seconds": fit,
        "test_seconds": test,
        "test_rows": test_batches * data.eval_batch_size,
        "test_mi": loop.callback_metrics["test/mi"].item(),
        "truth": TRUTH,
    }
    print(json.dumps(found))


def memory(folder: Path, args: argparse.Namespace) -> dict[str, float]:
    path = folder / "large.npy"
    print(f"writing {args.gigabytes} GB to {path} ...", flush=True)
    write(path, args.gigabytes * GIGABYTE)
    options = ["--child", path, "--limit", args.limit, "--steps", args.steps]
    command = [
        sys.executable,
        __file__,
        *map(str, options),
        "--test-batches",
        str(args.test_batches),
    ]
    run = subprocess.run(command, capture_output=True, text=True)
    path.unlink()
    if run.returncode:
        raise SystemExit(run.stderr)
    found = json.loads(run.stdout.strip().splitlines()[-1])
    for name, value in found.items():
        print(f"{name:24s} {value:16,.3f}")
    return found


def places(folder: Path, rows: int) -> dict[str, Callable[[], PairDataModule]]:
    """Return what makes a DataModule of the same rows, for each place they can be in."""
    values = pairs(rows)
    np.save(folder / "pairs.npy", values)
    frame = pd.DataFrame(values, columns=[f"c{column}" for column in range(2 * DIMS)])
    frame.to_parquet(folder / "pairs.parquet", row_group_size=2**16, index=False)
    shares = {"val_fraction": 0.05, "test_fraction": 0.05, "seed": 0}
    x, z = torch.from_numpy(values).split(DIMS, dim=1)
    return {
        "in memory": lambda: TensorDataModule(x, z, **shares),
        "NPY file": lambda: StreamingDataModule(folder / "pairs.npy", *COLUMNS, **shares),
        "Parquet file": lambda: StreamingDataModule(folder / "pairs.parquet", *COLUMNS, **shares),
    }


def batch_microseconds(data: PairDataModule) -> float:
    """Time one minibatch over an epoch, the reading of the file included."""
    data.setup()
    loader = data.train_dataloader()
    return 1e6 * timed(lambda: deque(loader, maxlen=0)) / len(loader)


def steps_per_second(data: PairDataModule, steps: int) -> float:
    """Time a whole fit less a short one, so that starting up does not count."""
    data.setup()
    seed_everything(0, verbose=False)
    with tempfile.TemporaryDirectory() as folder, quiet():
        seconds = [
            timed(
                lambda count=count: trainer(folder, max_steps=count, limit_val_batches=0).fit(
                    MutualInformationEstimator(), data
                )
            )
            for count in (steps // 10, steps + steps // 10)
        ]
    return steps / (seconds[1] - seconds[0])


def speed(folder: Path, args: argparse.Namespace) -> dict[str, dict[str, float]]:
    makers = places(folder, args.rows)
    found: dict[str, dict[str, list[float]]] = {name: {} for name in makers}
    for _ in range(args.turns):
        for name, make in makers.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                values = found[name]
                values.setdefault("us_per_batch", []).append(batch_microseconds(make()))
                steps = steps_per_second(make(), args.speed_steps)
                values.setdefault("steps_per_second", []).append(steps)
    medians = {
        name: {key: statistics.median(turns) for key, turns in values.items()}
        for name, values in found.items()
    }
    base = medians["in memory"]["steps_per_second"]
    for name, values in medians.items():
        print(
            f"{name:14s} {values['us_per_batch']:8.1f} us per batch "
            f"{values['steps_per_second']:8.0f} steps/s   "
            f"{values['steps_per_second'] / base:5.2f} of in memory"
        )
    return medians


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=4.0)
    parser.add_argument("--limit", type=float, default=1.5e9, help="private memory, bytes")
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--speed-steps", type=int, default=3000)
    parser.add_argument("--test-batches", type=int, default=500)
    parser.add_argument("--folder", type=Path, default=None, help="where the files are written")
    parser.add_argument("--child", type=Path, default=None, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/loading.json"))
    args = parser.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    if args.child is not None:
        return child(args.child, args.limit, args.steps, args.test_batches)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        found = {"memory": memory(Path(folder), args), "speed": speed(Path(folder), args)}
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
