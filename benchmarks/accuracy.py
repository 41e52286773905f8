"""Accuracy of ``estimate_mutual_information`` at its default settings, one for all tasks and sizes.

Groups of tasks:

* ``tasks``: the 40 of "Beyond Normal" (Czyż et al., NeurIPS 2023), drawn by this package;
* ``reference``: the draw of them made with the benchmark's own package, where it is present;
* ``unseen``: distributions that are not among them (:mod:`unseen`);
* ``independent``: the 40 with their pairing broken, truth 0;
* ``large``: correlated Gaussians of 1, 5 and 20 dimensions at 5 and 10 nats.

    python benchmarks/accuracy.py                      # what is missing, then table and figure
    python benchmarks/accuracy.py --groups tasks --rows 1000 --seeds 0 1 2 --minutes 10
    python benchmarks/accuracy.py --report             # table and figure of what there is

Every run is saved as it ends, and none is made twice.
"""

import argparse
import json
import statistics
import time
import warnings
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from mine_lightning import estimate_mutual_information
from mine_lightning.data import GaussianPairs, beyond_normal_tasks
from mine_lightning.support.files import written_whole
from unseen import UNSEEN

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "accuracy.json"
FIGURE = HERE / "results" / "accuracy.png"
REFERENCE = HERE.parent / "tests/data/reference/bmi40_samples.npz"
GROUPS = ("tasks", "reference", "unseen", "independent", "large")
LARGE = {f"gaussian-{dim}-{nats}": (dim, nats) for dim in (1, 5, 20) for nats in (5, 10)}


class Run(NamedTuple):
    """One estimate to make."""

    group: str
    task: str
    rows: int
    seed: int

    @property
    def key(self) -> str:
        return f"{self.group}|{self.task}|{self.rows}|{self.seed}"


@cache
def tasks() -> dict[str, Any]:
    return beyond_normal_tasks()


@cache
def reference() -> Any:
    return np.load(REFERENCE)


def names(group: str) -> list[str]:
    if group == "reference":
        return list(tasks()) if REFERENCE.exists() else []
    return list({"unseen": UNSEEN, "large": LARGE}.get(group, tasks()))


def sample(run: Run) -> tuple[Any, Any, float]:
    """Return x, z and the truth of a run."""
    seed = 1000 * zlib.crc32(run.task.encode()) + run.seed  # no two tasks share their noise
    generator = torch.Generator().manual_seed(seed)
    if run.group == "reference":
        x, z, truth = (reference()[f"{run.task}|{part}"] for part in ("x", "y", "mi"))
        return x[: run.rows], z[: run.rows], float(truth)
    if run.group == "unseen":
        task = UNSEEN[run.task]
        return *task.draw(run.rows, np.random.default_rng(seed)), task.mutual_information
    if run.group == "large":
        dim, nats = LARGE[run.task]
        return *GaussianPairs(dim, target=nats).sample(run.rows, generator), float(nats)
    x, z = tasks()[run.task].sample(run.rows, generator)
    if run.group == "independent":
        return x, z[torch.randperm(run.rows, generator=generator)], 0.0
    return x, z, tasks()[run.task].mutual_information


def measure(run: Run) -> dict[str, Any]:
    x, z, truth = sample(run)
    start = time.process_time()
    result = estimate_mutual_information(x, z, seed=run.seed, progress_bar=False)
    low, high = result.interval()
    return {
        **run._asdict(),
        "truth": truth,
        "nats": result.nats,
        "low": low,
        "high": high,
        "held_out": result.held_out,
        "in_sample": result.in_sample,
        "lower_bound": result.lower_bound,
        "spread": float(np.std(result.terms)),
        "epochs": len(result.learning_curve) - 1,
        "seconds": result.seconds,
        "cpu_seconds": time.process_time() - start,
        "diagnostics": list(result.diagnostics),
    }


def missing(args: argparse.Namespace, done: dict[str, Any]) -> Iterator[Run]:
    for group in args.groups:
        for rows in args.rows:
            for seed in [0] if group == "reference" else args.seeds:
                runs = (Run(group, task, rows, seed) for task in args.tasks or names(group))
                yield from (run for run in runs if run.key not in done)


def load() -> dict[str, Any]:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def save(done: dict[str, Any]) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    with written_whole(RESULTS) as temporary:
        temporary.write_text(json.dumps(done, indent=0) + "\n")


def table(done: dict[str, Any]) -> str:
    """Lay out the error, the coverage and the time of each group and size."""
    head = "| group | N | runs | MAE | bias | worst | cover | half-width | s | CPU s |"
    lines = [head, "|---" * 10 + "|"]
    kinds = sorted({(GROUPS.index(r["group"]), r["rows"]) for r in done.values()})
    for place, rows in kinds:
        chosen = [r for r in done.values() if (r["group"], r["rows"]) == (GROUPS[place], rows)]
        lines.append(row(GROUPS[place], rows, chosen))
    return "\n".join(lines)


def row(group: str, rows: int, runs: list[dict[str, Any]]) -> str:
    errors = [run["nats"] - run["truth"] for run in runs]
    worst = max(range(len(runs)), key=lambda place: abs(errors[place]))
    cells = [
        group,
        f"{rows:,}",
        f"{len(runs)}",
        f"{statistics.mean(map(abs, errors)):.4f}",
        f"{statistics.mean(errors):+.4f}",
        f"{errors[worst]:+.3f} {runs[worst]['task']}",
        f"{statistics.mean(run['low'] <= run['truth'] <= run['high'] for run in runs):.0%}",
        f"{statistics.median((run['high'] - run['low']) / 2 for run in runs):.3f}",
        f"{statistics.median(run['seconds'] for run in runs):.1f}",
        f"{statistics.median(run['cpu_seconds'] for run in runs):.1f}",
    ]
    return "| " + " | ".join(cells) + " |"


def draw(done: dict[str, Any]) -> None:
    """Draw estimate minus truth of every run, task by task."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    mpl.use("Agg")
    runs = [run for run in done.values() if run["group"] in ("tasks", "reference", "unseen")]
    order = list(dict.fromkeys(name for group in ("tasks", "unseen") for name in names(group)))
    sizes = sorted({run["rows"] for run in runs})
    if not sizes:
        return
    figure, panels = plt.subplots(
        1, len(sizes), figsize=(3 + 3 * len(sizes), 10), sharey=True, squeeze=False
    )
    for axes, size in zip(panels[0], sizes, strict=True):
        chosen = [run for run in runs if run["rows"] == size]
        places = [order.index(run["task"]) for run in chosen]
        errors = [run["nats"] - run["truth"] for run in chosen]
        halves = [(run["high"] - run["low"]) / 2 for run in chosen]
        axes.errorbar(errors, places, xerr=halves, fmt="o", markersize=3, linewidth=0.8)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set(title=f"N = {size:,}", xlabel="estimate minus truth (nats)")
    panels[0][0].set_yticks(range(len(order)), order, fontsize=6)
    panels[0][0].invert_yaxis()
    figure.tight_layout()
    figure.savefig(FIGURE, dpi=120)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--groups", nargs="+", choices=GROUPS, default=list(GROUPS))
    parser.add_argument("--rows", nargs="+", type=int, default=[1_000, 5_000, 10_000])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--tasks", nargs="+", default=None, help="all of a group by default")
    parser.add_argument("--minutes", type=float, default=60, help="start no run after that long")
    parser.add_argument("--threads", type=int, default=None, help="threads of torch")
    parser.add_argument("--report", action="store_true", help="run nothing")
    return parser.parse_args()


def main() -> None:
    args, done = parse(), load()
    warnings.filterwarnings("ignore")
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    end = time.monotonic() + 60 * args.minutes
    for run in [] if args.report else list(missing(args, done)):
        if time.monotonic() > end:
            break
        done[run.key] = found = measure(run)
        save(done)
        error = found["nats"] - found["truth"]
        print(f"{run.key:60s} {error:+.4f}  {found['seconds']:.1f} s", flush=True)
    if done:
        print(table(done))
        draw(done)


if __name__ == "__main__":
    main()
