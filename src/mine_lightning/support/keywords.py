"""Keyword arguments that a function hands on: known to editors, type checkers and users."""

import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from mine_lightning.support.text import near

if TYPE_CHECKING:
    from typing_extensions import Unpack
else:
    # LightningCLI then follows `**kwargs` to the signatures behind them, which know the defaults
    Unpack = dict

__all__ = ["Unpack", "check_keywords"]


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
