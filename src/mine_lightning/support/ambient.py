"""Settings of the host program, which a computation of our own neither feels nor changes."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, TypeVar

import torch

__all__ = ["each_step", "forget_threads", "own_methods", "own_settings"]

Kind = TypeVar("Kind")
Function = TypeVar("Function", bound=Callable[..., Any])

PROCESS = os.getpid()


@contextmanager
def own_settings() -> Iterator[None]:
    """Run with gradients, in float32, on the CPU by default and without autocast.

    Whatever the host program has set comes back afterwards: inference mode, ``no_grad``, the
    default type and device, autocast, and deterministic algorithms, which a Trainer may turn on for
    good; see also :func:`forget_threads`.

    Example:
        >>> with torch.inference_mode(), own_settings():
        ...     torch.ones(1, requires_grad=True).exp().requires_grad
        True
    """
    forget_threads()
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(default_dtype(torch.float32))
        stack.enter_context(kept_determinism())
        if torch.empty(0).device.type != "cpu":  # get_default_device sees no context before 2.8
            stack.enter_context(torch.device("cpu"))
        for device in kinds_of_device():
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        yield


def kinds_of_device() -> set[str]:
    """Return what tensors may lie on here: the CPU, and the accelerator where there is one."""
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return {"cpu"} if found is None else {"cpu", found.type}


def forget_threads() -> None:
    """Let a process started by another one, of this package or not, compute with one thread.

    After a fork the threads of the parent are not there, and OpenMP would wait for them for ever.
    """
    if os.getpid() != PROCESS or multiprocessing.parent_process() is not None:
        torch.set_num_threads(1)


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Set the default floating point type within the block."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def kept_determinism() -> Iterator[None]:
    """Leave it as it was before the block whether algorithms are deterministic."""
    before = torch.get_deterministic_debug_mode()
    try:
        yield
    finally:
        if torch.get_deterministic_debug_mode() != before:
            torch.set_deterministic_debug_mode(before)


def own_methods(*names: str) -> Callable[[type[Kind]], type[Kind]]:
    """Let methods that a class defines run with :func:`own_settings`."""

    def decorate(kind: type[Kind]) -> type[Kind]:
        for name in set(names) & set(vars(kind)):
            setattr(kind, name, own_settings()(vars(kind)[name]))
        return kind

    return decorate


def each_step(generate: Function) -> Function:
    """Let every step of a generator function run with :func:`own_settings`, not what uses it.

    Example:
        >>> @each_step
        ... def zeros():
        ...     yield torch.zeros(1)
        >>> with torch.device("meta"):
        ...     [zero.device for zero in zeros()]
        [device(type='cpu')]
    """

    @wraps(generate)
    def stepped(*args: Any, **kwargs: Any) -> Iterator[Any]:
        values, end = iter(generate(*args, **kwargs)), object()
        while True:
            with own_settings():
                value = next(values, end)
            if value is end:
                return
            yield value

    return stepped  # type: ignore[return-value]
