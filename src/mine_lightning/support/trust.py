"""Class paths in files: nothing is imported because a file names it."""

import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

__all__ = ["check_class_paths"]

DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


def check_class_paths(plain: Any, allow: Iterable[str] = ()) -> None:
    """Raise if a configuration names a class whose module would be imported to find it.

    Every text that may be a class path counts, under whatever key.

    Args:
        plain: Booleans, numbers, texts, lists and dicts.
        allow: Modules or classes, by their paths, that may be imported.

    Raises:
        ValueError: If a class is not imported, of another package, and not allowed.

    Example:
        >>> check_class_paths({"critic": {"class_path": "mine_lightning.ConcatCritic"}})
        >>> check_class_paths({"critic": "antigravity.Net"})
        Traceback (most recent call last):
        ValueError: Expected classes that are imported, got `antigravity.Net`: import its module
        first, or allow it with `allow=['antigravity']`, if you trust it.
    """
    trusted = ("mine_lightning", *allow)
    for path in texts(plain):
        module = path.partition(".")[0]
        known = any(f"{path}.".startswith(f"{other}.") for other in trusted)
        if DOTTED.fullmatch(path) and not known and not _is_there(path) and _is_found(module):
            raise ValueError(
                f"Expected classes that are imported, got `{path}`: import its module first, or "
                f"allow it with `allow=[{module!r}]`, if you trust it."
            )


def texts(plain: Any) -> Iterator[str]:
    """Yield every text in a configuration."""
    if isinstance(plain, str):
        yield plain
    elif isinstance(plain, Mapping):
        yield from (text for value in plain.values() for text in texts(value))
    elif isinstance(plain, (list, tuple)):
        yield from (text for value in plain for text in texts(value))


def _is_there(path: str) -> bool:
    """Whether a path leads from a module that is imported to something that it has."""
    parts = path.split(".")
    for length in range(len(parts) - 1, 0, -1):
        found: Any = sys.modules.get(".".join(parts[:length]))
        if found is not None:
            for name in parts[length:]:
                found = getattr(found, name, None)
            return found is not None
    return False


def _is_found(module: str) -> bool:
    """Whether there is something to import."""
    return module in sys.modules or importlib.util.find_spec(module) is not None
