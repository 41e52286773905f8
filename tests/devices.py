"""A device of one's own: tensors that say they lie on an accelerator, and compute on the CPU.

It does what a GPU does where a program can tell: a tensor on it does not mix with one on the CPU,
a CPU generator draws nothing there, and whatever the host reads off it is counted. The numbers are
real, so that results can be compared with those of the CPU.
"""

import os
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.accelerators import Accelerator
from lightning.pytorch.plugins import MixedPrecision
from lightning.pytorch.strategies import SingleDeviceStrategy, StrategyRegistry
from torch import Tensor
from torch.utils import _pytree as pytree

try:  # torch 2.9 and later
    from torch.utils.backend_registration import _setup_privateuseone_for_python_backend as register
except ImportError:  # pragma: no cover
    register = None

needs_a_device = pytest.mark.skipif(register is None, reason="needs devices in Python: torch 2.9")

NAME = "faraway"
AUTOCAST = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)
aten = torch.ops.aten
COPIES = {aten.copy_, aten._to_copy, aten._copy_from, aten._copy_from_and_resize}
INDEXES = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_}
SCALARS = {aten.cat, aten.mm, aten.addmm, aten.bmm, aten.baddbmm, aten.gather, aten.index_select}
"""Operations that take no number from the CPU, also not one of shape ()."""
UNDETERMINED = {aten.cumsum, aten.histc, aten.put_, aten.median, aten.kthvalue}
"""Operations that CUDA refuses where results have to be the same in every run."""
SIGNED = {aten._linalg_svd}
"""Decompositions in which another library gives vectors another sign."""
SHAPES = {
    aten.nonzero, aten.masked_select, aten.unique_dim, aten._unique2, aten.repeat_interleave,
    aten.equal, aten._local_scalar_dense, aten.is_nonzero,
}  # fmt: skip
"""Operations after which the host waits, for a number or for the size of a result."""

READS: Counter[str] = Counter()
"""How often the host has waited for the device, by operation."""


class Faraway(Tensor):
    """A tensor on the device; ``raw`` holds its numbers."""

    raw: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, raw: Tensor, requires_grad: bool = False) -> "Faraway":
        tensor = Tensor._make_wrapper_subclass(
            cls, raw.shape, strides=raw.stride(), storage_offset=raw.storage_offset(),
            dtype=raw.dtype, device=torch.device(NAME, 0), requires_grad=requires_grad,
        )  # fmt: skip
        tensor.raw = raw.detach()
        return tensor

    def __repr__(self, **kwargs: Any) -> str:
        return f"{NAME}({self.raw})"

    def tolist(self) -> Any:
        note("tolist")
        return self.raw.tolist()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.raw.__reduce_ex__(protocol)  # checkpoints are read on the CPU

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})


def run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Run an operation on the device, as strictly as a GPU."""
    flat = pytree.arg_tree_leaves(*args, **kwargs)
    packet = func.overloadpacket
    check(packet, flat, kwargs)
    device = kwargs.get("device")
    if "device" in kwargs and device is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    plain = [t for t in flat if isinstance(t, Tensor) and not isinstance(t, Faraway)]
    waits = packet in SHAPES or (packet in INDEXES and (plain or any_bool(flat)))
    if waits or (
        packet in COPIES and crosses(flat, device) and not is_asynchronous(func, args, kwargs)
    ):
        note(packet)
    args, kwargs = pytree.tree_map_only(Faraway, lambda t: t.raw, (args, kwargs))
    result = func(*args, **kwargs)
    if packet in SIGNED:
        result = type(result)(part if part.ndim < 2 else -part for part in result)
    if packet in COPIES and func._schema.is_mutable:
        return result  # written in place, wherever that is
    home = device is not None and device.type == "cpu"
    return result if home else pytree.tree_map_only(Tensor, Faraway, result)


def note(operation: Any) -> None:
    """Count an operation that the host waits for, by the line that asked for it."""
    frames = [
        frame
        for frame in traceback.extract_stack()
        if f"{os.sep}mine_lightning{os.sep}" in frame.filename
    ]
    place = (
        f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else "elsewhere"
    )
    READS[f"{operation} in {place}"] += 1


def crosses(flat: list[Any], device: torch.device | None) -> bool:
    """Whether a copy goes from the CPU to the device or back."""
    kinds = {t.device.type for t in flat if isinstance(t, Tensor)}
    return len(kinds | ({device.type} if device is not None else set())) > 1


def is_asynchronous(func: Any, args: Any, kwargs: Any) -> bool:
    """Whether the host goes on before a copy to the device is done."""
    names = [argument.name for argument in func._schema.arguments]
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    target = kwargs.get("device") or args[0].device
    return bool(given.get("non_blocking")) and target.type != "cpu"


def any_bool(flat: list[Any]) -> bool:
    return any(isinstance(t, Tensor) and t.dtype in (torch.bool, torch.uint8) for t in flat)


def check(packet: Any, flat: list[Any], kwargs: dict[str, Any]) -> None:
    """Raise where a GPU would."""
    strict = torch.are_deterministic_algorithms_enabled()
    if strict and packet in UNDETERMINED and flat[0].is_floating_point():
        raise RuntimeError(f"{packet} does not have a deterministic implementation")
    if any(isinstance(value, torch.Generator) for value in flat):
        raise RuntimeError(f"Expected a '{NAME}' device type for generator but found 'cpu'")
    if packet in COPIES or packet in INDEXES:
        return
    for value in flat:
        strange = isinstance(value, Tensor) and not isinstance(value, Faraway)
        if strange and (value.ndim > 0 or packet in SCALARS):
            raise RuntimeError(
                "Expected all tensors to be on the same device, but found at least two devices, "
                f"{NAME}:0 and cpu! (in {packet})"
            )


def empty(size: Any, *args: Any, dtype: Any = None, **kwargs: Any) -> Tensor:
    return Faraway(torch.empty(size, dtype=dtype, device="cpu"))


def empty_strided(size: Any, stride: Any, *args: Any, dtype: Any = None, **kwargs: Any) -> Tensor:
    return Faraway(torch.empty_strided(size, stride, dtype=dtype, device="cpu"))


def arange(*bounds: Any, dtype: Any = None, **kwargs: Any) -> Tensor:
    return Faraway(torch.arange(*bounds, dtype=dtype, device="cpu"))


def copy_from(source: Tensor, target: Tensor, non_blocking: bool = False) -> Tensor:
    """Copy to the device, from it, or within it."""
    if not (isinstance(source, Faraway) and isinstance(target, Faraway)) and not non_blocking:
        note("aten._copy_from")
    numbers, place = (t.raw if isinstance(t, Faraway) else t for t in (source, target))
    place.copy_(numbers)
    return target


def in_half(operation: Any) -> Any:
    """Return an operation that autocast runs in half precision, as it does on a GPU."""

    def call(*args: Any, **kwargs: Any) -> Any:
        dtype = torch.get_autocast_dtype(NAME)
        args, kwargs = pytree.tree_map_only(
            Tensor, lambda t: t.to(dtype) if t.is_floating_point() else t, (args, kwargs)
        )
        with torch._C._ExcludeDispatchKeyGuard(AUTOCAST):
            return operation(*args, **kwargs)

    return call


def set_up() -> list[torch.library.Library]:
    """Tell torch of the device, once in a process."""
    register(NAME)
    return [kernels(), *autocast()]


def autocast() -> list[torch.library.Library]:
    """Let autocast know what to run in half precision, and nothing else."""
    getattr(torch, NAME).get_amp_supported_dtype = lambda: [torch.bfloat16, torch.float16]
    rest = torch.library.Library("_", "IMPL", "AutocastPrivateUse1")
    rest.fallback(torch.library.fallthrough_kernel)
    products = torch.library.Library("aten", "IMPL", "AutocastPrivateUse1")
    for name in ("linear", "mm", "addmm", "bmm", "baddbmm", "matmul"):
        products.impl(name, in_half(getattr(aten, name)))
    return [rest, products]


def kernels() -> torch.library.Library:
    library = torch.library.Library("aten", "IMPL")
    library.impl("empty.memory_format", empty, "PrivateUse1")
    library.impl("empty_strided", empty_strided, "PrivateUse1")
    for bounds in ("arange", "arange.start", "arange.start_step"):
        library.impl(bounds, arange, "PrivateUse1")
    library.impl("_copy_from", copy_from, "PrivateUse1")
    return library


LIBRARIES = None if register is None else set_up()


class FarawayAccelerator(Accelerator):
    """What Lightning asks of a device."""

    def setup_device(self, device: torch.device) -> None:
        pass

    def teardown(self) -> None:
        pass

    def get_device_stats(self, device: Any) -> dict[str, Any]:
        return {}

    @staticmethod
    def parse_devices(devices: Any) -> Any:
        return devices

    @staticmethod
    def get_parallel_devices(devices: Any) -> list[torch.device]:
        return [torch.device(NAME, 0)]

    @staticmethod
    def auto_device_count() -> int:
        return 1

    @staticmethod
    def is_available() -> bool:
        return True

    @staticmethod
    def name() -> str:
        return NAME


def on_the_device(precision: str = "32-true") -> dict[str, Any]:
    """Return the arguments of a Trainer that trains on the device."""
    named = {"precision": precision}
    if "mixed" in precision:  # by name, Lightning takes it for CUDA
        named = {"plugins": [MixedPrecision(precision, NAME)]}
    return {
        "accelerator": FarawayAccelerator(),
        "strategy": NAME,
        "devices": 1,
        "inference_mode": False,  # a tensor made in it cannot be wrapped outside
        **named,
    }


StrategyRegistry.register(NAME, SingleDeviceStrategy, device=f"{NAME}:0")


@contextmanager
def reads() -> Iterator[Counter[str]]:
    """Count how often the host waits for the device within the block."""
    before, within = READS.copy(), Counter()
    yield within
    within.update(READS - before)


class Waits(Callback):
    """Count what the host waits for between the first step and the end of the training."""

    def on_train_batch_start(self, trainer: Trainer, *args: Any) -> None:
        if trainer.global_step == 0:
            self.block = reads()
            self.seen = self.block.__enter__()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.block.__exit__(None, None, None)
        self.steps, self.epochs = trainer.global_step, trainer.current_epoch
