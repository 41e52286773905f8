"""Every public entry on a device that is not the CPU, and what the host waits for there."""

import math
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, Trainer, seed_everything

from devices import NAME, needs_a_device, on_the_device, reads
from entries import ENTRIES, WITHOUT_A_TRAINER, Place
from mine_lightning import (
    ConcatCritic,
    GaussianDataModule,
    MutualInformationEnsemble,
    MutualInformationEstimator,
    StreamingDataModule,
)
from mine_lightning.data import modules
from mine_lightning.data.disk import streaming
from shared import UNCHECKED

pytestmark = [
    needs_a_device,
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no"),
    pytest.mark.filterwarnings("ignore:.*callbacks used to create the checkpoint need to be"),
]


def numbers(result: Any) -> list[float]:
    """Return a result, which may lie on the device, as plain numbers."""
    parts = result if isinstance(result, tuple) else (result,)
    return [n for part in parts for n in torch.as_tensor(part).cpu().flatten().tolist()]


@pytest.mark.parametrize("setting", ["", "default device"])
@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_gives_on_a_device_what_it_gives_on_the_cpu(entry, setting, tmp_path) -> None:
    results = []
    for place in (Place(tmp_path / NAME, on_the_device, NAME), Place(tmp_path / "cpu")):
        place.folder.mkdir()
        seed_everything(0, verbose=False)
        call = ENTRIES[entry](place)
        with torch.device(NAME) if setting and place.device == NAME else nullcontext():
            seed_everything(1, verbose=False)
            results.append(numbers(call()))
    assert results[0] == pytest.approx(results[1], abs=1e-3 if entry == "monitor" else 1e-4)


HALF = {"16-mixed": torch.float16, "bf16-mixed": torch.bfloat16, "bf16-true": torch.bfloat16}


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")  # a step left out: inf
@pytest.mark.slow
@pytest.mark.parametrize("precision", HALF)
@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_runs_on_a_device_in_half_precision(entry, precision, tmp_path) -> None:
    results = []
    for name, options in (("half", partial(on_the_device, precision)), ("single", on_the_device)):
        (folder := tmp_path / name).mkdir()
        seed_everything(0, verbose=False)
        call = ENTRIES[entry](Place(folder, options, NAME))
        alone = name == "half" and entry in WITHOUT_A_TRAINER
        with torch.autocast(NAME, HALF[precision], enabled=alone):
            results.append(numbers(call()))
    room = math.inf if entry == "monitor" else 0.1  # its host trains in half precision itself
    assert all(map(math.isfinite, results[0]))
    assert results[0] == pytest.approx(results[1], abs=room)


def let(fit: bool, monkeypatch) -> None:
    """Let the rows fit on the device, or not."""
    for room in (modules, streaming):
        monkeypatch.setattr(room, "fits", lambda values, device: fit)


def gaussian() -> GaussianDataModule:
    return GaussianDataModule(dim=2, correlation=0.6, rows=2000, batch_size=64, seed=0)


def fresh() -> GaussianDataModule:
    return GaussianDataModule(2, 0.6, rows=None, batches_per_epoch=20, eval_rows=200, seed=0)


def streamed(folder) -> StreamingDataModule:
    np.save(folder / "rows.npy", np.random.default_rng(0).normal(size=(2000, 3)).astype("f4"))
    return StreamingDataModule(folder / "rows.npy", [0, 1], [2], batch_size=64, seed=0)


DATA: dict[str, Callable[[Any], Any]] = {
    "fixed rows": lambda folder: gaussian(),
    "fresh rows": lambda folder: fresh(),
    "streamed rows": streamed,
}
MODELS: dict[str, Callable[[], Any]] = {
    "one critic": MutualInformationEstimator,
    "all pairs": lambda: MutualInformationEstimator(all_pairs=True),
    "clipped": lambda: MutualInformationEstimator(gradient_clip_val=1.0),
    "spectral": lambda: MutualInformationEstimator(ConcatCritic(spectral_norm=True)),
    "five critics": lambda: MutualInformationEnsemble(members=5, seed=0),
}

CASES = [
    *((model, "fixed rows", True) for model in MODELS),
    ("one critic", "fixed rows", False),
    ("five critics", "fixed rows", False),
    ("one critic", "fresh rows", False),
    ("one critic", "streamed rows", True),
    ("one critic", "streamed rows", False),
]


def fit(model: Any, data: Any, device: str, **options: Any) -> tuple[Trainer, Counter[str]]:
    """Train on a device; return what the host waited for there."""
    where = on_the_device() if device == NAME else {"accelerator": "cpu"}
    trainer = Trainer(**{**UNCHECKED, **where, "max_epochs": 2, **options})
    with reads() as waited:
        trainer.fit(model, data)
    return trainer, waited


@pytest.mark.slow
@pytest.mark.parametrize(("model", "data", "fits"), CASES)
def test_training_on_a_device_is_training_on_the_cpu(
    model, data, fits, monkeypatch, tmp_path
) -> None:
    let(fits, monkeypatch)
    results = []
    for device in (NAME, "cpu"):
        seed_everything(0, verbose=False)
        module, rows = MODELS[model](), DATA[data](tmp_path)
        trainer, _ = fit(module, rows, device)
        (tested,) = trainer.test(module, rows, verbose=False)
        (validated,) = trainer.validate(module, rows, verbose=False)
        pointwise = torch.cat([part.cpu() for part in trainer.predict(module, rows)])
        results.append([*validated.values(), *tested.values(), *pointwise[:50].tolist()])
    assert results[0] == pytest.approx(results[1], abs=1e-4)


class Watch(Callback):
    """Count what the host waits for between the first step of an epoch and the end of the last."""

    def __init__(self) -> None:
        self.waited: Counter[str] = Counter()

    def on_train_batch_start(self, *args: Any) -> None:
        if args[-1] == 0:
            self.block = reads()
            self.seen = self.block.__enter__()

    def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
        if trainer.is_last_batch:
            self.block.__exit__(None, None, None)
            self.waited += self.seen


@pytest.mark.parametrize(("model", "data", "fits"), CASES)
def test_the_host_waits_once_for_a_stack_of_steps(model, data, fits, monkeypatch, tmp_path) -> None:
    let(fits, monkeypatch)
    watch = Watch()
    options = {"logger": True, "log_every_n_steps": 1, "default_root_dir": tmp_path}
    module, rows = MODELS[model](), DATA[data](tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer, _ = fit(
            module,
            rows,
            NAME,
            callbacks=[watch],
            limit_val_batches=0,
            **options,
        )
    stacks = 2 * trainer.num_training_batches
    assert trainer.global_step >= 10 * stacks
    assert {operation.split(":")[0]: n for operation, n in watch.waited.items()} == {
        "tolist in finite.py": stacks
    }
