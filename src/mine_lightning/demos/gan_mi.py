"""The same GAN with a term of mutual information in the generator's loss."""

from typing import Any

import torch
from torch import Tensor

from mine_lightning.critics.networks import ConcatCritic
from mine_lightning.demos.gan import PlainGAN
from mine_lightning.objectives import MINE, Objective
from mine_lightning.objectives.gradients import add_clipped_gradients

__all__ = ["MutualInformationGAN"]


class MutualInformationGAN(PlainGAN):
    r"""A GAN that also maximises the mutual information of the latent code and the sample.

    .. math:: \min_G \; L_{\text{GAN}}(G) - \beta \, I(G(c, \epsilon); c)

    The gradient of the second term is clipped to the norm of the first one's.

    References:
        Belghazi et al., "MINE: Mutual Information Neural Estimation", 2018, section 5.1.

    Args:
        mi_weight: :math:`\beta`; negative to minimise the mutual information.
        critic_steps: Steps of the critic for each step of the generator.
        critic_lr: Learning rate of the critic.
        objective: What the critic is trained on; :class:`~mine_lightning.MINE` by default.
        kwargs: Arguments of :class:`~mine_lightning.demos.PlainGAN`.
    """

    def __init__(
        self,
        mi_weight: float = 1.0,
        critic_steps: int = 1,
        critic_lr: float = 1e-3,
        objective: Objective | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
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
