"""Objects that remember how they were built, so that a checkpoint can name them as plain data."""

import inspect
import sys
from contextlib import suppress
from functools import cache, partial
from importlib import import_module
from typing import Any, Self

from mine_lightning.support.keywords import check_keywords

__all__ = ["Configurable", "as_plain", "callable_config", "public_path", "renewed"]

COLLECTORS = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
PRIMITIVES = (bool, int, float, str, type(None))


PACKAGE = __name__.partition(".")[0]
FACES = ("", ".data", ".objectives", ".critics", ".monitor", ".demos")
PATHS = ("class_path", "_class_path")
RENAMED = {"mine_lightning.demos.gan.GAN": "mine_lightning.demos.PlainGAN"}


def public_path(kind: type) -> str:
    """Return the shortest path under which a class is exported.

    It does not depend on the file that defines the class, so files may move.

    Example:
        >>> from mine_lightning.objectives.variational import MINE
        >>> public_path(MINE)
        'mine_lightning.MINE'
    """
    packages = kind.__module__.split(".")
    paths = (".".join(packages[:length]) for length in range(1, len(packages)))
    for path in paths:
        if getattr(sys.modules.get(path), kind.__qualname__, None) is kind:
            return f"{path}.{kind.__qualname__}"
    return f"{kind.__module__}.{kind.__qualname__}"


def renewed(value: Any) -> Any:
    """Return a configuration with the public paths of the classes of this package in it.

    Before 0.1.0 they were those of the defining files, which have moved since.

    Example:
        >>> renewed({"class_path": "mine_lightning.functions_of_old.MINE"})
        {'class_path': 'mine_lightning.MINE'}
    """
    if isinstance(value, list):
        return [renewed(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _renewed_path(item) if key in PATHS and isinstance(item, str) else renewed(item)
        for key, item in value.items()
    }


def _renewed_path(path: str) -> str:
    """Return the public path of a class of this package, found by its name; others unchanged."""
    module, _, name = RENAMED.get(path, path).rpartition(".")
    if module.partition(".")[0] != PACKAGE:
        return path
    for place in (module, *(PACKAGE + face for face in FACES)):
        with suppress(ImportError):
            if isinstance(kind := getattr(import_module(place), name, None), type):
                return public_path(kind)
    return path


def as_plain(value: Any) -> Any:
    """Turn an argument into booleans, numbers, strings, lists, dicts and nested configurations.

    Raises:
        TypeError: If the value is something else, which no configuration can name.
    """
    if isinstance(value, PRIMITIVES):
        return value
    if isinstance(value, Configurable):
        return value.config()
    if isinstance(value, (list, tuple)):
        return [as_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): as_plain(item) for key, item in value.items()}
    raise TypeError(f"a {type(value).__qualname__} cannot be written into a configuration")


def callable_config(factory: Any) -> Any:
    """Return a class path, with arguments for a ``functools.partial`` of a class, if plain."""
    arguments: dict[str, Any] = {}
    if isinstance(factory, partial) and not factory.args:
        factory, arguments = factory.func, dict(factory.keywords)
    if not isinstance(factory, type):
        return None
    try:
        init_args = as_plain(arguments)
    except TypeError:
        return None
    return {"class_path": public_path(factory), "init_args": init_args}


@cache
def _signature(kind: type) -> inspect.Signature:
    """Return the signature of a constructor; that of ``object`` takes nothing beside ``self``."""
    if kind.__init__ is object.__init__:  # type: ignore[misc]
        return inspect.Signature([inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)])
    return inspect.signature(kind.__init__)  # type: ignore[misc]


class Configurable:
    """Mixin that keeps the arguments of the constructor, defaults included.

    ``config()`` returns them in the form that LightningCLI reads and writes, so an object built in
    a notebook and one built from a YAML file leave the same checkpoint.
    """

    _arguments: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        instance = super().__new__(cls)
        signature = _signature(cls)  # type: ignore[arg-type]
        try:
            bound = signature.bind_partial(instance, *args, **kwargs)
        except TypeError:
            check_keywords(cls, kwargs)
            raise
        bound.apply_defaults()
        named = [p.name for p in signature.parameters.values() if p.kind not in COLLECTORS]
        arguments = {name: bound.arguments[name] for name in named[1:] if name in bound.arguments}
        object.__setattr__(instance, "_arguments", arguments)
        return instance

    def config(self) -> dict[str, Any]:
        """Return ``{"class_path": ..., "init_args": ...}`` of plain values.

        Raises:
            TypeError: If an argument is neither plain data nor itself configurable.
        """
        return {"class_path": public_path(type(self)), "init_args": as_plain(self._arguments)}
