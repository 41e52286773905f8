"""Calibrate the interval on distributions of many kinds, and judge it on others.

    python benchmarks/atlas.py run --seeds 0 20 --minutes 20      # estimates that are missing
    python benchmarks/atlas.py run --seeds 100 106 --minutes 10   # a fresh part, for judging alone
    python benchmarks/atlas.py fit                                # from seeds below 100
    python benchmarks/atlas.py judge                              # the fresh part; kinds left out

``fit`` writes ``src/mine_lightning/estimate/calibration.py``. Every estimate is saved as it ends,
and none is made twice. The distributions are those of :mod:`kinds`.
"""

import argparse
import json
import time
import warnings
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kinds import KINDS
from mine_lightning import MutualInformationEstimate, estimate_mutual_information
from mine_lightning.support.files import written_whole

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "atlas.json"
SIZES = (100, 10_000)  # rows, most of them few
FRESH = 100  # the first seed that nothing is fitted on


def measure(kind: str, seed: int) -> dict[str, Any]:
    """Draw a distribution and a sample of it, and estimate."""
    rng = np.random.default_rng([zlib.crc32(kind.encode()), seed])
    case = KINDS[kind](rng)
    rows = int(np.exp(rng.uniform(*np.log(SIZES))))
    x, z = case.draw(rows, rng)
    result = estimate_mutual_information(x, z, seed=seed, progress_bar=False)
    return {
        "kind": kind,
        "seed": seed,
        "rows": rows,
        "truth": case.mutual_information,
        "columns": sum(side[0].size for side in (x, z)),
        **known(result),
    }


def known(result: MutualInformationEstimate) -> dict[str, Any]:
    """Return what an estimate knows about itself."""
    curve, loss = result.learning_curve, result.validation_loss
    return {
        "nats": result.nats,
        "errors": result.errors,
        "held_out": result.held_out,
        "in_sample": result.in_sample,
        "lower_bound": result.lower_bound,
        "sampling": float(np.std(result.terms) / np.sqrt(len(result.terms))),
        "per_fold": result.per_fold,
        "curve": [
            float(v) for v in (curve[0].mean(), curve[len(curve) // 2].mean(), curve[-1].mean())
        ],
        "loss": [float(v) for v in (loss[0].mean(), loss.min(0).mean())],
        "epochs": len(curve) - 1,
        "p_value": result.p_value,
        "flags": list(result.diagnostics),
        "seconds": result.seconds,
    }


def missing(
    seeds: Iterable[int], kinds: list[str], done: dict[str, Any]
) -> Iterator[tuple[str, int]]:
    for seed in seeds:
        yield from ((kind, seed) for kind in kinds if f"{kind}|{seed}" not in done)


def load() -> dict[str, Any]:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def save(done: dict[str, Any]) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    with written_whole(RESULTS) as temporary:
        temporary.write_text(json.dumps(done, indent=0) + "\n")


def run(args: argparse.Namespace) -> None:
    done, end = load(), time.monotonic() + 60 * args.minutes
    warnings.filterwarnings("ignore")
    for kind, seed in missing(range(*args.seeds), args.kinds or list(KINDS), done):
        if time.monotonic() > end:
            break
        done[f"{kind}|{seed}"] = found = measure(kind, seed)
        save(done)
        error = found["nats"] - found["truth"]
        print(
            f"{kind:14s} {seed:4d} {found['rows']:6d} {found['truth']:.3f} {error:+.4f}", flush=True
        )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    add = commands.add_parser("run", help="make the estimates that are missing")
    add.add_argument("--seeds", nargs=2, type=int, default=[0, 20], help="first, and one past last")
    add.add_argument("--kinds", nargs="+", choices=list(KINDS), help="all by default")
    add.add_argument("--minutes", type=float, default=25, help="start no estimate after that long")
    add.set_defaults(command=run)
    return parser.parse_args()


def main() -> None:
    args = parse()
    args.command(args)


if __name__ == "__main__":
    main()
