r"""Critics (statistics networks): pairs in, scores out.

``critic(x, z)`` broadcasts over the batch dimensions: ``(N, D_x)`` with ``(N, D_z)`` gives
``(N,)``, ``(N, 1, D_x)`` with ``(1, M, D_z)`` all pairs ``(N, M)``, ``(D_x,)`` with ``(D_z,)`` one
score ``()``. Input sizes are found at the first call.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import UninitializedParameter, is_lazy

from mine_lightning.config import Configurable

__all__ = ["BilinearCritic", "ConcatCritic", "Critic", "SeparableCritic", "score_pairs"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "leaky_relu": nn.LeakyReLU,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


def mlp(hidden_features: Sequence[int], out_features: int, activation: str) -> nn.Sequential:
    """Build a fully connected network whose input size is found at the first call.

    Raises:
        ValueError: If a size is not positive or the activation is unknown.
    """
    check_widths("hidden_features", hidden_features)
    check_widths("out_features", [out_features])
    if activation not in ACTIVATIONS:
        names = ", ".join(ACTIVATIONS)
        raise ValueError(f"Expected `activation` to be one of {names}, got {activation!r}.")
    layers: list[nn.Module] = []
    for width in hidden_features:
        layers += [nn.LazyLinear(width), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers, nn.LazyLinear(out_features))


def check_widths(name: str, widths: Sequence[int]) -> None:
    """Raise unless every layer width is a positive integer."""
    if any(isinstance(width, bool) or not isinstance(width, int) or width < 1 for width in widths):
        raise ValueError(f"Expected `{name}` to hold positive integers, got {widths}.")


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

    .. math:: T(x, z) = \text{MLP}(W_x x + W_z z + b)

    The first layer is kept in two parts, so that scoring one x against many z computes
    :math:`W_x x` once.

    References:
        Belghazi et al., "MINE", 2018, appendix; Poole et al., 2019, section 3.

    Args:
        hidden_features: Widths of the hidden layers, at least one.
        activation: Name of the activation: elu, gelu, leaky_relu, relu, silu or tanh.

    Raises:
        ValueError: If there is no hidden layer, a width is not positive, or the activation is
            unknown.

    Example:
        >>> critic = ConcatCritic()
        >>> critic(torch.randn(5, 3), torch.randn(5, 2)).shape
        torch.Size([5])
        >>> critic(torch.randn(5, 1, 3), torch.randn(1, 7, 2)).shape
        torch.Size([5, 7])
    """

    def __init__(self, hidden_features: Sequence[int] = (64, 64), activation: str = "relu") -> None:
        super().__init__()
        if len(hidden_features) == 0:
            raise ValueError("Expected `hidden_features` to hold at least one width, got none.")
        first, *rest = hidden_features
        check_widths("hidden_features", [first])
        self.x_layer = nn.LazyLinear(first)
        self.z_layer = nn.LazyLinear(first, bias=False)
        head = mlp(rest, 1, activation)
        self.head = nn.Sequential(ACTIVATIONS[activation](), *head)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        return self.head(self.x_layer(x) + self.z_layer(z)).squeeze(-1)


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
        x_encoder: A module to use as f in place of the fully connected one.
        z_encoder: A module to use as g in place of the fully connected one.

    Raises:
        ValueError: If a width is not positive or the activation is unknown.

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
    ) -> None:
        super().__init__()
        self.x_encoder = x_encoder or mlp(hidden_features, embedding_dim, activation)
        self.z_encoder = z_encoder or mlp(hidden_features, embedding_dim, activation)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        return torch.einsum("...e,...e->...", self.x_encoder(x), self.z_encoder(z))


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
        interaction = torch.einsum("...e,...e->...", x @ self.weight, z)
        return interaction + x @ self.x_weight + z @ self.z_weight


def score_pairs(critic: nn.Module, x: Tensor, z: Tensor) -> Tensor:
    """Score rows against rows.

    The critics of this package broadcast by themselves. Any other module is called with plain
    batches of equal length, so that it may concatenate its inputs.

    Args:
        critic: A module with ``critic(x, z) -> scores``.
        x: Samples, shape ``(N, 1, ...)``.
        z: Samples, shape ``(N, K, ...)`` or ``(1, K, ...)``.

    Returns:
        The scores, shape ``(N, K)``.

    Raises:
        ValueError: If the critic does not return one score for each pair.
    """
    pairs = torch.broadcast_shapes(x.shape[:2], z.shape[:2])
    if isinstance(critic, Critic):
        return check_pair_scores(critic(x, z), pairs)
    x, z = (v.expand(*pairs, *v.shape[2:]).flatten(0, 1) for v in (x, z))
    return check_pair_scores(critic(x, z), x.shape[:1]).view(pairs)


def check_pair_scores(scores: Tensor, pairs: torch.Size) -> Tensor:
    """Raise unless there is one score for each pair."""
    if scores.shape != pairs:
        raise ValueError(
            f"Expected `critic` to return one score for each pair, shape {tuple(pairs)}, "
            f"got {tuple(scores.shape)}. A critic that ends in one output needs `.squeeze(-1)`."
        )
    return scores
