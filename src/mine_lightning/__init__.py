"""Mutual information neural estimation as native PyTorch Lightning."""

from importlib.metadata import version

from mine_lightning.critics import BilinearCritic, ConcatCritic, Critic, SeparableCritic
from mine_lightning.data import (
    CyclicShift,
    Derangement,
    DigitsDataModule,
    GaussianDataModule,
    IndependentDraw,
    MarginalSampler,
    PairDataModule,
    Partners,
    SyntheticDataModule,
    TableDataModule,
    TensorDataModule,
)
from mine_lightning.metrics import (
    EffectiveSampleSize,
    LogPartition,
    MutualInformation,
    MutualInformationStandardError,
    mutual_information,
)
from mine_lightning.module import MutualInformationEstimator
from mine_lightning.objectives import MINE, NWJ, DonskerVaradhan, InfoNCE, Objective
from mine_lightning.transforms import Standardize, Transform
from mine_lightning.writers import PointwiseWriter

__version__ = version("mine-lightning")

__all__ = [
    "MINE",
    "NWJ",
    "BilinearCritic",
    "ConcatCritic",
    "Critic",
    "CyclicShift",
    "Derangement",
    "DigitsDataModule",
    "DonskerVaradhan",
    "EffectiveSampleSize",
    "GaussianDataModule",
    "IndependentDraw",
    "InfoNCE",
    "LogPartition",
    "MarginalSampler",
    "MutualInformation",
    "MutualInformationEstimator",
    "MutualInformationStandardError",
    "Objective",
    "PairDataModule",
    "Partners",
    "PointwiseWriter",
    "SeparableCritic",
    "Standardize",
    "SyntheticDataModule",
    "TableDataModule",
    "TensorDataModule",
    "Transform",
    "mutual_information",
]
