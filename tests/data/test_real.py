import re

import pytest
import torch

from mine_lightning.data.real import DigitsDataModule
from mine_lightning.data.transforms import Standardize


def joint(data):
    data.setup()
    (batch,) = data.predict_dataloader()
    return batch["joint"]


def test_images_and_labels():
    data = DigitsDataModule()
    assert (data.x_dim, data.z_dim, data.true_mi) == (64, 10, None)
    x, z = joint(data)
    assert x.shape == (1797, 64)
    assert z.shape == (1797, 10)
    assert (x.min().item(), x.max().item()) == (0.0, 1.0)


def test_labels_are_one_hot():
    _, z = DigitsDataModule().load()
    assert z.sum(1).unique().tolist() == [1.0]
    share = z.mean(0)
    assert -(share * share.log()).sum().item() == pytest.approx(2.3025, abs=5e-4)


def test_halves_make_the_image():
    left, right = DigitsDataModule(z="right half", flatten=False).load()
    whole, _ = DigitsDataModule(flatten=False).load()
    assert whole.shape == (1797, 1, 8, 8)
    assert torch.equal(torch.cat((left, right), dim=-1), whole)


def test_halves_keep_the_scale_of_pixels():
    data = DigitsDataModule(z="right half")
    assert (data.x_dim, data.z_dim) == (32, 32)
    assert [part.max().item() for part in joint(data)] == [1.0, 1.0]


def test_flat_rows_are_the_images_row_by_row():
    flat, _ = DigitsDataModule().load()
    images, _ = DigitsDataModule(flatten=False).load()
    assert torch.equal(flat.view(-1, 1, 8, 8), images)


def test_another_transform_can_be_chosen():
    data = DigitsDataModule(x_transform=Standardize(), batch_size=64)
    x, _ = joint(data)
    train = [row for row, split in enumerate(data.split_of_rows()) if split == "train"]
    assert torch.allclose(x[train].mean(0), torch.zeros(64), atol=1e-5)


def test_z_takes_two_values():
    message = "Expected `z` to be 'label' or 'right half', got 'left half'."
    with pytest.raises(ValueError, match=re.escape(message)):
        DigitsDataModule(z="left half")
