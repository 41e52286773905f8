"""All that a tap can name in a model: one step on a copy, every tensor with its shape."""

import copy
import dataclasses
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mine_lightning.monitor.taps import nearest
from mine_lightning.support.upstream import in_backward

__all__ = ["TapShape", "Taps", "list_taps"]

DEPTH = 4  # of nested values


class TapShape(NamedTuple):
    """A tap and the tensor that it leads to."""

    tap: str
    shape: tuple[int, ...]
    dtype: torch.dtype

    def __str__(self) -> str:
        return f"{self.tap} {self.shape}"


class Taps(list[TapShape]):
    """Taps in the order of the step; as text, a table."""

    def near(self, text: str) -> "Taps":
        """Return the five taps whose names are nearest to a text."""
        known = {found.tap: found for found in self}
        return Taps(known[name] for name in nearest(text, known))

    def __str__(self) -> str:
        width = max((len(found.tap) for found in self), default=0)
        types = [str(found.dtype).removeprefix("torch.") for found in self]
        return "\n".join(
            f"{found.tap:{width}}  {'x'.join(map(str, found.shape)) or 'scalar':16}  {dtype}"
            for found, dtype in zip(self, types, strict=True)
        )

    __repr__ = __str__


def list_taps(model: LightningModule, batch: Any) -> Taps:
    """List every tensor of a training step that a tap of the monitor can name.

    One training step is taken on a copy of the model; the model itself and the random streams stay
    as they are. Tensors of a second call of a submodule in the step have ``@1`` behind, and so on.

    Args:
        model: The model.
        batch: A batch, as the model's dataloader gives it.

    Returns:
        A list of ``(tap, shape, dtype)``; printed, a table to copy from.

    Example:
        >>> from mine_lightning.demos import PlainGAN
        >>> taps = list_taps(PlainGAN(), (torch.zeros(8, 2), torch.zeros(8)))
        >>> print(taps.near("generator:output")[0])
        generator:output (8, 2)
    """
    listener = Listener()
    with isolate_rng(), tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = Trainer(
            max_epochs=1,
            limit_train_batches=1,
            limit_val_batches=0,
            num_sanity_val_steps=0,
            devices=1,
            logger=TensorBoardLogger(folder),
            callbacks=[listener],
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
        )
        trainer.fit(copy.deepcopy(model), DataLoader([batch], batch_size=None))  # type: ignore[arg-type]
    return Taps(listener.found)


class Listener(Callback):
    """Notes every tensor that passes a submodule, the batch, and what the step returns."""

    def __init__(self) -> None:
        self.found: list[TapShape] = []
        self.calls: dict[str, int] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for name, module in pl_module.named_modules():
            if name and not isinstance(module, torch.jit.ScriptModule):
                module.register_forward_pre_hook(partial(self._before, name), with_kwargs=True)
                module.register_forward_hook(partial(self._after, name))

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._note("batch", batch)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._note("outputs", outputs)

    def _before(
        self, name: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        if not in_backward():
            self.calls[name] = self.calls.get(name, -1) + 1
            given: dict[Any, Any] = {**dict(enumerate(args)), **kwargs}
            value = next(iter(given.values())) if len(given) == 1 else given
            self._note(f"{name}:input", value, self._call(name))

    def _after(self, name: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if not in_backward():
            self._note(f"{name}:output", output, self._call(name))

    def _call(self, name: str) -> str:
        return f"@{self.calls[name]}" if self.calls[name] else ""

    def _note(self, text: str, value: Any, call: str = "") -> None:
        self.found += [
            TapShape(path + call, tuple(tensor.shape), tensor.dtype)
            for path, tensor in tensors(text, value)
        ]


def tensors(path: str, value: Any, depth: int = DEPTH) -> Iterator[tuple[str, Tensor]]:
    """Walk through a nested value; yield every tensor with the tap that leads to it."""
    if isinstance(value, Tensor):
        yield path, value
        return
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = vars(value)
    if isinstance(value, (list, tuple)):
        value = dict(enumerate(value))
    if isinstance(value, Mapping) and depth:
        for key, item in value.items():
            yield from tensors(f"{path}[{key}]", item, depth - 1)
