"""What an estimate may be told, for the functions that make several."""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypedDict

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.accelerators import Accelerator
from lightning.pytorch.loggers import Logger
from lightning.pytorch.profilers import Profiler
from lightning.pytorch.strategies import Strategy

from mine_lightning.data.checks import Missing
from mine_lightning.data.transforms import TransformLike
from mine_lightning.estimate.splits import Splitter

__all__ = ["EstimateArguments", "PairArguments", "TrainerArguments"]


class TrainerArguments(TypedDict, total=False):
    """Arguments of :class:`lightning.pytorch.Trainer`, all but ``max_epochs``."""

    accelerator: str | Accelerator
    strategy: str | Strategy
    devices: list[int] | str | int
    num_nodes: int
    precision: Any
    logger: Logger | Iterable[Logger] | bool | None
    callbacks: list[Callback] | Callback | None
    fast_dev_run: int | bool
    min_epochs: int | None
    max_steps: int
    min_steps: int | None
    max_time: str | timedelta | dict[str, int] | None
    limit_train_batches: int | float | None
    limit_val_batches: int | float | None
    limit_test_batches: int | float | None
    limit_predict_batches: int | float | None
    overfit_batches: int | float
    val_check_interval: Any
    check_val_every_n_epoch: int | None
    num_sanity_val_steps: int | None
    log_every_n_steps: int | None
    enable_checkpointing: bool | None
    enable_progress_bar: bool | None
    enable_model_summary: bool | None
    accumulate_grad_batches: int
    gradient_clip_val: int | float | None
    gradient_clip_algorithm: str | None
    deterministic: Any
    benchmark: bool | None
    inference_mode: bool
    use_distributed_sampler: bool
    profiler: Profiler | str | None
    detect_anomaly: bool
    barebones: bool
    plugins: Any
    sync_batchnorm: bool
    reload_dataloaders_every_n_epochs: int
    default_root_dir: str | Path | None
    enable_autolog_hparams: bool
    model_registry: str | None


class PairArguments(TrainerArguments, total=False):
    """Those of :func:`~mine_lightning.estimate_mutual_information` that serve many pairs."""

    folds: int | Splitter
    blocks: int | None
    seed: int
    missing: Missing
    x_transform: TransformLike | None
    z_transform: TransformLike | None
    max_epochs: int | None
    max_rows: int
    progress_bar: bool
    trainer: Trainer | None


class EstimateArguments(PairArguments, total=False):
    """Keyword arguments of :func:`~mine_lightning.estimate_mutual_information`."""

    groups: Any
