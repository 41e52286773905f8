"""What the monitor's learner reads on streams of pairs, step by step of a host.

    python benchmarks/streams.py truths --steps 10000 --seeds 5
    python benchmarks/streams.py jumps --steps 1248 --seeds 5
    python benchmarks/streams.py learning --steps 4000 --seeds 5
    python benchmarks/streams.py extremes --steps 100000 --minutes 30
    python benchmarks/streams.py warps --steps 2000 --seeds 3

The learner gets a batch of 64 pairs at every fourth step, the monitor's defaults. "truths" are
normal pairs of so many nats, which "jumps" change at step 1,000 and "learning" raises by 6.5 in
4,000 steps; what "extremes" share is infinite, vanishing or unknown, and nothing
there may run away; "warps" are pairs of known truth that no closed form describes. A run stands in
``--folder`` with all that was learned and continues there: ``--minutes`` bounds one call.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from mine_lightning.monitor import MutualInformationLearner

ROWS, EVERY = 64, 4  # rows of a batch, host steps of an update
READ, KEPT = 25, 250  # updates between readings, between files
JUMP = 250  # updates before a jump
MARKS = (100, 248, 500, 1_000, 1_248, 2_000, 3_000, 4_000, 5_000, 10_000, 30_000, 100_000)
Pair = tuple[Tensor, Tensor]
Draw = Callable[[torch.Generator, int], Pair]  # of the number of the update
Truth = Callable[[float], float]  # nats, of the number of the update
Streams = dict[str, tuple[Draw, Truth]]


def randn(stream: torch.Generator, *size: int) -> Tensor:
    return torch.randn(*size, generator=stream, dtype=torch.float32)


def normal(nats: float, dim: int = 4, warp: Callable[[Tensor], Tensor] | None = None) -> Draw:
    """Return pairs of jointly normal vectors, one of which an invertible map may warp."""
    noise = 1 / math.sqrt(math.expm1(2 * nats / dim)) if nats else math.inf

    def draw(stream: torch.Generator, number: int) -> Pair:
        x, z = randn(stream, ROWS, dim), randn(stream, ROWS, dim)
        z = (x + noise * z) / math.sqrt(1 + noise**2) if nats else z
        return x if warp is None else warp(x), z

    return draw


def network(width: int, size: int, seed: int, slope: float = 1.0) -> Callable[[Tensor], Tensor]:
    """Return a random network of one hidden layer."""
    stream = torch.Generator().manual_seed(seed)
    first, bias = slope * randn(stream, 4, width) / 2, randn(stream, width) / 2
    last = randn(stream, width, size) / math.sqrt(width)
    return lambda rows: (rows @ first + bias).tanh() @ last


def mixed(warp: Callable[[Tensor], Tensor], seed: int) -> Callable[[Tensor], Tensor]:
    """Return a map that warps each column, then rotates."""
    turn = torch.linalg.qr(randn(torch.Generator().manual_seed(seed), 4, 4))[0]
    return lambda rows: warp(rows) @ turn


def spiral(rows: Tensor) -> Tensor:
    """Turn the first two columns by as much as they are far from 0."""
    angle = 1.5 * rows[:, :2].norm(dim=1, keepdim=True)
    first, second, *rest = rows.split(1, 1)
    turned = first * angle.cos() - second * angle.sin(), first * angle.sin() + second * angle.cos()
    return torch.cat((*turned, *rest), 1)


def always(nats: float) -> Truth:
    return lambda number: nats


def warps() -> Streams:
    """Return streams by name with the nats that they share: warps leave those as they are."""
    maps = {
        "network": network(64, 16, 1),
        "steep network": network(128, 64, 2, 1.5),
        "mixed cubes": mixed(lambda rows: rows + rows**3 / 2, 3),
        "mixed tanh": mixed(lambda rows: (1.5 * rows).tanh(), 4),
        "spiral": spiral,
        "cubes": lambda rows: rows**3,
    }
    return {
        f"{name} {nats}": (normal(nats, warp=warp), always(nats))
        for name, warp in maps.items()
        for nats in (0.5, 2.0, 5.0)
    }


def truths() -> Streams:
    """Return normal pairs by their nats."""
    levels = (0, 0.02, 0.1, 0.5, 1, 3, 6, 12)
    return {f"{nats:g}": (normal(nats), always(nats)) for nats in levels}


def changing(truth: Truth) -> tuple[Draw, Truth]:
    """Return normal pairs of nats that change."""
    return lambda stream, number: normal(truth(number))(stream, number), truth


def jumps() -> Streams:
    """Return normal pairs whose nats jump after 1,000 steps."""
    levels = ((1, 0.1), (0.1, 1), (3, 1), (1, 3))
    return {
        f"{before:g} to {after:g}": changing(
            lambda number, before=before, after=after: before if number <= JUMP else after
        )
        for before, after in levels
    }


def learning() -> Streams:
    """Return normal pairs as of an encoder that learns."""
    return {"learning": changing(lambda number: 6.5 * number / 1000)}


def sums(tails: Callable[[torch.Generator], Tensor]) -> Draw:
    """Return pairs of a vector and its sum with another."""

    def draw(stream: torch.Generator, number: int) -> Pair:
        z = tails(stream)
        return z + tails(stream), z

    return draw


def cauchy(stream: torch.Generator) -> Tensor:
    return randn(stream, ROWS, 3) / randn(stream, ROWS, 3)


def student(stream: torch.Generator) -> Tensor:
    """Return Student's t of 2 degrees of freedom: the variance is infinite."""
    return randn(stream, ROWS, 3) / randn(stream, 2, ROWS, 3).square().mean(0).sqrt()


def labelled(scale: int) -> Draw:
    """Return images of ten classes with noise, and their labels."""
    small = randn(torch.Generator().manual_seed(0), 10, 1, 8, 8)
    prototypes = small.repeat_interleave(scale, 2).repeat_interleave(scale, 3)

    def draw(stream: torch.Generator, number: int) -> Pair:
        labels = torch.randint(10, (ROWS,), generator=stream)
        return prototypes[labels] + 0.3 * randn(stream, ROWS, *prototypes.shape[1:]), labels

    return draw


def deterministic(stream: torch.Generator, number: int) -> Pair:
    z = randn(stream, ROWS, 4)
    return network(64, 16, 5)(z), z


def collapsing(stream: torch.Generator, number: int) -> Pair:
    z = randn(stream, ROWS, 3)
    return 0.998**number * z + 1e-3 * randn(stream, ROWS, 3), z


def collapsed(stream: torch.Generator, number: int) -> Pair:
    z = randn(stream, ROWS, 3)
    return z * (number < 500), z


def extremes() -> Streams:
    """Return streams on which an estimate may run away; what they share is not known here."""
    draws: dict[str, Draw] = {
        "Cauchy": sums(cauchy),
        "Student": sums(student),
        "independent Cauchy": lambda stream, number: (cauchy(stream), cauchy(stream)),
        "codes": labelled(1),
        "images": labelled(3),
        "constant": lambda stream, number: (torch.ones(ROWS, 3), randn(stream, ROWS, 3)),
        "collapsing": collapsing,
        "collapsed": collapsed,
        "deterministic": deterministic,
    }
    return {name: (draw, always(math.nan)) for name, draw in draws.items()}


class Run:
    """A learner on one stream, as far as it has come.

    Args:
        draw: Draws the pairs of an update.
        seed: Seed of the pairs.
        path: File that holds the run.
    """

    def __init__(self, draw: Draw, seed: int, path: Path) -> None:
        self.draw, self.seed, self.path = draw, seed, path
        self.learner, self.number = MutualInformationLearner(), 0
        self.seen: list[tuple[int, float, float, bool, bool]] = []
        if path.exists():
            state = torch.load(path, weights_only=True)
            self.number, self.seen = state["number"], state["seen"]
            self.learner.load_state_dict(state["learner"])

    def go_on(self, updates: int, until: float) -> None:
        """Go on to so many updates or until a time, and keep what there is."""
        while self.number < updates and time.monotonic() < until:
            self.number += 1
            stream = torch.Generator().manual_seed(10**6 * self.seed + self.number)
            self.learner.update(*self.draw(stream, self.number))
            if self.number % READ == 0 or EVERY * self.number in MARKS:
                mi, error, _, warming, ceiling = self.learner.compute()
                self.seen.append((EVERY * self.number, float(mi), float(error), warming, ceiling))
            if self.number % KEPT == 0 or self.number == updates:
                self._keep()

    def _keep(self) -> None:
        state = {"number": self.number, "seen": self.seen, "learner": self.learner.state_dict()}
        torch.save(state, self.path)

    def summary(self) -> dict[str, float | str]:
        """Return the extremes and the end of the readings."""
        steps, values, errors, warming, ceiling = zip(*self.seen, strict=True)
        return {
            "step": steps[-1],
            "least": min(values),
            "most": max(values),
            "last": values[-1],
            "error": errors[-1],
            "flags": " ".join(
                f"{name} {sum(flag) / len(flag):.0%}"
                for name, flag in (("warming up", warming), ("ceiling", ceiling))
                if any(flag)
            ),
        }


def table(name: str, truth: Truth, runs: list[Run]) -> str:
    """Return a line: the mean reading at the marks, and the share within two standard errors."""
    read = [entry for run in runs for entry in run.seen]
    marks = []
    for mark in MARKS:
        values = [mi for step, mi, *_ in read if step == mark]
        if values:
            marks.append(f"{mark}: {statistics.mean(values):.3f}")
    within = statistics.mean(
        abs(mi - truth(step / EVERY)) <= 2 * error for step, mi, error, *_ in read
    )
    flagged = statistics.mean(ceiling for *_, ceiling in read)
    return f"{name:20} {'  '.join(marks)}  inside {within:.2f}  at ceiling {flagged:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    kinds = {kind.__name__: kind for kind in (truths, jumps, learning, warps, extremes)}
    parser.add_argument("kind", choices=kinds)
    parser.add_argument("--only", nargs="+", default=[], help="names of streams")
    parser.add_argument("--steps", type=int, default=2_000, help="of the host")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--folder", type=Path, default=Path("streams"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.folder.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + 60 * options.minutes
    for name, (draw, truth) in kinds[options.kind]().items():
        if options.only and name not in options.only:
            continue
        runs = []
        for seed in range(options.seeds):
            run = Run(draw, seed, options.folder / f"{name.replace(' ', '_')}-{seed}.pt")
            run.go_on(options.steps // EVERY, until)
            runs.append(run)
            print(json.dumps({"name": name, "seed": seed, **run.summary()}), flush=True)
        print(table(name, truth, runs), flush=True)


if __name__ == "__main__":
    main()
