"""An ordinary Lightning GAN: it knows nothing of mutual information."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn.functional import one_hot, softplus

__all__ = ["Generator", "PlainGAN"]


def mlp(sizes: Sequence[int], activation: nn.Module) -> nn.Sequential:
    """Build a fully connected network."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes[:-1]):
        layers += [nn.Linear(inputs, outputs), activation]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


class Generator(nn.Module):
    """Turns a latent code, one of ``codes`` categories, and noise into a sample."""

    def __init__(
        self, codes: int, noise_dim: int, hidden: Sequence[int], sample_shape: Sequence[int]
    ) -> None:
        super().__init__()
        size = int(torch.Size(sample_shape).numel())
        self.net = mlp([codes + noise_dim, *hidden, size], nn.ReLU())
        self.sample_shape = tuple(sample_shape)

    def forward(self, code: Tensor, noise: Tensor) -> Tensor:
        return self.net(torch.cat((code, noise), dim=1)).unflatten(1, self.sample_shape)


class PlainGAN(LightningModule):
    """A generative adversarial network with the non-saturating loss.

    The latent is a one-hot code and Gaussian noise.

    Args:
        sample_shape: Shape of a sample.
        codes: Categories of the latent code.
        noise_dim: Size of the noise.
        hidden_features: Widths of the hidden layers of both networks.
        lr: Learning rate of both Adams.
        betas: Their decay rates.
        decay_steps: Steps after which the learning rate is down to 1 %, falling linearly over the
            second half; None for no decay.
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
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.codes, self.noise_dim, self.lr, self.betas = codes, noise_dim, lr, tuple(betas)
        self.decay_steps = decay_steps
        self.generator = Generator(codes, noise_dim, hidden_features, sample_shape)
        sizes = [torch.Size(sample_shape).numel(), *hidden_features, 1]
        self.discriminator = nn.Sequential(nn.Flatten(), mlp(sizes, nn.LeakyReLU(0.2)))

    def latent(self, rows: int) -> tuple[Tensor, Tensor]:
        """Draw codes, shape ``(N, codes)``, and noise, shape ``(N, noise_dim)``."""
        code = torch.randint(self.codes, (rows,), device=self.device)
        noise = torch.randn(rows, self.noise_dim, device=self.device)
        return one_hot(code, self.codes).to(noise.dtype), noise

    def forward(self, rows: int) -> Tensor:
        """Generate samples."""
        return self.generator(*self.latent(rows))

    def training_step(self, batch: Any, batch_idx: int) -> None:
        real, _ = batch
        d_optimizer: Any = self.optimizers()[1]  # type: ignore[index]
        code, noise = self.latent(len(real))
        fake = self.generator(code, noise)
        d_real, d_fake = self.discriminator(real), self.discriminator(fake.detach())
        d_loss = softplus(-d_real).mean() + softplus(d_fake).mean()
        d_optimizer.zero_grad()
        self.manual_backward(d_loss)
        d_optimizer.step()
        g_loss = softplus(-self.discriminator(fake)).mean()
        self.update_generator(g_loss, code, fake)
        for scheduler in self.lr_schedulers():  # type: ignore[union-attr]
            scheduler.step()
        self.log_dict({"d_loss": d_loss, "g_loss": g_loss}, prog_bar=True)

    def update_generator(self, loss: Tensor, code: Tensor, fake: Tensor) -> None:
        """Take the generator's step."""
        g_optimizer: Any = self.optimizers()[0]  # type: ignore[index]
        g_optimizer.zero_grad()
        self.manual_backward(loss)
        g_optimizer.step()

    def configure_optimizers(self) -> Any:
        options: dict[str, Any] = {"lr": self.lr, "betas": self.betas}
        networks = (self.generator, self.discriminator)
        optimizers = [torch.optim.Adam(network.parameters(), **options) for network in networks]
        return optimizers, [torch.optim.lr_scheduler.LambdaLR(o, self.decay) for o in optimizers]

    def decay(self, step: int) -> float:
        """Return the factor of the learning rate at a step."""
        return max(0.01, min(1.0, 2 - 2 * step / self.decay_steps)) if self.decay_steps else 1.0
