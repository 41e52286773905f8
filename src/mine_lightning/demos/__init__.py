"""Ordinary Lightning models to attach to, and what a term of mutual information does to them."""

from mine_lightning.demos.bottleneck import InformationBottleneck
from mine_lightning.demos.data import DigitImages, GaussianGrid, Spiral
from mine_lightning.demos.figures import SampleFigures
from mine_lightning.demos.gan import PlainGAN
from mine_lightning.demos.gan_mi import MutualInformationGAN
from mine_lightning.demos.vae import VAE

__all__ = [
    "VAE",
    "DigitImages",
    "GaussianGrid",
    "InformationBottleneck",
    "MutualInformationGAN",
    "PlainGAN",
    "SampleFigures",
    "Spiral",
]
