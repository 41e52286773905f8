r"""Estimates beside published figures, where mutual information is hard to estimate.

Groups of tasks, each estimated by one call at its default settings:

* ``grid``, ``grid16``, ``grid64``: the high-dimensional grid of VCE (NeurIPS 2025), d = 32, 16, 64;
* ``images``: 16 x 16 images that are functions of two (plates) or four (rectangles) latent pairs;
* ``wide``: the many columns and few rows of LMI (2024), and one column of a thousand that matters;
* ``conditional``: models F and G of CCMI (2019);
* ``large``: 5 to 80 nats;
* ``signs``: the sign of a product of columns;
* ``waves``: a sine of 20 periods.

    python benchmarks/frontier.py                         # what is missing, then the tables
    python benchmarks/frontier.py --groups grid --seeds 0 1 2 --minutes 10
    python benchmarks/frontier.py --report                # the tables of what there is

Every run is saved as it ends, and none is made twice. Published figures are those of the papers'
own repositories, at d = 32, and carry over as data.
"""

import argparse
import json
import math
import statistics
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import digamma, expit, gammaln, logsumexp, ndtr

from mine_lightning import (
    estimate_conditional_mutual_information,
    estimate_mutual_information,
)
from mine_lightning.support.files import written_whole

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "frontier.json"

Rows = NDArray[np.float64]
Draw = Callable[[int, Generator], tuple[Rows, ...]]


@dataclass(frozen=True)
class Task:
    """A task: how to draw x, z and, where there is a condition, y; the truth; what is published.

    Attributes:
        draw: Returns the sides for a number of rows.
        truth: Nats.
        rows: Number of rows.
        published: The best published figure, in nats, and whose it is.
    """

    draw: Draw
    truth: float
    rows: int = 10_000
    published: tuple[float, str] | None = None


def normal_pairs(n: int, d: int, rho: float | Rows, rng: Generator) -> tuple[Rows, Rows]:
    """Draw d pairs of standard normal variables with correlation rho."""
    u, noise = rng.normal(size=(2, n, d))
    return u, rho * u + np.sqrt(1 - np.asarray(rho) ** 2) * noise


def correlation(nats: float) -> float:
    """Return the correlation of a normal pair of so many nats."""
    return math.sqrt(-math.expm1(-2 * nats))


def wrapped(d: int) -> Draw:
    triangle = np.tril(np.ones((d, d)))
    mixing = triangle / triangle.sum(1, keepdims=True)

    def draw(n: int, rng: Generator) -> tuple[Rows, Rows]:
        u, v = normal_pairs(n, d, 0.7, rng)
        return np.tanh(u) @ mixing.T, np.exp(v) @ mixing.T

    return draw


def spiral(d: int) -> Draw:
    def turned(rows: Rows, i: int, j: int) -> Rows:
        """Multiply rows by expm(angle G), G the generator of rotations in the plane (i, j)."""
        angle = 1.57 / d * (rows**2).sum(1)
        out, a, b = rows.copy(), rows[:, i], rows[:, j]
        out[:, i] = np.cos(angle) * a + np.sin(angle) * b
        out[:, j] = np.cos(angle) * b - np.sin(angle) * a
        return out

    def draw(n: int, rng: Generator) -> tuple[Rows, Rows]:
        u, v = normal_pairs(n, d, 0.7, rng)
        return turned(u, 0, 1), turned(v, 1, 2)

    return draw


def student(d: int) -> Draw:
    def draw(n: int, rng: Generator) -> tuple[Rows, Rows]:
        u, v = normal_pairs(n, d, 0.7, rng)
        scale = np.abs(rng.normal(size=(n, 1)))
        return u / scale, v / scale

    return draw


def student_truth(d: int, nu: float = 1.0) -> float:
    """Return the information of the normal pairs and of the scale that they share."""

    def entropy(k: float) -> float:
        """Of a standard t of k dimensions, less (k / 2) ln(nu pi)."""
        half = (nu + k) / 2
        return float(gammaln(nu / 2) - gammaln(half) + half * (digamma(half) - digamma(nu / 2)))

    return 2 * entropy(d) - entropy(2 * d) - d / 2 * math.log(1 - 0.49)


SHIFTS, CORRELATIONS = (-0.2, -0.1, 0.0, 0.3, 0.4), (-0.3, 0.5, 0.2, 0.4, 0.9)


def mixture(d: int) -> Draw:
    def draw(n: int, rng: Generator) -> tuple[Rows, Rows]:
        part = rng.integers(0, 5, n)
        u, v = normal_pairs(n, d, np.array(CORRELATIONS)[part, None], rng)
        shift = np.array(SHIFTS)[part, None]
        return u + shift, v + shift

    return draw


def mixture_truth(d: int, pairs: int = 400_000) -> float:
    """Average the log ratio over many pairs."""
    x, z = mixture(d)(pairs, np.random.default_rng(99))
    joint, alone, other = [], [], []
    for shift, rho in zip(SHIFTS, CORRELATIONS, strict=True):
        a, b = x - shift, z - shift
        log_a, rest = -0.5 * (a**2).sum(1), 1 - rho**2
        given = -0.5 * ((b - rho * a) ** 2).sum(1) / rest - d / 2 * math.log(rest)
        joint.append(log_a + given)
        alone.append(log_a)
        other.append(-0.5 * (b**2).sum(1))
    sides = [logsumexp(part, axis=0) - math.log(5) for part in (joint, alone, other)]
    return float((sides[0] - sides[1] - sides[2]).mean())


def uniform(d: int) -> Draw:
    def draw(n: int, rng: Generator) -> tuple[Rows, Rows]:
        x = rng.uniform(size=(n, d))
        return x, x + rng.uniform(-0.225, 0.225, (n, d))

    return draw


def grid(d: int) -> dict[str, Task]:
    normal = -d / 2 * math.log(1 - 0.49)
    truths = {
        "wrapped": (wrapped, normal, (8.82, "MIENF")),
        "spiral": (spiral, normal, (10.22, "MINDE")),
        "student": (student, student_truth(d), (10.29, "MINDE")),
        "mixture": (mixture, mixture_truth(d), (6.48, "VCE")),
        "uniform": (uniform, d * (0.225 - math.log(0.45)), (28.42, "MINDE")),
    }
    return {
        name: Task(make(d), truth, published=published if d == 32 else None)
        for name, (make, truth, published) in truths.items()
    }


def rotation(k: int, seed: int) -> Rows:
    """Return a random rotation of k dimensions."""
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(k, k)))
    return q * np.sign(np.diag(r))


PIXELS = np.linspace(0, 1, 16)


def plate(u: Rows) -> Rows:
    """Draw a bright spot at the place u."""
    bright = np.exp(-10 * (PIXELS - u[..., None]) ** 2)  # (n, 2, 16)
    return bright[:, 0, :, None] * bright[:, 1, None, :]


def rectangle(u: Rows) -> Rows:
    """Draw a rectangle with soft edges, from u_1 / 2 to (1 + u_2) / 2 and likewise across."""
    low, high = u[:, ::2, None] / 2, (1 + u[:, 1::2, None]) / 2
    inside = expit((PIXELS - low) / 0.05) * expit((high - PIXELS) / 0.05)  # (n, 2, 16)
    return inside[:, 0, :, None] * inside[:, 1, None, :]


def images(picture: Callable[[Rows], Rows], k: int, nats: float) -> Draw:
    def draw(n: int, rng: Generator) -> tuple[Rows, Rows]:
        sides = normal_pairs(n, k, correlation(nats / k), rng)
        x, z = (picture(ndtr(side @ rotation(k, i))) for i, side in enumerate(sides))
        return x, z

    return draw


def wide(d: int, k: int, bits: float) -> Draw:
    """Hide k correlated pairs among copies of them and noise."""

    def draw(n: int, rng: Generator) -> tuple[Rows, Rows]:
        u, v = normal_pairs(n, k, math.sqrt(1 - 2 ** (-2 * bits / k)), rng)
        sides = math.sqrt(6) * u, math.sqrt(3.5) * v
        copies = [side[:, rng.integers(0, k, (d - k) // 2)] for side in sides]
        noise = [rng.normal(size=(n, d - k - (d - k) // 2)) for _ in sides]
        x, z = (np.hstack(parts) for parts in zip(sides, copies, noise, strict=True))
        return x, z

    return draw


def needle(n: int, rng: Generator) -> tuple[Rows, Rows]:
    x = rng.normal(size=(n, 1_000))
    return x, 0.8 * x[:, :1] + 0.6 * rng.normal(size=(n, 1))


def model_f(dims: int) -> Draw:
    def draw(n: int, rng: Generator) -> tuple[Rows, Rows, Rows]:
        x, given = rng.normal(size=(n, 1)), rng.uniform(-0.5, 0.5, (n, dims))
        return x, x + given[:, :1] + 0.1 * rng.normal(size=(n, 1)), given

    return draw


def model_g(dims: int) -> Draw:
    weights = np.random.default_rng(3).normal(size=(dims, 1))
    weights /= np.linalg.norm(weights)

    def draw(n: int, rng: Generator) -> tuple[Rows, Rows, Rows]:
        x, given = rng.normal(size=(n, 1)), rng.normal(size=(n, dims))
        return x, x + given @ weights + 0.1 * rng.normal(size=(n, 1)), given

    return draw


def signs(k: int) -> Draw:
    def draw(n: int, rng: Generator) -> tuple[Rows, Rows]:
        x, kept = rng.normal(size=(n, k)), rng.choice([1, -1], (n, 1), p=[0.9, 0.1])
        return x, kept * np.sign(x.prod(1, keepdims=True)) * np.abs(rng.normal(size=(n, 1)))

    return draw


NOISE = 0.1


def waves(n: int, rng: Generator) -> tuple[Rows, Rows]:
    x = rng.uniform(size=(n, 1))
    return x, np.sin(40 * np.pi * x) + NOISE * rng.normal(size=(n, 1))


def waves_truth() -> float:
    """Return the entropy of z, by integration, less that of the noise."""
    z, phases = np.linspace(-1.5, 1.5, 6_001), 2 * np.pi * (np.arange(2_000) + 0.5) / 2_000
    each = np.exp(-0.5 * ((z[:, None] - np.sin(phases)) / NOISE) ** 2)
    density = each.mean(1) / (NOISE * math.sqrt(2 * math.pi))
    entropy = -np.sum(density * np.log(np.maximum(density, 1e-300))) * (z[1] - z[0])
    return float(entropy - 0.5 * math.log(2 * math.pi * math.e * NOISE**2))


def image_tasks() -> dict[str, Task]:
    published = {"plates": (0.92, 2.93, 6.53), "rectangles": (0.83, 2.57, 5.45)}
    kinds = {"plates": (plate, 2), "rectangles": (rectangle, 4)}
    return {
        f"{name} {nats}": Task(images(*kinds[name], nats), nats, published=(best, "VCE paper"))
        for name in kinds
        for nats, best in zip((1, 3, 7), published[name], strict=True)
    }


def wide_tasks() -> dict[str, Task]:
    cases = [(50, 3, 1.0), (1_000, 3, 1.0), (1_000, 9, 2.0), (5_000, 1, 0.0), (5_000, 6, 2.0)]
    tasks = {
        f"d {d}, k {k}, {bits:g} bits": Task(wide(d, k, bits), bits * math.log(2), 2_000)
        for d, k, bits in cases
    }
    return {**tasks, "one of 1,000": Task(needle, -0.5 * math.log(0.36), 1_500)}


def conditional_tasks() -> dict[str, Task]:
    truth = math.log(101) / 2
    published = {(5_000, 20): 2.031, (20_000, 20): 2.153, (20_000, 100): 1.669}
    tasks = {
        f"F, {rows:,} rows, {dims}": Task(model_f(dims), truth, rows, (best, "CCMI"))
        for (rows, dims), best in published.items()
    }
    return {**tasks, "G, 20,000 rows, 20": Task(model_g(20), truth, 20_000)}


def large_tasks() -> dict[str, Task]:
    sizes = {10: 5, 20: 10, 40: 20, 80: 40, 160: 80}

    def draw(d: int, nats: float) -> Draw:
        return lambda n, rng: normal_pairs(n, d, correlation(nats / d), rng)

    return {f"{nats} nats": Task(draw(d, nats), nats) for d, nats in sizes.items()}


def sign_tasks() -> dict[str, Task]:
    truth = math.log(2) + 0.9 * math.log(0.9) + 0.1 * math.log(0.1)
    sizes = [(2, 1_000), (3, 1_000), (3, 5_000), (5, 10_000)]
    return {f"k {k}, {rows:,} rows": Task(signs(k), truth, rows) for k, rows in sizes}


GROUPS: dict[str, Callable[[], dict[str, Task]]] = {
    "grid": lambda: grid(32),
    "images": image_tasks,
    "wide": wide_tasks,
    "conditional": conditional_tasks,
    "large": large_tasks,
    "signs": sign_tasks,
    "waves": lambda: {"20 periods": Task(waves, waves_truth(), 4_000)},
    "grid16": lambda: grid(16),
    "grid64": lambda: grid(64),
}


def measure(group: str, name: str, task: Task, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng([zlib.crc32(f"{group} {name}".encode()), seed])
    x, z, *given = task.draw(task.rows, rng)
    if given:
        result: Any = estimate_conditional_mutual_information(
            x, z, *given, seed=seed, progress_bar=False
        )
    else:
        result = estimate_mutual_information(x, z, seed=seed, progress_bar=False)
    low, high = result.interval()
    return {
        "group": group,
        "task": name,
        "rows": task.rows,
        "seed": seed,
        "truth": task.truth,
        "published": task.published,
        "nats": result.nats,
        "low": low,
        "high": high,
        "seconds": result.seconds,
        "diagnostics": list(result.diagnostics),
    }


def table(group: str, runs: list[dict[str, Any]]) -> str:
    """Lay out the runs of a group, one row for each task, means over the seeds."""
    head = "| task | N | truth | best published | estimate | error | inside | half-width | s |"
    lines = [f"### {group}", "", head, "|---" * 9 + "|"]
    for name in dict.fromkeys(run["task"] for run in runs):
        lines.append(row(name, [run for run in runs if run["task"] == name]))
    return "\n".join(lines)


def row(name: str, runs: list[dict[str, Any]]) -> str:
    first = runs[0]
    best = "-" if first["published"] is None else "{:.3f} ({})".format(*first["published"])
    inside = sum(run["low"] <= run["truth"] <= run["high"] for run in runs)
    cells = [
        name,
        f"{first['rows']:,}",
        f"{first['truth']:.3f}",
        best,
        f"{statistics.mean(run['nats'] for run in runs):.3f}",
        f"{statistics.mean(run['nats'] - run['truth'] for run in runs):+.3f}",
        f"{inside} of {len(runs)}",
        f"{statistics.mean((run['high'] - run['low']) / 2 for run in runs):.3f}",
        f"{statistics.mean(run['seconds'] for run in runs):.1f}",
    ]
    return "| " + " | ".join(cells) + " |"


def report(done: dict[str, Any]) -> str:
    groups = {g: [run for run in done.values() if run["group"] == g] for g in GROUPS}
    return "\n\n".join(table(group, runs) for group, runs in groups.items() if runs)


def load(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}


def save(path: Path, done: dict[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(done, indent=0) + "\n")


def missing(args: argparse.Namespace, done: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    for group in args.groups:
        for name, task in GROUPS[group]().items():
            for seed in args.seeds:
                wanted = args.tasks is None or name in args.tasks
                if wanted and f"{group}|{name}|{seed}" not in done:
                    yield group, name, task, seed


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--groups", nargs="+", choices=list(GROUPS), default=list(GROUPS))
    parser.add_argument("--tasks", nargs="+", default=None, help="all of a group by default")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, default=60, help="start no run after that long")
    parser.add_argument("--threads", type=int, default=None, help="threads of torch")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the runs are kept")
    parser.add_argument("--report", action="store_true", help="run nothing")
    return parser.parse_args()


def main() -> None:
    args = parse()
    done = load(args.results)
    warnings.filterwarnings("ignore")
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    end = time.monotonic() + 60 * args.minutes
    for run in [] if args.report else missing(args, done):
        if time.monotonic() > end:
            break
        group, name, _, seed = run
        done[f"{group}|{name}|{seed}"] = found = measure(*run)
        save(args.results, done)
        error = found["nats"] - found["truth"]
        print(f"{group} {name} {seed}: {error:+.4f}  {found['seconds']:.1f} s", flush=True)
    print(report(done))


if __name__ == "__main__":
    main()
