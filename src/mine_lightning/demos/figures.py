"""Figures of real and generated samples."""

from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SampleFigures"]


class SampleFigures(Callback):
    """Draw real beside generated samples into TensorBoard; nothing with any other logger.

    The host generates with ``host(rows)``, its DataModule draws with ``draw(rows)``. Points are
    scattered, images are tiled. They stand at the steps at which Lightning logs scalars, which
    count batches, however many optimizers a batch serves. What the host draws next does not change.

    Args:
        every_n_epochs: Epochs from one figure to the next.
        samples: Points to draw of each kind.
    """

    def __init__(self, every_n_epochs: int = 1, samples: int = 1000) -> None:
        self.every_n_epochs, self.samples = every_n_epochs, samples

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        loggers = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        due = (trainer.current_epoch + 1) % self.every_n_epochs == 0
        if not (loggers and due and trainer.is_global_zero):
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        with isolate_rng(), torch.no_grad():
            figure = side_by_side(data.draw(self.samples)[0], pl_module(self.samples).float().cpu())
        for logger in loggers:
            logger.experiment.add_figure("samples", figure, trainer.fit_loop.total_batch_idx)


def side_by_side(real: Tensor, generated: Tensor) -> "Figure":
    """Return a figure of points, shape ``(N, 2)``, or images, shape ``(N, 1, H, W)``."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots(1, 2, sharex=True, sharey=True)
    for axis, title, rows in zip(axes, ("real", "generated"), (real, generated), strict=True):
        axis.set_title(title)
        axis.set_aspect("equal")
        if rows.ndim == 2:
            axis.scatter(*rows.T.numpy(), s=2, alpha=0.4)
        else:
            axis.imshow(tiled(rows).numpy(), cmap="gray", vmin=-1, vmax=1)
            axis.set_axis_off()
    return figure


def tiled(images: Tensor, side: int = 8) -> Tensor:
    """Tile images, shape ``(N, 1, H, W)``, into one of shape ``(side * H, side * W)``."""
    grid = images[: side**2, 0].unflatten(0, (side, side))
    return grid.permute(0, 2, 1, 3).flatten(2).flatten(0, 1)
