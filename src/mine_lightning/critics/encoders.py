r"""Encoders: images, integer codes and sequences in, feature vectors out.

An encoder turns one event (an image, a code, a sequence) into a vector and broadcasts over all
dimensions before it: ``(*, C, H, W)`` gives ``(*, out_features)``. Give it to a critic as
``x_encoder`` or ``z_encoder``.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mine_lightning.critics.layers import activation_layer, conv, linear, mlp
from mine_lightning.support.arguments import check_integer, check_widths
from mine_lightning.support.config import Configurable

__all__ = ["ConvEncoder", "EmbeddingEncoder", "Encoder", "SequenceEncoder"]


class Encoder(Configurable, nn.Module):
    r"""Broadcast a network over the batch dimensions.

    The base of the encoders here, and the way to use a network of one's own that takes a plain
    batch ``(B, ...)``.

    Args:
        network: A module from ``(B, ...)`` to ``(B, out_features)``.
        event_dims: How many dimensions one event has: 0 for a code, 1 for a vector, 2 for a
            sequence of vectors, 3 for an image with channels.

    Raises:
        ValueError: If ``event_dims`` is negative or, at a call, the input has fewer dimensions.

    Example:
        >>> encoder = Encoder(nn.Sequential(nn.Flatten(), nn.LazyLinear(8)), event_dims=3)
        >>> encoder(torch.randn(5, 1, 3, 28, 28)).shape
        torch.Size([5, 1, 8])
    """

    def __init__(self, network: nn.Module, event_dims: int) -> None:
        super().__init__()
        check_integer("event_dims", event_dims, least=0)
        self.network = network
        self.event_dims = event_dims

    def forward(self, x: Tensor) -> Tensor:
        """Encode events.

        Args:
            x: Events, shape ``(*, ...)`` with ``event_dims`` dimensions for each.

        Returns:
            The features, shape ``(*, out_features)``.

        Raises:
            ValueError: If the input has fewer dimensions than one event.
        """
        dims = x.ndim - self.event_dims
        if dims < 0:
            raise ValueError(
                f"Expected events of {self.event_dims} dimensions, got shape {tuple(x.shape)}."
            )
        batch = x.shape[:dims]
        return self.network(x.reshape(-1, *x.shape[dims:])).reshape(*batch, -1)


class ConvEncoder(Encoder):
    r"""A convolutional network for images ``(*, C, H, W)``.

    Each layer halves height and width; the last one's channels, at every position, go through a
    linear layer. Channels, height and width are found at the first call and fixed from then on.

    Args:
        out_features: Size of the encoding.
        channels: Output channels of the convolutions, at least one.
        kernel_size: Size of their kernels, odd.
        activation: Name of the activation: elu, gelu, leaky_relu, relu, silu or tanh.
        spectral_norm: Whether to divide every weight by its largest singular value.

    Raises:
        ValueError: If a size is not positive, the kernel size is even, there is no convolution, or
            the activation is unknown.

    Example:
        >>> ConvEncoder(out_features=16)(torch.randn(5, 1, 28, 28)).shape
        torch.Size([5, 16])
    """

    def __init__(
        self,
        out_features: int = 32,
        channels: Sequence[int] = (16, 32),
        kernel_size: int = 3,
        activation: str = "relu",
        spectral_norm: bool = False,
    ) -> None:
        check_integer("out_features", out_features)
        check_widths("channels", channels)
        check_integer("kernel_size", kernel_size)
        if kernel_size % 2 == 0:
            raise ValueError(f"Expected `kernel_size` to be odd, got {kernel_size}.")
        layers: list[nn.Module] = []
        for before, after in zip([None, *channels[:-1]], channels, strict=True):
            layers += [conv(before, after, kernel_size, spectral_norm)]
            layers += [activation_layer(activation)]
        last = linear(None, out_features, spectral_norm=spectral_norm)
        super().__init__(nn.Sequential(*layers, nn.Flatten(), last), event_dims=3)


class EmbeddingEncoder(Encoder):
    r"""One learned vector for each integer code.

    Args:
        num_codes: How many codes there are. With one number, ``x`` holds one code for each event,
            shape ``(*,)``; with k numbers, k codes, shape ``(*, k)``, each column with its own
            codes from 0.
        out_features: Size of the vector of a code. The encoding of k columns has k times as many.

    Raises:
        ValueError: If a size is not positive or, at a call, the input does not hold integers or
            another number of columns.

    Example:
        >>> EmbeddingEncoder(10)(torch.tensor([3, 7])).shape
        torch.Size([2, 32])
        >>> EmbeddingEncoder([10, 4], out_features=8)(torch.tensor([[3, 0], [7, 3]])).shape
        torch.Size([2, 16])
    """

    first: Tensor

    def __init__(self, num_codes: int | Sequence[int], out_features: int = 32) -> None:
        sizes = [num_codes] if isinstance(num_codes, int) else list(num_codes)
        check_widths("num_codes", sizes)
        check_integer("out_features", out_features)
        single = isinstance(num_codes, int)
        super().__init__(nn.Embedding(sum(sizes), out_features), event_dims=0 if single else 1)
        first = torch.tensor([0, *sizes[:-1]]).cumsum(0)
        self.register_buffer("first", first[0] if single else first, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Encode codes.

        Args:
            x: Integer codes, shape ``(*,)`` or ``(*, k)``.

        Returns:
            The features, shape ``(*, out_features)`` or ``(*, k * out_features)``.

        Raises:
            ValueError: If the codes are not integers or come in another number of columns.
        """
        if x.is_floating_point() or x.is_complex() or x.dtype == torch.bool:
            raise ValueError(f"Expected integer codes, got {x.dtype}.")
        columns = self.first.shape[0] if self.event_dims else None
        if columns is not None and (x.ndim == 0 or x.shape[-1] != columns):
            raise ValueError(f"Expected {columns} columns of codes, got shape {tuple(x.shape)}.")
        batch = x.shape[: x.ndim - self.event_dims]
        return self.network(x + self.first).reshape(*batch, -1)


class AttentionPooling(nn.Module):
    r"""Average a sequence with learned weights, equal ones to begin with.

    .. math:: \sum_t \text{softmax}_t(q^\top h_t)\, h_t

    Args:
        features: Size of the vectors that are averaged.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(features))

    def forward(self, h: Tensor) -> Tensor:
        weights = torch.softmax(h @ self.query, dim=-1)  # (*, T)
        return torch.einsum("...t,...td->...d", weights, h)


class SequenceEncoder(Encoder):
    r"""A network for sequences ``(*, T, D)``.

    Every element, joined with the one before it, goes through the same fully connected layers;
    the results are averaged with learned weights and go through a linear layer. T may differ from
    call to call.

    Args:
        out_features: Size of the encoding.
        hidden_features: Widths of the layers that every element goes through, at least one.
        activation: Name of the activation: elu, gelu, leaky_relu, relu, silu or tanh.
        spectral_norm: Whether to divide every weight by its largest singular value.

    Raises:
        ValueError: If a size is not positive, there is no layer, or the activation is unknown.

    Example:
        >>> SequenceEncoder(out_features=16)(torch.randn(5, 100, 3)).shape
        torch.Size([5, 16])
    """

    def __init__(
        self,
        out_features: int = 32,
        hidden_features: Sequence[int] = (64, 64),
        activation: str = "relu",
        spectral_norm: bool = False,
    ) -> None:
        check_integer("out_features", out_features)
        check_widths("hidden_features", hidden_features)
        *rest, last = hidden_features
        elements = mlp(rest, last, activation, spectral_norm=spectral_norm)
        out = linear(last, out_features, spectral_norm=spectral_norm)
        layers = (WithPrevious(), elements, activation_layer(activation), AttentionPooling(last))
        super().__init__(nn.Sequential(*layers, out), event_dims=2)


class WithPrevious(nn.Module):
    """Join every element of ``(B, T, D)`` with the one before it, zeros before the first."""

    def forward(self, x: Tensor) -> Tensor:
        previous = torch.cat((torch.zeros_like(x[:, :1]), x[:, :-1]), dim=1)
        return torch.cat((x, previous), dim=2)
