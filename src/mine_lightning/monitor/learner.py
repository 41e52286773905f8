"""The learner: follows a stream of pairs and says how much they share."""

import copy
import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mine_lightning.critics.encoders import Encoder
from mine_lightning.critics.networks import Critic
from mine_lightning.monitor.closed_form import ClosedForm, Reading, ScoredForm, evenly, follow
from mine_lightning.monitor.gain import Gain
from mine_lightning.monitor.isolation import isolated
from mine_lightning.monitor.network import Network, default_critic
from mine_lightning.monitor.window import Pairs, Side, Window
from mine_lightning.support.arguments import check_integer
from mine_lightning.support.distributed import Processes

__all__ = ["Estimate", "MutualInformationLearner"]

FEWEST, WARM = 2, 1024  # rows of the first reading, and of one that is to be relied on
# The closed form is fitted at every eighth update if there are a third more rows to read, and
# once there are four times as many: by `benchmarks/monitor.py`, a quarter more rows cost .03 of a
# step of the host, and by `benchmarks/streams.py` jumps and truths are read as well.
REFIT, SPACED = 3, 8
# What may be missed, as a share of the reading: about nine of ten readings from the 100th to the
# 2,000th host step lie within two standard errors on one case each of the first fourteen kinds of
# `benchmarks/kinds.py`. With any one of them left out the others choose .14 to .18, and of the ones
# left out 90 % lie within; so do 90 % of the first 600 steps of the streams of warps in
# `benchmarks/streams.py`.
MISSED = 0.2
NEAR = 0.9  # of what a reading can be: it may then be larger in truth


class Estimate(NamedTuple):
    """What is known of the mutual information at the moment.

    Attributes:
        mi: The estimate in nats, shape ``()``.
        standard_error: Of sampling, lag and what may be missed together, in nats, shape ``()``.
        ceiling: The largest estimate that so many pairs allow, in nats, shape ``()``.
        warming_up: Whether there are few pairs yet, or the critic still learns more than the
            estimate is uncertain by.
        at_ceiling: Whether the mutual information may well be larger than the ceiling.
    """

    mi: Tensor
    standard_error: Tensor
    ceiling: Tensor
    warming_up: bool
    at_ceiling: bool


class MutualInformationLearner:
    r"""Follow the mutual information of a stream of pairs whose distribution may change.

    The estimate has two parts, both lower bounds of InfoNCE's kind, which is at most the logarithm
    of the number of pairs and cannot run away:

    - what a closed form says about a window of the latest pairs: canonical correlations of values
      or of normal scores, whichever says more, held out by halves
      (:mod:`mine_lightning.monitor.closed_form`); nothing has to be trained for it;
    - what a critic adds that is trained on what the closed form leaves over. Every batch is scored
      before the critic trains on it, and the gain counts where it is two standard errors above 0.

    The window ends where the mean log ratio jumps by more than four standard errors: older rows are
    then no longer averaged in, and are forgotten where the closed form does better without them.

    The learner takes no random number from any global stream and leaves autograd, autocast and
    inference modes as they are. Several processes put their pairs together: all of them learn the
    same of all pairs.

    Args:
        critic: Statistics network ``critic(x, z) -> scores`` of which a copy is trained; by default
            :class:`~mine_lightning.SeparableCritic`, with a
            :class:`~mine_lightning.critics.encoders.ConvEncoder` where rows are images of more than
            256 values.
        optimizer: Makes the critic's optimizer from its parameters; Adam by default, with a
            learning rate of 0.003: of 0.001, 0.003 and 0.01, each is the best on one of products,
            signs and warped normal pairs, and this one is never the worst.
        steps_per_batch: Optimizer steps for each update.
        rows: Pairs of each step, those of older batches among them, scored all against all; of a
            larger batch as many rows are used.
        window: Pairs that the estimate rests on. The ceiling is its logarithm.
        seed: Seed of the critic's initialisation and of the choice of older batches.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> learner = MutualInformationLearner()
        >>> z = torch.randn(64, 2)
        >>> learner.update(z + torch.randn(64, 2), z)
        True
        >>> learner.compute().mi.shape
        torch.Size([])
    """

    def __init__(
        self,
        critic: nn.Module | None = None,
        optimizer: Callable[..., Optimizer] | None = None,
        steps_per_batch: int = 1,
        rows: int = 128,
        window: int = 4096,
        seed: int = 0,
    ) -> None:
        check_integer("steps_per_batch", steps_per_batch)
        check_integer("rows", rows, least=2)
        check_integer("window", window, least=64)
        self.critic = critic
        self.optimizer = (
            partial(torch.optim.Adam, lr=3e-3, fused=True) if optimizer is None else optimizer
        )
        self.steps_per_batch, self.rows = steps_per_batch, rows
        self.window, self.seed = window, seed
        self.reset()

    def reset(self) -> None:
        """Forget everything learned."""
        self._sides: tuple[Side, Side] | None = None
        self._network: Network | None = None
        self._form: ClosedForm | None = None
        self._pairs, self._reading = Window(self.window), Reading()
        self._normal, self._fits = False, 0
        self._updates = self._since = self._read = 0  # rows since a reading, and that it read
        self._saved: dict[str, Any] = {}
        self._warned = False

    def update(self, x: Tensor | None, z: Tensor | None) -> bool:
        """Score new pairs, then learn from them.

        On several processes this is a collective call.

        Args:
            x: Samples, shape ``(N, ...)``, or None if this process has none.
            z: Samples, shape ``(N, ...)``, or None likewise.

        Returns:
            Whether there were pairs on any process to learn from. Rows that are not finite change
            nothing and raise a warning, once.

        Raises:
            ValueError: If x and z have different numbers of rows, do not hold real numbers, at
                least one a row, or change their shapes, or if the critic does not return one score
                for each pair.
        """
        seed = (self.seed * 1_000_003 + self._updates * 1_009) % 2**63
        with isolated(seed):
            processes = Processes()
            sides = self._usable(x, z)
            rows = processes.rows(len(sides[0]) if sides else 0)
            if not any(rows):
                return False
            x_rows, z_rows = self._gathered(sides, rows, processes)
            self._learn(self._shown(x_rows, z_rows), torch.Generator().manual_seed(seed))
            self._updates += 1
            return True

    def compute(self) -> Estimate:
        """Return the estimate of the moment; nan before there are pairs."""
        closed, gain = self._reading, Gain.of(self._pairs.gains)
        value = closed.value + gain.value
        known = closed.standard_error, gain.standard_error, gain.lag
        error = math.hypot(*known, MISSED * value)
        ceiling = closed.value + gain.headroom if gain.value > 0 else closed.ceiling
        return Estimate(
            torch.tensor(value, dtype=torch.float32, device="cpu"),
            torch.tensor(error, dtype=torch.float32, device="cpu"),
            torch.tensor(ceiling, dtype=torch.float32, device="cpu"),
            warming_up=len(self._pairs) < WARM or gain.lag > gain.standard_error,
            at_ceiling=value > NEAR * ceiling or gain.value > NEAR * gain.headroom,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return everything learned, as primitives and tensors."""
        if self._sides is None:
            return {}
        network = self._saved if self._network is None else self._network.state_dict()
        return {
            "updates": self._updates,
            "since": self._since,
            "read": self._read,
            "shapes": [list(side.shape) for side in self._sides],
            "integers": [side.integers for side in self._sides],
            "reading": list(self._reading),
            "normal": self._normal,
            "fits": self._fits,
            "pairs": self._pairs.state_dict(),
            "network": network,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned; the next update builds on it."""
        self.reset()
        if not state:
            return
        self._updates, self._since, self._read = (state[k] for k in ("updates", "since", "read"))
        x, z = map(Side, map(tuple, state["shapes"]), state["integers"])
        self._sides = x, z
        self._reading = Reading(*state["reading"])
        self._normal, self._fits = state["normal"], state["fits"]
        self._pairs.load_state_dict(state["pairs"])
        self._saved = state["network"]

    def _usable(self, x: Tensor | None, z: Tensor | None) -> tuple[Tensor, Tensor] | None:
        """Return pairs without graph, or None."""
        if x is None or z is None:
            return None
        x, z = checked(x, "x"), checked(z, "z").to(x.device)
        if len(x) != len(z):
            raise ValueError(
                "Expected x and z to have the same number of rows, "
                f"got {tuple(x.shape)} and {tuple(z.shape)}."
            )
        if not bool(x.isfinite().all() & z.isfinite().all()):
            self._warn("Left out pairs with values that are NaN or infinite.")
            return None
        return x, z

    def _gathered(
        self, own: tuple[Tensor, Tensor] | None, rows: list[int], processes: Processes
    ) -> tuple[Tensor, Tensor]:
        """Return the rows of all processes, in float32 or wider."""
        if self._sides is None:
            layouts = [(tuple(s.shape[1:]), not s.is_floating_point()) for s in own or ()]
            x_side, z_side = processes.first(layouts if own else None)
            self._sides = Side(*x_side), Side(*z_side)
        shapes = [side.shape for side in self._sides]
        x, z = own or (torch.zeros(0, *shape, device=processes.device) for shape in shapes)
        if [tuple(x.shape[1:]), tuple(z.shape[1:])] != shapes:
            raise ValueError(
                f"Expected rows of x and z with the shapes {shapes[0]} and {shapes[1]} of "
                f"those before, got {tuple(x.shape[1:])} and {tuple(z.shape[1:])}."
            )
        x, z = (processes.gather(widened(side), rows) for side in (x, z))
        kept = evenly(len(x), self.rows, x.device)
        return x[kept], z[kept]

    def _shown(self, x: Tensor, z: Tensor) -> Pairs:
        """Return rows as the critic is shown them and as columns for the closed form."""
        assert self._sides is not None
        x_side, z_side = self._sides
        return Pairs(
            self._laid_out(x, x_side, "x_encoder"),
            self._laid_out(z, z_side, "z_encoder"),
            x_side.columns(x),
            z_side.columns(z),
        )

    def _laid_out(self, rows: Tensor, side: Side, encoder: str) -> Tensor:
        """Return what the critic is shown: rows for an encoder or an unknown critic, or vectors."""
        if self.critic is None:
            return rows if side.image else side.vectors(rows)
        encodes = isinstance(getattr(self.critic, encoder, None), Encoder)
        if rows.ndim > 1 and (encodes or not isinstance(self.critic, Critic)):
            return rows
        return rows.reshape(len(rows), -1)

    def _learn(self, fresh: Pairs, stream: torch.Generator) -> None:
        """Score, train the critic, and fit the closed form where it is due."""
        if self._network is None:
            self._network = self._build(fresh)
        self._network.observe(fresh.x, fresh.z)
        gains = [self._step(self._network, fresh, stream) for _ in range(self.steps_per_batch)]
        self._pairs.push(fresh, gains[0])
        self._since += len(fresh.u)
        if self._due():
            self._fit()

    def _step(self, network: Network, fresh: Pairs, stream: torch.Generator) -> Tensor:
        """Return the gain of fresh pairs, then train on them and on older ones."""
        pairs = self._pairs.with_older(fresh, self.rows, stream)
        closed = self._closed(pairs.u, pairs.v)
        gain, learned = network.learn(pairs.x, pairs.z, closed, len(fresh.u))
        if not learned:
            self._warn("Left out a training step of the monitor's critic that is not finite.")
        return gain

    def _closed(self, u: Tensor, v: Tensor) -> Tensor:
        """Return the closed form's scores of all pairs."""
        return u.new_zeros(len(u), len(v)).float() if self._form is None else self._form(u, v)

    def _fit(self) -> None:
        """Read the closed form anew, and forget the rows that it no longer needs."""
        self._pairs.trim()
        followed = follow(*self._pairs.stacked(), self._choices())
        self._pairs.forget(followed.forget)
        if followed.jumped or followed.normal != self._normal:
            self._pairs.forget_gains()
        self._reading, self._normal = followed.reading, followed.normal
        self._since, self._read = 0, len(followed.ratios)
        self._form = self._closed_form()

    def _due(self) -> bool:
        """Whether to fit the closed form again."""
        new = len(self._pairs) >= FEWEST and REFIT * self._since >= self._read
        return new and (self._updates % SPACED == 0 or self._since >= 3 * self._read)

    def _choices(self) -> list[bool]:
        """Return whether to read values, normal scores or, every fourth time, both."""
        self._fits += 1
        return [self._normal, not self._normal][: 1 + (self._fits % 4 == 2)]

    def _closed_form(self) -> ClosedForm | None:
        """Fit on the pairs that there were at the last reading; None where they share nothing."""
        if not self._reading.value > 0:
            return None
        known = len(self._pairs) - self._since
        u, v = self._pairs.stacked()
        return (ScoredForm if self._normal else ClosedForm)(u[:known], v[:known])

    def _build(self, pairs: Pairs) -> Network:
        """Build from the shapes of the first pairs; continue from a checkpoint if there is one."""
        torch.default_generator.manual_seed(self.seed)
        shapes = tuple(pairs.x.shape[1:]), tuple(pairs.z.shape[1:])
        critic = default_critic(*shapes) if self.critic is None else copy.deepcopy(self.critic)
        network = Network(critic, self.optimizer, *shapes, pairs.x.device)
        if self._saved:
            network.load_state_dict(self._saved)
            self._pairs.to(pairs.u.device)
            self._form = self._closed_form()
        return network

    def _warn(self, message: str) -> None:
        """Warn, once."""
        if not self._warned:
            warnings.warn(message, stacklevel=2)
        self._warned = True


def checked(rows: Tensor, name: str) -> Tensor:
    """Return rows without graph.

    Raises:
        ValueError: If they are no dense real numbers, at least one a row.
    """
    if rows.layout != torch.strided or rows.is_complex():
        raise ValueError(
            f"Expected {name} to hold dense real numbers, got {rows.layout} of {rows.dtype}. Tap "
            "another tensor, or give a function that returns its real and imaginary parts or "
            "`to_dense()` of it."
        )
    if rows.ndim == 0 or math.prod(rows.shape[1:]) == 0:
        raise ValueError(
            f"Expected {name} to hold rows with at least one value each, shape (N, ...), got "
            f"{tuple(rows.shape)}."
        )
    rows = rows.detach()
    return rows.clone() if rows.is_inference() else rows


def widened(rows: Tensor) -> Tensor:
    """Return rows in float32 or wider."""
    return rows.to(torch.promote_types(rows.dtype, torch.float32))
