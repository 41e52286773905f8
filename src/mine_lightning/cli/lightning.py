"""``fit``, ``validate``, ``test`` and ``predict``: LightningCLI."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse import Namespace, get_loader, set_loader
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.cli import (
    LightningArgumentParser,
    LightningCLI,
    SaveConfigCallback,
)
from yaml import YAMLError

import mine_lightning
from mine_lightning.callbacks.checkpoints import RestartCheckpoint, WholeCheckpointIO
from mine_lightning.callbacks.progress import with_bar
from mine_lightning.callbacks.writers import PointwiseWriter
from mine_lightning.cli.configs import newest_checkpoint, run_directory, with_config
from mine_lightning.cli.descriptions import LIGHTNING
from mine_lightning.cli.parsers import Help, Parser
from mine_lightning.cli.report import report, report_on_monitors
from mine_lightning.support.config import renewed
from mine_lightning.support.files import TABLE_SUFFIXES, check_output
from mine_lightning.support.remarks import without_remarks
from mine_lightning.training.estimator import MutualInformationEstimator

__all__ = ["run"]


class ConfigParser(Parser, LightningArgumentParser):
    """Lightning's parser with plain errors, for saved configurations of any age."""

    def parse_object(self, cfg_obj: Any, *args: Any, **kwargs: Any) -> Namespace:
        """Find the classes that a checkpoint from before 0.1.0 names."""
        return super().parse_object(renewed(cfg_obj), *args, **kwargs)


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
        parser.add_argument(
            "--overwrite", action="store_true", help="predict: replace an output that exists"
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse, and check the checkpoint that is named before anything is done with it."""
        self.config = parser.parse_args(args)
        command = self.config.subcommand
        path = self.config[command].ckpt_path
        if command != "fit" and path is None:
            raise ValueError(newest_checkpoint(command, _log_directory(self.config[command])))
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

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Give ``fit`` its bar, unless there is another one or none is wanted."""
        config = self.config_init[self.subcommand].trainer
        wanted = config.enable_progress_bar is not False and not config.barebones
        if self.subcommand == "fit" and wanted:
            config.callbacks = with_bar(config.callbacks)
        return super().instantiate_trainer(**kwargs)

    def before_validate(self) -> None:
        output = self.config[self.subcommand].output
        if output is not None:
            raise ValueError(f"Expected `output` only with `predict`, got {output!r}.")

    before_test = before_validate

    def before_fit(self) -> None:
        """Add a checkpoint to go on from to a run with logs and checkpoints that has none."""
        self.before_validate()
        trainer: Any = self.trainer
        kept = trainer.checkpoint_callbacks if trainer.loggers else []
        if kept and not any(isinstance(callback, RestartCheckpoint) for callback in kept):
            trainer.callbacks.append(RestartCheckpoint())

    def before_predict(self) -> None:
        """Add the writer, unless its output is one of the files that are named."""
        config = self.config[self.subcommand]
        if config.output is not None:
            named = [
                config.config or [],
                [value for key, value in config.items() if key != "output"],
            ]
            files = [str(value) for values in named for value in values]
            check_output(config.output, TABLE_SUFFIXES, inputs=files)
            trainer: Any = self.trainer
            trainer.callbacks.append(PointwiseWriter(config.output, config.overwrite))

    def after_fit(self) -> None:
        trainer: Any = self.trainer
        if trainer.fast_dev_run:
            return
        seed = self.config.fit.seed_everything
        if isinstance(self.model, MutualInformationEstimator):
            text = report(trainer, self.model, self.datamodule, seed)
        else:
            text = report_on_monitors(trainer, seed)
        if trainer.is_global_zero:
            print(text)


def run(args: Sequence[str]) -> None:
    """Run one of the commands on a configuration.

    Args:
        args: The command and its arguments.
    """
    kind, command = Cli, args[0]
    if command == "taps":
        from mine_lightning.cli.taps import TapsCli

        kind, command = TapsCli, "fit"
    find_classes()
    with without_remarks():
        kind(
            LightningModule,
            LightningDataModule,
            **_settings(args[0]),
            args=with_config([command, *args[1:]]),
        )


def find_classes() -> None:
    """Let parsers find classes by name, where they are imported, and by paths of any age."""
    for name in mine_lightning.__all__:
        getattr(mine_lightning, name)
    set_loader("renewed", lambda text: renewed(get_loader("yaml")(text)), (YAMLError,))
    for noisy in (r"jsonargparse\.", r"lightning\."):
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=noisy)
        warnings.filterwarnings("ignore", category=FutureWarning, module=noisy)


def _settings(command: str) -> dict[str, Any]:
    """Return the arguments of LightningCLI."""
    told = {
        "description": LIGHTNING[command],
        "usage": f"mine-lightning {command} [options]",
        "formatter_class": Help,
    }
    parser = {
        "prog": "mine-lightning",
        "formatter_class": Help,
        "version": mine_lightning.__version__,
        "parser_mode": "renewed",
    }
    return {
        "subclass_mode_model": True,
        "subclass_mode_data": True,
        "seed_everything_default": 0,
        "auto_configure_optimizers": False,
        "save_config_callback": ConfigSaver,
        "trainer_defaults": _defaults(),
        "parser_class": ConfigParser,
        "parser_kwargs": {**parser, **dict.fromkeys(Cli.subcommands(), told)},
    }


def _log_directory(config: Any) -> str:
    """Return where a configured logger writes."""
    arguments = getattr(config.trainer.logger, "init_args", None)
    return str(arguments.get("save_dir", "lightning_logs") if arguments else "lightning_logs")


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


def _defaults() -> dict[str, Any]:
    """Return what differs from Lightning's own defaults of a Trainer."""
    logger = {
        "class_path": "lightning.pytorch.loggers.TensorBoardLogger",
        "init_args": {"save_dir": "lightning_logs", "name": "", "default_hp_metric": False},
    }
    return {
        "logger": logger,
        "plugins": [{"class_path": "mine_lightning.WholeCheckpointIO"}],
        "enable_model_summary": False,
    }
