"""Minibatches out of windows of a file: every row once, with a partner."""

import numpy as np
import pytest
import torch

from disk_pairs import ROWS, damaged, every_kind, module, numbers, with_loader
from mine_lightning.data import IndependentDraw, StreamingDataModule
from mine_lightning.data.disk.windows import evenly
from minibatches import flat, same


@every_kind
def test_an_epoch_holds_every_training_row_once_with_partners_from_the_minibatch(tmp_path, kind):
    data = module(tmp_path, kind)
    train = np.flatnonzero(np.array(data.split_of_rows()) == "train")
    loader = data.train_dataloader()
    first, second = flat(loader), flat(loader)
    assert len(first) == len(second) == len(loader) == len(train) // 64
    for batches in (first, second):
        seen = numbers(batches)
        assert len(seen.unique()) == len(seen) == 64 * len(loader)
        assert np.isin(seen.numpy(), train).all()
    for batch in first:
        x, z = batch["joint"]
        assert torch.equal(z[:, 0], 2 * x[:, 0])
        assert not (batch["marginal"] == z).any()
        assert torch.equal(batch["marginal"].sort(0).values, z.sort(0).values)
    assert not same(first, second)
    assert same(first, flat(module(tmp_path, kind).train_dataloader()))


def test_rows_mix_beyond_their_block(tmp_path):
    data = module(tmp_path)
    blocks = data._blocks["train"].ranges
    for batch in flat(data.train_dataloader()):
        places = np.searchsorted(blocks[:, 0], numbers([batch]).numpy(), side="right")
        assert len(np.unique(places)) > 25


def test_partners_may_come_from_the_whole_window_and_are_never_the_row_itself(tmp_path):
    data = module(tmp_path, marginal=IndependentDraw())
    outside = 0
    for batch in flat(data.train_dataloader()):
        z, apart = batch["joint"][1], batch["marginal"]
        assert not (apart == z).any()
        outside += int((~torch.isin(apart, z)).sum())
    assert outside > 1000


@pytest.mark.parametrize("stack", [2, 3, 7])
def test_a_stack_holds_the_same_minibatches_in_the_same_order(tmp_path, stack):
    data = module(tmp_path)
    plain, stacked = with_loader(data), with_loader(data, stack)
    assert len(stacked) == -(-len(plain) // stack)
    for _ in range(2):
        assert same(flat(plain), flat(stacked))


@every_kind
@pytest.mark.parametrize("stack", [1, 3])
def test_a_restarted_loader_continues_and_reads_nothing_from_before(
    tmp_path, kind, stack, monkeypatch
):
    data = module(tmp_path, kind)
    whole = with_loader(data, stack)
    expected = [list(whole), list(whole)]
    wrap = (lambda item: item) if stack > 1 else (lambda item: [item])
    for stop in range(1, len(whole), 4):
        broken, resumed = with_loader(data, stack), with_loader(data, stack)
        iterator = iter(broken)
        for _ in range(stop):
            next(iterator)
        resumed.load_state_dict(broken.state_dict())
        del iterator  # which reads ahead
        rows = []
        read = resumed.read.source.read
        with monkeypatch.context() as patch:
            patch.setattr(
                resumed.read.source, "read", lambda r, f=read, s=rows: (s.append(r), f(r))[1]
            )
            rest = list(resumed)
        for got, want in zip(rest, expected[0][stop:], strict=True):
            assert same(wrap(got), wrap(want))
        windows = np.searchsorted(resumed.bounds, stop * stack, side="right") - 1
        assert len(rows) == len(resumed.bounds) - 1 - windows
        for got, want in zip(list(resumed), expected[1], strict=True):
            assert same(wrap(got), wrap(want))


def test_ranks_read_equal_disjoint_shares(tmp_path):
    data = module(tmp_path)
    ranks = [flat(with_loader(data, rank=rank, world_size=3)) for rank in range(3)]
    rows = [numbers(batches) for batches in ranks]
    assert len({len(seen) for seen in rows}) == 1
    together = torch.cat(rows)
    assert len(together.unique()) == len(together)
    assert len(together) > data._blocks["train"].rows - 3 * 64


@every_kind
def test_evaluation_sees_every_row_once_with_fixed_partners_from_its_window(tmp_path, kind):
    data = module(tmp_path, kind, window=320, eval_partners=9, eval_batch_size=40)
    rows = np.flatnonzero(np.array(data.split_of_rows()) == "val")
    loader = data.val_dataloader()
    batches = list(loader)
    assert len(batches) == len(loader)
    assert sorted(numbers(batches).tolist()) == rows.tolist()
    for batch in batches:
        partners = batch["marginal"][:, :, 0]
        assert partners.shape == (len(batch["joint"][0]), 9)
        assert not (partners == batch["joint"][1]).any()
        assert (partners.sort(1).values.diff(dim=1) > 0).all()
        assert np.isin(partners.numpy(), 2 * rows).all()
    assert same(batches, list(loader))
    beyond = torch.isin(batches[0]["marginal"], batches[0]["joint"][1])
    assert not beyond.all()


def test_evaluation_ranks_split_the_rows_without_padding(tmp_path):
    data = module(tmp_path, eval_batch_size=50)
    seen = []
    for rank in range(3):
        with_loader(data, rank=rank, world_size=3)
        seen.append(numbers(list(data.test_dataloader())))
    rows = np.flatnonzero(np.array(data.split_of_rows()) == "test")
    assert torch.cat(seen).sort().values.tolist() == rows.tolist()
    assert max(map(len, seen)) - min(map(len, seen)) <= 1


@every_kind
def test_prediction_follows_the_file(tmp_path, kind):
    data = module(tmp_path, kind, eval_batch_size=100)
    assert numbers(list(data.predict_dataloader())).tolist() == list(range(ROWS))
    assert data.rows_of_input() == list(range(ROWS))


@every_kind
def test_values_that_the_scan_did_not_see_are_refused_while_they_stream(tmp_path, kind):
    arguments, more = damaged(tmp_path, kind, 1234, 2, np.nan)
    seen = 0
    for seed in range(20):
        data = StreamingDataModule(*arguments, **more, batch_size=64, seed=seed, scan_rows=100)
        try:
            data.setup()
        except ValueError:
            continue
        seen += 1
        with pytest.raises(ValueError, match="Expected `z` to be finite, got nan in row 1234"):
            flat(data.predict_dataloader())
    assert seen > 5


def test_windows_of_evaluation_always_leave_a_partner():
    for rows in range(2, 200):
        for most in range(3, 20):
            sizes = np.diff(evenly(rows, most))
            assert sizes.sum() == rows
            assert 2 <= sizes.min() <= sizes.max() <= most
