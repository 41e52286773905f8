"""The 40 tasks against the benchmark's own truths and samples.

``reference/`` holds the task list of "Beyond Normal" (Czyz et al., NeurIPS 2023) and, of each task,
500 rows drawn with its package (benchmark-mi 0.1.3, ``task.sample(10000, seed=1000)``).
"""

import csv
import math
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from jsonargparse import ArgumentParser
from scipy.stats import ks_2samp

from mine_lightning.data.distributions.base import Distribution
from mine_lightning.data.distributions.beyond_normal import beyond_normal_tasks
from parsing import instantiate
from shared import seeded

REFERENCE = Path(__file__).parents[1] / "reference"
TASKS = beyond_normal_tasks()


@pytest.fixture(scope="module")
def truths():
    with (REFERENCE / "bmi40_tasks.csv").open(encoding="utf-8") as file:
        return {row["task"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def samples():
    with np.load(REFERENCE / "bmi40_samples.npz") as arrays:
        yield arrays


def projections(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return every coordinate, sums and differences across x and z, and random directions."""
    rows = np.arcsinh(np.concatenate((x, z), axis=1).astype(np.float64))
    x_dim = x.shape[1]
    first = product(range(min(3, x_dim)), range(min(3, z.shape[1])))
    crossed = [rows[:, i] + sign * rows[:, x_dim + j] for i, j in first for sign in (1, -1)]
    random = np.random.default_rng(0).normal(size=(rows.shape[1], 20))
    return np.column_stack((rows, *crossed, rows @ random))


def test_there_are_forty():
    assert len(TASKS) == 40


def test_tasks_are_the_benchmarks_in_order(truths):
    assert list(TASKS) == list(truths)


@pytest.mark.parametrize("name", TASKS)
def test_truth_is_the_benchmarks(name, truths):
    task, truth = TASKS[name], truths[name]
    assert task.mutual_information == pytest.approx(float(truth["true_mi"]), abs=1e-6)
    assert (task.x_dim, task.z_dim) == (int(truth["dim_x"]), int(truth["dim_y"]))


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_draw_is_distributed_as_the_benchmarks(name, samples):
    """Two-sample Kolmogorov-Smirnov distance on projections, at a level of 1e-6 each."""
    theirs = projections(samples[f"{name}|x"], samples[f"{name}|y"])
    x, z = TASKS[name].sample(20_000, torch.Generator().manual_seed(0))
    ours = projections(x.numpy(), z.numpy())
    threshold = math.sqrt(math.log(2 / 1e-6) / 2 * (1 / len(ours) + 1 / len(theirs)))
    distances = [
        ks_2samp(a, b, method="asymp").statistic for a, b in zip(ours.T, theirs.T, strict=True)
    ]
    assert max(distances) < threshold


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_log_ratio_averages_to_the_truth(name):
    rows = 20_000
    task = TASKS[name]
    ratio = task.log_ratio(*task.sample(rows, torch.Generator().manual_seed(1))).double()
    error = abs(ratio.mean().item() - task.mutual_information)
    assert error <= 4 * ratio.std().item() / math.sqrt(rows)


@pytest.mark.parametrize("name", TASKS)
def test_log_ratio_of_the_benchmarks_draw_averages_to_the_truth(name, samples):
    x, z = (torch.from_numpy(samples[f"{name}|{variable}"]) for variable in "xy")
    ratio = TASKS[name].log_ratio(x, z).double()
    error = abs(ratio.mean().item() - TASKS[name].mutual_information)
    assert error <= 4 * ratio.std().item() / math.sqrt(len(ratio))


def test_tasks_build_from_their_configuration():
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--distribution", type=Distribution)
    task = beyond_normal_tasks()["spiral-normal_cdf-multinormal-sparse-3-3-2-2.0"]
    built = instantiate(parser, parser.parse_object({"distribution": task.config()})).distribution
    for ours, theirs in zip(task.sample(5, seeded()), built.sample(5, seeded()), strict=True):
        assert torch.equal(ours, theirs)
