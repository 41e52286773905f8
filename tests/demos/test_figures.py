"""Figures of samples in TensorBoard."""

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from demo_runs import SMALL, fit
from mine_lightning.demos import GaussianGrid, PlainGAN, SampleFigures
from mine_lightning.demos.figures import side_by_side, tiled


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
