"""A minibatch is on its way while another is trained on."""

import pytest
import torch

from mine_lightning import GaussianDataModule
from mine_lightning.data import modules
from mine_lightning.data.loading.loaders import Sampling, TrainingLoader
from mine_lightning.data.loading.prefetch import Prefetcher
from mine_lightning.data.samplers import Derangement
from minibatches import X, training

CPU, META = map(torch.device, ("cpu", "meta"))


def rows(items: list) -> list[list[float]]:
    return [
        torch.cat([batch["joint"][0].cpu() for batch in item]).flatten().tolist() for item in items
    ]


def test_a_prefetcher_yields_the_loader_s_batches_on_the_device():
    expected, loader = training(2), Prefetcher(training(2), CPU)
    assert len(loader) == len(expected) == 3
    for _ in range(2):
        assert rows(list(loader)) == rows(list(expected))
    (batch, *_) = next(iter(Prefetcher(training(2), META)))
    assert [part.device for part in (*batch["joint"], batch["marginal"])] == [META] * 3


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_prefetcher_s_state_is_that_of_the_batch_last_yielded(stop):
    whole = training(2)
    expected = rows(list(whole)) + rows(list(whole))
    broken, resumed = Prefetcher(training(2), CPU), Prefetcher(training(2), CPU)
    iterator = iter(broken)
    for _ in range(stop):
        next(iterator)
    resumed.load_state_dict(broken.state_dict())
    assert resumed.state_dict() == {"epoch": 0, "position": min(2 * stop, 5), "stacks": stop}
    rest = rows(list(resumed)) if stop < 3 else []
    assert rest + rows(list(resumed)) == expected[stop:]


def test_a_prefetcher_is_one_batch_ahead():
    fetched = []

    class Watched(TrainingLoader):
        def epoch(self, epoch):
            for stack in super().epoch(epoch):
                fetched.append(stack)
                yield stack

    iterator = iter(Prefetcher(Watched(X, X, Sampling(8, Derangement())), CPU))
    for taken in range(1, 5):
        next(iterator)
        assert len(fetched) == taken + 1


@pytest.mark.parametrize("fresh", [False, True])
def test_rows_that_do_not_fit_are_prefetched(monkeypatch, fresh):
    monkeypatch.setattr(modules, "training_device", lambda trainer: META)
    data = GaussianDataModule(1, 0.5, rows=None if fresh else 1000, eval_rows=100, batch_size=32)
    data.setup()
    loader = data.train_dataloader()
    assert isinstance(loader, Prefetcher)
    assert next(iter(loader))["marginal"].device == META
    assert next(iter(data.val_dataloader()))["marginal"].device == CPU
