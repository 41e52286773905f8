"""Taps: where a tensor of somebody else's training step comes from."""

import difflib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from mine_lightning.support.upstream import in_backward, runs_compiled, wraps_compiled

__all__ = [
    "Call",
    "Calls",
    "Recorder",
    "Tap",
    "TapFunction",
    "check_calls",
    "check_eager",
    "describe",
    "find_submodule",
    "nearest",
    "parse_tap",
]

Calls = Literal["first", "last", "all"]
Call = Calls | int
TapFunction = Callable[[Any, Any, Any, Any], Tensor]
Item = int | str

FORMS = (
    "'submodule:output', 'submodule:input', 'batch' or 'outputs', each with items such as "
    "[0] or [name] after it, a submodule's with @0, @1, @first, @last or @all behind for the calls "
    "that count, or a function (trainer, pl_module, outputs, batch) -> Tensor"
)
ITEMS = r"(?P<items>(?:\[[^\[\]]+\])*)"
PATTERN = re.compile(
    rf"(?P<module>[\w.]+):(?P<port>input|output){ITEMS}(?:@(?P<call>first|last|all|\d+))?"
)
ROOTED = re.compile(rf"(?P<port>batch|outputs){ITEMS}")


class Tap(NamedTuple):
    """A parsed tap: a port of a submodule, the batch or the step's outputs, and an item of it.

    Attributes:
        port: What of the submodule or of the step.
        module: The submodule's dotted name.
        items: What leads into a nested value.
        text: The tap as it was written.
        call: Which calls of the submodule count; None for what the monitor says.
    """

    port: Literal["input", "output", "batch", "outputs"]
    module: str = ""
    items: tuple[Item, ...] = ()
    text: str = ""
    call: Call | None = None

    def lacking(self, outputs: Any) -> bool:
        """Whether a step returned nothing, or nothing by the first key of this tap."""
        if self.port != "outputs" or not self.items:
            return outputs is None
        return not outputs or (isinstance(outputs, Mapping) and self.items[0] not in outputs)

    def pick(self, value: Any) -> Tensor:
        """Follow the items into a nested value and return a copy of the tensor there.

        Raises:
            ValueError: If an item is missing, is one of a tensor, or what is there is no tensor.
        """
        for item in self.items:
            value = self._step(value, item)
        if not isinstance(value, Tensor):
            raise ValueError(
                f"Expected the tap '{self.text}' to lead to a tensor, got {describe(value)}."
            )
        return value.detach().clone()

    def _step(self, value: Any, item: Item) -> Any:
        if isinstance(value, Tensor):
            raise ValueError(
                f"Expected the tap '{self.text}' to end at a tensor, got the item [{item}] of "
                f"{describe(value)}. For a part of it give a function "
                "(trainer, pl_module, outputs, batch) -> Tensor."
            )
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
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)}"
    if isinstance(value, Mapping):
        return f"a {name} with the keys {list(value)}"
    if isinstance(value, (list, tuple)):
        shapes = [f"[{i}] {tuple(v.shape)}" for i, v in enumerate(value) if isinstance(v, Tensor)]
        return f"a {name} of {len(value)} items" + (f": {', '.join(shapes)}" if shapes else "")
    return f"a {name}"


def check_calls(calls: Any) -> None:
    """Raise unless an argument says which calls of a submodule count."""
    whole = isinstance(calls, int) and not isinstance(calls, bool) and calls >= 0
    if calls not in ("first", "last", "all") and not whole:
        raise ValueError(
            "Expected `calls` to be 'first', 'last', 'all' or the number of a call from 0 on, "
            f"got {calls!r}."
        )


def parse_tap(name: str, tap: str) -> Tap:
    """Parse the text of a tap.

    Args:
        name: The argument's name, for the error message.
        tap: ``"generator:output"``, ``"net:input[speaker]"``, ``"model:output[3]"``,
            ``"batch[0]"``, ``"outputs[z]"``. An item is a position, a key or an attribute; of an
            input it is first the argument, by position or by keyword. ``"head:output@1"`` is the
            second call of a step.

    Raises:
        ValueError: If the text has another form.

    Example:
        >>> parse_tap("z", "net.encoder:output[1]")[:3]
        ('output', 'net.encoder', (1,))
    """
    match = None
    if isinstance(tap, str):
        match = PATTERN.fullmatch(tap.strip()) or ROOTED.fullmatch(tap.strip())
    if match is None:
        raise ValueError(f"Expected `{name}` to be {FORMS}, got {tap!r}.")
    found = match.groupdict()
    items = tuple(map(_item, re.findall(r"\[([^\[\]]+)\]", found["items"])))
    call: Any = found.get("call")
    port: Any = found["port"]
    call = int(call) if call and call.isdigit() else call
    return Tap(port, found.get("module") or "", items, tap.strip(), call)


def _item(text: str) -> Item:
    return int(text) if re.fullmatch(r"-?\d+", text) else text.strip("'\"")


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Return the five known names that are nearest to one."""
    return difflib.get_close_matches(name, list(known), n=5, cutoff=0.0)


def find_submodule(host: nn.Module, tap: Tap) -> nn.Module:
    """Return the submodule that a tap names.

    Raises:
        ValueError: If the host has no such submodule; the message names the nearest ones.
    """
    modules = dict(host.named_modules())
    modules.pop("", None)
    if tap.module in modules:
        return modules[tap.module]
    near = nearest(tap.module, modules)
    raise ValueError(
        f"Expected the tap '{tap.text}' to name a submodule of {type(host).__name__}, "
        f"got {tap.module!r}. The nearest are: {', '.join(near) or '(it has none)'}."
    )


def check_eager(host: nn.Module, tap: Tap) -> None:
    """Raise if the submodule runs inside a compiled graph, where hooks may be left out.

    A submodule that is itself wrapped, ``self.generator = torch.compile(generator)``, is fine: its
    hooks run outside the graph.

    Raises:
        ValueError: If the host, the submodule's own call, or a module around it is compiled, or
            the submodule is scripted.
    """
    path = tap.module.split(".")
    around = [host.get_submodule(".".join(path[:end])) for end in range(len(path))]
    module = host.get_submodule(tap.module)
    if isinstance(module, torch.jit.ScriptModule):
        raise ValueError(
            f"Expected the submodule of the tap '{tap.text}' to be an ordinary module, got a "
            "scripted one, whose hooks do not run. Tap the module around it, or give a function "
            "(trainer, pl_module, outputs, batch) -> Tensor."
        )
    wrapped = any(map(wraps_compiled, around))
    if wrapped or any(map(runs_compiled, [*around, module])):
        raise ValueError(
            f"Expected the submodule of the tap '{tap.text}' to be called outside a compiled "
            "graph, where its hook may be left out, got one inside. Compile only submodules, as "
            "`self.generator = torch.compile(self.generator)`, or give a function "
            "(trainer, pl_module, outputs, batch) -> Tensor."
        )


class Recorder:
    """Copies of what passes one port of one submodule while the recorder is open.

    Copies are detached from the graph and taken at once, as hosts change tensors in place later:
    inputs before the call, outputs after it. Calls during a backward pass, where activation
    checkpointing repeats those of the forward pass, do not count. A copy or a pickle of a host that
    carries the hook gets a recorder that never opens.

    Args:
        tap: The tap; None for a recorder that never opens.
        calls: Which calls count where the tap does not say.
    """

    def __init__(self, tap: Tap | None = None, calls: Call = "first") -> None:
        self.tap = tap
        self.calls = calls if tap is None or tap.call is None else tap.call
        self.open, self.heard = False, 0
        self.taken: list[Tensor] = []

    def attach(self, module: nn.Module) -> RemovableHandle:
        """Register on a submodule; the handle takes the hook off again."""
        assert self.tap is not None
        if self.tap.port == "input":
            return module.register_forward_pre_hook(self.before, with_kwargs=True)
        return module.register_forward_hook(self.after)

    def before(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Forward pre-hook: copy an argument."""
        if self.tap is not None and self._counts():
            self.taken.append(self.tap.pick_argument(module, args, kwargs))

    def after(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """Forward hook: copy an output."""
        if self.tap is not None and self._counts():
            self.taken.append(self.tap.pick(output))

    def _counts(self) -> bool:
        """Count a call, and return whether to keep it; forget those before the last."""
        if not self.open or in_backward():
            return False
        self.heard += 1
        if self.calls == "last":
            self.taken.clear()
        wanted = 0 if self.calls == "first" else self.calls
        return wanted in ("last", "all", self.heard - 1)

    def start(self) -> None:
        """Forget what was taken and listen."""
        self.taken.clear()
        self.open, self.heard = True, 0

    def stop(self) -> Tensor | None:
        """Stop listening and return what was taken, several calls one below the other."""
        self.open = False
        taken, self.taken = self.taken, []
        return torch.cat(taken) if len(taken) > 1 else taken[0] if taken else None

    def __reduce__(self) -> tuple[type["Recorder"], tuple[()]]:
        return Recorder, ()
