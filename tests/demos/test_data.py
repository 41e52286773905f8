"""Data of the demos: counted modes, a spiral, digits."""

import math

import pytest
import torch

from mine_lightning.demos import DigitImages, GaussianGrid, Spiral


def test_the_grid_counts_modes_and_quality():
    data = GaussianGrid()
    points, modes = data.draw(4000)
    assert points.shape == (4000, 2)
    assert sorted(modes.unique().tolist()) == list(range(25))
    assert points.var(0).mean() == pytest.approx(1, abs=0.05)
    nearest = torch.cdist(data.centers, data.centers).topk(2, largest=False).values[:, 1]
    assert torch.allclose(nearest, torch.tensor(2 / data.scale))
    five = data.centers[:5].repeat_interleave(10, 0)
    assert data.coverage(five) == (5, 1.0)
    count, quality = data.coverage(torch.cat((five[:-1], torch.full((1, 2), 9.0))))
    assert (count, quality) == (4, pytest.approx(49 / 50))
    assert data.coverage(five[:-1], least=9) == (5, 1.0)
    assert GaussianGrid(side=3).centers.shape == (9, 2)


def test_the_spiral_turns_one_and_a_half_times():
    points, turn = Spiral(std=0.0).draw(1000)
    radius = points.norm(dim=1)
    assert torch.allclose(radius, 1.5 * turn, atol=1e-5)
    angle = torch.atan2(points[:, 1], points[:, 0])
    assert torch.allclose(angle.cos(), (3 * math.pi * turn).cos(), atol=1e-4)
    noisy = Spiral(std=0.1)
    assert len(noisy.draw(3)[0]) == 3


@pytest.mark.parametrize("data", [GaussianGrid, Spiral], ids=lambda data: data.__name__)
def test_drawn_data_has_as_many_batches_as_asked_for(data):
    loader = data(batch_size=9, steps_per_epoch=4).train_dataloader()
    batches = list(loader)
    assert len(batches) == len(loader) == 4
    assert all(points.shape == (9, 2) for points, _ in batches)
    assert not torch.equal(batches[0][0], next(iter(loader))[0])


def test_digits_are_split_once_for_each_seed():
    data, same, other = DigitImages(), DigitImages(), DigitImages(seed=1)
    images, labels = data.train.tensors
    assert images.shape == (1438, 1, 8, 8)
    assert (len(data.val), len(labels)) == (359, 1438)
    assert (images.min(), images.max()) == (-1, 1)
    assert torch.equal(images, same.train.tensors[0])
    assert not torch.equal(images, other.train.tensors[0])
    assert torch.cat((labels, data.val.tensors[1])).bincount().sum() == 1797
    drawn, drawn_labels = data.draw(6)
    assert drawn.shape == (6, 1, 8, 8)
    assert drawn_labels.shape == (6,)
