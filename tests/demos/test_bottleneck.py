"""The information bottleneck takes out of the code what its weight asks for."""

import math

import lightning.pytorch as pl
import pytest
import torch

from demo_runs import fit
from mine_lightning.demos import DigitImages, InformationBottleneck


@torch.no_grad()
def information(model: InformationBottleneck, images: torch.Tensor) -> float:
    """Return I(X; code) for an image drawn from given ones: codes are normal, their mixture known.

    It cannot exceed the logarithm of the number of images.
    """
    mean, log_scale = model.encoder(images).chunk(2, dim=1)
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(0))
    codes, normal = (
        mean + log_scale.exp() * noise,
        torch.distributions.Normal(mean, log_scale.exp()),
    )
    log_p = torch.stack([normal.log_prob(code).sum(1) for code in codes])  # (code, image)
    return (log_p.diagonal() - log_p.logsumexp(1) + math.log(len(images))).mean().item()


@pytest.mark.slow
@pytest.mark.trained
@pytest.mark.parametrize(
    ("beta", "kept", "right"),
    [(0.0, (math.log(359) - 0.1, 6), (0.85, 1)), (1.0, (0, 4), (0, 0.7))],
)
def test_a_large_beta_takes_information_out_of_the_code(beta, kept, right, seed, outcome):
    """The code of 359 images keeps all of ln 359 = 5.88 nats and the digit, or neither."""
    pl.seed_everything(seed, verbose=False)
    model, data = InformationBottleneck(beta=beta), DigitImages()
    _, trainer = fit(model, data, max_steps=-1, max_epochs=8, seed=seed)
    images = torch.cat([batch[0] for batch in data.val_dataloader()])
    outcome(information(model, images), *kept, of="information")
    outcome(trainer.callback_metrics["val_accuracy"], *right, of="accuracy")
