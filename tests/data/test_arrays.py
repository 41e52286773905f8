import itertools
import re

import numpy as np
import pandas as pd
import pytest
import torch
from lightning import seed_everything

from mine_lightning.data.arrays import TensorDataModule

ROWS = 500
X = np.random.default_rng(0).normal(size=(ROWS, 2))
Z = X[:, :1] + np.random.default_rng(1).normal(size=(ROWS, 1))


def rows_of(data, split):
    """Collect the joint pairs of a split."""
    data.setup()
    batches = getattr(data, f"{split}_dataloader")()
    return tuple(torch.cat(parts) for parts in zip(*(b["joint"] for b in batches), strict=True))


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


def test_too_few_rows_for_a_batch():
    message = "Expected at least 256 rows for the train split, got 60 of the 100 rows"
    with pytest.raises(ValueError, match=re.escape(message)):
        TensorDataModule(X[:100], Z[:100]).setup()


def test_too_few_rows_for_a_split():
    message = "Expected at least 2 rows for the val split, got 1 of the 10 rows"
    with pytest.raises(ValueError, match=re.escape(message)):
        TensorDataModule(X[:10], Z[:10], batch_size=2, val_fraction=0.1).setup()


def test_images_keep_their_shape():
    images = np.random.default_rng(0).integers(0, 255, (ROWS, 1, 4, 5), dtype=np.uint8)
    images[:, :, 0] = 0
    data = TensorDataModule(images, Z)
    assert data.x_dim == 20
    assert rows_of(data, "test")[0].shape[1:] == (1, 4, 5)
