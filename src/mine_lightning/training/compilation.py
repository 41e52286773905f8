"""Steps of Adam at the speed of their arithmetic: a fused update, or the whole step one graph."""

import warnings
from collections.abc import Callable, Sequence
from types import FunctionType, MethodType
from typing import Any, Literal

import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from torch import Tensor

from mine_lightning.support.adam import FusedAdam, is_fused_adam
from mine_lightning.support.hooks import is_bare
from mine_lightning.support.upstream import compile_errors, tracing_gradients
from mine_lightning.training.capture import CapturedStep
from mine_lightning.training.steps import BareStep, HookedStep

__all__ = ["AdamStep", "Compile", "CompiledStep", "adam_update", "choose_step"]

Compile = Literal["auto"] | bool

LONG_RUN = 100_000  # steps, which repay half a minute of compilation
UNROLLED = 4  # steps in a graph: calling one costs as much as a third of a small step


def choose_step(module: Any, compile: Compile) -> HookedStep:
    """Return the fastest way to take a step that this run allows.

    Whether "auto" compiles depends on the planned number of steps alone, so that a run that is
    resumed is compiled like the one that was interrupted.
    """
    kind: type[HookedStep] = BareStep if is_bare(module) else HookedStep
    if kind is BareStep and is_fused_adam(module.optimizers().optimizer):
        long = compile == "auto" and planned_steps(module.trainer) >= LONG_RUN
        adam = (CompiledStep if compile is True or long else AdamStep)(module)
        return CapturedStep(adam) if compile is not False and is_capturable(module) else adam
    if compile is True:
        rank_zero_warn(
            "Training is not compiled: `compile=True` needs Adam or AdamW on one CPU or GPU, "
            "without gradient scaling and without hooks around the backward pass and the step."
        )
    return kind(module)


def is_capturable(module: Any) -> bool:
    """Whether steps lie on one GPU and cast no weights, of which mixed precision keeps copies."""
    unmixed = module.trainer.precision in ("32-true", "64-true", "bf16-true")
    return unmixed and all(weight.device.type == "cuda" for weight in module.parameters())


def planned_steps(trainer: Any) -> int:
    """Return the number of optimizer steps until the run ends; 0 if nothing bounds it."""
    minibatches = getattr(trainer.train_dataloader, "batches", trainer.num_training_batches)
    bounds = trainer.max_steps, (trainer.max_epochs or -1) * minibatches
    return int(min((bound for bound in bounds if bound >= 0), default=0))


class AdamStep(BareStep):
    """A step whose update is one kernel, see :class:`~mine_lightning.support.adam.FusedAdam`."""

    def __init__(self, module: Any) -> None:
        super().__init__(module)
        self.adam = FusedAdam(self.bare)

    def prepare(self) -> None:
        self.adam.note_rates()

    def take(self, batch: Any) -> tuple[Tensor, Any]:
        loss, others, gradients = self.differentiate(batch)
        self.adam.update(gradients)
        return loss, others


class CompiledStep(AdamStep):
    """Steps as a graph of :func:`torch.compile`, several at a time.

    They differ from eager steps by rounding. PyTorch compiles at the first call and keeps the
    result on disk. Where it cannot, and for minibatches that do not fill a graph, steps are eager;
    a warning says why.
    """

    def __init__(self, module: Any) -> None:
        super().__init__(module)
        self._graph: Callable[..., Any] | None = torch.compile(
            own_code(self._whole), fullgraph=True, dynamic=False
        )

    def take_steps(self, batches: Sequence[Any]) -> list[tuple[Tensor, Any]]:
        whole = len(batches) - len(batches) % UNROLLED
        parts = [batches[first : first + UNROLLED] for first in range(0, whole, UNROLLED)]
        taken = [result for part in parts for result in self._run(part)]
        return taken + super().take_steps(batches[whole:])

    def _run(self, batches: Sequence[Any]) -> list[tuple[Tensor, Any]]:
        """Run the graph."""
        if self._graph is None:
            return super().take_steps(batches)
        try:
            return self._compiled(self._graph, batches)
        except compile_errors()[0] as error:
            reason = " ".join(str(error).split())[:300]
            rank_zero_warn(f"Training goes on without compilation, which failed: {reason}")
            self._graph = None
            return super().take_steps(batches)

    @staticmethod
    def _compiled(graph: Callable[..., Any], batches: Sequence[Any]) -> list[tuple[Tensor, Any]]:
        """Run the graph; compile it, with gradients inside, where there is none for the batch."""
        try:
            return graph(batches)
        except compile_errors()[1]:
            with tracing_gradients(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the compiler's own
                return graph(batches)

    def _whole(self, batches: Sequence[Any]) -> list[tuple[Tensor, Any]]:
        return [self._step(batch) for batch in batches]

    def _step(self, batch: Any) -> tuple[Tensor, Any]:
        loss, others, gradients = self.differentiate(batch)
        with torch.no_grad():
            for group in self.adam.groups:
                steps = group.counts.add_(1).unbind()
                moments = zip(steps, group.first_moments, group.second_moments, strict=True)
                for weight, state in zip(group.weights, moments, strict=True):
                    adam_update(weight, gradients.pop(0), state, group.rate, group.settings)
        return loss, [other.detach() for other in others]


def own_code(method: Any) -> Callable[..., Any]:
    """Return a bound method with a code object of its own.

    PyTorch keeps what it compiles with the code object, and gives up on one after some graphs, here
    after as many runs; a copy takes its graphs with it when the run ends.
    """
    function = method.__func__
    code = function.__code__.replace(co_name=f"{function.__name__}_{id(method.__self__)}")
    return MethodType(FunctionType(code, function.__globals__), method.__self__)


def adam_update(
    weight: Tensor,
    gradient: Tensor,
    state: tuple[Tensor, Tensor, Tensor],
    rate: Tensor,
    settings: dict[str, Any],
) -> None:
    r"""Take a step of Adam, or of AdamW if the weight decay is decoupled, in place.

    .. math::
        m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad
        v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \quad
        w \leftarrow w - \eta \, \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}

    References:
        Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015, algorithm 1; Loshchilov
        and Hutter, "Decoupled Weight Decay Regularization", 2019, algorithm 2.

    Args:
        weight: The weight w.
        gradient: Its gradient g.
        state: The number t of steps, this one included, and the moments m and v.
        rate: The learning rate, shape ``()``.
        settings: The optimizer's ``betas``, ``eps``, ``weight_decay`` and
            ``decoupled_weight_decay``.
    """
    step, first, second = state
    (first_decay, second_decay), decay = settings["betas"], settings["weight_decay"]
    if decay and settings.get("decoupled_weight_decay"):
        weight.mul_(1 - rate * decay)
    elif decay:
        gradient = gradient + decay * weight
    first.lerp_(gradient, 1 - first_decay)
    second.lerp_(gradient.square(), 1 - second_decay)
    scale = (second / (1 - second_decay**step)).sqrt() + settings["eps"]
    weight.sub_(rate / (1 - first_decay**step) * first / scale)
