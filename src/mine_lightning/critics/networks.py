r"""Critics (statistics networks): pairs in, scores out.

``critic(x, z)`` broadcasts over the batch dimensions: ``(N, D_x)`` with ``(N, D_z)`` gives
``(N,)``, ``(N, 1, D_x)`` with ``(1, M, D_z)`` all pairs ``(N, M)``, ``(D_x,)`` with ``(D_z,)`` one
score ``()``. Input sizes are found at the first call.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.compiler import is_compiling
from torch.nn import functional as F
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import UninitializedParameter, is_lazy
from torch.utils.checkpoint import checkpoint

from mine_lightning.critics.layers import (
    PairLinear,
    activation_function,
    mlp,
    spectral_normalize,
)
from mine_lightning.support.arguments import check_integer, check_widths
from mine_lightning.support.config import Configurable

__all__ = ["BilinearCritic", "ConcatCritic", "Critic", "SeparableCritic", "score_pairs"]

CACHED_VALUES = 2**18  # hidden values of the pairs that a CPU scores at a time: one megabyte


SHORT = 32  # values of an x that it costs less to score again for every z


class Critic(Configurable, nn.Module):
    """Base of the critics here: ``forward`` broadcasts over batch dimensions."""

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """Score pairs.

        Args:
            x: Samples, shape ``(*, D_x)``.
            z: Samples, shape ``(*, D_z)``; the batch dimensions ``*`` broadcast.

        Returns:
            The scores, shape ``(*,)``.
        """
        raise NotImplementedError


class ConcatCritic(Critic):
    r"""A fully connected network on the concatenation of x and z (joint critic).

    .. math:: T(x, z) = \text{MLP}(W_x f(x) + W_z g(z) + b)

    The first layer scores in two parts, so that one x against many z computes
    :math:`W_x f(x)` once; f and g are the encoders or, without them, the identity.

    With ``chunk_size``, at most that many pairs are scored at a time, and the backward pass scores
    them again instead of keeping their activations: the memory for all pairs of N rows is
    :math:`O(N)` activations and :math:`O(N^2)` scores, for about a third more time. Values and
    gradients agree to rounding. ``torch.func`` needs it to be None.

    References:
        Belghazi et al., "MINE", 2018, appendix; Poole et al., 2019, section 3.

    Args:
        hidden_features: Widths of the hidden layers, at least one.
        activation: Name of the activation: elu, gelu, leaky_relu, relu, silu or tanh.
        x_encoder: Turns an x into a vector, see :mod:`mine_lightning.critics.encoders`.
        z_encoder: Turns a z into a vector.
        spectral_norm: Whether to divide every weight by its largest singular value.
        chunk_size: Largest number of pairs whose activations are held; all by default.

    Raises:
        ValueError: If there is no hidden layer, a width or the chunk size is not positive, or the
            activation is unknown.

    Example:
        >>> critic = ConcatCritic()
        >>> critic(torch.randn(5, 3), torch.randn(5, 2)).shape
        torch.Size([5])
        >>> critic(torch.randn(5, 1, 3), torch.randn(1, 7, 2)).shape
        torch.Size([5, 7])
    """

    def __init__(
        self,
        hidden_features: Sequence[int] = (64, 64),
        activation: str = "relu",
        x_encoder: nn.Module | None = None,
        z_encoder: nn.Module | None = None,
        spectral_norm: bool = False,
        chunk_size: int | None = None,
    ) -> None:
        super().__init__()
        check_widths("hidden_features", hidden_features)
        if chunk_size is not None:
            check_integer("chunk_size", chunk_size)
        first, *rest = hidden_features
        self.spectral_norm, self.chunk_size = spectral_norm, chunk_size
        self.widest = max(hidden_features)
        self.activation, self.activate = activation, activation_function(activation)
        self.x_encoder, self.z_encoder = x_encoder, z_encoder
        self.first = PairLinear(first, spectral_norm)
        widths = [first, *rest, 1]
        self.head = nn.ModuleList(nn.Linear(*sizes) for sizes in pairwise(widths))

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        x = x if self.x_encoder is None else self.x_encoder(x)
        z = z if self.z_encoder is None else self.z_encoder(z)
        score: Callable[..., Tensor]
        if self.joins(x, z):
            self.first.check(x, z)
            weight, bias = self.first.normalized_weight(), self.first.bias
            score, weights = self._score_joined, [weight, bias, *self._weights()]
        else:
            x, z = self.first(x, z)
            score, weights = self._score_summed, self._weights()
        if self.chunk_size is not None and torch.is_grad_enabled():
            score = partial(_recompute, score)
        size = self.pairs_at_once(x)
        return score(x, z, *weights) if size is None else in_chunks(score, x, z, size, *weights)

    def joins(self, x: Tensor, z: Tensor) -> bool:
        """Whether every pair has a z of its own and x is short: then one product is faster."""
        known = not isinstance(self.first.weight, UninitializedParameter)
        pairs = batch_shape(x.shape[:-1], z.shape[:-1])
        return known and x.shape[-1] <= SHORT and tuple(z.shape[:-1]) == pairs

    def pairs_at_once(self, x: Tensor) -> int | None:
        """Return how many pairs to score at a time, None for all of them."""
        if self.chunk_size is None and x.device.type == "cpu" and not is_compiling():
            return max(1, CACHED_VALUES // self.widest)
        return self.chunk_size

    def _weights(self) -> list[Tensor]:
        """Return weight, bias, weight, bias, ..., normalised once for all chunks."""
        layers: Iterable[Any] = self.head
        if self.spectral_norm:
            return [v for layer in layers for v in (spectral_normalize(layer.weight), layer.bias)]
        return [v for layer in layers for v in (layer.weight, layer.bias)]

    def _score_joined(self, x: Tensor, z: Tensor, weight: Tensor, *others: Tensor) -> Tensor:
        """Score from the concatenation of x and z."""
        rows = join(x, z)
        hidden = F.linear(rows.view(-1, rows.shape[-1]), weight, others[0])
        return self._finish(hidden, *others[1:]).view(z.shape[:-1])

    def _score_summed(self, x: Tensor, z: Tensor, *weights: Tensor) -> Tensor:
        """Score from the two parts of the first layer."""
        hidden = x + z
        return self._finish(hidden.reshape(-1, hidden.shape[-1]), *weights).view(hidden.shape[:-1])

    def _finish(self, hidden: Tensor, *weights: Tensor) -> Tensor:
        for weight, bias in zip(weights[::2], weights[1::2], strict=True):
            hidden = F.linear(self.activate(hidden), weight, bias)
        return hidden


class SeparableCritic(Critic):
    r"""The inner product of two encoders.

    .. math:: T(x, z) = f(x)^\top g(z)

    All :math:`N \times M` pairs cost :math:`N + M` passes through the encoders and one matrix
    product.

    References:
        van den Oord et al., "CPC", 2018; Poole et al., 2019, section 3.

    Args:
        embedding_dim: Size of the embeddings whose inner product is the score.
        hidden_features: Widths of the hidden layers of each encoder.
        activation: Name of the activation: elu, gelu, leaky_relu, relu, silu or tanh.
        x_encoder: A module to use as f in place of the fully connected one, see
            :mod:`mine_lightning.critics.encoders`.
        z_encoder: A module to use as g in place of the fully connected one.
        spectral_norm: Whether to divide every weight of the fully connected encoders by its
            largest singular value.

    Raises:
        ValueError: If a width is not positive or the activation is unknown, or if, at a call, the
            embeddings have different sizes.

    Example:
        >>> critic = SeparableCritic(embedding_dim=8)
        >>> critic(torch.randn(5, 1, 3), torch.randn(1, 7, 2)).shape
        torch.Size([5, 7])
    """

    def __init__(
        self,
        embedding_dim: int = 32,
        hidden_features: Sequence[int] = (64, 64),
        activation: str = "relu",
        x_encoder: nn.Module | None = None,
        z_encoder: nn.Module | None = None,
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        networks = (
            mlp(hidden_features, embedding_dim, activation, spectral_norm=spectral_norm)
            for _ in range(2)
        )
        f, g = networks
        self.x_encoder = f if x_encoder is None else x_encoder
        self.z_encoder = g if z_encoder is None else z_encoder

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        f, g = self.x_encoder(x), self.z_encoder(z)
        if f.shape[-1] != g.shape[-1]:
            raise ValueError(
                f"Expected encoders with embeddings of one size, got {f.shape[-1]} for x and "
                f"{g.shape[-1]} for z."
            )
        batch_shape(f.shape[:-1], g.shape[:-1])
        return torch.einsum("...e,...e->...", f, g)


class BilinearCritic(LazyModuleMixin, Critic):
    r"""A bilinear form of the inputs.

    .. math:: T(x, z) = x^\top W z + u^\top x + v^\top z

    References:
        van den Oord et al., "CPC", 2018, eq. 3 (without the linear terms).

    Example:
        >>> BilinearCritic()(torch.randn(5, 3), torch.randn(5, 2)).shape
        torch.Size([5])
    """

    cls_to_become = None

    def __init__(self) -> None:
        super().__init__()
        self.weight = UninitializedParameter()
        self.x_weight = UninitializedParameter()
        self.z_weight = UninitializedParameter()

    def initialize_parameters(self, x: Tensor, z: Tensor) -> None:
        """Give the weights their shapes, found at the first call."""
        if not is_lazy(self.weight):
            return
        x_dim, z_dim = x.shape[-1], z.shape[-1]
        shapes = {self.weight: (x_dim, z_dim), self.x_weight: (x_dim,), self.z_weight: (z_dim,)}
        with torch.no_grad():
            for weight, shape in shapes.items():
                weight.materialize(shape)
                nn.init.normal_(weight, std=0.1 / (x_dim * z_dim) ** 0.5)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        batch_shape(x.shape[:-1], z.shape[:-1])
        interaction = torch.einsum("...e,...e->...", x @ self.weight, z)
        return interaction + x @ self.x_weight + z @ self.z_weight


def batch_shape(x: Sequence[int], z: Sequence[int]) -> tuple[int, ...]:
    """Return the shape that the batch dimensions of x and z broadcast to.

    :func:`torch.broadcast_shapes` costs a tenth of a small critic's step.

    Raises:
        ValueError: If they do not broadcast.
    """
    most = max(len(x), len(z))
    sides = [(*[1] * (most - len(side)), *side) for side in (x, z)]
    pairs = tuple(b if a == 1 else a for a, b in zip(*sides, strict=True))
    if any(b not in (1, n) for b, n in zip(sides[1], pairs, strict=True)):
        raise ValueError(
            "Expected the batch dimensions of `x` and `z` to broadcast, "
            f"got {tuple(x)} and {tuple(z)}."
        )
    return pairs


def join(x: Tensor, z: Tensor) -> Tensor:
    """Concatenate every z, shape ``(*, D_z)``, with its x, which broadcasts to it."""
    return torch.cat((x.expand(*z.shape[:-1], -1), z), dim=-1)


def in_chunks(
    score: Callable[..., Tensor], x: Tensor, z: Tensor, size: int, *weights: Tensor
) -> Tensor:
    """Score at most ``size`` pairs at a time.

    Args:
        score: Turns features and weights into scores, broadcasting.
        x: Features, shape ``(*, F)``.
        z: Features, shape ``(*, F)``; the batch dimensions ``*`` broadcast.
        size: Largest number of pairs in a call.
        weights: Handed on to every call.

    Returns:
        The scores, shape ``(*,)``.
    """
    pairs = batch_shape(x.shape[:-1], z.shape[:-1])
    if math.prod(pairs) <= size:
        return score(x, z, *weights)
    x, z = (v.reshape(*[1] * (len(pairs) + 1 - v.ndim), *v.shape) for v in (x, z))
    dim = next(dim for dim, length in enumerate(pairs) if length > 1)
    rows = max(1, size // math.prod(pairs[dim + 1 :]))
    chunks = [
        in_chunks(score, _rows(x, dim, start, rows), _rows(z, dim, start, rows), size, *weights)
        for start in range(0, pairs[dim], rows)
    ]
    return torch.cat(chunks, dim)


def _rows(values: Tensor, dim: int, start: int, rows: int) -> Tensor:
    """Return some rows along a dimension, or the one row that broadcasts."""
    length = values.shape[dim]
    return values if length == 1 else values.narrow(dim, start, min(rows, length - start))


def _recompute(score: Callable[..., Tensor], *values: Any) -> Tensor:
    return checkpoint(score, *values, use_reentrant=False, preserve_rng_state=False)


def score_pairs(
    critic: Callable[[Tensor, Tensor], Tensor], x: Tensor, z: Tensor, broadcasts: bool | None = None
) -> Tensor:
    """Score rows against rows.

    The critics of this package broadcast by themselves. Any other module is called with plain
    batches of equal length, so that it may concatenate its inputs.

    Args:
        critic: A module with ``critic(x, z) -> scores``.
        x: Samples, shape ``(N, K, ...)``, where N or K may be 1.
        z: Samples, likewise.
        broadcasts: Whether the critic does; by default if it is one of this package.

    Returns:
        The scores, shape ``(N, K)``.

    Raises:
        ValueError: If the critic does not return one score for each pair.
    """
    pairs = batch_shape(x.shape[:2], z.shape[:2])
    if isinstance(critic, Critic) if broadcasts is None else broadcasts:
        return check_pair_scores(critic(x, z), pairs)
    x, z = (v.expand(*pairs, *v.shape[2:]).flatten(0, 1) for v in (x, z))
    return check_pair_scores(critic(x, z), x.shape[:1]).view(pairs)


def check_pair_scores(scores: Tensor, pairs: Sequence[int]) -> Tensor:
    """Raise unless there is one score for each pair."""
    if scores.shape != pairs:
        raise ValueError(
            f"Expected `critic` to return one score for each pair, shape {tuple(pairs)}, "
            f"got {tuple(scores.shape)}. A critic that ends in one output needs `.squeeze(-1)`."
        )
    return scores
