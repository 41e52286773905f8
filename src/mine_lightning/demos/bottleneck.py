"""The information bottleneck: classify from a code that says little about the input."""

from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mine_lightning.critics.networks import ConcatCritic
from mine_lightning.objectives import MINE

__all__ = ["InformationBottleneck"]


class InformationBottleneck(LightningModule):
    r"""A classifier of 8 x 8 images whose noisy code keeps little of the image.

    .. math:: \min \; H(Y | \text{code}) + \beta \max(0, \hat I(X; \text{code}))

    An estimate below 0 has no gradient: the code would run away from a critic left behind.

    References:
        Tishby et al. 1999; Belghazi et al., "MINE", 2018, section 5.3.

    Args:
        beta: Weight of the mutual information of image and code.
        code_dim: Size of the code.
        hidden_features: Width of the hidden layers.
        critic_steps: Steps of the critic for each step of the classifier.
        lr: Learning rate of all Adams.
    """

    def __init__(
        self,
        beta: float = 1e-2,
        code_dim: int = 16,
        hidden_features: int = 128,
        critic_steps: int = 2,
        lr: float = 1e-3,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.beta, self.critic_steps, self.lr = beta, critic_steps, lr
        self.encoder = nn.Sequential(
            nn.Flatten(), nn.Linear(64, hidden_features), nn.ReLU(),
            nn.Linear(hidden_features, 2 * code_dim),
        )  # fmt: skip
        self.classifier = nn.Linear(code_dim, 10)
        self.critic, self.objective = ConcatCritic((128, 128)), MINE(ma_rate=0.05)
        self.scores(torch.zeros(2, 64), torch.zeros(2, code_dim))

    def encode(self, images: Tensor) -> Tensor:
        """Draw a code for each image."""
        mean, log_scale = self.encoder(images).chunk(2, dim=1)
        return mean + log_scale.exp() * torch.randn_like(mean)

    def scores(self, images: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
        """Score pairs drawn together and pairs drawn apart, shape ``(N,)`` each."""
        codes = torch.stack((code, code.roll(1, 0)), dim=1)
        joint, marginal = self.critic(images.flatten(1).unsqueeze(1), codes).unbind(1)
        return joint, marginal

    def training_step(self, batch: Any, batch_idx: int) -> None:
        images, labels = batch
        optimizers: Any = self.optimizers()
        optimizer, critic_optimizer = optimizers
        code = self.encode(images)
        for _ in range(self.critic_steps):
            critic_optimizer.zero_grad()
            self.manual_backward(self.objective.loss(*self.scores(images, code.detach())))
            critic_optimizer.step()
        mi = self.objective.estimate(*self.scores(images, code))
        loss = cross_entropy(self.classifier(code), labels)
        optimizer.zero_grad()
        self.manual_backward(loss + self.beta * mi.clamp(min=0))
        optimizer.step()
        self.log_dict({"loss": loss, "train_mi": mi}, prog_bar=True)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        images, labels = batch
        accuracy = (self.classifier(self.encode(images)).argmax(1) == labels).float().mean()
        self.log("val_accuracy", accuracy, prog_bar=True)

    def configure_optimizers(self) -> Any:
        classifier = [*self.encoder.parameters(), *self.classifier.parameters()]
        return [
            torch.optim.Adam(part, lr=self.lr) for part in (classifier, self.critic.parameters())
        ]
