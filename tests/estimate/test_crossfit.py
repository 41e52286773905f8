"""When training ends."""

import pytest
import torch

from mine_lightning.estimate.crossfit import CrossFitEstimator


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
