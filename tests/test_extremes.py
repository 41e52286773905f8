"""Extreme inputs: a right number or a clear error, at every door."""

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer, seed_everything

from mine_lightning import (
    MutualInformationEstimator,
    MutualInformationLearner,
    RankToNormal,
    TensorDataModule,
    estimate_mutual_information,
)
from shared import ON_CPU


def rows(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return numbers, others that follow them, and labels that do not."""
    rng = np.random.default_rng(seed)
    x, noise = rng.normal(size=(1000, 1)), rng.normal(size=(1000, 1))
    return x, x + noise, rng.integers(0, 3, size=1000)


X, Z, LABELS = rows()

SAME = {
    "1e30": X * 1e30,
    "1e-30": X * 1e-30,
    "denormal": (X * 1e-40).astype(np.float32),
    "offset": X + 1e8,
    "offset float32": (X + 1e4).astype(np.float32),
}
REFUSED = {
    "1e300": (X * 1e300, r"magnitudes between 1e-150 and 1e\+150, got 3.9e\+300 in column 0"),
    "1e-310": (X * 1e-310, r"magnitudes between 1e-150 and 1e\+150, got 3.9e-310 in column 0"),
    "lost in the offset": (X + 1e30, "vary in every column, got the same value, to rounding"),
    "constant": (np.ones_like(X), "vary in every column, got the same value"),
    "constant column": (np.hstack([X, np.ones_like(X)]), "same value.* column 1"),
    "infinite": (np.where(X > 2.5, np.inf, X), "`x` to be finite, got"),
}


def train(x, z, seed=0, **transforms) -> float:
    seed_everything(seed, verbose=False)
    data = TensorDataModule(x, z, batch_size=64, seed=seed, **transforms)
    model = MutualInformationEstimator()
    trainer = Trainer(**ON_CPU, max_epochs=3)
    trainer.fit(model, data)
    (result,) = trainer.test(model, data, verbose=False)
    return result["test/mi"]


def estimate(x, z, seed=0) -> float:
    return estimate_mutual_information(x, z, max_epochs=2, seed=seed, progress_bar=False).nats


def follow(x, z, seed=0) -> float:
    learner = MutualInformationLearner(seed=seed)
    pairs = torch.as_tensor(x), torch.as_tensor(z)
    for _ in range(8):
        for a, b in zip(*(rows.split(64) for rows in pairs), strict=True):
            learner.update(a, b)
    return learner.compute().mi.item()


@pytest.fixture(scope="module")
def usual():
    return {door: door(X, Z) for door in (train, estimate, follow)}


@pytest.mark.parametrize("door", [train, estimate, follow])
@pytest.mark.parametrize("x", SAME.values(), ids=SAME)
def test_units_and_offsets_do_not_matter(usual, door, x) -> None:
    assert abs(usual[door]) > 0.02
    room = 0.03 if door is follow else 0.005  # its critic's gain counts or not, by rounding
    assert door(x, Z) == pytest.approx(usual[door], abs=room)


@pytest.mark.parametrize("door", [train, estimate])
@pytest.mark.parametrize(("x", "message"), REFUSED.values(), ids=REFUSED)
def test_what_holds_no_information_or_no_number_is_refused(door, x, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        door(x, Z)


@pytest.mark.trained
@pytest.mark.parametrize("door", [train, estimate, follow])
@pytest.mark.parametrize("form", ["one-hot", "codes"])
def test_ties_and_one_hot_columns_give_the_information_in_the_label(
    door, form, seed, outcome
) -> None:
    _, z, labels = rows(seed)
    x = np.eye(3)[labels] if form == "one-hot" else labels.astype(float)[:, None]
    value = door(x, z + 2.0 * labels[:, None], seed)  # 0.415 nats, by numerical integration
    outcome(value, 0.1, 0.6)


@pytest.mark.filterwarnings("ignore:Left out a training step of the monitor")
def test_one_outlier_is_refused_or_does_no_harm(usual) -> None:
    x = X.copy()
    x[-1] = 1e30
    with pytest.raises(ValueError, match=r"values apart .* got 2 of 1000 in column 0.*1e\+30"):
        train(x, Z)
    for value, expected in (
        (train(x, Z, x_transform=RankToNormal()), usual[train]),
        (estimate(x, Z), usual[estimate]),
        (follow(x, Z), usual[follow]),
    ):
        assert value == pytest.approx(expected, abs=0.05)


@pytest.mark.trained
def test_rare_values_are_no_outliers(seed, outcome) -> None:
    x, z, _ = rows(seed)
    outcome(train((x > 2.5).astype(float), z, seed), -0.05, 0.05)


def test_copies_of_rows_are_said_to_be_copies() -> None:
    x, z = np.repeat(X[:200], 2, 0), np.repeat(Z[:200], 2, 0)
    result = estimate_mutual_information(x, z, max_epochs=1, progress_bar=False)
    assert result.diagnostics["duplicated_rows"].startswith("50% of the rows repeat")
    result = estimate_mutual_information(X, Z, max_epochs=1, progress_bar=False)
    assert "duplicated_rows" not in result.diagnostics


def test_processes_for_the_training_alone_are_refused() -> None:
    with pytest.raises(ValueError, match="processes run the whole program, such as 'ddp'"):
        estimate_mutual_information(
            X, Z, strategy="ddp_spawn", accelerator="cpu", progress_bar=False
        )
