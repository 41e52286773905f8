"""Break the package one fault at a time and see whether the fast tests notice.

    python tests/tools/mutations.py

Each fault is one replacement in a temporary copy of ``src``; the test of the file that it is in,
for objectives also the laws of all, runs until the first failure. The exit status is 1 if a fault
survives. The libraries are imported once and each fault runs in a fork.
"""

import argparse
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import NamedTuple

import hypothesis  # noqa: F401 imported here so that no fork has to
import lightning.pytorch  # noqa: F401
import matplotlib.figure  # noqa: F401
import pandas  # noqa: F401
import pyarrow.csv  # noqa: F401
import pytest
import scipy.stats  # noqa: F401
import sklearn.datasets  # noqa: F401
import tensorboard  # noqa: F401
import torch
import torchmetrics  # noqa: F401

ROOT = Path(__file__).parents[2]

LAWS = ["tests/objectives/test_laws.py", "tests/test_functional.py", "tests/test_metrics.py"]


class Fault(NamedTuple):
    """A replacement: ``old`` stands once in the file."""

    name: str
    file: str
    old: str
    new: str

    @property
    def tests(self) -> list[str]:
        """The test of the file's name, and for objectives the laws that hold for all of them."""
        path = Path("tests", self.file)
        own = str(path.with_name(f"test_{path.name}"))
        return [own, *LAWS] if self.file.startswith("objectives/") else [own]


FAULTS = [
    Fault("Donsker-Varadhan: sign", "objectives/variational.py",
          "return mean - log_mean\n",
          "return mean + log_mean\n"),
    Fault("log-mean-exp: a sum, no mean", "objectives/scores.py",
          "return torch.logsumexp(scores, dims) - math.log(count)",
          "return torch.logsumexp(scores, dims)"),
    Fault("log-mean-exp: the wrong axis counted", "objectives/scores.py",
          "math.prod([scores.shape[d] for d in dims])", "scores.shape[0]"),
    Fault("half precision is not widened", "objectives/scores.py",
          "return scores.float() if scores.dtype", "return scores if scores.dtype"),
    Fault("scores of shape (N, 1) pass", "objectives/scores.py",
          "if joint.ndim != 1 or len(joint) == 0:", "if len(joint) == 0:"),
    Fault("InfoNCE: the positive left out", "objectives/scores.py",
          "dim=1) if include_positive else marginal",
          "dim=1) if not include_positive else marginal"),
    Fault("InfoNCE: temperature on one side", "objectives/contrastive.py",
          "marginal = marginal.reshape(len(joint), -1) / self.temperature",
          "marginal = marginal.reshape(len(joint), -1)"),
    Fault("InfoNCE: symmetric, not halved", "objectives/contrastive.py",
          "other_rows(joint, marginal))) / 2",
          "other_rows(joint, marginal)))"),
    Fault("all pairs: the diagonal off by one", "objectives/scores.py",
          "joint[1:].unsqueeze(1)), dim=1)\n", "joint[:-1].unsqueeze(1)), dim=1)\n"),
    Fault("all pairs: split off by one", "objectives/scores.py",
          "(rows - 1, rows + 1))[..., :-1]",
          "(rows - 1, rows + 1))[..., 1:]"),
    Fault("columns: not transposed", "objectives/scores.py",
          "split_pairs(all_pairs(joint, marginal).t())", "split_pairs(all_pairs(joint, marginal))"),
    Fault("interpolated bound: the constant", "objectives/contrastive.py",
          "return 1 + joint - mix(others)",
          "return joint - mix(others)"),
    Fault("interpolated bound: the positive kept", "objectives/contrastive.py",
          "log_sum_without(candidates(joint, marginal))[:, 1:] - math",
          "log_sum_without(candidates(joint, marginal))[:, :-1] - math"),
    Fault("interpolated bound: a missing log", "objectives/contrastive.py",
          "log_mean + math.log(alpha)",
          "log_mean + alpha"),
    Fault("f-divergence: no conjugate", "objectives/f_information.py",
          "- divergence.conjugate(marginal).mean()",
          "- divergence.activation(marginal).mean()"),
    Fault("CLUB: sign", "objectives/upper.py",
          "return joint - marginal.reshape(len(joint), -1).mean(1), None",
          "return joint + marginal.reshape(len(joint), -1).mean(1), None"),
    Fault("leave one out: rows for columns", "objectives/upper.py",
          "log_mean_exp(other_rows(joint, marginal), dim=1)",
          "log_mean_exp(marginal, dim=1)"),
    Fault("squared Hellinger: 1 / (1 - t)", "objectives/divergences.py",
          "return torch.expm1(score)", "return torch.exp(score)"),
    Fault("Pearson: the factor of the square", "objectives/divergences.py",
          "score.square() / 4 + score", "score.square() / 2 + score"),
    Fault("Jensen-Shannon: a missing log 2", "objectives/divergences.py",
          "return math.log(2) - softplus(-score)", "return -softplus(-score)"),
    Fault("Hellinger: log ratio not doubled", "objectives/divergences.py", "return 2 * score",
          "return score"),
    Fault("MINE: the gradient of the plain bound", "objectives/variational.py",
          "return torch.exp(log_mean - log_ema) - self", "return log_mean - self"),
    Fault("stable: every joint score counts", "objectives/variational.py",
          "torch.where(kept, joint, 0).sum()", "joint.sum()"),
    Fault("stable: the mean for the sum", "objectives/variational.py",
          "joint <= log_mean + math.log(pairs)", "joint <= log_mean"),
    Fault("backprop: no slope", "critics/backprop.py",
          "gradient = self.slope(gradient, tape.sums[layer - 1], tape.inputs[layer])",
          "pass"),
    Fault("backprop: the mean over rows for the sum", "critics/backprop.py",
          "gradient.sum(-2)", "gradient.mean(-2)"),
    Fault("backprop: a hooked critic", "critics/backprop.py",
          "not hooked and all(", "all("),
    Fault("concat critic: the first layer drawn for x alone", "critics/layers.py",
          "bound = self.weight.shape[1] ** -0.5", "bound = (self.weight.shape[1] / 2) ** -0.5"),
    Fault("MINE: the average in the gradient", "objectives/variational.py",
          "blend_logs(self.log_ema, log_mean.detach(), self.ma_rate)",
          "blend_logs(self.log_ema, log_mean, self.ma_rate)"),
    Fault("MINE: the average moves in evaluation", "objectives/variational.py",
          "if self.training:", "if True:"),
    Fault("moving average: the weights swapped", "objectives/baselines.py",
          "log_ema + math.log1p(-ma_rate), log_batch + math.log(ma_rate)",
          "log_ema + math.log(ma_rate), log_batch + math.log1p(-ma_rate)"),
    Fault("moving average: started at zero", "objectives/baselines.py",
          "torch.where(torch.isneginf(log_ema), log_batch, blended)", "blended"),
    Fault("NWJ: the constant of the read-out", "objectives/variational.py",
          "return mean - torch.exp(log_mean - 1)", "return mean - torch.exp(log_mean)"),
    Fault("NWJ: log ratio without its constant", "objectives/variational.py",
          "return scores - 1", "return scores"),
    Fault("TUBA: the constant of the read-out", "objectives/variational.py",
          "- log_baseline) - log_baseline + 1", "- log_baseline) - log_baseline"),
    Fault("SMILE: joint scores clipped in the read-out", "objectives/logistic.py",
          "return joint, marginal.clamp(-self.tau, self.tau)",
          "return joint.clamp(-self.tau, self.tau), marginal.clamp(-self.tau, self.tau)"),
    Fault("Jensen-Shannon: the constant of the read-out", "objectives/logistic.py",
          "return 1 + mean - torch.exp(log_mean)", "return mean - torch.exp(log_mean)"),
    Fault("InfoNCE: the ceiling off by one", "objectives/contrastive.py",
          "math.log(partners + 1)", "math.log(partners)"),
    Fault("estimate: batches averaged, not pooled", "objectives/base.py",
          "return narrow(self.read(self._pool_all(batches)), batches[0][0].dtype)",
          "return torch.stack([self.batch_value(*batch) for batch in batches]).mean()"),
    Fault("derangement: every row its own partner", "data/samplers.py",
          "order.gather(-1, (ranks + 1) % rows.shape[-1])", "order.gather(-1, ranks)"),
    Fault("partners: the own row among them", "data/samplers.py",
          "torch.arange(1, self.count + 1,", "torch.arange(0, self.count,"),
    Fault("partners: the same one twice", "data/samplers.py",
          "torch.arange(1, self.count + 1, device=rows.device)",
          "torch.arange(1, self.count + 1, device=rows.device).clamp(max=2)"),
    Fault("independent draw: the own row among them", "data/samplers.py",
          "return draw + (draw >= rows)", "return draw"),
    Fault("independent draw: the last row never", "data/samplers.py",
          "torch.randint(pool - 1, rows.shape", "torch.randint(max(1, pool - 2), rows.shape"),
    Fault("cyclic shift: none", "data/samplers.py", "rows.roll(-self.shift, -1)",
          "rows.roll(0, -1)"),
    Fault("metric: the largest batch alone", "objectives/pooling.py",
          "torch.logaddexp(a, b)",
          "torch.maximum(a, b)"),
    Fault("metric: pairs counted as rows", "objectives/pooling.py",
          "rows=terms.new_full((), len(terms))",
          "rows=terms.new_full((), pairs)"),
    Fault("metric: partners summed, not averaged", "objectives/base.py",
          "logs = log_mean_exp(logs.reshape(len(terms), -1), dim=1)",
          "logs = logs.reshape(len(terms), -1).logsumexp(1)"),
    Fault("metric: the last batch alone", "metrics.py",
          "self._pooled() + self.objective.pool(joint, marginal)",
          "self.objective.pool(joint, marginal)"),
    Fault("metric: processes added as logs", "metrics.py",
          "return torch.logsumexp(states, dim=0)", "return states.sum(0)"),
    Fault("standard error: no mean subtracted", "objectives/pooling.py",
          "self.term_square_sum / self.rows - self.mean.square()",
          "self.term_square_sum / self.rows"),
    Fault("standard error: the marginal part missing", "objectives/base.py",
          " + log_slope.square() * pooled.log_variance",
          ""),
    Fault("standard error: N for N - 1", "objectives/base.py",
          "total.clamp(min=0) / (pooled.rows - 1)",
          "total.clamp(min=0) / pooled.rows"),
    Fault("effective rows: the square missing", "objectives/pooling.py",
          "torch.exp(2 * self.log_sum - self.log_square_sum)",
          "torch.exp(self.log_sum - self.log_square_sum)"),
    Fault("metric: the sums in single precision", "objectives/pooling.py",
          'return torch.float32 if device.type == "mps" else torch.float64',
          "return torch.float32"),
    Fault("splits: test rows among the training rows", "data/modules.py",
          "return dict(zip(SPLITS, order.split(sizes), strict=True))",
          'return {**dict(zip(SPLITS, order.split(sizes), strict=True)), "train": order}'),
    Fault("splits: validation is the test", "data/modules.py",
          "return dict(zip(SPLITS, order.split(sizes), strict=True))",
          'parts = dict(zip(SPLITS, order.split(sizes), strict=True))\n'
          '        return {**parts, "val": parts["test"]}'),
    Fault("transforms: fitted on all rows", "data/modules.py", ".fit(rows[train])(rows)",
          ".fit(rows)(rows)"),
    Fault("folds: the held-out rows among the others", "estimate/splits.py",
          "held[:fold] + held[fold + 1 :]",
          "held"),
    Fault("folds: a view fitted on all rows", "estimate/folds.py",
          "view.look(*self.sides, train, val, known)",
          "view.look(*self.sides, torch.arange(len(self.x)), val, known)"),
    Fault("closed forms: that of the first fold for all", "estimate/ratios/samples.py",
          "return value[place].clone() if", "return value[0].clone() if"),
    Fault("closed forms: one width for all folds", "estimate/ratios/copulas.py",
          "densities[widths, torch", "densities[widths.clamp(max=0), torch"),
    Fault("closed forms: the first mixture stays", "estimate/ratios/mixtures.py",
          "better = ~(means >= least[places])", "better = ~(means >= least[places]) & (size == 3)"),
    Fault("ring: the own row as the partner", "critics/candidates.py",
          "rows.roll(-1, 1)], dim=1", "rows], dim=1"),
    Fault("loss: partners summed, not averaged", "estimate/logistic.py",
          "slopes[:, :, 1:] /= slopes.shape[2] - 1", "slopes[:, :, 1:] /= 1"),
    Fault("views: features of other rows", "estimate/views.py",
          "train.shape, rows.digest()", "train.shape, b''"),
    Fault("loader: pairs taken apart", "data/loading/loaders.py",
          "gather(z, rows), gather(z, partners)",
          "gather(z, rows.roll(1, -1)), gather(z, partners)"),
    Fault("loader: every epoch alike", "data/loading/loaders.py",
          "generator=s.generator(epoch))",
          "generator=s.generator())"),
    Fault("loader: all ranks the same rows", "data/loading/loaders.py",
          "order[s.rank :: s.world_size]",
          "order[:: s.world_size]"),
    Fault("loader: all ranks the same draws", "data/loading/loaders.py",
          "generator(epoch, position, 1 + self.sampling.rank)",
          "generator(epoch, position)"),
    Fault("loader: a batch twice after a restart", "data/loading/loaders.py",
          "self.minibatches(self._epoch, self._position)",
          "self.minibatches(self._epoch, max(0, self._position - 1))"),
    Fault("loader: an epoch again after a restart", "data/loading/loaders.py",
          "            self._next = epoch\n", "            pass\n"),
    Fault("evaluation: rows of another rank again", "data/loading/loaders.py",
          "chunk[sampling.rank :: processes]",
          "chunk[sampling.rank :]"),
    Fault("restart: the validation skipped", "callbacks/checkpoints.py",
          "if not validates and not trainer.is_last_batch:", "if not trainer.is_last_batch:"),
    Fault("module: a partner for the pair", "objectives/scores.py",
          "scores.split((1, scores.shape[-2] - 1), dim=-2)",
          "scores.flip(-2).split((1, scores.shape[-2] - 1), dim=-2)"),
    Fault("module: pointwise values unnormalised", "training/estimator.py",
          "self.objective.log_ratio(joint) - self.log_partition",
          "self.objective.log_ratio(joint)"),
    Fault("transform: a rank off by half", "data/transforms.py", "(below + upto).double() / 2",
          "(below + upto + 1).double() / 2"),
    Fault("InfoNCE with an anchor: none beside the own", "objectives/contrastive.py",
          "torch.logaddexp(others, anchor)", "others"),
    Fault("containers: a dict aligned by index", "data/containers.py",
          "return part.reset_index(drop=True)", "return part"),
    Fault("numerals: a decimal comma is a name", "data/numerals.py",
          "(?P<point> [.,] )", "(?P<point> [.] )"),
    Fault("selection: what is chosen already is forgotten", "selection/selector.py",
          "rows[:, [*chosen, place]]", "rows[:, [place]]"),
]  # fmt: skip


def broken_copy(folder: Path, fault: Fault) -> None:
    """Copy what the tests need, with the fault in it."""
    for name in ("src", "tests", "configs", "examples", "benchmarks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder)
    path = folder / "src" / "mine_lightning" / fault.file
    text = path.read_text()
    if text.count(fault.old) < 1:
        raise ValueError(f"Expected {fault.file} to hold {fault.old!r}.")
    path.write_text(text.replace(fault.old, fault.new, 1))


def run_tests(folder: Path, tests: list[str]) -> int:
    """Run the tests in this process; return pytest's exit status."""
    os.chdir(folder)
    os.environ["PYTHONPATH"] = str(folder / "src")
    sys.path[:0] = [str(folder / "src"), str(folder / "tests")]
    torch.set_num_threads(1)
    options = ["--import-mode=importlib", "-x", "-q", "-m", "not slow", "-o", "addopts="]
    options += ["-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    return int(pytest.main([*options, *tests]))


def in_child(folder: Path, log: Path, tests: list[str]) -> None:
    """Run the tests with their output in a file, and end the process with pytest's status."""
    status = 9
    try:
        descriptor = os.open(log, os.O_CREAT | os.O_WRONLY)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        status = run_tests(folder, tests)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def outcome(fault: Fault | None, tests: list[str], limit: float) -> str:
    """Run the tests in a fork against a copy with the fault."""
    with tempfile.TemporaryDirectory() as name:
        broken_copy(Path(name), fault or FAULTS[0]._replace(new=FAULTS[0].old))
        log = Path(name) / "log"
        child = os.fork()
        if child == 0:
            in_child(Path(name), log, tests)
        status = wait(child, limit)
        if status not in (0, 1, None) or (fault is None and status):
            raise RuntimeError(log.read_text()[-2000:])
        return {0: "survived", 1: "caught", None: "out of time"}[status]


def wait(child: int, limit: float) -> int | None:
    """Return the exit status of a child, or None if it takes too long and is ended."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="pattern within a fault's name")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds for a fault")
    parser.add_argument("--output", type=Path, default=None)
    given = parser.parse_args()
    chosen = [fault for fault in FAULTS if re.search(given.only, fault.name)]
    tests = sorted({test for fault in chosen for test in fault.tests})
    if (unbroken := outcome(None, tests, 10 * given.limit)) != "survived":
        raise RuntimeError(f"Expected the unbroken tests to pass, got {unbroken}: {tests}.")
    results = {}
    for number, fault in enumerate(chosen, start=1):
        start = time.monotonic()
        results[fault.name] = outcome(fault, fault.tests, given.limit)
        seconds = time.monotonic() - start
        print(f"{number:3d} {results[fault.name]:11s} {seconds:5.0f} s  {fault.name}", flush=True)
    caught = sum(result == "caught" for result in results.values())
    print(f"{caught} of {len(results)} faults caught")
    if given.output is not None:
        given.output.write_text(json.dumps(results, indent=2) + "\n")
    return int(caught < len(results))


if __name__ == "__main__":
    sys.exit(main())
