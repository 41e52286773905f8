r"""The staircase: every objective on Gaussians whose mutual information climbs from 2 to 10 bits.

The protocol of Lee and Rhee 2024 and, in nats, of Song and Ermon 2020: x and z have 20 dimensions,
:math:`z = \rho x + \sqrt{1 - \rho^2} \epsilon` (or its cube), every step draws 64 fresh pairs and
scores all 64 x 64, one critic is carried through five levels of 4,000 steps, and the figures are
those of the last 1,000 steps of a level. Each step is scored before the critic learns from it.

The networks have three hidden layers of 256. The "two layers" of the papers count the matrices
between hidden layers: with two hidden layers the separable critic learns more than the published
one did, with three the published figures come out.

``js`` reads the Nguyen-Wainwright-Jordan bound where it is tight, at T + 1; ``js at T`` is the
read-out published as "js", 0.53 bits too low for the true ratio and steadier.

``stable`` rows leave joint scores alone that 64 x 63 marginal ones cannot contradict, without which
the exponential objectives may explode at 8 and 10 bits, as the published Donsker-Varadhan did.

``pooled`` rows apply the bound once to the scores of the last 100 steps, as
:class:`mine_lightning.MutualInformation` does; the others, like the papers, to 64 pairs each.

    python benchmarks/staircase.py                      # what is missing, then table and figure
    python benchmarks/staircase.py --data cube --critics joint --trainings js
    python benchmarks/staircase.py --report             # table and figure of what there is

A run is saved after each level and goes on from there.

References:
    Song and Ermon, "Understanding the Limitations of Variational Mutual Information Estimators",
    2020, section 6.1; Lee and Rhee, "A Benchmark Suite for Evaluating Neural Mutual Information
    Estimators on Unstructured Datasets", 2024.
"""

import argparse
import csv
import json
import math
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mine_lightning import objectives
from mine_lightning.critics.networks import ConcatCritic, Critic, SeparableCritic
from mine_lightning.objectives import Objective
from mine_lightning.objectives.scores import log_mean_exp, split_pairs

HERE = Path(__file__).resolve().parent
PUBLISHED = HERE.parent / "tests/data/reference/staircase_bits_lee_rhee.csv"
BITS = (2, 4, 6, 8, 10)
DIMS, ROWS, STEPS, COUNTED, WINDOW, LEARNING_RATE = 20, 64, 4000, 1000, 100, 5e-4
HIDDEN = (256, 256, 256)
CRITICS = {
    "joint": lambda: ConcatCritic(hidden_features=HIDDEN),
    "separable": lambda: SeparableCritic(embedding_dim=32, hidden_features=HIDDEN),
}


@dataclass(frozen=True)
class Estimator:
    """A read-out of the critic that ``training`` trains; objectives of one loss share the run."""

    training: str
    objective: str
    arguments: dict[str, Any] = field(default_factory=dict)
    window: int = 1

    def build(self) -> Objective:
        return getattr(objectives, self.objective)(**self.arguments)


ESTIMATORS = {
    "dv": Estimator("dv", "DonskerVaradhan"),
    "mine": Estimator("mine", "MINE", {"ma_rate": 0.1}),  # published: momentum 0.9
    "dv stable": Estimator("dv-stable", "DonskerVaradhan", {"stable": True}),
    "mine stable": Estimator("mine-stable", "MINE", {"ma_rate": 0.1, "stable": True}),
    "nwj": Estimator("nwj", "NWJ"),
    "nwj stable": Estimator("nwj-stable", "NWJ", {"stable": True}),
    "infonce": Estimator("infonce", "InfoNCE"),
    "js": Estimator("js", "JensenShannonNWJ"),
    "js at T": Estimator("js", "NWJ"),
    "smile-1": Estimator("js", "SMILE", {"tau": 1.0}),
    "smile-5": Estimator("js", "SMILE", {"tau": 5.0}),
    "smile-inf": Estimator("js", "SMILE", {"tau": math.inf}),
    "dv pooled": Estimator("dv", "DonskerVaradhan", window=WINDOW),
    "mine pooled": Estimator("mine", "MINE", window=WINDOW),
    "dv stable pooled": Estimator("dv-stable", "DonskerVaradhan", window=WINDOW),
    "mine stable pooled": Estimator("mine-stable", "MINE", window=WINDOW),
    "nwj pooled": Estimator("nwj", "NWJ", window=WINDOW),
    "nwj stable pooled": Estimator("nwj-stable", "NWJ", window=WINDOW),
    "js pooled": Estimator("js", "JensenShannonNWJ", window=WINDOW),
    "smile-1 pooled": Estimator("js", "SMILE", {"tau": 1.0}, window=WINDOW),
    "smile-5 pooled": Estimator("js", "SMILE", {"tau": 5.0}, window=WINDOW),
    "smile-inf pooled": Estimator("js", "SMILE", {"tau": math.inf}, window=WINDOW),
}


def sample(bits: float, cube: bool, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw 64 pairs with the given mutual information in bits."""
    rho = math.sqrt(-math.expm1(-2 * bits * math.log(2) / DIMS))
    x, noise = torch.randn(2, ROWS, DIMS, generator=generator)
    z = rho * x + math.sqrt(1 - rho**2) * noise
    return x, z**3 if cube else z


def score(critic: Critic, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Return the scores of the pairs, ``(N,)``, and of all others, ``(N, N - 1)``."""
    return split_pairs(critic(x.unsqueeze(1), z.unsqueeze(0)))


def pooled_terms(objective: Objective, joint: Tensor, marginal: Tensor) -> list[float]:
    """Return the two numbers that the estimate is a function of, from one batch."""
    rows, logs = objective.terms(joint, marginal)
    return [rows.mean().item(), 0.0 if logs is None else log_mean_exp(logs).item()]


class Run:
    """One critic carried through the levels, with what a resumed run needs."""

    def __init__(self, data: str, critic: str, training: str, seed: int, folder: Path) -> None:
        self.cube, self.path = data == "cube", folder / f"{data}-{critic}-{training}.pt"
        torch.manual_seed(seed)
        self.generator = torch.Generator().manual_seed(seed)
        self.readouts = {
            name: estimator.build()
            for name, estimator in ESTIMATORS.items()
            if estimator.training == training and estimator.window == 1
        }
        self.objective = next(iter(self.readouts.values()))
        self.critic = CRITICS[critic]()
        score(self.critic, *sample(2, self.cube, torch.Generator()))
        self.optimizer = torch.optim.Adam(self.critic.parameters(), lr=LEARNING_RATE, fused=True)
        self.terms: list[Tensor] = []
        self.seconds = 0.0
        if self.path.exists():
            self._load()

    def climb(self) -> None:
        """Train through the levels that are left, saving each."""
        for bits in BITS[len(self.terms) :]:
            began = time.perf_counter()
            self.terms.append(torch.tensor([self.step(bits) for _ in range(STEPS)]))
            self.seconds += time.perf_counter() - began
            self._save()
            print(f"{self.path.stem}: {bits} bits done, {self.seconds:.0f} s", flush=True)

    def step(self, bits: float) -> list[list[float]]:
        """Read every estimate from a fresh batch, then learn from it."""
        joint, marginal = score(self.critic, *sample(bits, self.cube, self.generator))
        loss = self.objective.loss(joint, marginal)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        joint, marginal = joint.detach(), marginal.detach()
        return [pooled_terms(readout, joint, marginal) for readout in self.readouts.values()]

    def _parts(self) -> dict[str, Any]:
        return {"critic": self.critic, "objective": self.objective, "optimizer": self.optimizer}

    def _save(self) -> None:
        state = {name: part.state_dict() for name, part in self._parts().items()}
        state |= {"generator": self.generator.get_state(), "readouts": list(self.readouts)}
        state |= {"terms": self.terms, "seconds": self.seconds}
        partial = self.path.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, self.path)

    def _load(self) -> None:
        state = torch.load(self.path, weights_only=True)
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.generator.set_state(state["generator"])
        self.terms, self.seconds = state["terms"], state["seconds"]


def estimates(terms: Tensor, estimator: Estimator) -> Tensor:
    """Return the estimates in bits at the steps of a level, each from the last ``window`` steps."""
    windows = terms.double().unfold(0, estimator.window, 1)  # (steps, 2, window)
    means, logs = windows[:, 0].mean(-1), log_mean_exp(windows[:, 1], dim=1)
    objective = estimator.build()
    values = [objective.value(*pair) for pair in zip(means, logs, strict=True)]
    return torch.stack(values) / math.log(2)


def statistics(values: Tensor, bits: float) -> dict[str, float]:
    """Return bias, variance and mean squared error over the counted steps, in bits."""
    counted = values[-COUNTED:]
    finite = counted[counted.isfinite()]
    return {
        "true_mi_bits": bits,
        "bias": (finite.mean() - bits).item(),
        "variance": finite.var(correction=0).item(),
        "mse": (finite - bits).square().mean().item(),
        "not_finite": len(counted) - len(finite),
    }


def collect(folder: Path) -> Iterator[tuple[dict[str, Any], Tensor]]:
    """Yield a row and the estimates for every finished level of every run."""
    for path in sorted(folder.glob("*.pt")):
        data, critic, training = path.stem.split("-", 2)
        state = torch.load(path, weights_only=True)
        for name, estimator in ESTIMATORS.items():
            readout = name.removesuffix(" pooled")
            if estimator.training != training or readout not in state["readouts"]:
                continue
            column = state["readouts"].index(readout)
            for bits, terms in zip(BITS, state["terms"], strict=False):
                values = estimates(terms[:, column], estimator)
                row = {"data": data, "critic": critic, "estimator": name}
                yield row | statistics(values, bits), values


def published() -> dict[tuple[str, str, int], float]:
    """Return the published mean squared error by critic, estimator and level, where present."""
    if not PUBLISHED.exists():
        return {}
    with PUBLISHED.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["dataset"] == f"gaussian d={DIMS}"]
    critics = {"concat": "joint", "separable": "separable"}
    return {
        (critics[row["critic"]], row["estimator"], int(row["true_mi_bits"])): float(
            row["mse_bits2"]
        )
        for row in rows
        if row["critic"] in critics
    }


def compare(rows: list[dict[str, Any]]) -> None:
    """Set the published error beside each row; for the cube there is none."""
    reference = published()
    for row in rows:
        name = row["estimator"].removesuffix(" pooled")
        name = name.removesuffix(" at T").removesuffix(" stable")
        mse = reference.get((row["critic"], name, row["true_mi_bits"]))
        best = min((v for (*_, b), v in reference.items() if b == row["true_mi_bits"]), default=0)
        if mse is not None and row["data"] == "gaussian":
            row |= {"published_mse": mse, "ratio": row["mse"] / mse, "best_published_mse": best}


def show(rows: list[dict[str, Any]]) -> None:
    """Print the table."""
    print(
        f"{'data':9}{'critic':10}{'estimator':17}{'bits':>4}{'bias':>9}{'variance':>10}{'MSE':>10}"
        f"{'published':>12}{'ratio':>8}{'best':>7}{'inf':>5}"
    )
    for row in rows:
        line = f"{row['data']:9}{row['critic']:10}{row['estimator']:17}{row['true_mi_bits']:4}"
        line += f"{row['bias']:9.3f}{row['variance']:10.3f}{row['mse']:10.3f}"
        if "ratio" in row:
            line += f"{row['published_mse']:12.3f}{row['ratio']:8.2f}"
            line += f"{row['best_published_mse']:7.2f}"
        print(line + (f"{row['not_finite']:5}" if row["not_finite"] else ""))


def panel_line(row: dict[str, Any]) -> tuple[str, str, str]:
    """Return the line of panels that a row is drawn in."""
    pooled = row["estimator"].endswith("pooled")
    return row["data"], row["critic"], f"{WINDOW} batches" if pooled else "one batch"


def draw(found: list[tuple[dict[str, Any], Tensor]], path: Path) -> None:
    """Draw one panel for each estimator: its estimates by step, and the truth as stairs."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    names = [name for name in ESTIMATORS if not name.endswith("pooled")]
    lines = sorted({panel_line(row) for row, _ in found})
    size = (1.9 * len(names), 2.2 * len(lines))
    figure, axes = plt.subplots(
        len(lines), len(names), figsize=size, sharex=True, sharey=True, squeeze=False
    )
    for row, values in found:
        name = row["estimator"].removesuffix(" pooled")
        axis = axes[lines.index(panel_line(row)), names.index(name)]
        end = STEPS * (BITS.index(row["true_mi_bits"]) + 1)
        axis.plot(range(end - len(values), end), values, linewidth=0.3, color="C0")
    edges = [STEPS * level for level in range(len(BITS) + 1)]
    for line, panels in zip(lines, axes, strict=True):
        panels[0].set_ylabel("\n".join(line) + "\nbits")
        for name, axis in zip(names, panels, strict=True):
            axis.stairs(BITS, edges, baseline=None, color="black", linewidth=1)
            axis.set(title=name, ylim=(0, 14), xlim=(0, edges[-1]), xticks=edges[1::2])
    for axis in axes[-1]:
        axis.set_xlabel("step")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def report(folder: Path) -> None:
    """Print the table of the finished levels; write it as JSON, and the figure."""
    found = list(collect(folder))
    if not found:
        sys.exit(f"no level is finished in {folder}")
    rows = [row for row, _ in found]
    compare(rows)
    show(rows)
    (folder / "staircase.json").write_text(json.dumps(rows, indent=1) + "\n")
    draw(found, folder / "staircase.png")


def main() -> None:
    trainings = list(dict.fromkeys(estimator.training for estimator in ESTIMATORS.values()))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", choices=["gaussian", "cube"], default=["gaussian"])
    parser.add_argument("--critics", nargs="+", choices=CRITICS, default=list(CRITICS))
    parser.add_argument("--trainings", nargs="+", choices=trainings, default=trainings)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=HERE / "results/staircase")
    parser.add_argument("--report", action="store_true", help="train nothing")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.folder.mkdir(parents=True, exist_ok=True)
    for data in [] if options.report else options.data:
        for critic in options.critics:
            for training in options.trainings:
                Run(data, critic, training, options.seed, options.folder).climb()
    report(options.folder)


if __name__ == "__main__":
    main()
