"""Several critics, or objectives, of one kind computed as one: their state stacked, one pass."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.parameter import is_lazy

from mine_lightning.critics.layers import batched_linear
from mine_lightning.critics.networks import ConcatCritic, Critic, batch_shape, score_pairs
from mine_lightning.objectives import Objective
from mine_lightning.objectives.base import check_objective
from mine_lightning.objectives.pooling import Pooled
from mine_lightning.support.arguments import check_integer
from mine_lightning.support.upstream import with_tensors

__all__ = ["CriticEnsemble", "ObjectiveEnsemble", "copy_members", "take_members"]

Module = TypeVar("Module", bound=nn.Module)


class CriticEnsemble(Critic):
    r"""E copies of a critic with different initial weights.

    Parameters and buffers are stacked along a first dimension inside the critic, so their names in
    the ``state_dict`` are the critic's own. Member e scores ``x[e]`` and ``z[e]``:

    .. math:: T_e(x_e, z_e), \quad e = 1, \dots, E

    A :class:`~mine_lightning.ConcatCritic` without encoders is computed by batched matrix products,
    any other critic by :func:`torch.func.vmap`.

    Args:
        critic: The architecture; its own weights are not used.
        members: Number E of members.
        seed: Seed of the initial weights; by default from torch's global generator.

    Raises:
        ValueError: If ``members`` is not positive, or, at a call, the inputs do not have one entry
            for each member.

    Example:
        >>> critics = CriticEnsemble(ConcatCritic(), members=5)
        >>> critics(torch.randn(5, 100, 3), torch.randn(5, 100, 2)).shape
        torch.Size([5, 100])
        >>> critics.member(0)(torch.randn(100, 3), torch.randn(100, 2)).shape
        torch.Size([100])
    """

    def __init__(self, critic: nn.Module, members: int = 5, seed: int | None = None) -> None:
        super().__init__()
        check_integer("members", members)
        self.members = members
        self.seeds, self._opened = _seeds(members, seed), False
        self.critic = copy.deepcopy(critic)
        self._single = [copy.deepcopy(critic)]  # a list: no submodule
        _stack(self.critic, [_initialized(critic, seed) for seed in self.seeds])

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """Score pairs.

        Args:
            x: Samples for each member, shape ``(E, *, D_x)``.
            z: Samples for each member, shape ``(E, *, D_z)``; the dimensions ``*`` broadcast.

        Returns:
            The scores, shape ``(E, *)``.
        """
        if len(x) != self.members or len(z) != self.members:
            raise ValueError(
                f"Expected x and z for each of {self.members} members along the first dimension, "
                f"got shapes {tuple(x.shape)} and {tuple(z.shape)}."
            )
        batch_shape(x.shape[:-1], z.shape[:-1])
        self._open(x, z)
        if self._is_plain():
            return _batched_mlp(self.critic, x, z)
        return torch.vmap(self._call, randomness="different")(self._state(), x, z)

    def score_pairs(self, x: Tensor, z: Tensor) -> Tensor:
        """Score rows against rows with each member, as :func:`~mine_lightning.critics.score_pairs`.

        Args:
            x: Samples for each member, shape ``(E, N, K, ...)``, where N or K may be 1.
            z: Samples for each member, likewise.

        Returns:
            The scores, shape ``(E, N, K)``.
        """
        if isinstance(self.critic, Critic):
            return self(x, z)
        self._open(x[:, 0], z[:, 0])
        call = partial(score_pairs, broadcasts=False)
        return torch.vmap(lambda state, *pair: call(partial(self._call, state), *pair))(
            self._state(), x, z
        )

    def member(self, index: int) -> nn.Module:
        """Return a copy of one critic, to be used alone."""
        if not 0 <= index < self.members:
            raise ValueError(f"Expected `index` in [0, {self.members}), got {index}.")
        return _member(self.critic, index)

    def take(self, chosen: Tensor) -> "CriticEnsemble":
        """Return copies of some members, which may be named more than once.

        Args:
            chosen: Their numbers, shape ``(F,)``.
        """
        taken = take_members(self, chosen)
        taken.members, taken.seeds = len(chosen), [self.seeds[n] for n in chosen.tolist()]
        return taken

    def _call(self, state: dict[str, Tensor], x: Tensor, z: Tensor) -> Tensor:
        return functional_call(self.critic, state, (x, z))

    def _state(self) -> dict[str, Tensor]:
        return _state(self.critic)

    def _open(self, x: Tensor, z: Tensor) -> None:
        """Find the input sizes at the first call."""
        if not self._opened and any(map(is_lazy, self.critic.parameters())):
            self._materialize(x, z)
        self._opened = True

    def _materialize(self, x: Tensor, z: Tensor) -> None:
        """Find the input sizes from the first inputs; what is known already is kept."""
        known = {name: value for name, value in self._state().items() if not is_lazy(value)}
        members = [_initialized(self._single[0], seed).to(x.device) for seed in self.seeds]
        for critic, seed, a, b in zip(members, self.seeds, x, z, strict=True):
            with torch.no_grad(), _seeded(seed):
                critic(a, b)
        self.critic = copy.deepcopy(members[0])
        _stack(self.critic, members)
        for name, value in known.items():
            _set(self.critic, name, value)

    def _is_plain(self) -> bool:
        """Whether the critic is a fully connected network on the concatenation."""
        if type(self.critic) is not ConcatCritic:
            return False
        encoders = self.critic.x_encoder, self.critic.z_encoder
        return encoders == (None, None) and not self.critic.spectral_norm


class ObjectiveEnsemble(Objective):
    r"""E copies of an objective, each with a state of its own: the objective, a dimension longer.

    Args:
        objective: The objective to copy.
        members: Number E of members.

    Example:
        >>> from mine_lightning import MINE
        >>> objectives = ObjectiveEnsemble(MINE(), members=5)
        >>> objectives.loss(torch.zeros(5, 8), torch.zeros(5, 8, 1))
        tensor([1., 1., 1., 1., 1.])
        >>> objectives.member(0).log_ema
        tensor(0.)
    """

    def __init__(self, objective: Objective, members: int) -> None:
        super().__init__()
        self._single = [check_objective(objective)]  # a list: no submodule
        self.kind = objective.kind
        self.objective = copy.deepcopy(objective)
        _stack(self.objective, [objective] * members)
        self._methods = [Methods(self.objective)]

    def loss(self, joint: Tensor, marginal: Tensor) -> Tensor:
        """Return the loss of each member, shape ``(E,)``.

        Args:
            joint: Scores of pairs drawn together, shape ``(E, N)``.
            marginal: Scores of pairs drawn apart, shape ``(E, N, K)``.
        """
        return self._each("loss", joint, marginal)

    def pool(self, joint: Tensor, marginal: Tensor) -> Pooled:
        return self._each("pool", joint, marginal)

    def read(self, pooled: Pooled) -> Tensor:
        return self._each("read", pooled)

    def standard_error(self, pooled: Pooled) -> Tensor:
        return self._each("standard_error", pooled)

    def log_ratio(self, scores: Tensor) -> Tensor:
        return self._each("log_ratio", scores)

    def ceiling(self, partners: int) -> float:
        return self._single[0].ceiling(partners)

    @property
    def label(self) -> str:
        return self._single[0].label

    def member(self, index: int) -> Objective:
        """Return a copy of one objective, to be used alone."""
        return _member(self.objective, index)

    def _each(self, method: str, *args: Any) -> Any:
        """Call a method of every member, on its part of the arguments."""

        def call(state: dict[str, Tensor], *own: Any) -> Any:
            return functional_call(self._methods[0], state, (method, *own))

        state = {f"module.{name}": value for name, value in _state(self.objective).items()}
        return torch.vmap(call)(state, *args)


class Methods(nn.Module):
    """Calls a module's methods by name: :func:`torch.func.functional_call` calls ``forward``."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, method: str, *args: Any) -> Any:
        return getattr(self.module, method)(*args)


def _member(stacked: nn.Module, index: int) -> Any:
    """Return a copy of one of the modules that were stacked."""
    alone = copy.deepcopy(stacked)
    for tensor in _state(alone).values():
        if not is_lazy(tensor):
            tensor.data = tensor.data[index].clone()
    return alone


def _stack(template: nn.Module, members: Sequence[nn.Module]) -> None:
    """Put the members' tensors, stacked, in the place of the template's own."""
    for name in _state(template):
        tensors = [_get(member, name) for member in members]
        if not is_lazy(tensors[0]):
            stacked = torch.stack([tensor.detach() for tensor in tensors])
            _set(template, name, _kept(tensors[0], stacked))


def take_members(stacked: Module, chosen: Tensor) -> Module:
    """Return a copy of a module of stacked tensors that holds some members."""
    return with_tensors(stacked, lambda value: _kept(value, value.detach()[chosen]))


@torch.no_grad()
def copy_members(stacked: nn.Module, source: nn.Module, chosen: Tensor) -> None:
    """Take over the weights of some members.

    Args:
        stacked: A module whose tensors are stacked.
        source: Another one of the same shape.
        chosen: Which members, shape ``(E,)``, bool.
    """
    for mine, other in zip(stacked.parameters(), source.parameters(), strict=True):
        whole = chosen.view(-1, *[1] * (mine.ndim - 1))  # no indexing: it counts the chosen
        mine.copy_(torch.where(whole, other, mine))


def _kept(value: Tensor, other: Tensor) -> Tensor:
    """Return another value of what may be a parameter, for its place."""
    if isinstance(value, nn.Parameter):
        return nn.Parameter(other, requires_grad=value.requires_grad)
    return other


def _state(module: nn.Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _batched_mlp(critic: Any, x: Tensor, z: Tensor) -> Tensor:
    """Score with the stacked weights of a :class:`ConcatCritic`; x is scored once for many z."""
    w_x, w_z = critic.first.parts(x, z)
    hidden = batched_linear(x, w_x, critic.first.bias) + batched_linear(z, w_z)
    for layer in critic.head:
        hidden = batched_linear(critic.activate(hidden), layer.weight, layer.bias)
    return hidden.squeeze(-1)


def _seeds(members: int, seed: int | None) -> list[int]:
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    return torch.randint(2**31, (members,), generator=generator).tolist()


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Start torch's CPU generator from a seed; restore it afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _initialized(critic: nn.Module, seed: int) -> nn.Module:
    """Return a copy with fresh weights; layers with open input sizes stay open."""
    critic = copy.deepcopy(critic)
    with _seeded(seed):
        for layer in critic.modules():
            reset: Any = getattr(layer, "reset_parameters", None)
            if reset is not None:
                reset()
    return critic


def _get(module: nn.Module, name: str) -> Tensor:
    path, _, leaf = name.rpartition(".")
    return getattr(module.get_submodule(path), leaf)


def _set(module: nn.Module, name: str, value: Tensor) -> None:
    """Replace a parameter or a buffer by one that may have another shape."""
    path, _, leaf = name.rpartition(".")
    setattr(module.get_submodule(path), leaf, value)
