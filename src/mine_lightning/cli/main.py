"""The tree of commands, and what a mistake ends in."""

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from inspect import signature

from jsonargparse import set_parsing_settings

import mine_lightning
from mine_lightning.cli.descriptions import LIGHTNING
from mine_lightning.cli.estimate import estimate
from mine_lightning.cli.extras import with_extra
from mine_lightning.cli.matrix import matrix
from mine_lightning.cli.mistakes import explain
from mine_lightning.cli.parsers import Help, Parser, command_parser, positional
from mine_lightning.cli.select import select
from mine_lightning.support.interrupts import interruptible

__all__ = ["main"]

COMMANDS: dict[str, Callable[..., None]] = {
    "estimate": estimate,
    "matrix": matrix,
    "select": select,
}
MISTAKES = (
    ValueError, TypeError, OSError, FloatingPointError, MemoryError, ModuleNotFoundError
)  # fmt: skip
EXAMPLES = """examples:
  mine-lightning estimate wine.csv --x alcohol,malic_acid --z color_intensity,hue
  mine-lightning select wine.csv --target cultivar --most 3
  mine-lightning fit --config gaussian
  mine-lightning test --ckpt_path lightning_logs/version_0/checkpoints/last.ckpt
  eval "$(mine-lightning --print_completion shtab-bash)"
"""


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line.

    A user's mistake ends in one line on standard error: with status 2 if the arguments cannot be
    read, and else with 1.

    Args:
        args: Arguments; those of the process by default.
    """
    given = list(sys.argv[1:] if args is None else args) or ["--help"]
    threading.excepthook = partial(leave_to_main_thread, threading.excepthook)
    with mistakes_in_one_line():
        if given[0] in LIGHTNING:
            from mine_lightning.cli.lightning import run

            run(given)
        else:
            run_command(given)


def run_command(args: list[str]) -> None:
    """Run one of the commands that are not Lightning's."""
    parsed = tree().parse_args(args)
    command, arguments = COMMANDS[parsed.command], parsed[parsed.command].as_dict()
    by_place = [arguments.pop(name) for name in positional(command)]
    command(*by_place, **arguments)


@contextmanager
def mistakes_in_one_line() -> Iterator[None]:
    """End the process with one line for what a user or a machine may do wrong.

    A Ctrl-C ends it with status 130, as a shell expects of it.
    """
    try:
        with interruptible():
            yield
    except KeyboardInterrupt:
        print("mine-lightning: interrupted", file=sys.stderr)
        sys.exit(130)
    except MISTAKES as error:
        sys.exit(one_line(error))
    except Exception as error:
        known = type(error).__name__ == "MisconfigurationException"  # of Lightning
        another = "loading state_dict" in str(error)  # a checkpoint of another architecture
        if not known and not another:
            raise
        sys.exit(one_line(error))


def leave_to_main_thread(
    otherwise: Callable[[threading.ExceptHookArgs], object], error: threading.ExceptHookArgs
) -> None:
    """Say nothing of a disk that fails a thread: TensorBoard's writer raises it again."""
    if not isinstance(error.exc_value, OSError):
        otherwise(error)


def one_line(error: BaseException) -> str:
    """Return an error as a person reads it."""
    text = str(error)
    told = explain(text, []) if "Does not validate" in text else " ".join(text.split())
    return f"mine-lightning: error: {with_extra(told) or type(error).__name__}"


def tree() -> Parser:
    """Return the parser of all commands; those of Lightning have their own, built when used."""
    if "add_print_completion_argument" in signature(set_parsing_settings).parameters:  # since 4.48
        set_parsing_settings(add_print_completion_argument=True)
    parser = Parser(
        prog="mine-lightning",
        description="Mutual information from data, in nats.",
        epilog=EXAMPLES,
        formatter_class=Help,
        version=mine_lightning.__version__,
    )
    commands = parser.add_subcommands(dest="command")
    for name, command in COMMANDS.items():
        own = command_parser(command)
        commands.add_subcommand(name, own, help=str(own.description).splitlines()[0])
    for name, description in LIGHTNING.items():
        commands.add_subcommand(name, Parser(), help=description.splitlines()[0])
    return parser
