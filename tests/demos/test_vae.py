"""The VAE learns and generates."""

import lightning.pytorch as pl
import pytest

from demo_runs import fit
from mine_lightning.demos import VAE, DigitImages

pytestmark = pytest.mark.filterwarnings("ignore:You passed in a `val_dataloader` but have no")


@pytest.mark.trained
def test_the_vae_learns_and_generates(seed, outcome):
    pl.seed_everything(seed, verbose=False)
    model = VAE()
    rows, _ = fit(model, DigitImages(), steps=60, seed=seed)
    outcome(rows[-1]["reconstruction"] / rows[0]["reconstruction"], high=0.6)
    outcome(rows[-1]["kl"], low=0, of="KL")
    assert model(5).shape == (5, 1, 8, 8)
