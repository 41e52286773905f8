"""An ordinary variational autoencoder with automatic optimization."""

from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn.functional import mse_loss

__all__ = ["VAE"]


class VAE(LightningModule):
    """A variational autoencoder of 8 x 8 images.

    Args:
        latent_dim: Size of the latent.
        hidden_features: Width of the hidden layers.
        kl_weight: Weight of the divergence from the prior.
        lr: Learning rate of Adam.
    """

    def __init__(
        self,
        latent_dim: int = 8,
        hidden_features: int = 128,
        kl_weight: float = 0.1,
        lr: float = 1e-3,
    ) -> None:
        super().__init__()
        self.latent_dim, self.kl_weight, self.lr = latent_dim, kl_weight, lr
        self.encoder = nn.Sequential(
            nn.Flatten(), nn.Linear(64, hidden_features), nn.ReLU(),
            nn.Linear(hidden_features, 2 * latent_dim),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, hidden_features), nn.ReLU(), nn.Linear(hidden_features, 64),
            nn.Unflatten(1, (1, 8, 8)),
        )  # fmt: skip

    def forward(self, rows: int) -> Tensor:
        """Generate samples."""
        return self.decoder(torch.randn(rows, self.latent_dim, device=self.device))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        images, _ = batch
        mean, log_scale = self.encoder(images).chunk(2, dim=1)
        z = mean + log_scale.exp() * torch.randn_like(mean)
        reconstruction = mse_loss(self.decoder(z), images, reduction="sum") / len(images)
        kl = (mean.square() + (2 * log_scale).exp() - 2 * log_scale - 1).sum() / 2 / len(images)
        self.log_dict({"reconstruction": reconstruction, "kl": kl}, prog_bar=True)
        return reconstruction + self.kl_weight * kl

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=self.lr)
