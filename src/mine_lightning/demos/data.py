"""Data for the demos: points in the plane and images of digits."""

import math
from collections.abc import Iterator

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

__all__ = ["DigitImages", "Drawn", "GaussianGrid", "Spiral"]


class Batches:
    """As many batches an epoch as asked for, each drawn anew."""

    def __init__(self, data: "Drawn") -> None:
        self.data = data

    def __len__(self) -> int:
        return self.data.steps_per_epoch

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return (self.data.draw(self.data.batch_size) for _ in range(len(self)))


class Drawn(LightningDataModule):
    """Base of data drawn without end from a known distribution.

    Args:
        batch_size: Points in a batch.
        steps_per_epoch: Batches that count as an epoch.
    """

    def __init__(self, batch_size: int = 128, steps_per_epoch: int = 500) -> None:
        super().__init__()
        self.batch_size, self.steps_per_epoch = batch_size, steps_per_epoch

    def draw(self, rows: int) -> tuple[Tensor, Tensor]:
        """Draw points, shape ``(N, 2)``, and where they come from, shape ``(N,)``."""
        raise NotImplementedError

    def train_dataloader(self) -> Batches:
        return Batches(self)


class GaussianGrid(Drawn):
    r"""The grid of Gaussians on which mode collapse is measured.

    The centres stand ``side`` by ``side`` at distance 2 with standard deviation ``std``; all is
    divided by :math:`2 \sqrt 2`, for a variance near 1.

    References:
        Srivastava et al., "VEEGAN", 2017, section 5.1; Lin et al., "PacGAN", 2018.

    Args:
        side: Modes along each axis.
        std: Standard deviation of each mode, before the division.
        batch_size: Points in a batch.
        steps_per_epoch: Batches that count as an epoch.

    Example:
        >>> points, modes = GaussianGrid().draw(2500)
        >>> GaussianGrid().coverage(points)[0]
        25
    """

    scale = 2 * math.sqrt(2)

    def __init__(
        self, side: int = 5, std: float = 0.05, batch_size: int = 128, steps_per_epoch: int = 500
    ) -> None:
        super().__init__(batch_size, steps_per_epoch)
        axis = 2.0 * torch.arange(side) - (side - 1)
        self.centers, self.std = torch.cartesian_prod(axis, axis) / self.scale, std / self.scale

    def draw(self, rows: int) -> tuple[Tensor, Tensor]:
        modes = torch.randint(len(self.centers), (rows,))
        return self.centers[modes] + self.std * torch.randn(rows, 2), modes

    def coverage(self, points: Tensor, least: int = 10) -> tuple[int, float]:
        """Count the modes captured, and the share of points of high quality.

        Args:
            points: Generated points, shape ``(N, 2)``.
            least: Points within 3 standard deviations of its centre for a mode to count.

        Returns:
            The number of modes captured, and the share of points within 3 standard deviations of
            any centre.
        """
        distance, mode = torch.cdist(points, self.centers.to(points)).min(dim=1)
        good = distance < 3 * self.std
        counts = torch.bincount(mode[good], minlength=len(self.centers))
        return int((counts >= least).sum()), float(good.float().mean())


class Spiral(Drawn):
    """Points along one and a half turns of a spiral.

    Args:
        std: Standard deviation across the spiral.
        batch_size: Points in a batch.
        steps_per_epoch: Batches that count as an epoch.
    """

    def __init__(
        self, std: float = 0.02, batch_size: int = 128, steps_per_epoch: int = 500
    ) -> None:
        super().__init__(batch_size, steps_per_epoch)
        self.std = std

    def draw(self, rows: int) -> tuple[Tensor, Tensor]:
        turn = torch.rand(rows).sqrt()
        angle = 3 * math.pi * turn
        points = 1.5 * torch.stack((turn * angle.cos(), turn * angle.sin()), dim=1)
        return points + self.std * torch.randn(rows, 2), turn


class DigitImages(LightningDataModule):
    """1,797 real images of handwritten digits, ``(N, 1, 8, 8)`` in [-1, 1], and their labels.

    Args:
        batch_size: Images in a batch.
        val_fraction: Share of the images for validation.
        seed: Seed of the split.
    """

    def __init__(self, batch_size: int = 64, val_fraction: float = 0.2, seed: int = 0) -> None:
        from sklearn.datasets import load_digits

        super().__init__()
        self.batch_size = batch_size
        images, labels = (torch.from_numpy(table) for table in load_digits(return_X_y=True))
        images = images.float().view(-1, 1, 8, 8) / 8 - 1
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
        held_out = int(val_fraction * len(images))
        self.val = TensorDataset(images[order[:held_out]], labels[order[:held_out]])
        self.train = TensorDataset(images[order[held_out:]], labels[order[held_out:]])

    def draw(self, rows: int) -> tuple[Tensor, Tensor]:
        """Draw training images and their labels."""
        images, labels = self.train[torch.randint(len(self.train), (rows,))]
        return images, labels

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.train, self.batch_size, shuffle=True, drop_last=True)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.val, len(self.val))
