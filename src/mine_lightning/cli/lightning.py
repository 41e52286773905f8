"""The command line: LightningCLI's ``fit``, ``validate``, ``test``, ``predict``; ``estimate``."""

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import (
    ArgsType,
    LightningArgumentParser,
    LightningCLI,
    SaveConfigCallback,
)
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException

import mine_lightning
from mine_lightning.callbacks.checkpoints import RestartCheckpoint, WholeCheckpointIO
from mine_lightning.callbacks.writers import PointwiseWriter
from mine_lightning.cli.estimate import estimate
from mine_lightning.training.estimator import MutualInformationEstimator

__all__ = ["main"]

MISTAKES = (ValueError, TypeError, OSError, FloatingPointError, MisconfigurationException)


class ConfigSaver(SaveConfigCallback):
    """Save the configuration beside the logs; save nothing in a run without a logger.

    A resumed run in the directory of its checkpoint keeps the configuration that is there.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if not trainer.loggers or self._resumes(trainer):
            return
        try:
            super().setup(trainer, pl_module, stage)
        except RuntimeError as error:
            raise ValueError(
                f"Expected a log directory without a configuration of an earlier run, got "
                f"{trainer.log_dir}: choose another one."
            ) from error

    def _resumes(self, trainer: Trainer) -> bool:
        run = run_directory(self.config.get("ckpt_path"))
        return run is not None and run.resolve() == Path(str(trainer.log_dir)).resolve()


class Cli(LightningCLI):
    """LightningCLI that reports the estimate on the test rows after ``fit``."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument(
            "--output",
            type=str | None,
            default=None,
            help="predict: CSV, TSV or Parquet file for the pointwise mutual information",
        )

    def before_predict(self) -> None:
        if self.output is not None:
            trainer: Any = self.trainer
            trainer.callbacks.append(PointwiseWriter(self.output))

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse, and check the checkpoint that is named before anything is done with it."""
        super().parse_arguments(parser, args)
        path = self.config[self.config["subcommand"]].get("ckpt_path")
        found = path is not None and Path(path).is_file()
        self.checkpoint = WholeCheckpointIO().load_checkpoint(path) if found else None

    def before_instantiate_classes(self) -> None:
        """Let an interrupted run go on in its own directory, with its curves and its best model."""
        config = self.config[self.subcommand]
        logger = config.trainer.logger
        if self.subcommand != "fit" or self.checkpoint is None or not _is_open(logger):
            return
        if run := run_directory(_as_recorded(self.checkpoint, Path(config.ckpt_path))):
            warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty")
            where = {"save_dir": str(run.parent), "name": "", "version": run.name}
            for name, value in where.items():
                logger.init_args[name] = value

    def before_validate(self) -> None:
        if self.output is not None:
            raise ValueError(f"Expected `output` only with `predict`, got {self.output!r}.")

    before_test = before_validate

    def before_fit(self) -> None:
        """Add a checkpoint to go on from to a run with logs and checkpoints that has none."""
        self.before_validate()
        trainer: Any = self.trainer
        kept = trainer.checkpoint_callbacks if trainer.loggers else []
        if kept and not any(isinstance(callback, RestartCheckpoint) for callback in kept):
            trainer.callbacks.append(RestartCheckpoint())

    @property
    def output(self) -> str | None:
        """The file to which ``predict`` writes."""
        return self.config[self.subcommand].output

    def after_fit(self) -> None:
        trainer: Any = self.trainer
        if isinstance(self.model, MutualInformationEstimator) and not trainer.fast_dev_run:
            report = self._report()
            if trainer.is_global_zero:
                print(report)

    def _report(self) -> str:
        """Test the selected weights and lay the result out for a person."""
        checkpoint = self.trainer.checkpoint_callback
        best = isinstance(checkpoint, ModelCheckpoint) and checkpoint.best_model_path
        (results,) = self.trainer.test(
            self.model,
            datamodule=self.datamodule,
            ckpt_path=best or None,
            verbose=False,
        )
        estimate, truth = results["test/mi"], getattr(self.datamodule, "true_mi", None)
        lines = {
            "estimate (test rows)": f"{estimate:.4f} nats",
            "standard error": f"{results['test/mi_standard_error']:.4f} nats",
            "truth": "unknown" if truth is None else f"{truth:.4f} nats",
            "error": "unknown" if truth is None else f"{estimate - truth:+.4f} nats",
            "seed": self.config[self.subcommand].seed_everything,
        }
        if self.trainer.log_dir is not None:
            lines["logs"] = self.trainer.log_dir
        for logger in self.trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                lines["curves"] = f"tensorboard --logdir {logger.log_dir}"
        width = max(map(len, lines))
        return "\n".join(f"{name:<{width}}  {value}" for name, value in lines.items())


def run_directory(checkpoint: str | Path | None) -> Path | None:
    """Return the directory of the run that a checkpoint belongs to, if it has a configuration."""
    run = Path(checkpoint or "").parent.parent
    return run if checkpoint is not None and (run / "config.yaml").is_file() else None


def _as_recorded(checkpoint: dict[str, Any], path: Path) -> Path:
    """Return the path as the run itself spelt it: callbacks compare directories as text."""
    for state in checkpoint.get("callbacks", {}).values():
        folder = Path(state.get("dirpath") or "")
        if folder.resolve() == path.parent.resolve():
            return folder / path.name
    return path


def _is_open(logger: Any) -> bool:
    """Whether a logger's configuration is TensorBoard's and leaves the directory to it."""
    if "TensorBoardLogger" not in str(getattr(logger, "class_path", "")):
        return False
    return logger.init_args.get("version") is None


def main(args: ArgsType = None) -> None:
    """Run the command line.

    A user's mistake ends in one line on standard error and exit status 1.

    Args:
        args: Arguments; those of the process by default.
    """
    given = sys.argv[1:] if args is None else args
    for noisy in (r"jsonargparse\.", r"lightning\."):
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=noisy)
        warnings.filterwarnings("ignore", category=FutureWarning, module=noisy)
    try:
        if isinstance(given, Sequence) and list(given[:1]) == ["estimate"]:
            estimate(list(given[1:]))
        else:
            Cli(
                LightningModule,
                LightningDataModule,
                subclass_mode_model=True,
                subclass_mode_data=True,
                seed_everything_default=0,
                auto_configure_optimizers=False,
                save_config_callback=ConfigSaver,
                trainer_defaults={"logger": _logger(), "plugins": [_checkpoint_io()]},
                parser_kwargs={
                    "prog": "mine-lightning",
                    "version": mine_lightning.__version__,
                    "epilog": "mine-lightning estimate --help: the estimate for a table file",
                },
                args=args,
            )
    except MISTAKES as error:
        sys.exit(_one_line(error))
    except RuntimeError as error:
        if "loading state_dict" not in str(error):  # a checkpoint of another architecture
            raise
        sys.exit(_one_line(error))


def _logger() -> dict[str, Any]:
    """Return the configuration of the default logger."""
    return {
        "class_path": "lightning.pytorch.loggers.TensorBoardLogger",
        "init_args": {"save_dir": "lightning_logs", "name": "", "default_hp_metric": False},
    }


def _checkpoint_io() -> dict[str, Any]:
    """Return the configuration of the default writer of checkpoints."""
    return {"class_path": "mine_lightning.callbacks.checkpoints.WholeCheckpointIO"}


def _one_line(error: BaseException) -> str:
    return "mine-lightning: error: " + " ".join(str(error).split())
