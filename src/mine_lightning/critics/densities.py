r"""Conditional densities: critics whose score is :math:`\ln q(z | x)`, for the upper bounds."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import UninitializedParameter, is_lazy

from mine_lightning.critics.layers import activation_layer, mlp
from mine_lightning.critics.networks import Critic
from mine_lightning.objectives.scores import widen
from mine_lightning.support.arguments import check_integer, check_widths

__all__ = ["ConditionalCategorical", "ConditionalGaussian"]

LARGEST_LOG_SCALE = 7.0


class LazyHead(LazyModuleMixin, nn.Module):
    """A linear layer whose two sizes are found at the first call."""

    cls_to_become = None

    def __init__(self) -> None:
        super().__init__()
        self.weight = UninitializedParameter()
        self.bias = UninitializedParameter()

    def initialize_parameters(self, features: Tensor, out_features: int) -> None:
        """Give the weights their shapes."""
        if not is_lazy(self.weight):
            return
        width = features.shape[-1]
        with torch.no_grad():
            self.weight.materialize((out_features, width))
            self.bias.materialize((out_features,))
            nn.init.uniform_(self.weight, -1 / math.sqrt(width), 1 / math.sqrt(width))
            nn.init.zeros_(self.bias)

    def forward(self, features: Tensor, out_features: int) -> Tensor:
        return nn.functional.linear(features, self.weight, self.bias)


class ConditionalGaussian(Critic):
    r"""The log density of a normal distribution of z whose mean and scale depend on x.

    .. math::
        \ln q(z | x) = \sum_d \Bigl(-\frac{(z_d - \mu_d(x))^2}{2 \sigma_d(x)^2}
        - \ln \sigma_d(x) - \ln \sqrt{2 \pi}\Bigr)

    The log scale is bounded smoothly, far out: :math:`7 \tanh(s / 7)`. (A bound of
    :math:`\ln \sigma^2` to [-1, 1], as published code has it, cannot represent correlations above
    0.8 of standardised variables.) Sizes are found at the first call.

    References:
        Cheng et al., "CLUB", 2020, section 3.2.

    Args:
        hidden_features: Widths of the layers that x passes through.
        activation: Name of the activation, as for :class:`~mine_lightning.ConcatCritic`.
        encoder: A module to use on x in place of the fully connected one, with an output of shape
            ``(*, F)``.

    Raises:
        ValueError: If there is no layer, a width is not positive or the activation is unknown.

    Example:
        >>> critic = ConditionalGaussian()
        >>> critic(torch.randn(5, 1, 3), torch.randn(1, 7, 2)).shape
        torch.Size([5, 7])
    """

    def __init__(
        self,
        hidden_features: Sequence[int] = (64, 64),
        activation: str = "relu",
        encoder: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder or encode(hidden_features, activation)
        self.head = LazyHead()

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        mean, log_scale = widen(self.head(self.encoder(x), 2 * z.shape[-1])).chunk(2, dim=-1)
        log_scale = LARGEST_LOG_SCALE * torch.tanh(log_scale / LARGEST_LOG_SCALE)
        deviation = (z - mean) * torch.exp(-log_scale)
        return -(deviation.square() / 2 + log_scale + math.log(2 * math.pi) / 2).sum(-1)


class ConditionalCategorical(Critic):
    r"""The log probability of a label z given x.

    .. math:: \ln q(z | x) = \ln \text{softmax}(f(x))_z

    Labels are integer codes from 0, shape ``(*,)`` or ``(*, 1)``, or have one column for each
    class, shape ``(*, classes)``, of which the largest counts: one-hot labels, also standardised.

    References:
        Cheng et al., "CLUB", 2020, section 3.2.

    Args:
        classes: Number of classes.
        hidden_features: Widths of the layers that x passes through.
        activation: Name of the activation, as for :class:`~mine_lightning.ConcatCritic`.
        encoder: A module to use on x in place of the fully connected one, with an output of shape
            ``(*, F)``.

    Raises:
        ValueError: If ``classes`` is less than 2, there is no layer, a width is not positive or the
            activation is unknown; at the call, if z is no label.

    Example:
        >>> critic = ConditionalCategorical(classes=10)
        >>> critic(torch.randn(5, 1, 3), torch.randint(10, (1, 7, 1))).shape
        torch.Size([5, 7])
    """

    def __init__(
        self,
        classes: int,
        hidden_features: Sequence[int] = (64, 64),
        activation: str = "relu",
        encoder: nn.Module | None = None,
    ) -> None:
        super().__init__()
        check_integer("classes", classes, least=2)
        self.classes = classes
        self.encoder = encoder or encode(hidden_features, activation)
        self.head = nn.LazyLinear(classes)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        log_probabilities = torch.log_softmax(widen(self.head(self.encoder(x))), dim=-1)
        codes = self._codes(z, log_probabilities.ndim).unsqueeze(-1)
        batch = torch.broadcast_shapes(log_probabilities.shape[:-1], codes.shape[:-1])
        return log_probabilities.expand(*batch, -1).gather(-1, codes.expand(*batch, 1)).squeeze(-1)

    def _codes(self, z: Tensor, dims: int) -> Tensor:
        """Return integer codes, shape ``(*,)``."""
        if z.ndim == dims and z.shape[-1] == self.classes:
            return z.argmax(-1)
        if not z.is_floating_point() and z.ndim == dims and z.shape[-1] == 1:
            return z.squeeze(-1).long()
        if not z.is_floating_point() and z.ndim == dims - 1:
            return z.long()
        raise ValueError(
            f"Expected `z` to hold integer codes, shape (*,) or (*, 1), or one column for each of "
            f"{self.classes} classes, got {z.dtype} of shape {tuple(z.shape)}."
        )


def encode(hidden_features: Sequence[int], activation: str) -> nn.Module:
    """Build the fully connected network before the head.

    Raises:
        ValueError: If there is no layer, a width is not positive or the activation is unknown.
    """
    check_widths("hidden_features", hidden_features)
    *rest, last = hidden_features
    return nn.Sequential(mlp(rest, last, activation), activation_layer(activation))
