"""Backpropagation through fully connected layers, written out.

The matrix products of a small critic take less time than the graph that autograd builds around
them. Where nothing else hangs on that graph, a training step calls them one by one.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.compiler import is_compiling
from torch.nn import functional as F

from mine_lightning.critics.layers import PairLinear, activation_function
from mine_lightning.critics.networks import ConcatCritic, join
from mine_lightning.support.upstream import is_hooked

__all__ = ["Backprop", "Layers", "Tape", "is_untouched"]

IN_PLACE: dict[str, Callable[[Tensor], Tensor]] = {
    "elu": F.elu_,
    "leaky_relu": F.leaky_relu_,
    "relu": torch.relu_,
    "tanh": torch.tanh_,
}
"""Those whose slope follows from their result."""

aten = torch.ops.aten
SLOPES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "elu": lambda gradient, _, result: aten.elu_backward(gradient, 1.0, 1.0, 1.0, True, result),
    "gelu": lambda gradient, value, _: aten.gelu_backward(gradient, value),
    "leaky_relu": lambda gradient, _, result: aten.leaky_relu_backward(
        gradient, result, 0.01, True
    ),
    "relu": lambda gradient, _, result: aten.threshold_backward(gradient, result, 0),
    "silu": lambda gradient, value, _: aten.silu_backward(gradient, value),
    "tanh": lambda gradient, _, result: aten.tanh_backward(gradient, result),
}
"""The slope at a value, times the gradient by the result."""


class Tape(NamedTuple):
    """What the reverse pass needs: the inputs of every layer, and what it activated."""

    inputs: list[Tensor]
    sums: list[Tensor]


class Layers:
    r"""Fully connected layers, or E stacked ones.

    .. math::
        s_l = W_l h_{l - 1} + b_l, \quad h_l = \sigma(s_l)

    The gradient :math:`g_L` of a loss by the last :math:`s_L` gives

    .. math::
        g_{l - 1} = \sigma'(s_{l - 1}) \odot W_l^\top g_l, \quad
        \partial_{W_l} = \sum_n g_{l, n} h_{l - 1, n}^\top, \quad
        \partial_{b_l} = \sum_n g_{l, n}

    Args:
        weights: Those of each layer, shape ``(O, I)`` or ``(E, O, I)``.
        biases: Likewise, ``(O,)`` or ``(E, O)``.
        activation: Name of the activation between layers.
    """

    def __init__(
        self, weights: Sequence[Tensor], biases: Sequence[Tensor], activation: str
    ) -> None:
        self.weights, self.biases = list(weights), list(biases)
        self.activate = IN_PLACE.get(activation, activation_function(activation))
        self.slope = SLOPES[activation]

    def forward(self, rows: Tensor) -> tuple[Tensor, Tape]:
        """Return the outputs for rows, shape ``(N, D)`` or ``(E, N, D)``, and the tape."""
        tape = Tape([], [])
        for weight, bias in zip(self.weights, self.biases, strict=True):
            rows = self.activate(rows) if tape.sums else rows
            tape.inputs.append(rows)
            rows = affine(rows, weight, bias)
            tape.sums.append(rows)
        return rows, tape

    @torch.no_grad()
    def backward(self, gradient: Tensor, tape: Tape) -> list[Tensor]:
        """Return the gradients by weight, bias, weight, bias, ...

        Args:
            gradient: Gradient by the outputs; dimensions of rows may be more than one.
            tape: As returned by :meth:`forward`.
        """
        gradient = gradient.reshape(tape.sums[-1].shape)
        found: list[Tensor] = []
        for layer in reversed(range(len(self.weights))):
            found += [gradient.sum(-2), gradient.mT @ tape.inputs[layer]]
            if layer:
                gradient = gradient @ self.weights[layer]
                gradient = self.slope(gradient, tape.sums[layer - 1], tape.inputs[layer])
        return found[::-1]


class Backprop(Layers):
    r"""The layers of a :class:`~mine_lightning.ConcatCritic`, or of E stacked ones.

    .. math::
        h_0 = (x, z), \quad T = s_L

    Args:
        critic: The critic, whose weights may have a first dimension of E.
    """

    def __init__(self, critic: ConcatCritic) -> None:
        layers: list[Any] = [critic.first, *critic.head]
        parts = ([layer.weight for layer in layers], [layer.bias for layer in layers])
        super().__init__(*parts, critic.activation)
        self.critic = critic
        self.parameters = [v for layer in layers for v in (layer.weight, layer.bias)]
        self.others: list[Tensor] = []
        self.places = list(range(len(self.parameters)))
        self._held: tuple[torch.Size, torch.Size] | None = None

    @classmethod
    def of(cls, critic: nn.Module) -> "Backprop | None":
        """Return the layers of a critic, None where its scores are more than these layers."""
        if type(critic) is not ConcatCritic or critic.spectral_norm or critic.chunk_size:
            return None
        modules = {ConcatCritic, PairLinear, nn.ModuleList, nn.Linear}
        plain = modules.issuperset(map(type, critic.modules()))
        return cls(critic) if plain and is_untouched(critic) else None

    def arrange(self, weights: Sequence[Tensor]) -> None:
        """Note which ``others`` an optimizer's weights hold, and in what ``places`` their gradients
        stand among those of the critic's ``parameters`` and of the others.
        """
        own = set(map(id, self.parameters))
        self.others = [weight for weight in weights if id(weight) not in own]
        order = [id(weight) for weight in (*self.parameters, *self.others)]
        self.places = [order.index(id(weight)) for weight in weights]

    def holds(self, x: Tensor, z: Tensor) -> bool:
        """Whether the critic scores these pairs at once, from their concatenations.

        The shapes are looked at when they change; a graph knows them when it is compiled.
        """
        if is_compiling():
            return self._allows(x, z)
        if self._held != (x.shape, z.shape):
            self._held = (x.shape, z.shape) if self._allows(x, z) else None
        return self._held is not None

    def _allows(self, x: Tensor, z: Tensor) -> bool:
        self.critic.first.check(x, z)
        most = self.critic.pairs_at_once(x) if self.weights[0].ndim == 2 else None
        return self.critic.joins(x, z) and (most is None or z.shape[:-1].numel() <= most)

    @torch.no_grad()
    def score(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tape]:
        """Score pairs that :meth:`holds` allows.

        Args:
            x: Samples, shape ``(1, N, D_x)``, or with a first dimension of E.
            z: Samples for each x, shape ``(M, N, D_z)``, or with a first dimension of E.

        Returns:
            The scores, shape ``(M, N)`` or ``(E, M, N)``, and the tape.
        """
        values, tape = self.forward(join(x, z).flatten(-3, -2))
        return values.view(z.shape[:-1]), tape


def is_untouched(module: nn.Module) -> bool:
    """Whether nobody listens to a module's passes, and all of its weights are trained."""
    modules, weights = list(module.modules()), list(module.parameters())
    hooked = any(map(is_hooked, modules)) or any(map(is_hooked, weights))
    return not hooked and all(weight.requires_grad for weight in weights)


def affine(rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Apply a linear layer, shape ``(O, I)``, or E stacked ones to rows, shape ``(E, N, I)``."""
    if weight.ndim == 2:
        return torch.addmm(bias, rows, weight.t())
    return torch.bmm(rows, weight.mT).add_(bias.unsqueeze(1))
