"""The same GAN with a term of mutual information in the generator's loss."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mine_lightning.critics.networks import ConcatCritic
from mine_lightning.demos.gan import GAN
from mine_lightning.objectives import MINE, Objective
from mine_lightning.objectives.gradients import add_clipped_gradients

__all__ = ["MutualInformationGAN"]


class MutualInformationGAN(GAN):
    r"""A GAN that also maximises the mutual information of the latent code and the sample.

    .. math:: \min_G \; L_{\text{GAN}}(G) - \beta \, I(G(c, \epsilon); c)

    The gradient of the second term is clipped to the norm of the first one's.

    References:
        Belghazi et al., "MINE: Mutual Information Neural Estimation", 2018, section 5.1.

    Args:
        sample_shape: Shape of a sample.
        codes: Categories of the latent code.
        noise_dim: Size of the noise.
        hidden_features: Widths of the hidden layers of both networks.
        lr: Learning rate of both Adams.
        betas: Their decay rates.
        decay_steps: Steps of the decay of their learning rate; None for no decay.
        mi_weight: :math:`\beta`; negative to minimise the mutual information.
        critic_steps: Steps of the critic for each step of the generator.
        critic_lr: Learning rate of the critic.
        objective: What the critic is trained on; :class:`~mine_lightning.MINE` by default.
    """

    def __init__(
        self,
        sample_shape: Sequence[int] = (2,),
        codes: int = 64,
        noise_dim: int = 2,
        hidden_features: Sequence[int] = (128, 128),
        lr: float = 1e-3,
        betas: Sequence[float] = (0.5, 0.999),
        decay_steps: int | None = None,
        mi_weight: float = 1.0,
        critic_steps: int = 1,
        critic_lr: float = 1e-3,
        objective: Objective | None = None,
    ) -> None:
        super().__init__(sample_shape, codes, noise_dim, hidden_features, lr, betas, decay_steps)
        self.mi_weight, self.critic_steps, self.critic_lr = mi_weight, critic_steps, critic_lr
        self.critic = ConcatCritic()
        self.objective = MINE(ma_rate=0.05) if objective is None else objective
        self.scores(self(3), self.latent(3)[0])

    def scores(self, sample: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
        """Score pairs drawn together, shape ``(N,)``, and pairs drawn apart, ``(N, 2)``."""
        codes = torch.stack([code.roll(shift, 0) for shift in range(3)], dim=1)
        scores = self.critic(sample.flatten(1).unsqueeze(1), codes)
        return scores[:, 0], scores[:, 1:]

    def update_generator(self, loss: Tensor, code: Tensor, fake: Tensor) -> None:
        optimizers: Any = self.optimizers()
        g_optimizer, _, critic_optimizer = optimizers
        for _ in range(self.critic_steps):
            critic_optimizer.zero_grad()
            self.manual_backward(self.objective.loss(*self.scores(fake.detach(), code)))
            critic_optimizer.step()
        parameters = list(self.generator.parameters())
        mi = self.objective.estimate(*self.scores(fake, code))
        gradients = torch.autograd.grad(-self.mi_weight * mi, parameters, retain_graph=True)
        g_optimizer.zero_grad()
        self.manual_backward(loss)
        factor = add_clipped_gradients(parameters, gradients)
        g_optimizer.step()
        self.log_dict({"g_mi": mi, "g_mi_clipping": factor})

    def configure_optimizers(self) -> Any:
        optimizers, schedulers = super().configure_optimizers()
        critic = torch.optim.Adam(self.critic.parameters(), lr=self.critic_lr)
        return [*optimizers, critic], schedulers
