"""GANs that know nothing of this package, and train."""

import ast
import inspect
import math

import pytest
import torch

from demo_runs import SMALL, fit
from mine_lightning.demos import (
    VAE,
    DigitImages,
    GaussianGrid,
    MutualInformationGAN,
    PlainGAN,
    Spiral,
)

pytestmark = pytest.mark.filterwarnings("ignore:You passed in a `val_dataloader` but have no")
IMAGES = {"sample_shape": (1, 8, 8), "noise_dim": 8, **SMALL}


@pytest.mark.parametrize("demo", [PlainGAN, VAE], ids=lambda demo: demo.__name__)
def test_hosts_know_nothing_of_this_package(demo):
    tree = ast.parse(inspect.getsource(inspect.getmodule(demo)))
    modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import)
             for alias in node.names]  # fmt: skip
    assert not any("mine_lightning" in name for name in modules + names)


@pytest.mark.parametrize("host", [PlainGAN, MutualInformationGAN], ids=lambda host: host.__name__)
@pytest.mark.parametrize(
    ("options", "data", "shape"),
    [
        (SMALL, GaussianGrid(batch_size=32), (7, 2)),
        (SMALL, Spiral(batch_size=32), (7, 2)),
        (IMAGES, DigitImages(batch_size=32), (7, 1, 8, 8)),
    ],
    ids=["grid", "spiral", "digits"],
)
def test_gans_train_both_networks(host, options, data, shape):
    model = host(**options)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    rows, _ = fit(model, data)
    assert model(7).shape == shape
    after = model.state_dict()
    assert not any(torch.equal(before[name], after[name]) for name in before)
    logged = {"d_loss", "g_loss"} | ({"g_mi", "g_mi_clipping"} if host is not PlainGAN else set())
    assert logged <= rows[-1].keys()
    assert all(math.isfinite(value) for row in rows for value in row.values())


def test_the_learning_rate_falls_linearly_over_the_second_half():
    model = PlainGAN(decay_steps=100)
    factors = [model.decay(step) for step in (0, 50, 75, 100, 500)]
    assert factors == pytest.approx([1, 1, 0.5, 0.01, 0.01])
    assert PlainGAN().decay(10**6) == 1
    _, trainer = fit(PlainGAN(decay_steps=8, **SMALL), GaussianGrid(), steps=6)
    assert [o.param_groups[0]["lr"] for o in trainer.optimizers] == pytest.approx([0.5e-3] * 2)
