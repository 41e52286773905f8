"""Pairs on disk: every row where it belongs, once, and never the whole file in memory."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from jsonargparse import auto_cli
from lightning.pytorch import LightningDataModule

from disk_pairs import ROWS, X, Z, damaged, every_kind, fit, gaussian, module, save, table
from mine_lightning import RankToNormal, Standardize
from mine_lightning.data import StreamingDataModule, TensorDataModule, modules
from mine_lightning.data.disk import streaming as streaming_module
from mine_lightning.data.disk.windows import StreamLoader
from mine_lightning.data.loading.prefetch import Prefetcher
from minibatches import flat


@every_kind
def test_splits_are_disjoint_seeded_blocks_of_the_shares_asked_for(tmp_path, kind):
    data = module(tmp_path, kind, test_fraction=0.1)
    names = np.array(data.split_of_rows())
    shares = [(names == name).mean() for name in ("train", "val", "test")]
    assert np.allclose(shares, [0.7, 0.2, 0.1], atol=1 / 64)
    changes = (names[1:] != names[:-1]).sum()
    assert 10 < changes < ROWS / 4
    assert names.tolist() == module(tmp_path, kind, test_fraction=0.1).split_of_rows()
    assert names.tolist() != module(tmp_path, kind, test_fraction=0.1, seed=4).split_of_rows()


@every_kind
def test_one_pass_gives_the_statistics_of_the_training_rows(tmp_path, kind):
    data = module(tmp_path, kind, x_transform=None, z_transform=Standardize())
    train = np.array(data.split_of_rows()) == "train"
    values = torch.from_numpy(table()[train])
    for transform, columns in ((data.x_transform, X), (data.z_transform, Z)):
        expected = Standardize().fit(values[:, columns])
        torch.testing.assert_close(transform.mean, expected.mean, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(transform.scale, expected.scale, rtol=1e-12, atol=1e-12)
    x = torch.cat([batch["joint"][0] for batch in flat(data.train_dataloader())])
    assert x.dtype == torch.float32
    assert x.mean(0).abs().max() < 0.02
    assert (x.std(0) - 1).abs().max() < 0.02


def test_statistics_survive_a_large_offset(tmp_path):
    values = table()
    values[:, 1] += 1e9
    arguments, _ = save(tmp_path, "one file", values)
    data = StreamingDataModule(*arguments, batch_size=64, seed=0)
    data.setup()
    train = np.array(data.split_of_rows()) == "train"
    assert data.x_transform.scale[1].item() == pytest.approx(values[train, 1].std(), rel=1e-7)


def test_other_transforms_are_fitted_on_training_rows(tmp_path, monkeypatch):
    data = module(tmp_path, x_transform=(given := RankToNormal()))
    train = np.array(data.split_of_rows()) == "train"
    expected = RankToNormal().fit(torch.from_numpy(table()[train][:, X]))
    assert torch.equal(data.x_transform.sorted, expected.sorted)
    assert not hasattr(given, "sorted")
    monkeypatch.setattr(streaming_module, "FIT_ROWS", 300)
    sample = module(tmp_path, x_transform=RankToNormal()).x_transform.sorted
    again = module(tmp_path, x_transform=RankToNormal()).x_transform.sorted
    assert 200 < sample.shape[1] < 400
    assert torch.equal(sample, again)
    assert torch.isin(sample, expected.sorted).all()


def test_images_of_one_number_each_and_vectors_are_pairs_too(tmp_path):
    images = np.random.default_rng(0).integers(0, 255, (500, 1, 4, 4), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "labels.npy", images.mean((1, 2, 3)))
    data = StreamingDataModule(
        tmp_path / "images.npy", z_path=tmp_path / "labels.npy", batch_size=32, seed=0
    )
    data.setup()
    batch = next(iter(data.train_dataloader()))
    assert batch["joint"][0].shape == (32, 1, 4, 4)
    assert batch["marginal"].shape == (32, 1)
    assert (data.x_dim, data.z_dim) == (16, 1)


@every_kind
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_missing_and_infinite_values_are_refused_before_training(tmp_path, kind, value):
    arguments, more = damaged(tmp_path, kind, 1234, 1, value)
    data = StreamingDataModule(*arguments, **more, batch_size=64)
    name = "other" if kind == "parquet" else "1"
    with pytest.raises(ValueError, match=f"Expected `x` to be finite, got {value} in row 1234 of"):
        data.setup()
    with pytest.raises(ValueError, match=f"column `{name}`: leave such rows out"):
        data.setup()


def test_several_bad_values_are_counted(tmp_path):
    values = table()
    values[[10, 11, 20], 1] = np.nan
    np.save(tmp_path / "pairs.npy", values)
    data = StreamingDataModule(tmp_path / "pairs.npy", X, Z, batch_size=64, seed=0)
    with pytest.raises(ValueError, match=r"nan in row 1. of column `1`.*leave such rows out"):
        data.setup()


@every_kind
def test_constant_columns_are_refused(tmp_path, kind):
    values = table()
    values[:, 1] = 3.3
    arguments, more = save(tmp_path, kind, values)
    data = StreamingDataModule(*arguments, **more, batch_size=64)
    name = "other" if kind == "parquet" else "1"
    with pytest.raises(ValueError, match=f"Expected `x` to vary in every column.*column {name}:"):
        data.setup()


def test_values_with_holes_in_parquet_are_missing(tmp_path):
    frame = pd.DataFrame({"a": range(900), "b": pd.array([*range(899), None], dtype="Int64")})
    frame.to_parquet(tmp_path / "p.parquet")
    data = StreamingDataModule(tmp_path / "p.parquet", ["a"], ["b"], batch_size=16)
    with pytest.raises(ValueError, match="Expected `z` to be finite, got nan in row 899 of"):
        data.setup()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"buffer_mb": 0}, "Expected `buffer_mb` to be an integer of at least 1, got 0"),
        ({"scan_rows": 1}, "Expected `scan_rows` to be an integer of at least 2, got 1"),
        ({"batch_size": 2800}, "Expected at least 2800 rows for the train split, got 2... of the"),
        ({"val_fraction": 1e-4}, "Expected at least 2 rows for the val split, got 0 of the 3000"),
    ],
)
def test_arguments_out_of_range_are_refused(tmp_path, arguments, message):
    files, _ = save(tmp_path, "one file", table())
    with pytest.raises(ValueError, match=message):
        StreamingDataModule(*files, **arguments).setup()


def built(data: LightningDataModule) -> LightningDataModule:
    return data


def test_a_data_module_is_built_from_a_configuration(tmp_path):
    arguments, more = save(tmp_path, "two files", table())
    init_args = {"path": str(arguments[0]), "z_path": str(more["z_path"]), "x": [1], "seed": 0}
    config = {"class_path": "mine_lightning.StreamingDataModule", "init_args": init_args}
    data = auto_cli(built, args=[json.dumps(config)])
    assert (data.x_dim, data.z_dim, data.x_columns, data.seed) == (1, 1, ["1"], 0)


@pytest.mark.parametrize("where", ["fits", "does not fit"])
def test_windows_go_to_the_training_device_or_are_prefetched(tmp_path, where, monkeypatch):
    meta = torch.device("meta")
    monkeypatch.setattr(streaming_module, "training_device", lambda trainer: meta)
    monkeypatch.setattr(modules, "training_device", lambda trainer: meta)
    monkeypatch.setattr(streaming_module, "fits", lambda values, device: where == "fits")
    data = module(tmp_path)
    loader = data.train_dataloader()
    assert isinstance(loader, StreamLoader if where == "fits" else Prefetcher)
    assert next(iter(loader))["marginal"].device == meta
    wanted = meta if where == "fits" else torch.device("cpu")
    assert next(iter(data.val_dataloader()))["marginal"].device == wanted


def test_a_window_of_few_row_groups_is_reported(tmp_path):
    arguments, _ = save(tmp_path, "parquet", table(), group=40)

    class Small(StreamingDataModule):
        window_rows = 100

    with pytest.warns(UserWarning, match="among about 3 of 75 blocks.*`buffer_mb` to 369,"):
        Small(*arguments, batch_size=64, seed=0).setup()


@pytest.mark.trained
def test_training_from_disk_finds_what_training_from_memory_finds(seed, outcome, tmp_path):
    path = gaussian(tmp_path, seed=seed)
    model, data, trainer = fit(path, 600, seed=seed, enable_checkpointing=False)
    (streamed,) = trainer.test(model, data, verbose=False)
    values = torch.from_numpy(np.load(path))
    memory = TensorDataModule(values[:, :1], values[:, 1:], seed=seed + 1)
    (in_memory,) = trainer.test(model, memory, verbose=False)
    truth = -0.5 * np.log(1 - 0.8**2)
    outcome(streamed["test/mi"] - truth, -0.15, 0.15)
    outcome(streamed["test/mi"] - in_memory["test/mi"], -0.15, 0.15, of="difference")


def test_a_run_resumed_within_an_epoch_ends_with_the_same_weights(tmp_path):
    path = gaussian(tmp_path)
    options = {"enable_checkpointing": False, "limit_val_batches": 0}
    whole, *_ = fit(path, 20, **options)
    *_, trainer = fit(path, 12, **options)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    resumed, *_ = fit(path, 20, str(tmp_path / "half.ckpt"), **options)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
