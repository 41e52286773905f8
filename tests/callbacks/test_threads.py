"""How many threads a critic is trained on."""

import pytest
import torch
from lightning.pytorch import Callback

from mine_lightning import GaussianDataModule, MutualInformationEstimator
from training_runs import fit


def test_small_critics_train_on_one_thread_and_the_number_is_restored() -> None:
    seen = []

    class Watch(Callback):
        def on_train_batch_end(self, *args) -> None:
            seen.append(torch.get_num_threads())

        def on_train_epoch_end(self, *args) -> None:
            raise KeyError("stop")

    torch.set_num_threads(2)
    data = GaussianDataModule(rows=600, correlation=0.5, batch_size=64, seed=0)
    fit(MutualInformationEstimator(), data, max_steps=3)
    assert torch.get_num_threads() == 2
    with pytest.raises(KeyError):
        fit(MutualInformationEstimator(), data, max_epochs=1, callbacks=[Watch()])
    assert set(seen) == {1}
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
