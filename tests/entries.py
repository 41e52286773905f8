"""Every public entry, small: what the tests of devices and of a host's settings call."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from hosts import ReturnsNothing, loader
from mine_lightning import (
    GaussianDataModule,
    MutualInformation,
    MutualInformationEnsemble,
    MutualInformationEstimator,
    MutualInformationLearner,
    MutualInformationMonitor,
    StreamingDataModule,
    estimate_conditional_mutual_information,
    estimate_mutual_information,
    estimate_transfer_entropy,
    mutual_information_matrix,
)
from shared import UNCHECKED


@dataclass
class Place:
    """Where an entry runs, and where it may write."""

    folder: Path
    options: Callable[[], dict[str, Any]] = lambda: {"accelerator": "cpu"}
    device: str = "cpu"

    def trainer(self, **options: Any) -> Trainer:
        return Trainer(**{**UNCHECKED, **self.options(), "max_epochs": 1, **options})

    def small(self) -> dict[str, Any]:
        """Return the arguments of a short estimate."""
        return {"folds": 2, "max_epochs": 1, "progress_bar": False, **self.options()}

    def draw(self, *shape: int, seed: int = 0) -> Tensor:
        numbers = np.random.default_rng(seed).normal(size=shape)
        return torch.tensor(numbers, dtype=torch.get_default_dtype(), device=self.device)

    def pairs(self, rows: int = 120) -> tuple[Tensor, Tensor]:
        x, noise = self.draw(rows, 2), self.draw(rows, 2, seed=1)
        return x, x + noise


Call = Callable[[], Any]


def gaussian() -> GaussianDataModule:
    return GaussianDataModule(dim=2, correlation=0.6, rows=600, batch_size=64, seed=0)


def fitted(trainer: Trainer, model: LightningModule, data: Any, **given: Any) -> Any:
    trainer.fit(model, data, **given)
    return trainer.callback_metrics["val/mi"]


def fit(place: Place) -> Call:
    trainer, model, data = place.trainer(), MutualInformationEstimator(), gaussian()
    return lambda: fitted(trainer, model, data)


def fresh(place: Place) -> Call:
    data = GaussianDataModule(2, 0.6, rows=None, batches_per_epoch=5, eval_rows=100, seed=0)
    trainer, model = place.trainer(), MutualInformationEstimator()
    return lambda: fitted(trainer, model, data)


def streaming(place: Place) -> Call:
    rows = np.random.default_rng(0).normal(size=(600, 3)).astype("float32")
    np.save(place.folder / "rows.npy", rows)
    data = StreamingDataModule(place.folder / "rows.npy", [0, 1], [2], batch_size=64, seed=0)
    trainer, model = place.trainer(), MutualInformationEstimator()
    return lambda: fitted(trainer, model, data)


def ensemble(place: Place) -> Call:
    trainer, model = place.trainer(), MutualInformationEnsemble(members=3, seed=0)
    data = gaussian()

    def call() -> Any:
        fitted(trainer, model, data)
        (tested,) = trainer.test(model, data, verbose=False)
        return tested["test/mi"], torch.cat(trainer.predict(model, data))

    return call


def evaluated(place: Place) -> tuple[Trainer, MutualInformationEstimator, GaussianDataModule]:
    model = MutualInformationEstimator()
    place.trainer().fit(model, gaussian())
    return place.trainer(), model, gaussian()


def validate(place: Place) -> Call:
    trainer, *run = evaluated(place)
    return lambda: trainer.validate(*run, verbose=False)[0]["val/mi"]


def test(place: Place) -> Call:
    trainer, *run = evaluated(place)
    return lambda: trainer.test(*run, verbose=False)[0]["test/mi"]


def predict(place: Place) -> Call:
    trainer, *run = evaluated(place)
    return lambda: torch.cat(trainer.predict(*run))


def resume(place: Place) -> Call:
    saver = ModelCheckpoint(place.folder)
    trainer = place.trainer(enable_checkpointing=True, callbacks=[saver])
    trainer.fit(MutualInformationEstimator(), gaussian())
    loaded = MutualInformationEstimator.load_from_checkpoint(saver.best_model_path)
    trainer, data = place.trainer(max_epochs=2), gaussian()
    given = {"ckpt_path": saver.best_model_path, "weights_only": True}
    return lambda: fitted(trainer, loaded, data, **given)


def estimate(place: Place) -> Call:
    x, z = place.pairs()
    return lambda: estimate_mutual_information(x, z, **place.small()).nats


def labels(place: Place) -> Call:
    x, _ = place.pairs()
    label = (x[:, 0] > 0).long()
    return lambda: estimate_mutual_information(x, label, **place.small()).nats


def conditional(place: Place) -> Call:
    (x, z), given = place.pairs(), place.draw(120, 1, seed=2)
    return lambda: estimate_conditional_mutual_information(x, z, given, **place.small()).nats


def transfer(place: Place) -> Call:
    x, z = place.pairs()
    return lambda: estimate_transfer_entropy(x, z, **place.small()).nats


def matrix(place: Place) -> Call:
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(120, 2)))
    return lambda: mutual_information_matrix(table, **place.small()).nats().iloc[0, 1]


def metric(place: Place) -> Call:
    pooled = MutualInformation().to(place.device)
    joint, marginal = place.draw(50), place.draw(50, 3, seed=1)

    def call() -> Any:
        pooled.update(joint, marginal)
        return pooled.compute(), pooled(joint, marginal)

    return call


def module(place: Place) -> Call:
    (x, z), model = place.pairs(), MutualInformationEstimator()
    model({"joint": (x.cpu(), z.cpu()), "marginal": z.roll(1, 0).cpu()})
    model.to(place.device)
    return lambda: model({"joint": (x, z), "marginal": z.roll(1, 0)})


def learner(place: Place) -> Call:
    batches = [place.draw(2, 32, 2, seed=seed).unbind() for seed in range(4)]
    ours, resumed = (MutualInformationLearner() for _ in range(2))

    def call() -> Any:
        for x, z in batches[:3]:
            ours.update(x + z, z)
        resumed.load_state_dict(ours.state_dict())
        resumed.update(*batches[3])
        return resumed.compute()

    return call


def monitor(place: Place) -> Call:
    watcher = MutualInformationMonitor("generator:output", "generator:input", every_n_steps=1)
    trainer, host, data = (
        place.trainer(callbacks=[watcher]),
        ReturnsNothing(),
        loader(shuffle=False),
    )

    def call() -> Any:
        trainer.fit(host, data)
        return watcher.estimate()

    return call


ENTRIES: dict[str, Callable[[Place], Call]] = {
    entry.__name__: entry
    for entry in (
        fit, validate, test, predict, resume, ensemble, fresh, streaming, estimate, labels,
        conditional, transfer, matrix, metric, module, learner, monitor,
    )
}  # fmt: skip
WITHOUT_A_TRAINER = {"metric", "module", "learner"}
