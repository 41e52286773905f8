"""Whole runs in several processes: what a single process computes, equal on all of them."""

import copy
import json
import math
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import distributed

from mine_lightning import (
    MINE,
    TUBA,
    ConcatCritic,
    GaussianDataModule,
    InfoNCE,
    LearnableBaseline,
    MutualInformationEstimate,
    MutualInformationEstimator,
    estimate_mutual_information,
)
from processes import run
from shared import ON_CPU

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not distributed.is_gloo_available(), reason="needs gloo"),
]

RUNS = {
    "mine": {"objective": MINE(0.3)},
    "mine-all-pairs": {"objective": MINE(0.3), "all_pairs": True},
    "infonce": {
        "objective": InfoNCE(learn_temperature=True, symmetric=True),
        "all_pairs": True,
    },
    "tuba": {"objective": TUBA(LearnableBaseline()), "gradient_clip_val": 0.5},
}


class Stacks:
    """A loader of given stacks."""

    def __init__(self, *stacks: list[dict]) -> None:
        self.stacks = stacks

    def __len__(self) -> int:
        return len(self.stacks)

    def __iter__(self):
        return iter(self.stacks)


class Shared(GaussianDataModule):
    """The same 8 minibatches of 12 rows in every epoch, divided among the processes."""

    def __init__(self, bad: dict[int, int] | None = None) -> None:
        super().__init__(dim=2, correlation=0.7, rows=150, batch_size=4, eval_batch_size=13, seed=0)
        self.bad = bad or {}  # process by minibatch

    def train_dataloader(self):
        rank, world = self._place()
        size = 12 // world
        x, z = self.distribution.sample(96, torch.Generator().manual_seed(1))
        for batch, process in self.bad.items():
            x[12 * batch + min(process, world - 1) * size] = math.nan
        batches = []
        for first in range(rank * size, 96, 12):
            rows = slice(first, first + size)
            batches.append({"joint": (x[rows], z[rows]), "marginal": z.roll(1, 0)[rows]})
        return Stacks(batches[:4], batches[4:])


def batch() -> dict:
    x, z, apart = torch.zeros(3, 2, 2)
    return {"joint": (x, z), "marginal": apart}


def fit(options: dict, data, world: int = 1, **kwargs) -> tuple[MutualInformationEstimator, dict]:
    """Train and test; return the model and all that was logged."""
    seed_everything(0, verbose=False)
    strategy = "ddp" if world > 1 else "auto"
    settings = {**ON_CPU, "max_epochs": 2, "num_sanity_val_steps": 0, **kwargs}
    trainer = Trainer(devices=world, strategy=strategy, **settings)
    model = MutualInformationEstimator(ConcatCritic((16,)), **copy.deepcopy(options))
    model(batch())  # the weights, before Lightning resets the seed of several processes
    trainer.fit(model, data)
    logged = dict(trainer.callback_metrics)
    trainer.test(model, data, verbose=False)
    return model, logged | trainer.callback_metrics


def state(model: MutualInformationEstimator, logged: dict) -> dict[str, torch.Tensor]:
    return {**model.state_dict(), **logged}


def fits(rank: int, world: int, directory: Path) -> None:
    results = {
        name: state(*fit(options, Shared(), world, precision="64-true"))
        for name, options in RUNS.items()
    }
    results["own"] = state(*fit({"gather_scores": False, "all_pairs": True}, Shared(), world))
    own = {"gather_scores": False, "on_nonfinite": "skip"}
    results["own-skip"] = state(*fit(own, Shared({5: 1}), world))
    skip = {**RUNS["mine"], "on_nonfinite": "skip"}
    results["skip"] = state(*fit(skip, Shared({5: 1}), world, precision="64-true"))
    with pytest.raises(FloatingPointError, match=r"step 5 of MINE\(ma_rate=0.3\).*clean the data"):
        fit(RUNS["mine"], Shared({5: 1}), world)
    torch.save(results, directory / f"{rank}.pt")


def test_fits_equal_those_of_one_process_and_ranks_agree(tmp_path: Path) -> None:
    world = 2
    run(fits, world, tmp_path)
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in range(world)]
    expected = {
        name: state(*fit(options, Shared(), precision="64-true")) for name, options in RUNS.items()
    }
    skip = {**RUNS["mine"], "on_nonfinite": "skip"}
    expected["skip"] = state(*fit(skip, Shared({5: 1}), precision="64-true"))
    assert expected["skip"]["train/skipped"] == 2
    assert ranks[0]["own-skip"]["train/skipped"] == 2
    for name, first in ranks[0].items():
        for other in ranks[1:]:
            for key, value in first.items():
                assert torch.equal(value, other[name][key]), (name, key)
        for key, value in expected.get(name, {}).items():
            message = partial("{} {}: {}".format, name, key)
            torch.testing.assert_close(first[key], value, rtol=1e-6, atol=1e-7, msg=message)


def resume(rank: int, world: int, directory: Path) -> None:
    def data() -> GaussianDataModule:
        return GaussianDataModule(dim=2, correlation=0.7, rows=600, batch_size=16, seed=0)

    options = {"minibatches_per_step": 2}
    whole, _ = fit(options, data(), world)
    saver = ModelCheckpoint(
        directory, filename="mid", every_n_train_steps=13, save_top_k=1, monitor=None
    )
    fit(options, data(), world, max_steps=13, callbacks=[saver], enable_checkpointing=True)
    trainer = Trainer(
        devices=world, strategy="ddp", **{**ON_CPU, "max_epochs": 2, "num_sanity_val_steps": 0}
    )
    seed_everything(1, verbose=False)
    resumed = MutualInformationEstimator(ConcatCritic((16,)), **options)
    trainer.fit(resumed, data(), ckpt_path=str(directory / "mid.ckpt"), weights_only=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_a_run_of_two_processes_resumes_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    run(resume, 2, tmp_path)


def estimate(rank: int, world: int, directory: Path) -> None:
    result = estimate_sample(accelerator="cpu", strategy="ddp", devices=world)
    result.save(directory / f"{rank}.npz")


def estimate_sample(**kwargs):
    x, noise = torch.randn(2, 300, 1, generator=torch.Generator().manual_seed(0))
    return estimate_mutual_information(x, x + noise, max_epochs=4, progress_bar=False, **kwargs)


def test_the_one_call_estimate_is_that_of_one_process(tmp_path: Path) -> None:
    run(estimate, 2, tmp_path)
    alone = estimate_sample()
    for rank in range(2):
        result = MutualInformationEstimate.load(tmp_path / f"{rank}.npz")
        assert result.nats == alone.nats
        assert result.standard_error == alone.standard_error
        assert (result.pointwise == alone.pointwise).all()


def command(directory: Path, processes: int, seed: int) -> list[dict]:
    """Run ``mine-lightning fit``; return what each process logged."""
    directory.mkdir()
    config = {
        "seed_everything": seed,
        "data": {
            "class_path": "mine_lightning.GaussianDataModule",
            "init_args": {"correlation": 0.9, "rows": 10_000, "batch_size": 256 // processes},
        },
        "model": {"class_path": "mine_lightning.MutualInformationEstimator"},
        "trainer": {
            **ON_CPU,
            "max_epochs": 8,
            "devices": processes,
            "strategy": "ddp" if processes > 1 else "auto",
            "default_root_dir": str(directory),
            "callbacks": [
                {"class_path": "processes.Recorder", "init_args": {"directory": str(directory)}}
            ],
        },
    }
    (directory / "config.json").write_text(json.dumps(config))
    done = subprocess.run(
        [sys.executable, "-m", "mine_lightning", "fit", "--config", directory / "config.json"],
        capture_output=True,
        text=True,
        timeout=300,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path]),
        },
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("estimate (test rows)") == 1
    return [json.loads((directory / f"{rank}.json").read_text()) for rank in range(processes)]


@pytest.mark.trained
def test_the_command_line_fits_in_two_processes(seed: int, outcome, tmp_path: Path) -> None:
    (alone,) = command(tmp_path / "one", 1, seed)
    first, second = command(tmp_path / "two", 2, seed)
    assert first == second
    outcome(first["test/mi"] - alone["test/mi"], -0.15, 0.15, of="difference")
    outcome(first["test/mi"] - first["mi/truth"], -0.15, 0.15)
