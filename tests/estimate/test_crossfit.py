"""Steps of the folds, whichever way they are taken."""

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from mine_lightning import estimate_mutual_information
from mine_lightning.estimate.crossfit import CrossFitEstimator


class Watch(Callback):
    """Hook into the backward pass, which a step by hand does not have."""

    def __init__(self) -> None:
        self.seen = 0

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.seen += 1


def test_steps_without_hooks_are_those_that_lightning_takes() -> None:
    x, noise = torch.randn(2, 300, 2, generator=torch.Generator().manual_seed(0))
    watch = Watch()
    curves = [
        estimate_mutual_information(
            x, x.square() + noise, max_epochs=3, progress_bar=False, callbacks=callbacks
        ).learning_curve
        for callbacks in ([], [watch])
    ]
    assert watch.seen > 0
    assert (curves[0][0] != curves[0][-1]).any()
    np.testing.assert_allclose(*curves, atol=1e-3)


@pytest.mark.parametrize(
    ("usual_epochs", "best", "ended"),
    [
        (10, [10, 10, 9, 1, 1], [False]),
        (10, [10, 8, 8, 8, 8], [True]),
        (None, [8] * 5, [False]),
        (10, [10, 10, 9, 1, 1, 10, 8, 8, 8, 8], [False, True]),
    ],
)
def test_training_goes_on_while_most_critics_of_a_pair_improve(usual_epochs, best, ended) -> None:
    model = CrossFitEstimator(pairs=len(ended), usual_epochs=usual_epochs)
    model.register_buffer("best_epoch", torch.tensor(best))
    model.learning_curve = [torch.zeros(5)] * 11  # before the first epoch and after each of ten
    assert model.ended.tolist() == ended
