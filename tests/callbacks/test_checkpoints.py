"""Checkpoints: whole or not at all, exact to go on from, and nothing in them is executed."""

import errno
import os
import pickle
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from mine_lightning import (
    MINE,
    ConcatCritic,
    IndependentDraw,
    MutualInformationEstimator,
    Partners,
    RestartCheckpoint,
    SyntheticDataModule,
    TableDataModule,
    TensorDataModule,
    WholeCheckpointIO,
)
from mine_lightning.cli import main
from mine_lightning.data import GaussianPairs
from shared import QUIET

ROOT = Path(__file__).parents[2]
KINDS = ["tensor", "table", "fixed draws", "fresh draws"]
OPTIONS = {**QUIET, "accelerator": "cpu", "deterministic": True}


class EveryMoment(RestartCheckpoint):
    """Keep every checkpoint under a name of its own."""

    def __init__(self) -> None:
        super().__init__(every_n_steps=1)

    def _save_if_due(self, trainer: Any, every: int | None = None) -> None:
        self.filename = f"{trainer.global_step:03d}.ckpt"
        super()._save_if_due(trainer, every)


def build_data(kind: str, folder: Path):
    same = {"batch_size": 16, "seed": 3, "eval_partners": 4}
    if kind in ("tensor", "table"):
        x = torch.randn(240, 2, generator=torch.Generator().manual_seed(0))
        z = x + torch.randn(240, 2, generator=torch.Generator().manual_seed(1))
        if kind == "tensor":
            return TensorDataModule(x, z, marginal=IndependentDraw(), **same)
        np.savez(folder / "rows.npz", x=x, z=z)
        return TableDataModule(folder / "rows.npz", x=["x"], z=["z"], **same)
    rows = 240 if kind == "fixed draws" else None
    more = {"batches_per_epoch": 9, "eval_rows": 32, "marginal": Partners(2)}
    return SyntheticDataModule(GaussianPairs(2, correlation=0.7), rows=rows, **more, **same)


def build_model(stack: int) -> MutualInformationEstimator:
    torch.manual_seed(1)
    return MutualInformationEstimator(
        ConcatCritic([8]),
        MINE(ma_rate=0.1),
        optimizer=partial(torch.optim.Adam, lr=0.01),
        lr_scheduler=partial(torch.optim.lr_scheduler.ExponentialLR, gamma=0.8),
        minibatches_per_step=stack,
    )


def fit(
    kind: str, stack: int, folder: Path, checkpoint: Path | None = None, **trainer: Any
) -> dict[str, Any]:
    """Train from the start or from a checkpoint; return all that can be known at the end."""
    model, data = build_model(stack), build_data(kind, folder)
    callbacks = [] if checkpoint else [EveryMoment()]
    settings = {"max_epochs": 3, "default_root_dir": folder, **OPTIONS, **trainer}
    runner = Trainer(
        callbacks=callbacks,
        plugins=[WholeCheckpointIO()],
        enable_checkpointing=bool(callbacks),
        **settings,
    )
    runner.fit(model, data, ckpt_path=checkpoint)
    end = folder / "end.ckpt"
    runner.save_checkpoint(end, weights_only=False)
    (results,) = runner.test(model, data, verbose=False)
    saved = torch.load(end, weights_only=True)
    names = ("state_dict", "optimizer_states", "global_step")
    rate = [configured.scheduler.get_last_lr() for configured in runner.lr_scheduler_configs]
    return {**{name: saved[name] for name in names}, "rate": rate, "results": results}


def assert_identical(got: Any, want: Any, place: str = "") -> None:
    if isinstance(want, dict):
        assert got.keys() == want.keys(), place
        for key in want:
            assert_identical(got[key], want[key], f"{place}/{key}")
    elif isinstance(want, (list, tuple)):
        assert len(got) == len(want), place
        for position, (a, b) in enumerate(zip(got, want, strict=True)):
            assert_identical(a, b, f"{place}/{position}")
    elif isinstance(want, torch.Tensor):
        assert torch.equal(got, want), place
    else:
        assert got == want, place


@pytest.mark.parametrize("stack", [1, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_run_ends_where_the_uninterrupted_one_ends(
    kind: str, stack: int, tmp_path: Path
) -> None:
    whole = fit(kind, stack, tmp_path)
    moments = sorted((tmp_path / "checkpoints").iterdir())
    assert [int(moment.stem) for moment in moments][-1] == 27
    middle, end_of_epoch = moments[len(moments) // 2], tmp_path / "checkpoints" / "009.ckpt"
    for moment in (moments[0], end_of_epoch, middle, moments[-1]):
        assert_identical(fit(kind, stack, tmp_path, moment), whole, moment.name)


@pytest.mark.parametrize(
    "trainer",
    [
        {"val_check_interval": 0.5},
        {"limit_train_batches": 2},
        {"max_steps": 13, "max_epochs": -1},
        {"check_val_every_n_epoch": 2},
    ],
    ids=str,
)
def test_a_resumed_run_validates_and_counts_as_the_uninterrupted_one(
    trainer: dict[str, Any], tmp_path: Path
) -> None:
    whole = fit("tensor", 2, tmp_path, **trainer)
    moments = sorted((tmp_path / "checkpoints").iterdir())
    assert len(moments) > 3
    for moment in moments:
        assert_identical(fit("tensor", 2, tmp_path, moment, **trainer), whole, moment.name)


def test_a_checkpoint_waits_for_the_validation(tmp_path: Path) -> None:
    """Lightning skips a validation that was due when the run was interrupted."""
    fit("tensor", 1, tmp_path, val_check_interval=3)
    validated = {3, 6, 9}
    for moment in (tmp_path / "checkpoints").iterdir():
        step = (int(moment.stem) - 1) % 9 + 1
        loops = torch.load(moment, weights_only=True)["loops"]["fit_loop"]
        seen = loops["epoch_loop.val_loop.batch_progress"]["total"]["completed"]
        assert seen == sum(step >= due for due in validated), moment.name


def test_a_longer_run_goes_on_from_the_end(tmp_path: Path) -> None:
    fit("tensor", 4, tmp_path)
    last = tmp_path / "checkpoints" / "027.ckpt"
    longer = fit("tensor", 4, tmp_path, last, max_epochs=5)
    whole = fit("tensor", 4, tmp_path / "whole", max_epochs=5)
    assert_identical(longer, whole)


def test_the_steps_between_checkpoints_are_kept() -> None:
    with pytest.raises(
        ValueError, match="Expected `every_n_steps` to be an integer of at least 1, got 0"
    ):
        RestartCheckpoint(every_n_steps=0)


def test_the_checkpoint_of_an_earlier_run_is_not_overwritten(tmp_path: Path) -> None:
    def train(checkpoint: Path | None = None) -> Path:
        runner = Trainer(
            callbacks=[RestartCheckpoint()],
            plugins=[WholeCheckpointIO()],
            max_epochs=1 if checkpoint is None else 2,
            default_root_dir=tmp_path,
            **OPTIONS,
        )
        runner.fit(build_model(4), build_data("tensor", tmp_path), ckpt_path=checkpoint)
        return tmp_path / "checkpoints" / "last.ckpt"

    content = (path := train()).read_bytes()
    with pytest.raises(ValueError, match="without a checkpoint of an earlier run, got"):
        train()
    assert path.read_bytes() == content
    assert torch.load(train(path), weights_only=True)["global_step"] == 18


def saved(path: Path, value: Any = 1.0) -> bytes:
    checkpoint = {"state_dict": {"a": value}, "pytorch-lightning_version": "2.6.6"}
    WholeCheckpointIO().save_checkpoint(checkpoint, path)
    return path.read_bytes()


def test_a_full_disk_leaves_the_previous_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    before = saved(path)

    def fill(file: Any) -> None:
        os.write(file, b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fill)
    with pytest.raises(OSError, match="No space left on device"):
        saved(path, 2.0)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_writer_leaves_the_previous_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    before = saved(path)
    script = (
        "import os, signal, sys, torch\n"
        "from mine_lightning import WholeCheckpointIO\n"
        "def halfway(checkpoint, file):\n"
        "    file.write(b'half'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
        "torch.save = halfway\n"
        "WholeCheckpointIO().save_checkpoint({}, sys.argv[1])\n"
    )
    run = subprocess.run([sys.executable, "-c", script, str(path)], timeout=120)
    assert run.returncode == -9
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.glob("*.ckpt")] == ["last.ckpt"]


class Bomb:
    """Unpickled, it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (Path(self.path), "executed")


def write_bomb(path: Path, kind: str, proof: Path) -> Path:
    bomb = Bomb(proof)
    if kind == "pickle":
        path.write_bytes(pickle.dumps({"state_dict": bomb}, protocol=2))
    elif kind == "checkpoint":
        torch.save({"state_dict": {}, "pytorch-lightning_version": "2.6.6", "loops": bomb}, path)
    elif path.suffix == ".npy":
        np.save(path, np.array([bomb], dtype=object), allow_pickle=True)
    else:
        np.savez(path, result=np.array([bomb], dtype=object), x=np.arange(3.0))
    return path


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("kind", ["pickle", "checkpoint"])
def test_a_malicious_checkpoint_is_refused(kind: str, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    path = write_bomb(tmp_path / "bomb.ckpt", kind, proof)
    message = r"Expected '.*bomb\.ckpt' to be a whole checkpoint"
    with pytest.raises(ValueError, match=message):
        WholeCheckpointIO().load_checkpoint(path)
    with pytest.raises(ValueError, match=message):
        MutualInformationEstimator.load_from_checkpoint(path)
    model, data = build_model(1), build_data("tensor", tmp_path)
    quiet = {"max_epochs": 1, "enable_checkpointing": False, **OPTIONS}
    runner = Trainer(plugins=[WholeCheckpointIO()], **quiet)
    with pytest.raises(ValueError, match=message):
        runner.fit(model, data, ckpt_path=path)
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        Trainer(**quiet).fit(model, data, ckpt_path=path)
    assert not proof.exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning:jsonargparse")
def test_a_checkpoint_cannot_name_what_to_run(tmp_path: Path) -> None:
    path, proof = tmp_path / "model.ckpt", tmp_path / "proof"
    model = build_model(1)
    model(next(iter(_batches())))
    runner = Trainer(max_epochs=1, enable_checkpointing=False, **OPTIONS)
    runner.strategy.connect(model)
    runner.save_checkpoint(path, weights_only=True)
    command = {"class_path": "subprocess.Popen", "init_args": {"args": ["touch", str(proof)]}}
    for name, value in [
        ("_instantiator", "os.system"),
        ("_class_path", "subprocess.Popen"),
        ("critic", command),
        ("objective", command),
        ("optimizer", command),
        ("lr_scheduler", command),
    ]:
        checkpoint = torch.load(path, weights_only=True)
        checkpoint["hyper_parameters"][name] = value
        torch.save(checkpoint, tmp_path / "changed.ckpt")
        with pytest.raises(ValueError, match=r"Expected '.*changed\.ckpt' to be a whole"):
            MutualInformationEstimator.load_from_checkpoint(tmp_path / "changed.ckpt")
        assert not proof.exists()


FOREIGN = """
import sys
from pathlib import Path
from torch import nn
Path(__file__).with_name("proof").touch()
class Net(nn.Module):
    def forward(self, x, z):
        return (x * z).sum(-1)
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning:jsonargparse")
@pytest.mark.parametrize("named", [{"class_path": "foreign_net.Net"}, "foreign_net.Net"], ids=str)
def test_a_checkpoint_imports_nothing_that_is_not_allowed(
    named: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "foreign_net.py").write_text(FOREIGN)
    path, proof = tmp_path / "foreign.ckpt", tmp_path / "proof"
    fit("tensor", 9, tmp_path, max_epochs=1)
    checkpoint = torch.load(tmp_path / "end.ckpt", weights_only=True)
    checkpoint["hyper_parameters"]["critic"] = named
    checkpoint["state_dict"] = {
        name: value for name, value in checkpoint["state_dict"].items() if "critic" not in name
    }
    torch.save(checkpoint, path)
    message = "Expected classes that are imported, got `foreign_net.Net`"
    try:
        for load in (
            MutualInformationEstimator.load_from_checkpoint,
            WholeCheckpointIO().load_checkpoint,
            WholeCheckpointIO(["foreign"]).load_checkpoint,
        ):
            with pytest.raises(ValueError, match=message):
                load(path)
        with pytest.raises(SystemExit, match=message):
            main(["test", "--config=table", f"--ckpt_path={path}"])
        assert not proof.exists()
        WholeCheckpointIO(["foreign_net"]).load_checkpoint(path)
        model = MutualInformationEstimator.load_from_checkpoint(path, allow=["foreign_net.Net"])
        assert type(model.critic).__name__ == "Net"
        MutualInformationEstimator.load_from_checkpoint(path)  # it is imported now
    finally:
        sys.modules.pop("foreign_net", None)


def _batches():
    data = build_data("fixed draws", Path())
    data.setup()
    return data.train_dataloader()


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "other archive", "other dict"])
def test_a_broken_or_foreign_checkpoint_is_named(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "damaged.ckpt"
    content = saved(path)
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "text":
        path.write_text("x,z\n1,2\n")
    elif damage == "other archive":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("data", "nothing")
    else:
        torch.save({"weights": torch.ones(2)}, path)
    with pytest.raises(ValueError, match=r"Expected '.*damaged\.ckpt' to be a"):
        WholeCheckpointIO().load_checkpoint(path)
    with pytest.raises(ValueError, match=r"Expected '.*damaged\.ckpt' to be a"):
        MutualInformationEstimator.load_from_checkpoint(path)


def test_a_checkpoint_of_another_architecture_is_named(tmp_path: Path) -> None:
    fit("tensor", 9, tmp_path, max_epochs=1)
    with pytest.raises(
        ValueError, match=r"to be a whole checkpoint of this model, got: .*mismatch"
    ):
        MutualInformationEstimator.load_from_checkpoint(
            tmp_path / "end.ckpt", critic=ConcatCritic([4])
        )


def test_an_open_checkpoint_is_read_as_one_by_its_path_is(tmp_path: Path) -> None:
    fit("tensor", 9, tmp_path, max_epochs=1)
    with (tmp_path / "end.ckpt").open("rb") as file:
        opened = MutualInformationEstimator.load_from_checkpoint(file)
    named = MutualInformationEstimator.load_from_checkpoint(tmp_path / "end.ckpt")
    assert_identical(opened.state_dict(), named.state_dict())


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.ckpt"):
        WholeCheckpointIO().load_checkpoint(tmp_path / "nowhere.ckpt")


def test_the_selected_model_is_written_whole_too(tmp_path: Path) -> None:
    checkpoint = ModelCheckpoint(dirpath=tmp_path, monitor="val/mi", mode="max", save_last=True)
    runner = Trainer(callbacks=[checkpoint], plugins=[WholeCheckpointIO()], max_epochs=1, **OPTIONS)
    runner.fit(build_model(4), build_data("tensor", tmp_path))
    assert pd.Series(sorted(p.suffix for p in tmp_path.iterdir())).tolist() == [".ckpt", ".ckpt"]
    MutualInformationEstimator.load_from_checkpoint(checkpoint.best_model_path)


@pytest.mark.slow
def test_a_run_killed_at_random_moments_ends_where_the_whole_one_ends(tmp_path: Path) -> None:
    script = ["benchmarks/interruptions.py", "--kills=2", "--epochs=40", "--data", "fixed sample"]
    run = subprocess.run(
        [sys.executable, *script], cwd=ROOT, capture_output=True, text=True, timeout=1200
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "identical bit by bit" in run.stdout
