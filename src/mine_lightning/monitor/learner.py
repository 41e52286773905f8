"""The learner: a critic that follows a stream of pairs and says how much they share."""

import copy
import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mine_lightning.critics.encoders import ConvEncoder, Encoder
from mine_lightning.critics.networks import ConcatCritic, Critic
from mine_lightning.monitor.isolation import isolated
from mine_lightning.monitor.network import Batch, Network, Shape
from mine_lightning.objectives import MINE, Objective
from mine_lightning.objectives.base import check_objective
from mine_lightning.objectives.pooling import Pooled
from mine_lightning.support.arguments import check_integer, check_positive
from mine_lightning.support.distributed import Processes
from mine_lightning.support.finite import any_bad, weights

__all__ = ["Estimate", "MutualInformationLearner"]


class Estimate(NamedTuple):
    """An estimate and its standard error, both in nats, shape ``()``."""

    mi: Tensor
    standard_error: Tensor


class MutualInformationLearner:
    r"""Follow the mutual information of a stream of pairs whose distribution may change.

    Each :meth:`update` first scores the new pairs with the critic as it is, so that the estimate
    never rests on pairs that the critic has seen, and then trains the critic on them.
    :meth:`compute` pools the scores of the latest ``window`` updates and applies the bound once.

    Inputs are brought to mean 0 and standard deviation 1 with running averages from before the
    update. The learner takes no random number from any global stream and leaves autograd, autocast
    and inference modes as they are. Several processes share one critic, one loss and one estimate,
    those of a single process with the pairs of all of them; only replayed rows are each process's
    own.

    Args:
        critic: Statistics network ``critic(x, z) -> scores``; by default
            :class:`~mine_lightning.ConcatCritic` on vectors, with a
            :class:`~mine_lightning.critics.encoders.ConvEncoder` where rows are images. The learner
            trains a copy.
        objective: What to train on and to report; :class:`~mine_lightning.MINE` by default. The
            learner trains a copy.
        optimizer: Makes the optimizer from the parameters; Adam by
            default, with a learning rate that keeps up with a host and stays calm at 3 nats.
        steps_per_batch: Optimizer steps for each update.
        partners: Partners from the same batch for each row, as far as there are as many.
        window: Updates whose scores the estimate pools.
        replay: Rows of recent pairs kept to train on beside the new ones.
        gradient_clip_val: Largest norm of the critic's gradient; None for no clipping.
        seed: Seed of the critic's initialisation, the partners and the replayed rows.

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
        objective: Objective | None = None,
        optimizer: Callable[..., Optimizer] | None = None,
        steps_per_batch: int = 1,
        partners: int = 8,
        window: int = 100,
        replay: int = 0,
        gradient_clip_val: float | None = 1.0,
        seed: int = 0,
    ) -> None:
        for name, value, least in (
            ("steps_per_batch", steps_per_batch, 1),
            ("partners", partners, 1),
            ("window", window, 1),
            ("replay", replay, 0),
        ):
            check_integer(name, value, least)
        if gradient_clip_val is not None:
            check_positive("gradient_clip_val", gradient_clip_val)
        if objective is not None:
            check_objective(objective)
        self.critic, self.objective = critic, objective
        self.optimizer = (
            partial(torch.optim.Adam, lr=5e-4, fused=True) if optimizer is None else optimizer
        )
        self.steps_per_batch, self.partners, self.window = steps_per_batch, partners, window
        self.replay, self.gradient_clip_val, self.seed = replay, gradient_clip_val, seed
        self.reset()

    def reset(self) -> None:
        """Forget everything learned."""
        self._network: Network | None = None
        self._saved: dict[str, Any] = {}
        self._updates = 0
        self._warned = False

    def update(self, x: Tensor | None, z: Tensor | None) -> bool:
        """Score new pairs, then train on them.

        On several processes this is a collective call.

        Args:
            x: Samples, shape ``(N, ...)``, or None if this process has none.
            z: Samples, shape ``(N, ...)``, or None likewise.

        Returns:
            Whether there were pairs on any process to learn from. Less than two rows count as none.
            Rows that are not finite, and those on which the scores or the training step are not,
            change nothing and raise a warning, once.

        Raises:
            ValueError: If x and z have different numbers of rows, their shapes change, or the
                critic does not return one score for each pair.
        """
        processes = Processes()
        seed = (self.seed * 1_000_003 + self._updates * 1_009) % 2**63
        with isolated(seed):
            x, z = self._usable(x, z)
            rows = processes.rows(0 if x is None else len(x))
            if not any(rows):
                return False
            if self._network is None:
                self._network = self._build(x, z, processes)
            partners = min(self.partners, sum(rows) - 1)
            batch = Batch(*self._network.cast(x, z), rows, partners)
            self._updates += 1
            return self._learn(self._network, batch, processes, torch.Generator().manual_seed(seed))

    def compute(self) -> Estimate:
        """Return the estimate from the latest ``window`` updates; nan before the first."""
        if self._network is None and not self._saved:
            return Estimate(torch.tensor(math.nan), torch.tensor(math.nan))
        sums = self._saved["window"] if self._network is None else self._network.window.sums
        pooled, objective = Pooled(*sums.unbind(1)).total(), self.objective or MINE()
        with torch.no_grad():
            estimate = objective.read(pooled)
            objective.warn_near_ceiling(estimate, pooled)
            return Estimate(estimate.float(), objective.standard_error(pooled).float())

    def state_dict(self) -> dict[str, Any]:
        """Return everything learned, as primitives and tensors.

        On several processes the replayed rows are those of the calling one.
        """
        if self._network is None:
            return self._saved
        return {"updates": self._updates, **self._network.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned; the next update builds on it."""
        self.reset()
        self._saved = state
        self._updates = state.get("updates", 0)

    def _usable(self, x: Tensor | None, z: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """Return pairs without graph and in the critic's layout, or None."""
        if x is None or z is None:
            return None, None
        if x.ndim == 0 or z.ndim == 0 or len(x) != len(z):
            raise ValueError(
                "Expected x and z to have the same number of rows, "
                f"got {tuple(x.shape)} and {tuple(z.shape)}."
            )
        x, z = self._laid_out(x, "x"), self._laid_out(z, "z")
        if len(x) < 2:
            return None, None
        if not bool(x.isfinite().all() & z.isfinite().all()):
            self._warn("Left out pairs with values that are NaN or infinite.")
            return None, None
        return x, z

    def _laid_out(self, rows: Tensor, which: str) -> Tensor:
        """Return rows in float32 or wider: images as they are if there is an encoder, or flat."""
        rows = rows.detach().to(torch.promote_types(rows.dtype, torch.float32))
        rows = rows.clone() if rows.is_inference() else rows
        if self.critic is None:
            flat = rows.ndim != 4
        else:
            encoder = getattr(self.critic, f"{which}_encoder", None)
            flat = isinstance(self.critic, Critic) and not isinstance(encoder, Encoder)
        if rows.ndim == 1:
            return rows.unsqueeze(1)
        return rows.flatten(1) if flat else rows

    def _build(self, x: Tensor | None, z: Tensor | None, processes: Processes) -> Network:
        """Build from the shapes of the checkpoint or else of the first pairs."""
        own = None if x is None or z is None else (tuple(x.shape[1:]), tuple(z.shape[1:]))
        shapes: tuple[Shape, Shape] = processes.first(own)
        if self._saved:
            saved = tuple(self._saved["x_shape"]), tuple(self._saved["z_shape"])
            if shapes != saved:
                raise ValueError(
                    f"Expected rows of x and z with the shapes of the checkpoint, {saved[0]} and "
                    f"{saved[1]}, got {shapes[0]} and {shapes[1]}."
                )
        torch.default_generator.manual_seed(self.seed)
        network = Network(
            default_critic(*shapes) if self.critic is None else copy.deepcopy(self.critic),
            MINE() if self.objective is None else copy.deepcopy(self.objective),
            *shapes,
            processes.device or (torch.device("cpu") if x is None else x.device),
            self.optimizer,
            self.window,
        )
        if self._saved:
            network.load_state_dict(self._saved)
            self._saved = {}
        processes.share(network.parts.state_dict().values())
        return network

    def _learn(
        self, network: Network, fresh: Batch, processes: Processes, generator: torch.Generator
    ) -> bool:
        """Score, then train: without replay the first step shares its scores with the estimate."""
        restore = network.snapshot()
        if network.window.pushed == 0:
            network.observe(fresh, processes)
        scores = network.scores(fresh, processes, generator)
        network.push(scores)
        for step in range(self.steps_per_batch):
            if step or self.replay:
                batch = network.with_recent(fresh, processes, generator) if self.replay else fresh
                scores = network.scores(batch, processes, generator)
            network.train(scores, processes, self.gradient_clip_val)
        network.observe(fresh, processes)
        network.remember(fresh, self.replay)
        numbers = [network.window.sums.clamp(min=0), *weights(network.optimizer)]  # -inf: no rows
        if bad := any_bad(numbers, processes):
            restore()
            self._warn(
                "Left out pairs on which the critic's scores or its training step are not finite: "
                "the estimate is that of the pairs before. Scale x and z, or lower the learning "
                "rate."
            )
        return not bad

    def _warn(self, message: str) -> None:
        """Warn, once."""
        if not self._warned:
            warnings.warn(message, stacklevel=2)
        self._warned = True


def default_critic(x_shape: Shape, z_shape: Shape) -> Critic:
    """Return a critic for rows of these shapes, convolutional for images ``(C, H, W)``."""
    encoders = [ConvEncoder() if len(shape) == 3 else None for shape in (x_shape, z_shape)]
    return ConcatCritic(x_encoder=encoders[0], z_encoder=encoders[1])
