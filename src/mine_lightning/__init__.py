"""Mutual information neural estimation as native PyTorch Lightning."""

from importlib.metadata import version

from mine_lightning.conditional import (
    ConditionalEstimate,
    estimate_conditional_mutual_information,
)
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
from mine_lightning.ensemble import CriticEnsemble
from mine_lightning.estimate import estimate_mutual_information
from mine_lightning.matrix import MutualInformationMatrix, mutual_information_matrix
from mine_lightning.metrics import (
    EffectiveSampleSize,
    LogPartition,
    MutualInformation,
    MutualInformationStandardError,
    mutual_information,
)
from mine_lightning.module import MutualInformationEstimator
from mine_lightning.objectives import MINE, NWJ, DonskerVaradhan, InfoNCE, Objective
from mine_lightning.results import MutualInformationEstimate
from mine_lightning.transforms import Identity, RankToNormal, Standardize, Transform
from mine_lightning.writers import PointwiseWriter

__version__ = version("mine-lightning")

__all__ = [
    "MINE",
    "NWJ",
    "BilinearCritic",
    "ConcatCritic",
    "ConditionalEstimate",
    "Critic",
    "CriticEnsemble",
    "CyclicShift",
    "Derangement",
    "DigitsDataModule",
    "DonskerVaradhan",
    "EffectiveSampleSize",
    "GaussianDataModule",
    "Identity",
    "IndependentDraw",
    "InfoNCE",
    "LogPartition",
    "MarginalSampler",
    "MutualInformation",
    "MutualInformationEstimate",
    "MutualInformationEstimator",
    "MutualInformationMatrix",
    "MutualInformationStandardError",
    "Objective",
    "PairDataModule",
    "Partners",
    "PointwiseWriter",
    "RankToNormal",
    "SeparableCritic",
    "Standardize",
    "SyntheticDataModule",
    "TableDataModule",
    "TensorDataModule",
    "Transform",
    "estimate_conditional_mutual_information",
    "estimate_mutual_information",
    "mutual_information",
    "mutual_information_matrix",
]
