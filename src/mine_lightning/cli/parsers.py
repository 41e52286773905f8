"""Parsers that answer a mistake in one sentence and say what may have been meant."""

import argparse
import inspect
import re
from collections.abc import Callable
from typing import NoReturn

import docstring_parser
from jsonargparse import ArgumentParser, DefaultHelpFormatter

from mine_lightning.cli.mistakes import explain

__all__ = ["Help", "Parser", "command_parser", "positional"]


class Help(DefaultHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keep the lines of descriptions as they are written."""


class Parser(ArgumentParser):
    """A parser whose errors are one line on standard error, with exit status 2."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Say what is wrong and end the process, or raise where a parser is used by another."""
        if not self.exit_on_error:
            super().error(message, ex)
        parser = getattr(ex, "subcommand_parser", None) or self
        options = [*dict.fromkeys(re.findall(r"(?<=[\[ ])--[\w.]+", parser.format_help()))]
        self.exit(2, f"mine-lightning: error: {explain(message, options)}\n")


def command_parser(command: Callable[..., None]) -> Parser:
    """Return a parser whose arguments and help are a function's signature and docstring.

    Positional-only parameters are given by their place, the others as options; those that are
    False by default are switches.
    """
    text = inspect.getdoc(command) or ""
    told = {param.arg_name: param.description for param in docstring_parser.parse(text).params}
    by_place, switches = positional(command), list[str]()
    parser = Parser(
        description=text.split("\n\nArgs:")[0], usage=usage(command), formatter_class=Help
    )
    for name, parameter in inspect.signature(command).parameters.items():
        if name in by_place:
            parser.add_argument(name, type=parameter.annotation, help=told[name])
        elif parameter.default is False:
            switches.append(name)
    parser.add_function_arguments(command, as_group=False, skip={*by_place, *switches})
    for name in switches:
        parser.add_argument(f"--{name}", action="store_true", help=told[name])
    return parser


def usage(command: Callable[..., None]) -> str:
    """Return how a command is called: what has to be given, and that there are options.

    Example:
        >>> from mine_lightning.cli.estimate import estimate
        >>> usage(estimate)
        'mine-lightning estimate PATH --x X --z Z [options]'
    """
    needed = [
        parameter.name.upper() if parameter.kind is parameter.POSITIONAL_ONLY
        else f"--{parameter.name} {parameter.name.upper()}"
        for parameter in inspect.signature(command).parameters.values()
        if parameter.default is parameter.empty
    ]  # fmt: skip
    return " ".join(["mine-lightning", command.__name__, *needed, "[options]"])


def positional(command: Callable[..., None]) -> list[str]:
    """Return the names of a function's positional-only parameters."""
    parameters = inspect.signature(command).parameters.values()
    return [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY]
