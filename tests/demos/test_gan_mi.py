"""A GAN that raises or lowers the information of its code."""

import lightning.pytorch as pl
import pytest
import torch

from demo_runs import SMALL, fit
from mine_lightning.demos import GaussianGrid, MutualInformationGAN, PlainGAN, gan_mi


def test_without_weight_the_mutual_information_gan_is_the_gan():
    plain, weighted = PlainGAN(**SMALL), MutualInformationGAN(**SMALL, mi_weight=0.0)
    weighted.load_state_dict(plain.state_dict(), strict=False)
    fit(plain, GaussianGrid(batch_size=32))
    fit(weighted, GaussianGrid(batch_size=32))
    state = weighted.state_dict()
    assert all(torch.equal(weight, state[name]) for name, weight in plain.state_dict().items())


def test_the_sign_of_the_weight_says_whether_to_maximise(monkeypatch):
    seen = []
    add = gan_mi.add_clipped_gradients

    def record(parameters, gradients):
        seen.append(torch.cat([gradient.flatten() for gradient in gradients]))
        return add(parameters, gradients)

    monkeypatch.setattr(gan_mi, "add_clipped_gradients", record)
    for weight in (1.0, -1.0, 0.5):
        pl.seed_everything(1, verbose=False)
        rows, _ = fit(MutualInformationGAN(**SMALL, mi_weight=weight), GaussianGrid(), steps=1)
        assert 0 < rows[0]["g_mi_clipping"] <= 1
    assert seen[0].abs().max() > 0
    assert torch.equal(seen[0], -seen[1])
    assert torch.allclose(seen[2], 0.5 * seen[0])


@pytest.mark.trained
def test_the_term_raises_the_information_of_the_code(seed, outcome):
    final = {}
    for weight in (1.0, -1.0):
        pl.seed_everything(seed, verbose=False)
        host = MutualInformationGAN(**SMALL, mi_weight=weight, critic_steps=2)
        rows, _ = fit(host, GaussianGrid(), steps=150, seed=seed)
        final[weight] = sum(row["g_mi"] for row in rows[-50:]) / 50
    outcome(final[1.0] - final[-1.0], low=0.3)
