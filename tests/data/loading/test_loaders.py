"""Loaders: every row where it belongs, once, and again after a restart."""

import pytest
import torch

from mine_lightning.data.distributions.base import GaussianPairs
from mine_lightning.data.loading.loaders import DrawLoader, EvaluationLoader, Sampling
from mine_lightning.data.loading.stacks import Stacking
from mine_lightning.data.samplers import Derangement, Partners
from minibatches import X, Z, flat, same, training


def test_an_epoch_holds_every_row_once_and_keeps_pairs_together() -> None:
    batches = flat(training())
    rows = torch.cat([batch["joint"][0] for batch in batches])
    assert torch.equal(rows.flatten().sort().values, X.flatten())
    for batch in batches:
        x, z = batch["joint"]
        assert torch.equal(z, x + 100)
        assert not (batch["marginal"] == z).any()
        assert torch.equal(batch["marginal"].sort(0).values, z.sort(0).values)


def test_epochs_differ_and_seeds_repeat() -> None:
    loader = training()
    first, second = flat(loader), flat(loader)
    orders = [torch.cat([batch["joint"][0] for batch in batches]) for batches in (first, second)]
    assert not torch.equal(*orders)
    assert same(first, flat(training()))


@pytest.mark.parametrize("stop", [1, 2, 3])
@pytest.mark.parametrize("make", ["training", "draws"])
def test_a_restarted_loader_continues_where_it_stopped(stop: int, make: str) -> None:
    def build():
        if make == "training":
            return training(stack=2)
        return DrawLoader(GaussianPairs(2, 0.5), 6, Sampling(4, Derangement(), 1), Stacking(2))

    whole = build()
    expected = [list(whole), list(whole)]
    broken = build()
    iterator = iter(broken)
    seen = [next(iterator) for _ in range(stop)]
    state = broken.state_dict()
    resumed = build()
    resumed.load_state_dict(state)
    rest = list(resumed) if stop < len(resumed) else []
    for got, want in zip(seen + rest, expected[0], strict=True):
        assert same(got, want)
    for got, want in zip(list(resumed), expected[1], strict=True):
        assert same(got, want)


@pytest.mark.parametrize(("stored", "announced", "first"), [(None, 4, 4), (2, 2, 2), (2, 3, 2)])
def test_the_first_epoch_announced_is_where_a_loader_begins(stored, announced, first) -> None:
    loader, plain = training(), training()
    epochs = [flat(plain) for _ in range(first + 2)]
    if stored is not None:
        loader.load_state_dict({"epoch": stored, "position": 3, "stacks": 3})
    loader.sampler.set_epoch(announced)
    begin = 0 if stored is None else 3
    assert same(flat(loader), epochs[first][begin:])
    loader.sampler.set_epoch(announced + 5)
    assert same(flat(loader), epochs[first + 1])


def test_ranks_share_the_rows_without_overlap() -> None:
    ranks = [flat(training(rank=rank, world_size=2)) for rank in range(2)]
    rows = [torch.cat([batch["joint"][0] for batch in batches]).flatten() for batches in ranks]
    assert len(rows[0]) == len(rows[1]) == 16
    assert len(set(rows[0].tolist()) & set(rows[1].tolist())) == 0


def test_fresh_draws_never_repeat_and_differ_by_rank() -> None:
    def draws(rank: int) -> torch.Tensor:
        loader = DrawLoader(GaussianPairs(1, 0.5), 5, Sampling(8, Derangement(), rank=rank))
        return torch.cat([b["joint"][0].flatten() for b in flat(loader) + flat(loader)])

    rows = torch.cat([draws(0), draws(1)])
    assert len(rows.unique()) == len(rows) == 160


def test_evaluation_sees_every_row_once_with_fixed_partners_from_the_whole_split() -> None:
    loader = EvaluationLoader(X, Z, Sampling(7, Partners(39), seed=2))
    batches = list(loader)
    assert len(loader) == len(batches) == 6
    assert torch.equal(torch.cat([batch["joint"][0] for batch in batches]), X)
    for batch in batches:
        for z, partners in zip(batch["joint"][1], batch["marginal"], strict=True):
            others = Z[(z != Z).flatten()]
            assert torch.equal(partners.sort(0).values, others)
    assert same(batches, list(EvaluationLoader(X, Z, Sampling(7, Partners(39), seed=2))))


def test_evaluation_ranks_split_the_rows_without_padding() -> None:
    ranks = [
        flat(EvaluationLoader(X[:39], Z[:39], Sampling(7, Derangement(), rank=r, world_size=2)))
        for r in range(2)
    ]
    rows = torch.cat([batch["joint"][0] for batches in ranks for batch in batches]).flatten()
    assert torch.equal(rows.sort().values, X[:39].flatten())
