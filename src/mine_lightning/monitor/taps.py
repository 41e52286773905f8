"""Taps: where a tensor of somebody else's training step comes from."""

import difflib
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

__all__ = ["Calls", "Recorder", "Tap", "TapFunction", "check_eager", "find_submodule", "parse_tap"]

Calls = Literal["first", "last", "all"]
TapFunction = Callable[[Any, Any, Any, Any], Tensor]
Item = int | str

FORMS = (
    "'submodule:output', 'submodule:input', 'batch' or 'outputs', each with items such as "
    "[0] or [name] after it, or a function (trainer, pl_module, outputs, batch) -> Tensor"
)
PATTERN = re.compile(r"(?:(?P<module>[\w.]+):(?P<port>input|output)|(?P<root>batch|outputs))"
                     r"(?P<items>(?:\[[^\[\]]+\])*)")  # fmt: skip


class Tap(NamedTuple):
    """A parsed tap: a port of a submodule, the batch or the step's outputs, and an item of it."""

    port: Literal["input", "output", "batch", "outputs"]
    module: str = ""
    items: tuple[Item, ...] = ()
    text: str = ""

    def pick(self, value: Any) -> Tensor:
        """Follow the items into a nested value and return a copy of the tensor there.

        Raises:
            ValueError: If an item is missing, or what is there is no tensor.
        """
        for item in self.items:
            value = self._step(value, item)
        if not isinstance(value, Tensor):
            raise ValueError(
                f"Expected the tap '{self.text}' to lead to a tensor, got {describe(value)}."
            )
        return value.detach().clone()

    def _step(self, value: Any, item: Item) -> Any:
        try:
            if isinstance(item, str) and not isinstance(value, Mapping):
                return getattr(value, item)
            return value[item]
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            raise ValueError(
                f"Expected the tap '{self.text}' to find the item [{item}], got {describe(value)}."
            ) from error

    def pick_argument(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Tensor:
        """Return a copy of an argument of a call, named by position or by keyword.

        Raises:
            ValueError: If the tap does not say which of several arguments, or there is none such.
        """
        given: dict[Any, Any] = {**dict(enumerate(args)), **kwargs}
        if not self.items:
            if len(given) != 1:
                raise ValueError(
                    f"Expected the tap '{self.text}' to say which argument, for example "
                    f"'{self.text}[{next(iter(given), 0)}]', got a call with {list(given)}."
                )
            return self.pick(next(iter(given.values())))
        item, *rest = self.items
        if item not in given:
            given |= _by_signature(module, args, kwargs)
        if item not in given:
            raise ValueError(
                f"Expected the tap '{self.text}' to find the argument [{item}], "
                f"got a call with {list(given)}."
            )
        return self._replace(items=tuple(rest)).pick(given[item])


def _by_signature(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[Any, Any]:
    """Return the arguments of a call by parameter name and by that parameter's position."""
    bound = inspect.signature(module.forward).bind(*args, **kwargs).arguments
    return {**bound, **dict(enumerate(bound.values()))}


def describe(value: Any) -> str:
    """Say in few words what a value is and what is in it."""
    name = type(value).__name__
    if isinstance(value, Mapping):
        return f"a {name} with the keys {list(value)}"
    if isinstance(value, (list, tuple)):
        return f"a {name} of {len(value)} items"
    return f"a {name}"


def parse_tap(name: str, tap: str) -> Tap:
    """Parse the text of a tap.

    Args:
        name: The argument's name, for the error message.
        tap: ``"generator:output"``, ``"net:input[speaker]"``, ``"model:output[3]"``,
            ``"batch[0]"``, ``"outputs[z]"``. An item is a position, a key or an attribute; of an
            input it is first the argument, by position or by keyword.

    Raises:
        ValueError: If the text has another form.

    Example:
        >>> parse_tap("z", "net.encoder:output[1]")[:3]
        ('output', 'net.encoder', (1,))
    """
    match = PATTERN.fullmatch(tap.strip()) if isinstance(tap, str) else None
    if match is None:
        raise ValueError(f"Expected `{name}` to be {FORMS}, got {tap!r}.")
    raw = re.findall(r"\[([^\[\]]+)\]", match["items"])
    items = tuple(int(item) if re.fullmatch(r"-?\d+", item) else item.strip("'\"") for item in raw)
    port: Any = match["port"] or match["root"]
    return Tap(port, match["module"] or "", items, tap.strip())


def find_submodule(host: nn.Module, tap: Tap) -> nn.Module:
    """Return the submodule that a tap names.

    Raises:
        ValueError: If the host has no such submodule; the message names the nearest ones.
    """
    modules = dict(host.named_modules())
    modules.pop("", None)
    if tap.module in modules:
        return modules[tap.module]
    near = difflib.get_close_matches(tap.module, modules, n=5, cutoff=0.0)
    raise ValueError(
        f"Expected the tap '{tap.text}' to name a submodule of {type(host).__name__}, "
        f"got {tap.module!r}. The nearest are: {', '.join(near) or '(it has none)'}."
    )


def check_eager(host: nn.Module, tap: Tap) -> None:
    """Raise if the submodule runs inside a compiled graph, where hooks may be left out.

    A submodule that is itself wrapped, ``self.generator = torch.compile(generator)``, is fine: its
    hooks run outside the graph.

    Raises:
        ValueError: If the host, the submodule's own call, or a module around it is compiled.
    """
    path = tap.module.split(".")
    around = [host.get_submodule(".".join(path[:end])) for end in range(len(path))]
    own = [*around, host.get_submodule(tap.module)]
    compiled = (
        getattr(host, "_compiler_ctx", None) is not None
        or any(hasattr(module, "_orig_mod") for module in around)
        or any(module._compiled_call_impl is not None for module in own)
    )
    if compiled:
        raise ValueError(
            f"Expected the submodule of the tap '{tap.text}' to be called outside a compiled "
            "graph, where its hook may be left out, got one inside. Compile only submodules, as "
            "`self.generator = torch.compile(self.generator)`, or give a function "
            "(trainer, pl_module, outputs, batch) -> Tensor."
        )


class Recorder:
    """Copies of what passes one port of one submodule while the recorder is open.

    Copies are detached from the graph and taken at once, as hosts change tensors in place later:
    inputs before the call, outputs after it. A copy or a pickle of a host that carries the hook
    gets a recorder that never opens.
    """

    def __init__(self, tap: Tap | None = None, calls: Calls = "first") -> None:
        self.tap, self.calls = tap, calls
        self.open = False
        self.taken: list[Tensor] = []

    def attach(self, module: nn.Module) -> RemovableHandle:
        """Register on a submodule; the handle takes the hook off again."""
        assert self.tap is not None
        if self.tap.port == "input":
            return module.register_forward_pre_hook(self.before, with_kwargs=True)
        return module.register_forward_hook(self.after)

    def before(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Forward pre-hook: copy an argument."""
        if self.open and self.tap is not None:
            self._keep(lambda tap: tap.pick_argument(module, args, kwargs))

    def after(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """Forward hook: copy an output."""
        if self.open and self.tap is not None:
            self._keep(lambda tap: tap.pick(output))

    def _keep(self, copy: Callable[[Tap], Tensor]) -> None:
        assert self.tap is not None
        if self.calls == "first" and self.taken:
            return
        if self.calls == "last":
            self.taken.clear()
        self.taken.append(copy(self.tap))

    def start(self) -> None:
        """Forget what was taken and listen."""
        self.taken.clear()
        self.open = True

    def stop(self) -> Tensor | None:
        """Stop listening and return what was taken, several calls one below the other."""
        self.open = False
        taken, self.taken = self.taken, []
        return torch.cat(taken) if len(taken) > 1 else taken[0] if taken else None

    def __reduce__(self) -> tuple[type["Recorder"], tuple[()]]:
        return Recorder, ()
