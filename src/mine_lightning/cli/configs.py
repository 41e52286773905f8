"""Configurations: by name, of the run that a checkpoint belongs to, and of a bearable size."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import yaml

from mine_lightning.support.keywords import near

__all__ = ["newest_checkpoint", "run_directory", "with_config"]

SHIPPED = Path(__file__).parents[1] / "configs"
MOST_VALUES = 100_000
HELP = ("-h", "--help")


def with_config(args: Sequence[str]) -> list[str]:
    """Complete a command line: names of shipped configurations, and one where none is given.

    That is the configuration of the checkpoint's run or, for ``fit``, ``gaussian``.

    Raises:
        ValueError: If there is no such configuration, or no checkpoint to take it from.

    Example:
        >>> with_config(["fit", "--config=mine"])[-1].endswith("mine_lightning/configs/mine.yaml")
        True
    """
    parts = [part for arg in args for part in _split(arg)]
    given = dict(pairwise(parts))
    if "-c" in given or "--config" in given:
        return [
            found_config(part) if before in ("-c", "--config") else part
            for before, part in pairwise(["", *parts])
        ]
    if any(part in HELP for part in parts):
        return list(args)
    return [args[0], f"--config={usual_config(args[0], given.get('--ckpt_path'))}", *args[1:]]


def _split(argument: str) -> list[str]:
    """Separate the name of a file from its option."""
    files = ("--config=", "--ckpt_path=")
    return argument.split("=", 1) if argument.startswith(files) else [argument]


def found_config(name: str) -> str:
    """Return the path of a configuration: a file, or one that is shipped, by its name.

    Raises:
        ValueError: If there is none.
    """
    path, shipped = Path(name), {path.stem: path for path in SHIPPED.glob("*.yaml")}
    if not path.is_file() and name not in shipped:
        raise ValueError(
            f"Expected `config` to be a file or the name of a configuration, got {name!r}. "
            f"{near(path.stem, sorted(shipped))}"
        )
    found = path if path.is_file() else shipped[name]
    check_size(found)
    return str(found)


def usual_config(command: str, checkpoint: str | None) -> str:
    """Return the configuration of the checkpoint's run or, for ``fit``, ``gaussian``.

    Raises:
        ValueError: If a command needs a checkpoint, or there is no configuration beside it.
    """
    if run := run_directory(checkpoint):
        return str(run / "config.yaml")
    if command == "fit":
        return found_config("gaussian")
    if checkpoint is None:
        raise ValueError(newest_checkpoint(command))
    raise ValueError(
        f"Expected `config` for {command!r}, got none, and there is none in the directory of the "
        f"run of {checkpoint}."
    )


def run_directory(checkpoint: str | Path | None) -> Path | None:
    """Return the directory of the run that a checkpoint belongs to, if it has a configuration."""
    run = Path(checkpoint or "").parent.parent
    return run if checkpoint is not None and (run / "config.yaml").is_file() else None


def newest_checkpoint(command: str, logs: str = "lightning_logs") -> str:
    """Say that a command needs a checkpoint, and which one is the newest."""
    paths = sorted(Path(logs).rglob("*.ckpt"), key=lambda path: path.stat().st_mtime)
    newest = f"The newest is {paths[-1]}" if paths else f"There is none in {logs}"
    return (
        f"Expected `ckpt_path` for {command!r}, without which weights are random, got none. "
        f"{newest}."
    )


def check_size(path: Path) -> None:
    """Raise if a configuration holds too many values once its aliases are written out.

    Raises:
        ValueError: If they are more than 100,000, or without end, or the file is no YAML.
    """
    try:
        with path.open("rb") as file:
            size = _size(yaml.compose(file, yaml.SafeLoader), {})
    except yaml.YAMLError as error:
        raise ValueError(f"Expected {str(path)!r} to be a YAML file, got: {error}") from error
    if size > MOST_VALUES:
        raise ValueError(
            f"Expected {str(path)!r} to hold at most {MOST_VALUES:,} values with its aliases "
            f"written out, got {size:,.0f}."
        )


def _size(node: yaml.Node | None, known: dict[int, float]) -> float:
    """Return how many values a node holds; one that contains itself holds them without end."""
    if isinstance(node, yaml.MappingNode):
        children = [child for pair in node.value for child in pair]
    else:
        children = node.value if isinstance(node, yaml.SequenceNode) else []
    if id(node) not in known:
        known[id(node)] = float("inf")
        known[id(node)] = 1 + sum(_size(child, known) for child in children)
    return known[id(node)]
