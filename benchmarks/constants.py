"""What the constants of the one-call estimate are worth: each changed alone, on generated data.

    python benchmarks/constants.py --minutes 20
    python benchmarks/constants.py --rows 2500 --only crossfit folds.BATCH_SIZE
    python benchmarks/constants.py --report

Every case is a distribution of :mod:`kinds` with a seed that neither calibrates nor judges the
interval, 500 rows of it or as many as are asked for. A constant is compared with the default case
by case: the change of the absolute error in nats, its standard error over the cases, and the ratio
of the times. Estimates are saved as they end, and none is made twice.
"""

import argparse
import importlib
import json
import math
import time
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kinds import KINDS
from mine_lightning import estimate_mutual_information
from mine_lightning.support.files import written_whole

RESULTS = Path(__file__).resolve().parent / "results"
ROOM = "mine_lightning.estimate"
SEEDS = 300, 301
CONSTANTS: dict[str, tuple[Any, ...]] = {
    "ratios.LEAST_GAIN": (0.0, 2.0),
    "ratios.NEAR": (1.0, 4.0),
    "ratios.VALIDATION_ROWS": (250, 2_000),
    "ratios.copulas.CELLS": (16, 64),
    "ratios.copulas.HALF_WAVES": (16, 32),
    "ratios.mixtures.STEPS": (7, 30),
    "ratios.mixtures.MEANS": (3, 30),
    "views.LEAST_GAIN": (0.0, 2.0),
    "views.MOST_PRODUCTS": (0, 32),
    "folds.VAL_FRACTION": (0.06, 0.25),
    "folds.BATCH_SIZE": (256, 1_024),
    "networks.HIDDEN": ((16, 16), (64, 64), (128, 128, 128)),
    "networks.WARPS": ((32, 32), (128, 128)),
    "networks.OFFSET_BOUND": (2.0, 8.0),
    "crossfit.LEARNING_RATE": (5e-3, 2e-2),
    "steps.AVERAGING": (0.98, 0.995),
    "crossfit.PATIENCE": (4, 16),
    "crossfit.DOUBTFUL_PATIENCE": (2, 8),
    "crossfit.LATE_SHARE": (0.0, 1.0),
    "crossfit.STEP_SHARE": (0.0, 0.1),
    "crossfit.LEAST_GAIN": (0.0, 2e-3),
}


def measure(kind: str, seed: int, rows: int) -> tuple[float, float]:
    """Return the error of an estimate in nats, and its processor seconds."""
    rng = np.random.default_rng([zlib.crc32(kind.encode()), seed])
    case = KINDS[kind](rng)
    x, z = case.draw(rows, rng)
    start = time.process_time()
    nats = estimate_mutual_information(x, z, seed=seed, progress_bar=False).nats
    return nats - case.mutual_information, time.process_time() - start


def changed(only: list[str]) -> Iterator[tuple[str, Any]]:
    """Yield the default, then each constant with each other value."""
    yield "default", None
    for name, values in CONSTANTS.items():
        if name.startswith(tuple(only)):
            yield from ((name, value) for value in values)


def run(done: dict[str, dict[str, Any]], path: Path, args: argparse.Namespace) -> None:
    warnings.filterwarnings("ignore")
    end = time.monotonic() + 60 * args.minutes
    for name, value in changed(args.only):
        found = done.setdefault(f"{name} = {value}", {})
        room, _, constant = name.rpartition(".")
        module = importlib.import_module(f"{ROOM}.{room}") if room else None
        usual = None if module is None else getattr(module, constant)
        if module is not None:
            setattr(module, constant, value)
        for case in (f"{kind}|{seed}" for seed in SEEDS for kind in KINDS):
            if case not in found and time.monotonic() < end:
                kind, seed = case.split("|")
                found[case] = measure(kind, int(seed), args.rows)
        if module is not None:
            setattr(module, constant, usual)
        with written_whole(path) as temporary:
            temporary.write_text(json.dumps(done) + "\n")


def report(done: dict[str, dict[str, Any]]) -> None:
    usual = done["default = None"]
    error = np.mean([abs(e) for e, _ in usual.values()])
    print(f"default: mean absolute error {error:.4f} nats over {len(usual)} cases")
    for name, found in done.items():
        cases = [case for case in found if case in usual]
        if name.startswith("default") or len(cases) < 2:
            continue
        more = np.array([abs(found[c][0]) - abs(usual[c][0]) for c in cases])
        spread = more.std() / math.sqrt(len(more))
        cost = sum(found[c][1] for c in cases) / sum(usual[c][1] for c in cases)
        print(f"{name:42s} {more.mean():+.4f} ± {spread:.4f}   time x {cost:.2f}   n {len(cases)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20, help="when to stop")
    parser.add_argument("--rows", type=int, default=500, help="of each distribution")
    parser.add_argument("--only", nargs="*", default=[""], help="how the names of constants begin")
    parser.add_argument("--report", action="store_true", help="only print what there is")
    args = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"constants_{args.rows}.json"
    done = json.loads(path.read_text()) if path.exists() else {}
    if not args.report:
        run(done, path, args)
    report(done)


if __name__ == "__main__":
    main()
