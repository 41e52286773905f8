"""Calibrate the interval on distributions of many kinds, and judge it on others.

    python benchmarks/atlas.py run --seeds 0 30 --minutes 40      # estimates that are missing
    python benchmarks/atlas.py run --seeds 100 112 --minutes 20   # more of them
    python benchmarks/atlas.py run --seeds 200 206 --minutes 10   # a fresh part, for judging alone,
    python benchmarks/atlas.py run --seeds 210 211 --minutes 10   # and more of it with many rows
    python benchmarks/atlas.py fit                                # from seeds below 200
    python benchmarks/atlas.py judge                              # the fresh part; kinds left out

``fit`` writes ``src/mine_lightning/estimate/calibration.py``. Every estimate is saved as it ends,
and none is made twice. The distributions are those of :mod:`kinds`.
"""

import argparse
import json
import math
import time
import warnings
import zlib
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from kinds import KINDS, effects
from mine_lightning import MutualInformationEstimate, estimate_mutual_information
from mine_lightning.estimate.calibration import ABOVE, BELOW, FACTORS, SEEN
from mine_lightning.estimate.crossfit import LEAST_GAIN
from mine_lightning.estimate.readings import between
from mine_lightning.estimate.uncertainty import Signs
from mine_lightning.support.files import written_whole

Array = NDArray[np.float64]

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "atlas.json"
SIZES = (100, 10_000)  # rows, most of them few
MANY, EVERY = (10_000, 300_000), 10  # rows of every tenth seed
LARGE = (4.0, 25.0)  # nats of every other tenth seed, where a kind can have as many: not fitted on
FRESH = 200  # the first seed that nothing is fitted on
CONSTANTS = HERE.parent / "src/mine_lightning/estimate/calibration.py"
OUTSIDE = {"BELOW": 0.015, "ABOVE": 0.035}  # share of truths: critics miss, and read too low
LEVEL, QUANTILE = 0.95, NormalDist().inv_cdf(0.975)
PRIOR = {  # weights below and above, from what is known of the estimate
    "floor": (0.001, 0.001),  # nats: partners are drawn
    "few": (5, 10),  # validation rows cannot confirm less than some 10 / N nats
    "gap": (0.5, 1.0),
    "thin value": (0.3, 1.0),
    "crowded": (0.05, 0.3),
    "unchecked": (0.03, 0.3),  # by judgement: of values beyond ln N the rows tell little
}
SPREAD = 5.0  # of the logarithm of a weight about its prior value, for one error beyond
HEAD = '"""Constants of the interval, written by ``benchmarks/atlas.py fit``: change them there."""'
LEAST = 1e-4  # nats, below which errors are alike


def measure(kind: str, seed: int) -> dict[str, Any]:
    """Draw a distribution and a sample of it, and estimate."""
    rng = np.random.default_rng([zlib.crc32(kind.encode()), seed])
    with effects(*LARGE) if seed % EVERY == EVERY // 2 else nullcontext():
        case = KINDS[kind](rng)
    least, most = SIZES if seed % EVERY else MANY
    rows = int(least * (most / least) ** rng.beta(1, 1.5))
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
        "kept": float((loss[0] - loss.min(0) > LEAST_GAIN).mean()),
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


def read(run: dict[str, Any], seen: float = SEEN) -> float:
    """Return the estimate, with a weight of the rows that the critics have seen."""
    variance = run["sampling"] ** 2
    return between(run["held_out"], run["in_sample"], variance, run["kept"], run["rows"], seen)


def signs(run: dict[str, Any]) -> Signs:
    return Signs(
        nats=run["nats"],
        variance=run["sampling"] ** 2,
        gap=run["in_sample"] - run["held_out"],
        rows=run["rows"],
        columns=run["columns"],
    )


def usable(done: dict[str, Any], *, fresh: bool) -> list[dict[str, Any]]:
    """Return the runs to fit or to judge on; a value that may be infinite has no upper end."""
    runs = [run for run in done.values() if (run["seed"] >= FRESH) == fresh and not is_large(run)]
    return [{**run, "nats": read(run)} for run in runs if "functional" not in run["flags"]]


def is_large(run: dict[str, Any]) -> bool:
    """Whether there is more to find than the interval is made for: critics may miss half of it."""
    return run["truth"] > LARGE[0]


class Calibration(NamedTuple):
    """Weights of either side, and the factor of each stratum."""

    weights: dict[str, dict[str, float]]
    factors: dict[str, float]

    @classmethod
    def fit(cls, runs: list[dict[str, Any]]) -> "Calibration":
        """Fit quantiles of the errors on either side, then conform them in every stratum."""
        known = [signs(run) for run in runs]
        errors = np.array([run["truth"] - run["nats"] for run in runs])
        parts = np.array([[sign.parts()[name] for name in PRIOR] for sign in known])
        priors = np.array(list(PRIOR.values()), dtype=float).T
        variance = np.array([sign.variance for sign in known])
        weights = {
            side: dict(zip(PRIOR, quantile(sign * errors, variance, parts, *how), strict=True))
            for side, sign, *how in zip(OUTSIDE, (-1, 1), OUTSIDE.values(), priors, strict=True)
        }
        found = cls(weights, dict.fromkeys(s for sign in known for s in sign.strata()))
        ratios = found.ratios(runs)
        strata = np.array([sign.strata() for sign in known])
        for stratum in found.factors:
            found.factors[stratum] = conformal(ratios[(strata == stratum).any(1)])
        return found

    def ratios(self, runs: list[dict[str, Any]]) -> Array:
        """Return errors over the half-widths that the weights alone give."""
        return np.array([self._ratio(run) for run in runs])

    def _ratio(self, run: dict[str, Any]) -> float:
        sign, error = signs(run), run["truth"] - run["nats"]
        chosen = self.weights["ABOVE" if error > 0 else "BELOW"]
        square = sum((weight * sign.parts()[name]) ** 2 for name, weight in chosen.items())
        return abs(error) / (QUANTILE * math.sqrt(sign.variance + square))

    def inside(self, runs: list[dict[str, Any]]) -> NDArray[np.bool_]:
        """Say which intervals hold the truth."""
        factors = [max(self.factors[s] for s in signs(run).strata()) for run in runs]
        return self.ratios(runs) <= factors


def quantile(errors: Array, variance: Array, parts: Array, outside: float, prior: Array) -> Array:
    """Fit weights so that a share of the errors is beyond the quantile, on a scale of ratios.

    Few errors are beyond it: the weights leave their prior values as far as these ask.
    """
    target, start = np.log(np.maximum(errors, LEAST)), np.log(prior)

    def loss(logs: Array) -> float:
        scale = QUANTILE * np.sqrt(variance + (np.exp(2 * logs) * parts**2).sum(1))
        beyond = target - np.log(scale)
        pinball = np.where(beyond > 0, (1 - outside) * beyond, -outside * beyond)
        return pinball.mean() + ((logs - start) ** 2).sum() / len(errors) / SPREAD**2

    return np.exp(minimize(loss, start, method="Powell", options={"xtol": 1e-3, "ftol": 1e-8}).x)


def conformal(ratios: Array) -> float:
    """Return the factor that holds 95 % of such ratios; the largest of three strata counts."""
    return float(np.quantile(ratios, LEVEL))


def seen_weight(runs: list[dict[str, Any]]) -> float:
    """Return the weight of the in-sample value with the least errors, in the geometric mean.

    So neither the distributions that are missed by far nor those that are hit decide.
    """
    weights = np.arange(0, 0.51, 0.05)
    sampling = np.array([run["sampling"] for run in runs])
    errors = np.array([[abs(read(run, w) - run["truth"]) for run in runs] for w in weights])
    return float(weights[np.log(errors + sampling + LEAST).mean(1).argmin()])


def fit(args: argparse.Namespace) -> None:
    runs = usable(load(), fresh=False)
    seen = seen_weight(runs)
    found = Calibration.fit([{**run, "nats": read(run, seen)} for run in runs])
    tables = {**found.weights, "FACTORS": found.factors}
    blocks = [f"SEEN = {seen:.3g}\n", *(written(name, table) for name, table in tables.items())]
    CONSTANTS.write_text("".join([HEAD, "\n\n", *blocks]), encoding="utf-8")
    print(CONSTANTS.read_text())


def written(name: str, table: dict[str, float]) -> str:
    lines = (f'    "{key}": {value:.3g},\n' for key, value in sorted(table.items()))
    return f"{name} = {{\n{''.join(lines)}}}\n"


def judge(args: argparse.Namespace) -> None:
    """Print the share inside for the fresh part, and for kinds that the fit has not seen."""
    done = load()
    old, fresh = usable(done, fresh=False), usable(done, fresh=True)
    held = Calibration({"BELOW": BELOW, "ABOVE": ABOVE}, FACTORS).inside(fresh)
    lines = {"fresh": held}
    for stratum in sorted({s for run in fresh for s in signs(run).strata()}):
        lines[f"fresh, {stratum}"] = held[[stratum in signs(run).strata() for run in fresh]]
    for kind in KINDS:
        left = [run for run in old + fresh if run["kind"] == kind]
        rest = Calibration.fit([run for run in old if run["kind"] != kind])
        lines[f"left out: {kind}"] = rest.inside(left)
    unseen = np.concatenate([inside for name, inside in lines.items() if "left out" in name])
    large = [{**run, "nats": read(run)} for run in done.values() if is_large(run)]
    high = sum(run["nats"] > 1.1 * run["truth"] for run in large)
    print(f"{high} of {len(large)} of more than {LARGE[0]:.0f} nats are read too high by a tenth")
    for name, inside in {**lines, "left out, all": unseen}.items():
        print(f"{name:28s} {inside.mean():6.1%} of {len(inside)}")


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
    commands.add_parser("fit", help="write the constants").set_defaults(command=fit)
    commands.add_parser("judge", help="print the coverage").set_defaults(command=judge)
    return parser.parse_args()


def main() -> None:
    args = parse()
    args.command(args)


if __name__ == "__main__":
    main()
