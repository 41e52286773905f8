"""Layers that critics and encoders are built of."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import UninitializedParameter, is_lazy

from mine_lightning.support.arguments import check_integer, check_widths
from mine_lightning.support.upstream import convolve

__all__ = [
    "ACTIVATIONS",
    "PairLinear",
    "activation_layer",
    "batched_linear",
    "conv",
    "linear",
    "mlp",
]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "leaky_relu": nn.LeakyReLU,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "elu": F.elu,
    "gelu": F.gelu,
    "leaky_relu": F.leaky_relu,
    "relu": torch.relu,
    "silu": F.silu,
    "tanh": torch.tanh,
}


def activation_layer(name: str) -> nn.Module:
    """Build an activation by its name.

    Raises:
        ValueError: If there is none of that name.
    """
    check_activation(name)
    return ACTIVATIONS[name]()


def activation_function(name: str) -> Callable[[Tensor], Tensor]:
    """Return an activation by its name, without the cost of calling a module.

    Raises:
        ValueError: If there is none of that name.
    """
    check_activation(name)
    return FUNCTIONS[name]


def check_activation(name: str) -> None:
    """Raise unless there is an activation of that name."""
    if name not in ACTIVATIONS:
        names = ", ".join(ACTIVATIONS)
        raise ValueError(f"Expected `activation` to be one of {names}, got {name!r}.")


def spectral_normalize(weight: Tensor, iterations: int = 32) -> Tensor:
    r"""Divide a weight by its largest singular value.

    .. math:: W / \sigma(W), \quad \sigma(W) \approx \|W v\|, \quad v \propto (W^\top W)^k v_0

    The power iteration starts anew from a fixed :math:`v_0`, so there is no state: evaluation
    changes nothing, a recomputed forward pass gives the same numbers, and an ensemble under
    ``vmap`` works. Dimensions after the first are one.

    References:
        Miyato et al., "Spectral Normalization for Generative Adversarial Networks", 2018.
    """
    matrix = weight.flatten(1)
    fixed = matrix.detach()
    vector = torch.cos(torch.arange(matrix.shape[1], dtype=weight.dtype, device=weight.device))
    for _ in range(iterations):
        vector = F.normalize(fixed.T @ (fixed @ vector), dim=0)
    return weight / torch.linalg.vector_norm(matrix @ vector).clamp_min(1e-12)


class SpectralLinear(nn.Linear):
    """A linear layer whose weight has a largest singular value of 1."""

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, spectral_normalize(self.weight), self.bias)


class LazySpectralLinear(nn.LazyLinear):
    """A :class:`SpectralLinear` whose input size is found at the first call."""

    cls_to_become = SpectralLinear
    forward = SpectralLinear.forward


class SpectralConv2d(nn.Conv2d):
    """A convolution whose kernel, as a matrix, has a largest singular value of 1."""

    def forward(self, input: Tensor) -> Tensor:
        return convolve(self, input, spectral_normalize(self.weight))


class LazySpectralConv2d(nn.LazyConv2d):
    """A :class:`SpectralConv2d` whose input channels are found at the first call."""

    cls_to_become = SpectralConv2d
    forward = SpectralConv2d.forward


class PairLinear(LazyModuleMixin, nn.Module):
    r"""A linear layer on the concatenation of x and z, whose sizes are found at the first call.

    .. math:: W (x, z) + b = W_x x + W_z z + b

    Args:
        out_features: Size of the result.
        spectral_norm: Whether to divide W by its largest singular value.
    """

    cls_to_become = None

    def __init__(self, out_features: int, spectral_norm: bool = False) -> None:
        super().__init__()
        self.out_features, self.spectral_norm = out_features, spectral_norm
        self.weight = UninitializedParameter()
        self.bias = UninitializedParameter()
        self.x_features = 0

    def initialize_parameters(self, x: Tensor, z: Tensor) -> None:
        """Give weight and bias their shapes, found at the first call."""
        if is_lazy(self.weight):
            with torch.no_grad():
                self.weight.materialize((self.out_features, x.shape[-1] + z.shape[-1]))
                self.bias.materialize((self.out_features,))
                self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights and biases as :class:`torch.nn.Linear` does, for all inputs together."""
        if not is_lazy(self.weight):
            bound = self.weight.shape[1] ** -0.5
            nn.init.uniform_(self.weight, -bound, bound)
            nn.init.uniform_(self.bias, -bound, bound)

    def parts(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return the columns of W that belong to x and to z.

        Raises:
            ValueError: If the sizes are not those of the first call.
        """
        self.check(x, z)
        sizes = [x.shape[-1], z.shape[-1]]
        w_x, w_z = self.normalized_weight().split(sizes, dim=-1)
        return w_x, w_z

    def check(self, x: Tensor, z: Tensor) -> None:
        """Raise unless x and z have the sizes of the first call."""
        self.x_features = self.x_features or x.shape[-1]
        expected = self.x_features, self.weight.shape[-1] - self.x_features
        if (x.shape[-1], z.shape[-1]) != expected:
            raise ValueError(
                f"Expected `x` of {expected[0]} and `z` of {expected[1]} features, got "
                f"{x.shape[-1]} and {z.shape[-1]}."
            )

    def normalized_weight(self) -> Tensor:
        """Return W, divided by its largest singular value if that is wished."""
        return spectral_normalize(self.weight) if self.spectral_norm else self.weight

    def forward(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return :math:`W_x x + b` and :math:`W_z z`, whose sum broadcasts."""
        w_x, w_z = self.parts(x, z)
        return F.linear(x, w_x, self.bias), F.linear(z, w_z)


def linear(
    in_features: int | None, out_features: int, bias: bool = True, spectral_norm: bool = False
) -> nn.Linear:
    """Build a linear layer, lazy without ``in_features``."""
    if in_features is None:
        return (LazySpectralLinear if spectral_norm else nn.LazyLinear)(out_features, bias=bias)
    return (SpectralLinear if spectral_norm else nn.Linear)(in_features, out_features, bias=bias)


def conv(
    in_channels: int | None, out_channels: int, kernel_size: int, spectral_norm: bool = False
) -> nn.Conv2d:
    """Build a convolution that halves height and width, lazy without ``in_channels``."""
    padding = kernel_size // 2
    if in_channels is None:
        lazy = LazySpectralConv2d if spectral_norm else nn.LazyConv2d
        return lazy(out_channels, kernel_size, stride=2, padding=padding)
    layer = SpectralConv2d if spectral_norm else nn.Conv2d
    return layer(in_channels, out_channels, kernel_size, stride=2, padding=padding)


def mlp(
    hidden_features: Sequence[int],
    out_features: int,
    activation: str,
    in_features: int | None = None,
    spectral_norm: bool = False,
) -> nn.Sequential:
    """Build a fully connected network; without ``in_features`` they are found at the first call.

    Raises:
        ValueError: If a size is not positive or the activation is unknown.
    """
    if hidden_features:
        check_widths("hidden_features", hidden_features)
    check_integer("out_features", out_features)
    layers: list[nn.Module] = []
    for width in hidden_features:
        layers += [linear(in_features, width, spectral_norm=spectral_norm)]
        layers += [activation_layer(activation)]
        in_features = width
    layers += [linear(in_features, out_features, spectral_norm=spectral_norm)]
    return nn.Sequential(*layers)


def batched_linear(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Apply stacked linear layers to rows, shape ``(E, *, D)``."""
    flat = rows.reshape(len(rows), math.prod(rows.shape[1:-1]), rows.shape[-1])
    columns = weight.mT
    out = flat @ columns if bias is None else torch.baddbmm(bias.unsqueeze(1), flat, columns)
    return out.view(*rows.shape[:-1], -1)
