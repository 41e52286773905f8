"""One call, one number: near the truth, repeatable, for all kinds of input."""

import math
import pickle
from functools import cache, partial

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from sklearn.datasets import load_digits

from mine_lightning import MutualInformationEstimate, estimate_mutual_information
from mine_lightning.data import GaussianPairs, TableDataModule, beyond_normal_tasks
from normal_pair import single

QUICK = {"progress_bar": False, "max_epochs": 4}


pairs = partial(single, rho=0.8)


@cache
def estimated(seed: int = 0) -> MutualInformationEstimate:
    return estimate_mutual_information(*pairs(1000, seed=seed), seed=seed, progress_bar=False)


@pytest.fixture
def result() -> MutualInformationEstimate:
    return estimated()


@pytest.mark.trained
def test_the_value_is_near_the_truth_and_its_interval_is_as_wide_as_its_error(
    seed: int, outcome
) -> None:
    result = estimated(seed)
    low, high = result.interval()
    error = result.nats + 0.5 * math.log(1 - 0.64)
    outcome(error, -0.12, 0.12)
    outcome(abs(error) / result.standard_error, high=4, of="standard errors")
    outcome(high - low, 0.05, 0.3, of="width")


def test_the_result_is_complete(result: MutualInformationEstimate) -> None:
    assert result.rows == len(result.pointwise) == len(result.terms) == 1000
    assert len(result.per_fold) == result.folds == result.learning_curve.shape[1] == 5
    assert result.held_out <= result.nats <= result.in_sample
    assert np.mean(result.terms) == pytest.approx(result.held_out)
    assert np.isfinite(result.pointwise).all()
    assert result.lower_bound < result.in_sample
    assert result.seconds > 0
    assert result.diagnostics == {}
    assert result.settings["max_epochs"] == 240
    assert set(result.versions) == {"mine-lightning", "torch", "lightning"}


@pytest.mark.trained
def test_pointwise_values_follow_the_truth(seed: int, outcome) -> None:
    truth = GaussianPairs(1, 0.8).log_ratio(*pairs(1000, seed=seed)).numpy()
    outcome(np.corrcoef(truth, estimated(seed).pointwise)[0, 1], low=0.9)


def test_the_trained_critics_come_along(result: MutualInformationEstimate) -> None:
    assert result.critics is not None
    scores = result.critics(*pairs(1000)).numpy()
    assert scores.shape == (5, 1000)
    held = np.abs(scores - result.pointwise).min(0)
    np.testing.assert_allclose(held, 0, atol=1e-4)
    assert pickle.loads(pickle.dumps(result)) == result


@pytest.mark.trained
def test_independent_variables_have_none(seed: int, outcome) -> None:
    x, z = single(1000, 0.0, seed)
    result = estimate_mutual_information(x, z, seed=seed, progress_bar=False)
    outcome(result.nats, -0.05, 0.05)


def test_the_seed_repeats_the_number_and_global_randomness_is_left_alone() -> None:
    x, z = pairs(400)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    first = estimate_mutual_information(x, z, **QUICK)
    assert torch.equal(torch.rand(3), expected)
    assert estimate_mutual_information(x, z, **QUICK) == first
    assert estimate_mutual_information(x, z, seed=1, **QUICK).nats != first.nats


def test_units_do_not_matter() -> None:
    x, z = pairs(400)
    first = estimate_mutual_information(x, z, **QUICK).nats
    second = estimate_mutual_information(
        x.numpy() * 1000.0 - 7, (2.0 * z.numpy()).tolist(), **QUICK
    )
    assert second.nats == pytest.approx(first, abs=1e-3)


def labelled(rows: int = 600, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, rows)
    return labels, np.eye(3)[labels] * 4 + rng.normal(size=(rows, 3))


@pytest.mark.trained
@pytest.mark.parametrize("kind", ["integers", "text", "series", "categorical"])
def test_labels_are_categories(kind: str, seed: int, outcome) -> None:
    labels, features = labelled(seed=seed)
    names = np.array(["red", "green", "blue"])[labels]
    given = {
        "integers": labels,
        "text": names,
        "series": pd.Series(labels),
        "categorical": pd.DataFrame({"colour": pd.Categorical(names)}),
    }[kind]
    result = estimate_mutual_information(features, given, progress_bar=False, max_epochs=20)
    outcome(result.nats - math.log(3), -0.15, 0.15)


def test_labels_serve_on_either_side() -> None:
    labels, features = labelled(200)
    first = estimate_mutual_information(features, labels, **QUICK)
    second = estimate_mutual_information(labels, features, **QUICK)
    assert first.nats == second.nats
    assert first.lower_bound < math.log(3)
    assert len(first.settings["z_columns"]) == len(second.settings["x_columns"]) == 3
    one_hot, rows = torch.from_numpy(np.eye(3)[labels]), torch.from_numpy(features)
    assert torch.equal(first.critics(rows, one_hot), second.critics(one_hot, rows))


def test_images_are_flattened() -> None:
    labels, features = labelled(200)
    flat = estimate_mutual_information(features, labels, **QUICK)
    images = estimate_mutual_information(features.reshape(-1, 1, 3, 1), labels, **QUICK)
    assert images.nats == flat.nats


def test_atoms_are_named_by_column_and_side() -> None:
    rain = np.random.default_rng(0).uniform(-1, 1, size=(2, 200)).clip(min=0)
    result = estimate_mutual_information(rain[0], rain[1], **QUICK)
    assert "0 of x (" in result.diagnostics["repeated_values"]
    assert "0 of z (" in result.diagnostics["repeated_values"]


def test_rows_with_missing_values_are_dropped_on_request() -> None:
    x, z = (v.numpy().copy() for v in pairs(200))
    x[3] = np.nan
    with pytest.raises(ValueError, match="1 missing or infinite"):
        estimate_mutual_information(x, z)
    with pytest.warns(UserWarning, match="Dropped 1 of 200 rows"):
        result = estimate_mutual_information(x, z, missing="drop", **QUICK)
    assert result.rows == 199
    assert np.flatnonzero(np.isnan(result.pointwise)).tolist() == [3]


def test_any_trainer_serves(tmp_path) -> None:
    seen = []

    class Watch(pl.Callback):
        def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            seen.append(float(trainer.callback_metrics["val/mi"]))

    x, z = pairs(100)
    logger = CSVLogger(tmp_path)
    result = estimate_mutual_information(x, z, logger=logger, callbacks=[Watch()], **QUICK)
    assert len(seen) == 4
    assert "val/mi" in (tmp_path / "lightning_logs/version_0/metrics.csv").read_text()
    trainer = pl.Trainer(
        max_epochs=4,
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        devices=1,
    )
    assert estimate_mutual_information(x, z, trainer=trainer).nats == result.nats
    assert trainer.callback_metrics["val/mi"] == seen[-1]
    with pytest.raises(ValueError, match="Expected either `trainer` or arguments for one"):
        estimate_mutual_information(x, z, trainer=trainer, max_epochs=3)


def test_rows_of_a_table_module_give_the_same_number(tmp_path) -> None:
    x, z = (side[:, 0].numpy() for side in pairs(100))
    frame = pd.DataFrame({"x": x, "kind": np.where(z > 0, "high", "low")})
    frame.to_csv(tmp_path / "rows.csv", index=False)
    data = TableDataModule(tmp_path / "rows.csv", x=["x"], z=["kind"])
    result = estimate_mutual_information(*data.load(), **QUICK)
    expected = estimate_mutual_information(x, frame["kind"], **QUICK)
    assert result.nats == pytest.approx(expected.nats, abs=1e-6)


@pytest.mark.parametrize(
    ("x", "z", "message"),
    [
        (np.zeros((60, 0)), np.arange(60.0), "Expected `x` to have at least 2 rows and 1 column"),
        (np.arange(60.0), np.arange(59.0), "same number of rows, got 60 and 59"),
        (np.arange(60.0), np.zeros(60), "Expected `z` to vary in every column"),
        (np.arange(40.0), np.arange(40.0), "Expected at least 50 rows for 5 folds, got 40"),
    ],
)
def test_mistakes_are_named(x: np.ndarray, z: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        estimate_mutual_information(x, z)


@pytest.mark.trained
@pytest.mark.slow
@pytest.mark.parametrize("dim", [1, 5, 20])
@pytest.mark.parametrize("target", [5.0, 10.0])
def test_large_values_are_within_five_percent(dim: int, target: float, seed: int, outcome) -> None:
    data = GaussianPairs(dim, target=target)
    x, z = data.sample(10_000, torch.Generator().manual_seed(seed))
    result = estimate_mutual_information(x, z, seed=seed, progress_bar=False)
    outcome(result.nats / target, 0.95, 1.05)
    assert ("near_ceiling" in result.diagnostics) == (target == 10)


@pytest.mark.trained
@pytest.mark.slow
@pytest.mark.parametrize("name", ["1v1-normal-0.75", "half_cube-multinormal-sparse-5-5-2-2.0"])
def test_benchmark_tasks_are_met(name: str, seed: int, outcome) -> None:
    task = beyond_normal_tasks()[name]
    x, z = task.sample(5_000, torch.Generator().manual_seed(seed))
    result = estimate_mutual_information(x, z, seed=seed, progress_bar=False)
    outcome(result.nats - task.mutual_information, -0.08, 0.08)


@pytest.mark.trained
@pytest.mark.slow
def test_digits_know_their_label(seed: int, outcome) -> None:
    digits = load_digits()
    result = estimate_mutual_information(
        digits.images, digits.target, seed=seed, progress_bar=False
    )
    outcome(result.nats, 2.0, math.log(10))


@pytest.mark.trained
@pytest.mark.slow
def test_the_halves_of_digits_know_each_other(seed: int, outcome) -> None:
    images = load_digits().images
    result = estimate_mutual_information(
        images[:, :, :4], images[:, :, 4:], seed=seed, progress_bar=False
    )
    outcome(result.nats, 2.0, 4.5)
    outcome(result.in_sample - result.held_out, low=0.1, of="overfit")


def flags_of(x: object, z: object) -> set[str]:
    """Return the flags that rows raise by themselves, whatever the critics learn."""
    names = {"treated_as_ordered", "functional", "few_rows"}
    result = estimate_mutual_information(x, z, progress_bar=False, max_epochs=1)
    assert all(name.replace("_", " ") in str(result) for name in result.diagnostics)
    return names & set(result.diagnostics)


def test_codes_of_many_values_are_read_as_ordered_with_a_note() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 100, 2000)
    z = rng.permutation(100)[codes] + rng.normal(size=2000)
    for kind in (codes, codes.astype(float), codes.tolist(), pd.DataFrame({"town": codes})):
        assert flags_of(kind, z) == {"treated_as_ordered"}
    towns = pd.Series(codes.astype(str))
    for kind in (pd.Categorical(codes), towns.astype("category"), "town " + towns):
        assert flags_of(kind, z) == set()
    with pytest.raises(ValueError, match=r"or codes into categories, `astype\('category'\)`"):
        estimate_mutual_information(towns, z)
    assert flags_of(rng.normal(size=2000), z) == set()


@pytest.mark.parametrize(
    "relation",
    [lambda x: 2 * x - 1, np.exp, np.sin, lambda x: np.stack([x**2, np.abs(x)], axis=1)],
    ids=["line", "exponential", "wave", "two columns"],
)
def test_a_function_without_noise_is_named(relation) -> None:
    x = np.random.default_rng(0).normal(size=400)
    assert "functional" in flags_of(x, relation(x))
    noise = np.random.default_rng(1).normal(size=400)
    assert flags_of(x, relation(x) + (noise if relation(x).ndim == 1 else noise[:, None])) == set()


@pytest.mark.parametrize(("rows", "columns"), [(60, 1), (150, 20), (99, 2)])
def test_few_rows_for_many_columns_are_named(rows: int, columns: int) -> None:
    x = np.random.default_rng(0).normal(size=(rows, columns))
    assert flags_of(x, np.random.default_rng(1).normal(size=rows)) == {"few_rows"}


@pytest.mark.trained
@pytest.mark.parametrize("rows", [1, 2])
def test_a_column_that_is_constant_in_the_training_rows_of_a_fold(
    rows: int, seed: int, outcome
) -> None:
    x = np.zeros(300)
    x[:rows] = range(1, rows + 1)
    labels = np.random.default_rng(seed).integers(0, 3, 300)
    result = estimate_mutual_information(
        x, labels, progress_bar=False, max_epochs=1, folds=2, seed=seed
    )
    outcome(result.nats, -0.1, 0.1)
