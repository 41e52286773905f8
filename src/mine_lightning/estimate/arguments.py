"""What an estimate may be told: of its rows, and of the training of its critics."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
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
from mine_lightning.support.arguments import check_integer

__all__ = [
    "EstimateArguments",
    "GroupedArguments",
    "TrainerArguments",
    "Training",
    "TrainingArguments",
]


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


class TrainingArguments(TrainerArguments, total=False):
    """How the critics of :func:`~mine_lightning.estimate_mutual_information` are trained."""

    max_epochs: int | None
    max_rows: int
    progress_bar: bool
    trainer: Trainer | None


class EstimateArguments(TrainingArguments, total=False):
    """Those of :func:`~mine_lightning.estimate_mutual_information` that serve many pairs too."""

    folds: int | Splitter
    blocks: int | None
    seed: int
    missing: Missing
    x_transform: TransformLike | None
    z_transform: TransformLike | None


class GroupedArguments(EstimateArguments, total=False):
    """All of its keyword arguments: those that rows of one table take, too."""

    groups: Any


@dataclass(frozen=True)
class Training:
    """What is said of the training, with its defaults.

    Args:
        max_epochs: Largest number of epochs; by default one that depends on the rows.
        max_rows: Rows beyond which a random part of them trains the critics.
        progress_bar: Whether to show Lightning's progress bar.
        trainer: A Trainer to use as it is, in place of the others.
        settings: Arguments for one.

    Raises:
        ValueError: If a number is out of range, or there are both a Trainer and arguments for one.
    """

    max_epochs: int | None = None
    max_rows: int = 100_000
    progress_bar: bool = True
    trainer: Trainer | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.max_epochs is not None:
            check_integer("max_epochs", self.max_epochs)
        if self.trainer is not None and (self.settings or self.max_epochs is not None):
            raise ValueError("Expected either `trainer` or arguments for one, got both.")

    @classmethod
    def of(cls, given: TrainingArguments) -> "Training":
        """Tell the arguments of a Trainer from our own."""
        arguments: dict[str, Any] = dict(given)
        own = {f.name: arguments.pop(f.name) for f in fields(cls) if f.name in arguments}
        return cls(**own, settings=arguments)
