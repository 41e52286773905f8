"""Objects that remember how they were built, so that a checkpoint can name them as plain data."""

import inspect
from typing import Any

from typing_extensions import Self

__all__ = ["Configurable"]

COLLECTORS = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
PRIMITIVES = (bool, int, float, str, type(None))


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


class Configurable:
    """Mixin that keeps the arguments of the constructor, defaults included.

    ``config()`` returns them in the form that LightningCLI reads and writes, so an object built in
    a notebook and one built from a YAML file leave the same checkpoint.
    """

    _arguments: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        instance = super().__new__(cls)
        signature = inspect.signature(cls.__init__)
        bound = signature.bind_partial(instance, *args, **kwargs)
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
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return {"class_path": path, "init_args": as_plain(self._arguments)}
