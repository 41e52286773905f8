"""Parsers that answer a mistake in one sentence and say what may have been meant."""

import argparse
import inspect
import re
from collections.abc import Callable
from pkgutil import resolve_name
from typing import NamedTuple, NoReturn

import docstring_parser
from jsonargparse import ArgumentParser, DefaultHelpFormatter

import mine_lightning
from mine_lightning.support.keywords import near

__all__ = ["Help", "Parser", "command_parser", "explain", "positional"]

NOISE = re.compile(
    r"Does not validate|Subtypes:|Errors:|Given value|Expected a <class 'NoneType'>|Parser key"
    r"|Not a valid subclass|Subclass types expect|a class path \(str\)|a dict with|Problem with"
    r"|Expected a path but"
)


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
    parser = Parser(description=text.split("\n\nArgs:")[0], formatter_class=Help)
    by_place, switches = positional(command), []
    for name, parameter in inspect.signature(command).parameters.items():
        if name in by_place:
            parser.add_argument(name, type=parameter.annotation, help=told[name])
        elif parameter.default is False:
            switches.append(name)
    parser.add_function_arguments(command, as_group=False, skip={*by_place, *switches})
    for name in switches:
        parser.add_argument(f"--{name}", action="store_true", help=told[name])
    return parser


def positional(command: Callable[..., None]) -> list[str]:
    """Return the names of a function's positional-only parameters."""
    parameters = inspect.signature(command).parameters.values()
    return [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY]


def explain(message: str, options: list[str]) -> str:
    """Return the innermost sentence of a parser's error, with what may have been meant.

    Args:
        message: What jsonargparse says: a line, or a tree of what was tried and why it failed.
        options: The options of the parser.

    Example:
        >>> explain("unrecognized arguments: --fold=3", ["--folds", "--seed"])
        'Expected an option that there is, got `--fold`. Did you mean `--folds`?'
    """
    place, told = innermost(message)
    for pattern, answer in ANSWERS.items():
        if found := re.fullmatch(pattern, told, re.DOTALL):
            return answer(found, place, options)
    return f"{place.name}: {told}" if place.name else told


class Place(NamedTuple):
    """What a message is about.

    Attributes:
        key: An option, or an argument of a class.
        owner: Class path of that class.
    """

    key: str = ""
    owner: str = ""

    @property
    def name(self) -> str:
        """What it is called."""
        option = f"`{self.key}`" if self.owner else f"`--{self.key}`"
        of = f" of {self.owner}" if self.owner and self.key else self.owner
        return f"{option if self.key else ''}{of}"


def innermost(message: str) -> tuple[Place, str]:
    """Return the deepest sentence of a tree of messages, and what it is about."""
    place, deepest, found = Place(), -1, (Place(), message)
    for line in message.splitlines():
        depth, text = len(line) - len(line.lstrip(" ")), line.strip(" -")
        if owner := re.match(r"Problem with given class_path '(.*?)'", text):
            place = Place(owner=owner[1])
        elif key := re.match(r'Parser key "(.*?)":', text):
            place, text = Place(key[1], place.owner), text[key.end() :].strip()
        if text and not NOISE.match(text) and depth > deepest:
            deepest, found = depth, (place, text)
    return found


Answer = Callable[[re.Match[str], Place, list[str]], str]


def _no_option(found: re.Match[str], place: Place, options: list[str]) -> str:
    return f"Expected an option that there is, got `{found[1]}`. {near(found[1], options)}"


def _no_place(found: re.Match[str], place: Place, options: list[str]) -> str:
    return f"Expected options after the arguments, got {found[1]!r}."


def _no_command(found: re.Match[str], place: Place, options: list[str]) -> str:
    commands = re.findall(r"[\w-]+", found[2])
    return f"Expected a command that there is, got `{found[1]}`. {near(found[1], commands)}"


def _no_value(found: re.Match[str], place: Place, options: list[str]) -> str:
    names = ", ".join(f"`{name.rsplit('.')[-1]}`" for name in found[1].split(", "))
    return f"Expected {names}{f' of {place.owner}' if place.owner else ''}, got no value."


def _no_argument(found: re.Match[str], place: Place, options: list[str]) -> str:
    known = list(inspect.signature(resolve_name(place.owner)).parameters)
    return f"Expected an argument of {place.owner}, got `{found[1]}`. {near(found[1], known)}"


def _no_class(found: re.Match[str], place: Place, options: list[str]) -> str:
    word = found[1].rsplit(".")[-1]
    classes = [name for name in mine_lightning.__all__ if name[0].isupper()]
    alike = [name for name in classes if word.lower() in name.lower()]
    return f"Expected the name of a class, got `{found[1]}`. {near(word, alike or classes)}"


def _no_such_value(found: re.Match[str], place: Place, options: list[str]) -> str:
    got = "another value" if found[2] is None else repr(found[2])
    return f"Expected {place.name} to be {found[1]}, got {got}."


ANSWERS: dict[str, Answer] = {
    r"unrecognized arguments: (--[^\s=]+).*": _no_option,
    r"unrecognized arguments: (\S+).*": _no_place,
    r".*invalid choice: '(.*?)' \(choose from (.*)\)": _no_command,
    r"the following arguments are required: (.*)": _no_value,
    r"Option '(\w+)' is not accepted": _no_argument,
    r"Expected a dot import path string: (\S+)": _no_class,
    r"Expected an? (?:<class |typing\.)?'?(.*?)'?>?(?:\. Got value: (.*))?": _no_such_value,
}
