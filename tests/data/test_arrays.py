"""Rows that are in memory: checked, copied, counted at the door."""

import re

import numpy as np
import pandas as pd
import pytest
import torch

from mine_lightning.data.arrays import TensorDataModule
from shared import ROWS, X, Z, rows_of


def test_dimensions_and_truth():
    data = TensorDataModule(X, Z, true_mi=0.25)
    assert (data.x_dim, data.z_dim, data.true_mi) == (2, 1, 0.25)
    assert TensorDataModule(X, Z).true_mi is None


@pytest.mark.parametrize(
    ("x", "z"),
    [
        (torch.tensor(X), torch.tensor(Z).requires_grad_()),
        (pd.DataFrame(X, columns=["a", "b"]), pd.Series(Z[:, 0], name="c")),
        (X.tolist(), Z[:, 0].tolist()),
        (X.astype(">f8")[::-1][::-1], Z[:, 0]),
    ],
)
def test_every_kind_of_array_gives_the_same_batches(x, z):
    expected, found = TensorDataModule(X, Z, seed=3), TensorDataModule(x, z, seed=3)
    for split in ("train", "val", "test", "predict"):
        for left, right in zip(rows_of(expected, split), rows_of(found, split), strict=True):
            assert left.dtype == torch.float32
            assert torch.equal(left, right)


def test_the_data_module_keeps_its_own_copy():
    x = X.copy()
    data = TensorDataModule(x, Z, seed=0)
    x[:] = 0
    expected = TensorDataModule(X, Z, seed=0)
    assert torch.equal(rows_of(data, "test")[0], rows_of(expected, "test")[0])


def test_dropped_rows_are_counted():
    x = X.copy()
    x[[3, 7], 1] = np.nan, np.inf
    with pytest.warns(UserWarning, match=r"Dropped 2 of 500 rows"):
        data = TensorDataModule(x, Z, missing="drop")
    assert data.dropped_rows == 2
    assert data.kept_rows.tolist() == [row for row in range(ROWS) if row not in (3, 7)]
    assert len(data.split_of_rows()) == ROWS - 2


def test_mistakes_are_found_at_the_constructor():
    message = "Expected `x` and `z` to have the same number of rows, got 500 and 499."
    with pytest.raises(ValueError, match=re.escape(message)):
        TensorDataModule(X, Z[1:])
    with pytest.raises(ValueError, match=re.escape("Expected `z` to be finite, got 1 missing")):
        TensorDataModule(X, [*Z[1:, 0], np.nan])


def test_images_keep_their_shape():
    images = np.random.default_rng(0).integers(0, 255, (ROWS, 1, 4, 5), dtype=np.uint8)
    images[:, :, 0] = 0
    data = TensorDataModule(images, Z)
    assert data.x_dim == 20
    assert rows_of(data, "test")[0].shape[1:] == (1, 4, 5)
