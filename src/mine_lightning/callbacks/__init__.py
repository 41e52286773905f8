"""Callbacks and plugins beside the training: checkpoints, curves, threads, pointwise values."""

from mine_lightning.callbacks.checkpoints import RestartCheckpoint, WholeCheckpointIO
from mine_lightning.callbacks.writers import PointwiseWriter

__all__ = ["PointwiseWriter", "RestartCheckpoint", "WholeCheckpointIO"]
