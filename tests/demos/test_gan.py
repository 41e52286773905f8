import ast
import inspect
import math

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hosts import Records
from mine_lightning.demos import (
    VAE,
    DigitImages,
    GaussianGrid,
    InformationBottleneck,
    MutualInformationGAN,
    PlainGAN,
    SampleFigures,
    Spiral,
    gan_mi,
)
from mine_lightning.demos.figures import side_by_side, tiled
from shared import EVERY_STEP

pytestmark = pytest.mark.filterwarnings("ignore:You passed in a `val_dataloader` but have no")
SMALL = {"codes": 5, "hidden_features": (16,)}
IMAGES = {"sample_shape": (1, 8, 8), "noise_dim": 8, **SMALL}


def fit(host, data, steps=4, seed=0, **options):
    """Train a host and return what it logged."""
    pl.seed_everything(seed, verbose=False)
    records = Records()
    manual = len(host.configure_optimizers()[0]) if isinstance(host, PlainGAN) else 1
    options = {"max_steps": manual * steps, "max_epochs": -1, "logger": records} | options
    trainer = pl.Trainer(**EVERY_STEP, **options)
    trainer.fit(host, data)
    return [row for _, row in records.rows], trainer


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


@pytest.mark.trained
def test_the_vae_learns_and_generates(seed, outcome):
    pl.seed_everything(seed, verbose=False)
    model = VAE()
    rows, _ = fit(model, DigitImages(), steps=60, seed=seed)
    outcome(rows[-1]["reconstruction"] / rows[0]["reconstruction"], high=0.6)
    outcome(rows[-1]["kl"], low=0, of="KL")
    assert model(5).shape == (5, 1, 8, 8)


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


def test_the_grid_counts_modes_and_quality():
    data = GaussianGrid()
    points, modes = data.draw(4000)
    assert points.shape == (4000, 2)
    assert sorted(modes.unique().tolist()) == list(range(25))
    assert points.var(0).mean() == pytest.approx(1, abs=0.05)
    nearest = torch.cdist(data.centers, data.centers).topk(2, largest=False).values[:, 1]
    assert torch.allclose(nearest, torch.tensor(2 / data.scale))
    five = data.centers[:5].repeat_interleave(10, 0)
    assert data.coverage(five) == (5, 1.0)
    count, quality = data.coverage(torch.cat((five[:-1], torch.full((1, 2), 9.0))))
    assert (count, quality) == (4, pytest.approx(49 / 50))
    assert data.coverage(five[:-1], least=9) == (5, 1.0)
    assert GaussianGrid(side=3).centers.shape == (9, 2)


def test_the_spiral_turns_one_and_a_half_times():
    points, turn = Spiral(std=0.0).draw(1000)
    radius = points.norm(dim=1)
    assert torch.allclose(radius, 1.5 * turn, atol=1e-5)
    angle = torch.atan2(points[:, 1], points[:, 0])
    assert torch.allclose(angle.cos(), (3 * math.pi * turn).cos(), atol=1e-4)
    noisy = Spiral(std=0.1)
    assert len(noisy.draw(3)[0]) == 3


@pytest.mark.parametrize("data", [GaussianGrid, Spiral], ids=lambda data: data.__name__)
def test_drawn_data_has_as_many_batches_as_asked_for(data):
    loader = data(batch_size=9, steps_per_epoch=4).train_dataloader()
    batches = list(loader)
    assert len(batches) == len(loader) == 4
    assert all(points.shape == (9, 2) for points, _ in batches)
    assert not torch.equal(batches[0][0], next(iter(loader))[0])


def test_digits_are_split_once_for_each_seed():
    data, same, other = DigitImages(), DigitImages(), DigitImages(seed=1)
    images, labels = data.train.tensors
    assert images.shape == (1438, 1, 8, 8)
    assert (len(data.val), len(labels)) == (359, 1438)
    assert (images.min(), images.max()) == (-1, 1)
    assert torch.equal(images, same.train.tensors[0])
    assert not torch.equal(images, other.train.tensors[0])
    assert torch.cat((labels, data.val.tensors[1])).bincount().sum() == 1797
    drawn, drawn_labels = data.draw(6)
    assert drawn.shape == (6, 1, 8, 8)
    assert drawn_labels.shape == (6,)


def test_figures_reach_tensorboard_and_leave_the_run_alone(tmp_path):
    weights = []
    for callbacks in ([SampleFigures(every_n_epochs=2, samples=50)], []):
        logger = TensorBoardLogger(tmp_path, version=len(callbacks))
        pl.seed_everything(0, verbose=False)
        host, options = PlainGAN(**SMALL), {"max_steps": -1, "max_epochs": 4, "logger": logger}
        fit(host, GaussianGrid(steps_per_epoch=2), callbacks=callbacks, **options)
        weights.append(torch.cat([p.detach().flatten() for p in host.parameters()]))
    assert torch.equal(*weights)
    events = EventAccumulator(logger.log_dir.replace("version_0", "version_1"))
    images = [event.step for event in events.Reload().Images("samples")]
    scalars = [event.step for event in events.Scalars("g_loss")]
    assert images == [3, 7]
    assert scalars == list(range(8))


def test_figures_need_tensorboard(tmp_path):
    options = {"max_steps": -1, "max_epochs": 1, "callbacks": [SampleFigures()]}
    fit(PlainGAN(**SMALL), GaussianGrid(steps_per_epoch=2), logger=CSVLogger(tmp_path), **options)
    fit(PlainGAN(**SMALL), GaussianGrid(steps_per_epoch=2), logger=False, **options)


def test_points_are_scattered_and_images_tiled():
    points = side_by_side(torch.randn(9, 2), torch.randn(9, 2))
    assert [axis.get_title() for axis in points.axes] == ["real", "generated"]
    assert all(axis.collections for axis in points.axes)
    images = torch.arange(64.0).view(64, 1, 1, 1).expand(64, 1, 2, 3)
    assert tiled(images).shape == (16, 24)
    assert tiled(images)[::2, ::3].flatten().tolist() == list(range(64))
    assert all(axis.images for axis in side_by_side(images, images).axes)
