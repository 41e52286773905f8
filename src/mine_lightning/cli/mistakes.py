"""What jsonargparse says of a mistake, in one sentence that says what may have been meant."""

import re
from collections.abc import Callable, Iterator
from pkgutil import resolve_name
from typing import Any, NamedTuple

import mine_lightning
from mine_lightning.support.keywords import annotations_of, near

__all__ = ["explain"]

NOISE = re.compile(
    r"Does not validate|Subtypes:|Errors:|Given value|Expected a <class 'NoneType'>|Parser key"
    r"|Not a valid subclass|Subclass types expect|a class path \(str\)|a dict with|Problem with"
    r"|Expected a (?:config )?path but|Type .* class: Parser key"
)
KIND = r"Expected(?! a dot import) an? (?:<class |typing\.)?'?(.*?)'?>?(?:\. Got value: (.*))?"
OPTIONS = {"Objective": "--model.objective", "Critic": "--model.critic"}


def explain(message: str, options: list[str]) -> str:
    """Return the innermost sentence of a parser's error, with what may have been meant.

    Args:
        message: What jsonargparse says: a line, or a tree of what was tried and why it failed.
        options: The options of the parser.

    Example:
        >>> explain("unrecognized arguments: --fold=3", ["--folds", "--seed"])
        'Expected an option that there is, got `--fold`. Did you mean `--folds`?'
    """
    mistake = innermost(message, options)
    # old parsers try a collection before the class that it would hold
    told = min(mistake.sentences, key=lambda sentence: "collections.abc." in sentence)
    for pattern, answer in ANSWERS.items():
        if found := re.fullmatch(pattern, told, re.DOTALL):
            return answer(found, mistake)
    told = " ".join(told.split())
    return f"{mistake.place}: {told}" if mistake.place else told


class Mistake(NamedTuple):
    """The innermost part of a tree of messages.

    Attributes:
        sentences: What was tried there, and why it failed.
        key: The option, or the argument of a class, that it is about.
        owner: Class path of that class.
        given: The value that was given.
        bases: Class paths of what would have been accepted.
        options: The options of the parser.
    """

    sentences: list[str]
    key: str = ""
    owner: str = ""
    given: str = ""
    bases: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """What the argument is called."""
        option = f"`{self.key}`" if self.owner else f"`--{self.key}`"
        of = f" of {self.owner}" if self.owner and self.key else self.owner
        return f"{option if self.key else ''}{of}"


def innermost(message: str, options: list[str]) -> Mistake:
    """Return the deepest sentences of a tree of messages, and what they are about."""
    context, deepest = Mistake([message], options=tuple(options)), -1
    found = context
    for depth, text in _lines(message):
        context = _entered(context, text)
        if given := re.match(
            r"Given value: (?:NestedArg\(.*val='(.*)'\)|(.*?)(?:\. Got.*)?$)", text
        ):
            found = found._replace(given=found.given or given[1] or given[2])
        text = re.sub(r'^Parser key ".*?":\s*', "", text)
        if not text or NOISE.match(text) or depth < deepest:
            continue
        if depth > deepest:
            deepest, found = depth, context._replace(sentences=[])
        found.sentences.append(text)
    return found


def _lines(message: str) -> Iterator[tuple[int, str]]:
    """Yield the depth and the text of each line."""
    for line in message.splitlines():
        yield len(line) - len(line.lstrip(" ")), line.strip(" -")


def _entered(outer: Mistake, text: str) -> Mistake:
    """Return what the lines below a line are about."""
    if owner := re.match(r"Problem with given class_path '(.*?)'", text):
        return outer._replace(key="", owner=owner[1])
    if types := re.match(r"Subtypes: (.*)", text):
        return outer._replace(bases=tuple(_class_paths(types[1])))
    if key := re.search(r'Parser key "(.*?)":', text):
        within = text.startswith("Type ")  # an argument of what a function returns
        name = f"{outer.key}.{key[1]}" if within else key[1]
        return outer._replace(key=name, bases=tuple(_annotated(outer.owner, name)))
    return outer


def _class_paths(text: str) -> list[str]:
    return [path for path in re.findall(r"\w+(?:\.\w+)+", text) if not _is_general(path)]


def _is_general(path: str) -> bool:
    return path.startswith(("collections.", "typing.", "torch.nn.modules.module."))


def _annotated(owner: str, argument: str) -> list[str]:
    """Return the class paths in the annotation of an argument of a class."""
    known = annotations_of(resolve_name(owner)) if owner else {}
    return _class_paths(str(known.get(argument, "")))


def _subclasses(kind: type[Any]) -> Iterator[type[Any]]:
    for known in kind.__subclasses__():
        yield known
        yield from _subclasses(known)


def _candidates(bases: tuple[str, ...]) -> list[str]:
    """Name the classes that are accepted: all that are loaded, those of the package first."""
    kinds = [resolve_name(base) for base in bases]
    own = [name for name in mine_lightning.__all__ if name[0].isupper()]
    if not kinds:
        return own
    known = [sub.__name__ for kind in kinds if isinstance(kind, type) for sub in _subclasses(kind)]
    public = [name for name in dict.fromkeys(known) if name[0] != "_"]
    return sorted(public, key=lambda name: name not in own)


Answer = Callable[[re.Match[str], Mistake], str]


def _no_option(found: re.Match[str], mistake: Mistake) -> str:
    near_it = near(found[1], mistake.options)
    return f"Expected an option that there is, got `{found[1]}`. {near_it}"


def _no_place(found: re.Match[str], mistake: Mistake) -> str:
    return f"Expected options after the arguments, got {found[1]!r}."


def _no_command(found: re.Match[str], mistake: Mistake) -> str:
    commands = re.findall(r"[\w-]+", found[2])
    return f"Expected a command that there is, got `{found[1]}`. {near(found[1], commands)}"


def _no_value(found: re.Match[str], mistake: Mistake) -> str:
    names = ", ".join(f"`{name.rsplit('.')[-1]}`" for name in found[1].split(", "))
    return f"Expected {names}{f' of {mistake.owner}' if mistake.owner else ''}, got no value."


def _no_argument(found: re.Match[str], mistake: Mistake) -> str:
    known = annotations_of(resolve_name(mistake.owner))
    return f"Expected an argument of {mistake.owner}, got `{found[1]}`. {near(found[1], known)}"


def _no_class(found: re.Match[str], mistake: Mistake) -> str:
    """Name the classes of the kind, or the option that takes the class that was given."""
    kind = mistake.bases[0].rpartition(".")[2] if mistake.bases else "class"
    a = "an" if kind[0] in "AEIO" else "a"
    word = mistake.given.rpartition(".")[2]
    given = getattr(mine_lightning, word, None) if word in mine_lightning.__all__ else None
    for base in getattr(given, "__mro__", ()):
        if base.__name__ in OPTIONS:
            option = OPTIONS[base.__name__]
            return f"Expected the name of {a} {kind}, got `{word}`, which belongs to `{option}`."
    known = _candidates(mistake.bases)
    alike = [name for name in known if word.lower() in name.lower()]
    return f"Expected the name of {a} {kind}, got `{mistake.given}`. {near(word, alike or known)}"


def _no_such_value(found: re.Match[str], mistake: Mistake) -> str:
    """Name every kind of value that was tried."""
    matches = [re.fullmatch(KIND, sentence) for sentence in mistake.sentences]
    kinds = " or ".join(dict.fromkeys(_kind(match[1]) for match in matches if match))
    return f"Expected {mistake.place} to be {kinds}, got {found[2] or mistake.given!r}."


def _kind(text: str) -> str:
    """Say what values of a type are.

    Example:
        >>> _kind("int"), _kind("Literal['.', ',']"), _kind("collections.abc.Iterable")
        ('int', "one of '.', ','", 'Iterable')
    """
    if values := re.fullmatch(r"Literal\[(.*)\]", text):
        return f"one of {values[1]}"
    return text.rpartition(".")[2]


ANSWERS: dict[str, Answer] = {
    r"[Uu]nrecognized arguments: (--[^\s=]+).*": _no_option,
    r"[Uu]nrecognized arguments: (\S+).*": _no_place,
    r".*invalid choice: '(.*?)' \(choose from (.*)\)": _no_command,
    r"the following arguments are required: (.*)": _no_value,
    r'Validation failed: Key "(.*?)" is required but .*': _no_value,
    r"(?:Option|Validation failed: Key) '(\w+)' is not (?:accepted|expected)": _no_argument,
    r"Expected a dot import path string: (\S+)": _no_class,
    r"Import path does not correspond to a subclass of (\w+)": _no_class,
    r"Type .* callable class: ([Mm]odule|No module).*": _no_class,
    KIND: _no_such_value,
}
