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

__all__ = ["Unpack", "annotations_of", "check_keywords"]


def check_keywords(function: Callable[..., Any], given: Iterable[str]) -> None:
    """Raise if a function does not know a keyword argument, and say which ones come near.

    Args:
        function: A function, perhaps with ``**kwargs: Unpack[SomeTypedDict]``, or a class.
        given: Names of arguments.

    Raises:
        TypeError: If a name is neither an argument nor one of the TypedDict's.

    Example:
        >>> from mine_lightning import estimate_mutual_information
        >>> check_keywords(estimate_mutual_information, ["fold"])
        Traceback (most recent call last):
        TypeError: estimate_mutual_information() got an unexpected keyword argument 'fold'. Did you
        mean `folds`?
    """
    known = annotations_of(function)
    for name in set(given) - set(known):
        label = function.__qualname__.removesuffix(".__init__")
        raise TypeError(
            f"{label}() got an unexpected keyword argument {name!r}. {near(name, known)}"
        )


def annotations_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of a function's arguments by name, those in its ``kwargs`` among them.

    Example:
        >>> from mine_lightning import MINE, GaussianDataModule
        >>> annotations_of(MINE)["ma_rate"], list(annotations_of(GaussianDataModule))[:4]
        (<class 'float'>, ['dim', 'correlation', 'target', 'batch_size'])
    """
    found: dict[str, Any] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            handed_on = getattr(parameter.annotation, "__args__", [None])[0]
            found |= dict(sorted(getattr(handed_on, "__annotations__", {}).items()))
        elif name != "self" and parameter.kind is not parameter.VAR_POSITIONAL:
            found[name] = parameter.annotation
    return found
