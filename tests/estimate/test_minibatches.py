"""Minibatches of the folds of one pair of variables or of many."""

import pytest
import torch

from mine_lightning.estimate.folds import CrossFitData
from mine_lightning.estimate.minibatches import Ahead, CrossFitDataModule


def sample(rows: int = 203) -> tuple[torch.Tensor, torch.Tensor]:
    x, noise = torch.randn(2, rows, 2, generator=torch.Generator().manual_seed(0))
    return x, x[:, :1] + noise[:, :1]


def test_batches_have_the_contracts_shapes() -> None:
    data = CrossFitData(*sample())
    module = CrossFitDataModule([data])
    module.setup()
    batch = next(iter(module.train_dataloader()))
    widths, offset = data.widths, batch["offset"]
    assert batch["x"].shape == (5, 64, widths.x)
    assert batch["z"].shape == (5, 64, widths.z)
    assert batch["u"].shape == batch["v"].shape == (5, 64, widths.variates)
    assert offset.shape == (5, 64, 2)
    assert offset[:, :, 0].mean() > offset[:, :, 1].mean()


def test_epochs_differ_and_the_seed_repeats_them() -> None:
    loaders = []
    for seed in (0, 0, 1):
        data = CrossFitDataModule([CrossFitData(*sample(), seed=seed)])
        data.setup()
        loaders.append(data.train_dataloader())
    first, same, other = ([next(iter(loader))["x"] for _ in range(2)] for loader in loaders)
    assert torch.equal(first[0], same[0])
    assert torch.equal(first[1], same[1])
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], other[0])


def test_an_epoch_shows_no_row_twice() -> None:
    data = CrossFitDataModule([CrossFitData(*sample())])
    data.setup()
    shown = torch.cat([batch["x"] for batch in data.train_dataloader()], dim=1)
    assert shown.shape[:2] == (5, 128)  # of 142 rows, two minibatches
    assert all(len(fold.unique(dim=0)) == 128 for fold in shown)


@pytest.mark.parametrize("warped", [False, True])
def test_pairs_stand_side_by_side_as_they_are_alone(warped: bool) -> None:
    x, z = sample()
    pairs = [(z, z.square() + x[:, 1:]), (x[:, :1], x[:, :1] + z), (z, (z > 0).float())]
    if warped:
        pairs = [(x, z), (z, x.square() + z), (x, x.flip(1))]
    parts = [CrossFitData(*pair) for pair in pairs]
    together = CrossFitDataModule(parts)
    together.setup()
    alone = [CrossFitDataModule([part]) for part in parts]
    for kind in ("train_dataloader", "val_dataloader"):
        batches = [list(getattr(module, kind)()) for module in (together, *alone)]
        for whole, *each in zip(*batches, strict=True):
            for name, rows in whole.items():
                for part, own in zip(rows.split(5), each, strict=True):
                    width = own[name].shape[-1]
                    assert torch.equal(part[..., :width], own[name])
                    assert not part[..., width:].any()


def test_epochs_gathered_at_once_are_those_gathered_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    data = CrossFitDataModule([CrossFitData(*sample())])
    data.setup()
    offsets = []
    for most in (1, 3):
        monkeypatch.setattr("mine_lightning.estimate.minibatches.EPOCHS_AT_ONCE", most)
        loader = data.train_dataloader()
        offsets.append([batch["offset"] for _ in range(4) for batch in loader])
    assert all(torch.equal(*each) for each in zip(*offsets, strict=True))


def test_validation_rows_are_gathered_once() -> None:
    data = CrossFitDataModule([CrossFitData(*sample())])
    data.setup()
    first, again = (list(data.val_dataloader()) for _ in range(2))
    assert all(batch is same for batch, same in zip(first, again, strict=True))


def test_what_follows_is_called_ahead_and_anything_else_when_asked_for() -> None:
    called = []

    def call(epochs: range) -> list[torch.Tensor]:
        called.append(list(epochs))
        return [torch.tensor(list(epochs))]

    ahead = Ahead(call)
    asked = [range(2), range(2, 4), range(8, 9), range(9, 10), range(5, 6)]
    assert [ahead(epochs)[0].tolist() for epochs in asked] == [list(epochs) for epochs in asked]
    ahead.thread.shutdown()
    assert called == [[0, 1], [2, 3], [4, 5], [8], [9], [10], [5], [6]]
