"""Rows are split, scaled by the training rows, and come in minibatches."""

import itertools
import re

import numpy as np
import pytest
import torch
from lightning import seed_everything

from mine_lightning.data.arrays import TensorDataModule
from shared import ROWS, X, Z, rows_of


def test_splits_are_disjoint_and_cover_the_rows():
    x = np.arange(ROWS)
    data = TensorDataModule(x, x % 7, batch_size=300, seed=0)
    data.setup()
    numbers = [data._splits[split].tolist() for split in ("train", "val", "test")]
    assert [len(rows) for rows in numbers] == [300, 100, 100]
    assert sorted(itertools.chain(*numbers)) == list(range(ROWS))


def test_the_seed_decides_the_split():
    def split(seed):
        return TensorDataModule(X, Z, seed=seed).split_of_rows()

    assert split(0) == split(0) != split(1)
    seed_everything(5, verbose=False)
    assert TensorDataModule(X, Z).split_of_rows() == split(5)


def test_held_out_rows_do_not_move_the_scaling():
    data = TensorDataModule(X, Z, seed=0)
    held_out = np.array([split != "train" for split in data.split_of_rows()])
    other = TensorDataModule(
        np.where(held_out[:, None], 1e6 - X, X), np.where(held_out[:, None], -(Z**3), Z), seed=0
    )
    for left, right in zip(rows_of(data, "train"), rows_of(other, "train"), strict=True):
        assert torch.equal(left, right)
    assert not torch.equal(rows_of(data, "test")[0], rows_of(other, "test")[0])


def test_training_rows_are_standardised():
    data = TensorDataModule(1e3 + 50 * X, Z, batch_size=300)
    x, _ = rows_of(data, "train")
    assert torch.allclose(x.mean(0), torch.zeros(2), atol=1e-5)
    assert torch.allclose(x.std(0, correction=0), torch.ones(2), atol=1e-5)


def test_a_huge_offset_loses_nothing():
    """In float32 every value near 1e12 would round to a multiple of 65,536."""
    near, far = TensorDataModule(X, Z, seed=0), TensorDataModule(1e12 + X, Z, seed=0)
    assert torch.allclose(rows_of(near, "train")[0], rows_of(far, "train")[0], atol=1e-3)


@pytest.mark.parametrize("scale", [1e-140, 1e-40, 1e-30, 1e30, 1e40, 1e140])
def test_scale_does_not_matter(scale):
    near, far = TensorDataModule(X, Z, seed=0), TensorDataModule(X * scale, Z, seed=0)
    assert torch.allclose(rows_of(near, "test")[0], rows_of(far, "test")[0], atol=1e-5)


def test_too_few_rows_for_a_batch():
    message = "Expected at least 256 rows for the train split, got 60 of the 100 rows"
    with pytest.raises(ValueError, match=re.escape(message)):
        TensorDataModule(X[:100], Z[:100]).setup()


def test_too_few_rows_for_a_split():
    message = "Expected at least 2 rows for the val split, got 1 of the 10 rows"
    with pytest.raises(ValueError, match=re.escape(message)):
        TensorDataModule(X[:10], Z[:10], batch_size=2, val_fraction=0.1).setup()
