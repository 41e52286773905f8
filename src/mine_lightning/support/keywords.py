"""Keyword arguments that a function hands on: known to editors, type checkers and users."""

import difflib
import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Unpack
else:
    # LightningCLI then follows `**kwargs` to the signatures behind them, which know the defaults
    Unpack = dict

__all__ = ["Unpack", "check_keywords", "near"]


def check_keywords(function: Callable[..., Any], given: Iterable[str]) -> None:
    """Raise if a function does not know a keyword argument, and say which ones come near.

    Args:
        function: A function with ``**kwargs: Unpack[SomeTypedDict]``.
        given: The names in its ``kwargs``.

    Raises:
        TypeError: If a name is none of the TypedDict's.

    Example:
        >>> from mine_lightning import estimate_mutual_information
        >>> check_keywords(estimate_mutual_information, ["fold"])
        Traceback (most recent call last):
        TypeError: estimate_mutual_information() got an unexpected keyword argument 'fold'. Did you
        mean `folds`?
    """
    *named, collector = inspect.signature(function).parameters.values()
    known = collector.annotation.__args__[0].__optional_keys__
    for name in set(given) - known:
        label = function.__qualname__.removesuffix(".__init__")
        others = [parameter.name for parameter in named if parameter.name != "self"]
        raise TypeError(
            f"{label}() got an unexpected keyword argument {name!r}. "
            f"{near(name, [*others, *sorted(known)])}"
        )


def near(name: str, known: list[str]) -> str:
    """Say which of the known names a user may have meant, or which there are.

    Example:
        >>> near("alchol", ["alcohol", "hue"])
        'Did you mean `alcohol`?'
        >>> near("zzz", ["alcohol", "hue"])
        'There are: `alcohol`, `hue`.'
    """
    lower = {other.lower(): other for other in known}
    found = difflib.get_close_matches(name.lower(), lower)
    if found:
        return f"Did you mean {' or '.join(f'`{lower[other]}`' for other in found)}?"
    more = f" and {len(known) - 10} more" if len(known) > 10 else ""
    return f"There are: {', '.join(f'`{other}`' for other in known[:10])}{more}."
