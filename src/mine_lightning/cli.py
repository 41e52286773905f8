"""The command line: LightningCLI's ``fit``, ``validate``, ``test``, ``predict``; ``estimate``."""

import sys
import warnings
from collections.abc import Sequence
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
from mine_lightning.commands import estimate
from mine_lightning.module import MutualInformationEstimator
from mine_lightning.writers import PointwiseWriter

__all__ = ["main"]

MISTAKES = (ValueError, TypeError, OSError, FloatingPointError, MisconfigurationException)


class ConfigSaver(SaveConfigCallback):
    """Save the configuration beside the logs; save nothing in a run without a logger."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if not trainer.loggers:
            return
        try:
            super().setup(trainer, pl_module, stage)
        except RuntimeError as error:
            raise ValueError(
                f"Expected a log directory without a configuration of an earlier run, got "
                f"{trainer.log_dir}: choose another one."
            ) from error


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

    def before_fit(self) -> None:
        if self.output is not None:
            raise ValueError(f"Expected `output` only with `predict`, got {self.output!r}.")

    before_validate = before_test = before_fit

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
        best = isinstance(checkpoint, ModelCheckpoint) and bool(checkpoint.best_model_path)
        (results,) = self.trainer.test(
            self.model,
            datamodule=self.datamodule,
            ckpt_path="best" if best else None,
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
                trainer_defaults={"logger": _logger()},
                parser_kwargs={
                    "prog": "mine-lightning",
                    "version": mine_lightning.__version__,
                    "epilog": "mine-lightning estimate --help: the estimate for a table file",
                },
                args=args,
            )
    except MISTAKES as error:
        sys.exit(_one_line(error))


def _logger() -> dict[str, Any]:
    """Return the configuration of the default logger."""
    return {
        "class_path": "lightning.pytorch.loggers.TensorBoardLogger",
        "init_args": {"save_dir": "lightning_logs", "name": "", "default_hp_metric": False},
    }


def _one_line(error: BaseException) -> str:
    return "mine-lightning: error: " + " ".join(str(error).split())
