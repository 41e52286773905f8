"""Ordinary Lightning models in the shapes that people write; none knows of this package."""

import random
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.loggers.logger import Logger
from torch import Tensor, nn
from torch.nn.functional import mse_loss, softplus
from torch.utils.data import DataLoader, TensorDataset

Z, X, ROWS, BATCH = 3, 4, 48, 8


def loader(rows: int = ROWS, shuffle: bool = True) -> DataLoader:
    """Return a shuffling loader: its order comes from the global stream."""
    table = torch.randn(rows, X, generator=torch.Generator().manual_seed(7))
    return DataLoader(TensorDataset(table, torch.arange(rows)), batch_size=BATCH, shuffle=shuffle)


def generator(*, inputs: int = Z) -> nn.Module:
    return nn.Sequential(
        nn.Linear(inputs, 8),
        nn.BatchNorm1d(8),
        nn.ReLU(inplace=True),
        nn.Dropout(0.1),
        nn.Linear(8, X),
    )


def noise(rows: int, device: torch.device) -> Tensor:
    """Draw from all three streams, so that a change of any of them shows."""
    scale, shift = 1 + 0.1 * random.random(), 0.1 * float(np.random.rand())  # noqa: NPY002
    return torch.randn(rows, Z, device=device) * scale + shift


class Adversarial(pl.LightningModule):
    """Two networks, two optimizers, manual optimization."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator, self.discriminator = generator(), nn.Linear(X, 1)

    def forward(self, z: Tensor) -> Tensor:
        return self.generator(z.to(self.dtype))

    def configure_optimizers(self) -> Any:
        parts = self.generator, self.discriminator
        return [torch.optim.Adam(part.parameters(), lr=1e-2) for part in parts], []

    def d_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return (softplus(-self.discriminator(real)) + softplus(self.discriminator(fake))).mean()

    def g_loss(self, fake: Tensor) -> Tensor:
        return softplus(-self.discriminator(fake)).mean()

    def take(self, optimizer: Any, loss: Tensor, **kwargs: Any) -> None:
        optimizer.zero_grad()
        self.manual_backward(loss, **kwargs)
        optimizer.step()


class ReturnsNothing(Adversarial):
    """Lightning's own example: the generator called twice with one z, optimizers toggled."""

    def training_step(self, batch: Any) -> None:
        real, _ = batch
        g_optimizer, d_optimizer = self.optimizers()
        z = noise(len(real), self.device)
        self.toggle_optimizer(g_optimizer)
        loss = self.g_loss(self(z))
        self.log("g_loss", loss, prog_bar=True)
        self.take(g_optimizer, loss)
        self.untoggle_optimizer(g_optimizer)
        self.toggle_optimizer(d_optimizer)
        loss = self.d_loss(real, self(z).detach())
        self.log("d_loss", loss, on_step=True, on_epoch=True)
        self.take(d_optimizer, loss)
        self.untoggle_optimizer(d_optimizer)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self.g_loss(self(noise(len(batch[0]), self.device))))

    def on_train_epoch_end(self) -> None:
        self(noise(5, self.device))


class ReturnsGraph(Adversarial):
    """A dict of losses with their graph and no ``loss`` among them."""

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        real, _ = batch
        g_optimizer, d_optimizer = self.optimizers()
        fake = self(noise(len(real), self.device))
        d_loss, g_loss = self.d_loss(real, fake.detach()), self.g_loss(fake)
        self.take(d_optimizer, d_loss)
        self.take(g_optimizer, self.g_loss(fake), retain_graph=True)
        self.log_dict({"d_loss": d_loss, "g_loss": g_loss})
        return {"d_loss": d_loss, "g_loss": g_loss, "fake": fake}


class Alternates(Adversarial):
    """One optimizer a step in turn; the generator is called in every third step only."""

    def training_step(self, batch: Any, batch_idx: int) -> None:
        real, _ = batch
        g_optimizer, d_optimizer = self.optimizers()
        if batch_idx % 3 == 0:
            loss = self.g_loss(self(noise(len(real), self.device)))
            self.take(g_optimizer, loss)
        else:
            loss = self.d_loss(real, torch.randn_like(real))
            self.take(d_optimizer, loss)
        self.log("loss", loss)


class CallsTwice(Adversarial):
    """The generator called with two different z in a step."""

    def training_step(self, batch: Any, batch_idx: int) -> None:
        real, _ = batch
        g_optimizer, d_optimizer = self.optimizers()
        self.take(d_optimizer, self.d_loss(real, self(noise(len(real), self.device)).detach()))
        loss = self.g_loss(self(noise(len(real), self.device)))
        self.take(g_optimizer, loss)
        self.log("loss", loss)


class MutatesOutput(Adversarial):
    """Turns the sample into bytes in place once the losses are done, and spoils the batch."""

    def training_step(self, batch: Any, batch_idx: int) -> None:
        real, _ = batch
        g_optimizer, d_optimizer = self.optimizers()
        z = noise(len(real), self.device)
        fake = self(z)
        self.take(d_optimizer, self.d_loss(real, fake.detach()))
        self.take(g_optimizer, self.g_loss(fake))
        with torch.no_grad():
            self.log("brightness", fake.add_(1.0).mul_(127.5).byte().float().mean())
            z.zero_()
            real.zero_()


class Voice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = generator(inputs=Z + 1)

    def forward(self, content: Tensor, pitch: Tensor, *, speaker: Tensor) -> Tensor:
        return self.net(torch.cat((speaker, pitch), dim=1)) + 0 * content


class Keywords(Adversarial):
    """The latent is a keyword argument."""

    def __init__(self) -> None:
        super().__init__()
        self.net_g = Voice()
        del self.generator

    def configure_optimizers(self) -> Any:
        parts = self.net_g, self.discriminator
        return [torch.optim.SGD(part.parameters(), lr=1e-2, momentum=0.9) for part in parts], []

    def training_step(self, batch: Any, batch_idx: int) -> None:
        real, _ = batch
        g_optimizer, d_optimizer = self.optimizers()
        first, speaker = noise(len(real), self.device)[:, :1], noise(len(real), self.device)
        fake = self.net_g(real, first, speaker=speaker)
        self.take(d_optimizer, self.d_loss(real, fake.detach()))
        loss = self.g_loss(fake)
        self.take(g_optimizer, loss)
        self.log("loss", loss)


class Inference(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(X, 2 * Z), generator()

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[dict[str, Tensor], Tensor]]:
        mean, log_scale = self.encoder(x).chunk(2, dim=1)
        z = mean + log_scale.exp() * noise(len(x), x.device)
        return self.decoder(z), ({"z": z, "mean": mean}, log_scale)


class Nests(pl.LightningModule):
    """A VAE with automatic optimization whose latent is deep in the output of one module."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Inference()

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        reconstruction, (latents, log_scale) = self.model(batch[0])
        prior = latents["mean"].square() + (2 * log_scale).exp() - 2 * log_scale
        loss = mse_loss(reconstruction, batch[0]) + 0.01 * prior.mean()
        self.log("loss", loss)
        return {"loss": loss, "z": latents["z"], "x": reconstruction}

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.parameters(), lr=1e-2)


class VAE(Nests):
    """The same, returning the loss alone."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return super().training_step(batch, batch_idx)["loss"]


class SelfSampling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = generator()

    def random_sample(self, rows: int) -> Tensor:
        return self(noise(rows, self.net[0].weight.device))

    def forward(self, z: Tensor) -> Tensor:
        return self.net(z)


class DrawsInside(Adversarial):
    """z exists inside the generator only."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = SelfSampling()

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        real, _ = batch
        d_optimizer, g_optimizer = reversed(self.optimizers())
        fake = self.generator.random_sample(len(real))
        d_loss = self.d_loss(real, fake.detach())
        self.take(d_optimizer, d_loss)
        self.take(g_optimizer, self.g_loss(fake))
        self.log("d_loss", d_loss)
        return {"d_loss": d_loss}


TAPS: dict[type[pl.LightningModule], tuple[str, str]] = {
    ReturnsNothing: ("generator:output", "generator:input"),
    ReturnsGraph: ("outputs[fake]", "generator:input"),
    Alternates: ("generator:output", "generator:input"),
    CallsTwice: ("generator:output", "generator:input"),
    MutatesOutput: ("generator:output", "batch[0]"),
    Keywords: ("net_g:output", "net_g:input[speaker]"),
    Nests: ("outputs[x]", "model:output[1][0][z]"),
    DrawsInside: ("generator:output", "generator.net.0:input"),
    VAE: ("model.decoder:output", "model:output[1][0][z]"),
}


class Drifts(pl.LightningModule):
    r"""A "generator" :math:`x = a_t z + \epsilon` with :math:`I(x; z)` known at each step."""

    def __init__(self, dim: int = 2, steps_per_level: int = 500, levels: Any = (0.0, 1.0)) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator = nn.Linear(dim, dim, bias=False)
        self.dim, self.steps_per_level, self.levels = dim, steps_per_level, levels
        self.stream = torch.Generator().manual_seed(5)

    def level(self, batch_idx: int) -> float:
        return self.levels[min(batch_idx // self.steps_per_level, len(self.levels) - 1)]

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        gain = np.sqrt(np.expm1(2 * self.level(batch_idx) / self.dim))
        with torch.no_grad():
            self.generator.weight.copy_(gain * torch.eye(self.dim))
            z = torch.randn(len(batch[0]), self.dim, generator=self.stream)
            return {"x": self.generator(z) + torch.randn(z.shape, generator=self.stream)}

    def configure_optimizers(self) -> None:
        return None


class Records(Logger):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int | None, dict[str, float]]] = []

    name = "records"
    version = 0

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        pass

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.rows.append((step, dict(metrics)))
