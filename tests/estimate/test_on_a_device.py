"""The one call on a device that is not the CPU: where its rows lie, and what it gives there."""

from collections.abc import Iterator
from itertools import chain
from typing import Any, Self

import pytest
import torch
from lightning.pytorch import Callback, LightningModule
from sklearn.preprocessing import QuantileTransformer
from torch import Tensor
from torch.nn.functional import one_hot

from closed_forms import confirmed
from devices import NAME, Waits, needs_a_device, on_the_device
from mine_lightning import estimate_mutual_information
from mine_lightning.data.checks import check_pairs
from mine_lightning.data.transforms import RankToNormal
from mine_lightning.estimate import minibatches
from mine_lightning.estimate.features import Features
from mine_lightning.estimate.folds import CrossFitData
from mine_lightning.estimate.ratios import FAMILY, LogRatio

pytestmark = needs_a_device

FEW = {"folds": 2, "max_epochs": 3, "progress_bar": False}


@pytest.fixture(autouse=True)
def room(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the rows fit on the device; forget whether results are the same in every run."""
    monkeypatch.setattr(minibatches, "fits", lambda values, device: device.type == NAME)
    yield
    torch.use_deterministic_algorithms(False)


def sample(rows: int = 400, columns: int = 2) -> tuple[Tensor, Tensor]:
    x, noise = torch.randn(2, rows, columns, generator=torch.Generator().manual_seed(0))
    return x, x + noise


def wide() -> tuple[Tensor, Tensor]:
    x, z = sample(200, 300)
    return x, z[:, :2]


def labels() -> tuple[Tensor, Tensor]:
    x, _ = sample()
    return x, (x[:, 0] > 0).long()


def waves() -> tuple[Tensor, Tensor]:
    x, noise = torch.rand(2, 600, 1, generator=torch.Generator().manual_seed(0))
    return x, torch.sin(20 * x) + 0.2 * noise


CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "columns": (sample, {}),
    "labels": (labels, {}),
    "oscillations": (waves, {}),
    "many columns": (wide, {}),
    "the same in every run": (sample, {"deterministic": True}),
    "a transformer": (sample, {"x_transform": QuantileTransformer(n_quantiles=50)}),
}


class Doubled(RankToNormal):
    """A transform of a user, which may know the CPU alone."""

    def fit(self, rows: Tensor) -> Self:
        rows.numpy()
        return super().fit(rows)


@pytest.mark.parametrize("case", CASES)
def test_the_estimate_on_a_device_is_that_of_the_cpu(case: str) -> None:
    make, arguments = CASES[case]
    here, there = (
        estimate_mutual_information(*make(), **FEW, **arguments, **where)
        for where in ({"accelerator": "cpu"}, on_the_device())
    )
    assert there.nats == pytest.approx(here.nats, abs=1e-4)
    assert there.settings["closed_forms"] == here.settings["closed_forms"]
    torch.testing.assert_close(
        torch.from_numpy(there.terms), torch.from_numpy(here.terms), atol=1e-3, rtol=0
    )


def test_the_host_hardly_waits_while_training_goes_on_as_on_the_cpu() -> None:
    here, there = Waits(), Waits()
    arguments = {"folds": 2, "max_epochs": 60, "progress_bar": False}
    results = [
        estimate_mutual_information(*waves(), **arguments, callbacks=[watch], **where)
        for watch, where in ((here, {"accelerator": "cpu"}), (there, on_the_device()))
    ]
    assert there.steps >= here.steps > 100
    assert there.seen.total() * 1024 < 30 * there.steps
    assert here.epochs < 60  # training has ended by itself
    on_cpu, on_device = results
    assert on_device.nats == pytest.approx(on_cpu.nats, abs=1e-4)
    assert on_device.learning_curve == pytest.approx(on_cpu.learning_curve, abs=1e-3)


@pytest.mark.parametrize("case", ["many columns", "labels"])
def test_critics_are_left_on_the_cpu(case: str) -> None:
    make, arguments = CASES[case]
    x, z = make()
    found = estimate_mutual_information(x, z, **FEW, **arguments, **on_the_device())
    shown = one_hot(z).double() if z.ndim == 1 else z
    assert found.critics(x[:3], shown[:3]).shape == (2, 3)


@pytest.mark.parametrize(
    ("arguments", "where"),
    [({}, NAME), ({"x_transform": RankToNormal()}, NAME), ({"z_transform": Doubled()}, "cpu")],
)
def test_rows_are_moved_unless_a_transform_may_not_know_the_device(arguments, where) -> None:
    seen = []

    class Watch(Callback):
        def on_train_start(self, trainer: Any, pl_module: LightningModule) -> None:
            (data,) = trainer.datamodule.pairs
            shown = data.tables
            tables = *shown.rows.values(), shown.places, *shown.codes[0]
            seen.extend(table.device.type for table in tables)

    estimate_mutual_information(
        *sample(), **FEW, **arguments, callbacks=[Watch()], **on_the_device()
    )
    assert set(seen) == {where}


@pytest.mark.parametrize("kind", FAMILY)
def test_a_closed_form_scores_on_a_device_as_on_the_cpu(kind: type[LogRatio]) -> None:
    x, z = sample()
    scores = []
    for device in ("cpu", NAME):
        a, b = (Features().fit(rows[:300])(rows) for rows in (x.to(device), z.to(device)))
        parts = (slice(0, 300), slice(300, None))
        ratio = confirmed(kind, *(side.take(rows) for rows in parts for side in (a, b)))
        scores.append(ratio.log_ratio(a, b).cpu())
    torch.testing.assert_close(*scores, atol=1e-6, rtol=0)


def test_more_pairs_are_scored_at_once_on_a_device() -> None:
    chunks = []
    for device in ("cpu", NAME):
        data = CrossFitData(*sample(1000), folds=2)
        data.fit(torch.device(device))
        chunks.append(len(data.evaluation(data.folds.train, 20, seed=2)))
    assert chunks == [3, 1]


@pytest.mark.parametrize("case", CASES)
def test_no_more_memory_is_taken_than_was_asked_for(case: str) -> None:
    make, _ = CASES[case]
    pairs = check_pairs(*make(), labels=True)
    data = CrossFitData(pairs.x, pairs.z, folds=2)
    data.fit()
    shown = data.tables
    tables = data.x, data.z, *shown.rows.values(), *chain(*shown.codes)
    assert sum(rows.numel() * rows.element_size() / 4 for rows in tables) <= data.values
