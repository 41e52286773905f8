"""Checkpoints: whole files, and a place to go on from after an interruption."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from mine_lightning.support.arguments import check_integer
from mine_lightning.support.config import renewed
from mine_lightning.support.files import written_whole
from mine_lightning.support.trust import check_class_paths

__all__ = ["RestartCheckpoint", "WholeCheckpointIO", "read_as_checkpoint", "with_public_paths"]

HYPERPARAMETERS = ("hyper_parameters", "datamodule_hyper_parameters")
PARTS = ("state_dict", "pytorch-lightning_version")


@contextmanager
def read_as_checkpoint(path: Any) -> Iterator[None]:
    """Turn what a broken or foreign checkpoint raises in the block, anything, into one error.

    Raises:
        ValueError: If the block fails on the content of the file.
        OSError: If the file cannot be opened.
    """
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"Expected {str(path)!r} to be a whole checkpoint of this model, got: {reason[:300]}"
        ) from error


def with_public_paths(path: Any, checkpoint: dict[str, Any]) -> Any:
    """Return a checkpoint's path, or a copy in memory if its class paths are from before 0.1.0.

    Args:
        path: Where the checkpoint was read.
        checkpoint: What was read there.
    """
    arguments = checkpoint.get("hyper_parameters")
    if renewed(arguments) == arguments:
        return path
    torch.save({**checkpoint, "hyper_parameters": renewed(arguments)}, memory := BytesIO())
    memory.seek(0)
    return memory


class WholeCheckpointIO(TorchCheckpointIO):
    """Write checkpoints whole or not at all; execute nothing while reading them.

    A checkpoint is written beside its destination, brought to the disk and renamed: whenever the
    process is killed or the disk is full, the destination holds the old checkpoint or the new one.
    Lightning's own writer passes through the system's temporary directory, from which a rename is
    a copy where that is another file system. The command line uses this one by default. Paths with
    a protocol, such as ``s3://``, are left to Lightning's.

    Args:
        allow: Modules or classes, by their paths, that may be imported because a checkpoint's
            hyperparameters name them. Others have to be imported already or be of this package.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> trainer = Trainer(plugins=[WholeCheckpointIO()], logger=False)
    """

    def __init__(self, allow: Sequence[str] = ()) -> None:
        self.allow = tuple(allow)

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint.

        Raises:
            ValueError: If ``storage_options`` are given.
            OSError: If the file cannot be written; a previous one is untouched.
        """
        if storage_options is not None:
            raise ValueError(f"Expected no `storage_options`, got {storage_options!r}.")
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path)
            return
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as temporary, temporary.open("wb") as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:  # the writer of archives hides what the disk says
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from None
                raise

    def load_checkpoint(
        self,
        path: Any,
        map_location: Callable[..., Any] | None = lambda storage, location: storage,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Read a checkpoint, or an open one; ``weights_only=False`` alone lets it execute code.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no whole checkpoint of Lightning's, or names a class that is
                neither imported nor allowed.
        """
        with read_as_checkpoint(path):
            if hasattr(path, "seek"):
                loaded = torch.load(path, map_location, weights_only=weights_only is not False)
                path.seek(0)
            else:
                loaded = super().load_checkpoint(path, map_location, weights_only is not False)
        if not isinstance(loaded, dict) or not all(part in loaded for part in PARTS):
            raise ValueError(
                f"Expected {str(path)!r} to be a checkpoint of Lightning, got another."
            )
        if weights_only is not False:
            with read_as_checkpoint(path):
                check_class_paths([loaded.get(part) for part in HYPERPARAMETERS], self.allow)
        return loaded


class RestartCheckpoint(Checkpoint):
    """Keep a checkpoint from which an interrupted run goes on as if it had not been interrupted.

    It is rewritten after every ``every_n_steps`` optimizer steps and at the end, but never between
    a minibatch and the validation that follows it, which a resumed run would skip: then it waits
    for the validation, or for the end of the epoch. List it behind other callbacks, so that their
    state of that moment is in it. The command line adds one by itself.

    Args:
        every_n_steps: Optimizer steps after which to write it, as far as steps come one by one.
        filename: Its name in the directory ``checkpoints`` of the logs.

    Raises:
        ValueError: If ``every_n_steps`` is not positive or, at the start of training, if the file
            is there and the run does not go on from its directory.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> trainer = Trainer(
        ...     callbacks=[RestartCheckpoint()], plugins=[WholeCheckpointIO()], logger=False
        ... )
        >>> # trainer.fit(model, data, ckpt_path="lightning_logs/version_0/checkpoints/last.ckpt")
    """

    def __init__(self, every_n_steps: int = 1000, filename: str = "last.ckpt") -> None:
        check_integer("every_n_steps", every_n_steps)
        self.every_n_steps, self.filename = every_n_steps, filename
        self._saved = 0
        self._written: Path | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse to overwrite the checkpoint of another run."""
        self._saved = trainer.global_step
        path, resumed = self._path(trainer), trainer.ckpt_path
        goes_on = resumed is not None and Path(resumed).resolve().parent == path.resolve().parent
        if path.exists() and path != self._written and not goes_on:
            raise ValueError(
                f"Expected a log directory without a checkpoint of an earlier run, got {path}: "
                "resume from it, or choose another one."
            )

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        every = trainer.val_check_batch
        validates = every is not None and (batch_idx + 1) % every == 0
        if not validates and not trainer.is_last_batch:
            self._save_if_due(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        fitting = trainer.state.fn == "fit" and not trainer.sanity_checking
        if fitting and not trainer.is_last_batch:
            self._save_if_due(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write at the end of an epoch, which Lightning ends twice if it resumes by steps there."""
        if trainer.max_steps == -1 or trainer.num_training_batches == 1:
            self._save_if_due(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._save_if_due(trainer, every=1)

    def _save_if_due(self, trainer: Any, every: int | None = None) -> None:
        taken = trainer.global_step - self._saved
        if taken < (every or self.every_n_steps) or trainer.fast_dev_run:
            return
        self._saved = trainer.global_step
        self._written = self._path(trainer)
        trainer.save_checkpoint(self._written, weights_only=False)

    def _path(self, trainer: Trainer) -> Path:
        logs = trainer.log_dir or trainer.default_root_dir
        return Path(logs) / "checkpoints" / self.filename
