"""One optimizer step, whichever way it is taken: through Lightning, bare, fused."""

import pytest
import torch
from lightning.pytorch import Callback, Trainer

from mine_lightning import NWJ, ConcatCritic, MutualInformationEstimator, TensorDataModule
from mine_lightning.training.compilation import AdamStep
from mine_lightning.training.steps import BareStep, HookedStep
from shared import TRAINING_ALONE
from training_runs import OPTIMIZERS, ROWS, difference, train


@pytest.mark.parametrize("clip", [None, 0.05])
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_bare_and_fused_steps_equal_those_through_lightning(optimizer, clip) -> None:
    through = train(HookedStep, optimizer=optimizer, gradient_clip_val=clip)
    for kind in (BareStep, AdamStep):
        assert difference(train(kind, optimizer=optimizer, gradient_clip_val=clip), through) < 1e-7


def test_a_callback_that_listens_to_gradients_is_called_at_every_step() -> None:
    norms = []

    class Norms(Callback):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
            norms.append(pl_module.critic.first.weight.grad.norm().item())

    model = MutualInformationEstimator(objective=NWJ())
    trainer = Trainer(max_steps=5, callbacks=[Norms()], **TRAINING_ALONE)
    trainer.fit(model, TensorDataModule(*ROWS, batch_size=64, seed=0))
    assert len(norms) == 5
    assert min(norms) > 0


def test_a_weight_that_the_loss_does_not_feel_stays() -> None:
    class Idle(ConcatCritic):
        def __init__(self) -> None:
            super().__init__((8,))
            self.idle = torch.nn.Parameter(torch.ones(3))

    for kind in (BareStep, AdamStep):
        assert torch.equal(train(kind, critic=Idle()).critic.idle, torch.ones(3))
