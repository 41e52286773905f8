"""Mutual information neural estimation as native PyTorch Lightning."""

from importlib.metadata import version

from mine_lightning.callbacks.checkpoints import RestartCheckpoint, WholeCheckpointIO
from mine_lightning.callbacks.writers import PointwiseWriter
from mine_lightning.critics.densities import ConditionalCategorical, ConditionalGaussian
from mine_lightning.critics.encoders import ConvEncoder, EmbeddingEncoder, Encoder, SequenceEncoder
from mine_lightning.critics.ensemble import CriticEnsemble
from mine_lightning.critics.networks import BilinearCritic, ConcatCritic, Critic, SeparableCritic
from mine_lightning.data import (
    CyclicShift,
    Derangement,
    DigitsDataModule,
    GaussianDataModule,
    IndependentDraw,
    MarginalSampler,
    PairDataModule,
    Partners,
    StreamingDataModule,
    SyntheticDataModule,
    TableDataModule,
    TensorDataModule,
)
from mine_lightning.data.transforms import Identity, RankToNormal, Standardize, Transform
from mine_lightning.estimate.call import estimate_mutual_information
from mine_lightning.estimate.conditional import (
    ConditionalEstimate,
    estimate_conditional_mutual_information,
)
from mine_lightning.estimate.matrix import MutualInformationMatrix, mutual_information_matrix
from mine_lightning.estimate.results import MutualInformationEstimate
from mine_lightning.metrics import (
    EffectiveSampleSize,
    FInformation,
    LogPartition,
    MutualInformation,
    MutualInformationStandardError,
    mutual_information,
)
from mine_lightning.monitor import MutualInformationLearner, MutualInformationMonitor
from mine_lightning.objectives import (
    CLUB,
    MINE,
    NWJ,
    SMILE,
    TUBA,
    DivergenceBound,
    DonskerVaradhan,
    FDivergence,
    InfoNCE,
    InterpolatedBound,
    JensenShannonNWJ,
    LearnableBaseline,
    LeaveOneOut,
    MovingAverageBaseline,
    Objective,
)
from mine_lightning.objectives.divergences import (
    GAN,
    Divergence,
    JensenShannon,
    KullbackLeibler,
    Pearson,
    ReverseKL,
    SquaredHellinger,
)
from mine_lightning.objectives.gradients import add_clipped_gradients, clip_to_host
from mine_lightning.training.estimator import MutualInformationEstimator
from mine_lightning.training.members import MutualInformationEnsemble

__version__ = version("mine-lightning")

__all__ = [
    "CLUB",
    "GAN",
    "MINE",
    "NWJ",
    "SMILE",
    "TUBA",
    "BilinearCritic",
    "ConcatCritic",
    "ConditionalCategorical",
    "ConditionalEstimate",
    "ConditionalGaussian",
    "ConvEncoder",
    "Critic",
    "CriticEnsemble",
    "CyclicShift",
    "Derangement",
    "DigitsDataModule",
    "Divergence",
    "DivergenceBound",
    "DonskerVaradhan",
    "EffectiveSampleSize",
    "EmbeddingEncoder",
    "Encoder",
    "FDivergence",
    "FInformation",
    "GaussianDataModule",
    "Identity",
    "IndependentDraw",
    "InfoNCE",
    "InterpolatedBound",
    "JensenShannon",
    "JensenShannonNWJ",
    "KullbackLeibler",
    "LearnableBaseline",
    "LeaveOneOut",
    "LogPartition",
    "MarginalSampler",
    "MovingAverageBaseline",
    "MutualInformation",
    "MutualInformationEnsemble",
    "MutualInformationEstimate",
    "MutualInformationEstimator",
    "MutualInformationLearner",
    "MutualInformationMatrix",
    "MutualInformationMonitor",
    "MutualInformationStandardError",
    "Objective",
    "PairDataModule",
    "Partners",
    "Pearson",
    "PointwiseWriter",
    "RankToNormal",
    "RestartCheckpoint",
    "ReverseKL",
    "SeparableCritic",
    "SequenceEncoder",
    "SquaredHellinger",
    "Standardize",
    "StreamingDataModule",
    "SyntheticDataModule",
    "TableDataModule",
    "TensorDataModule",
    "Transform",
    "WholeCheckpointIO",
    "add_clipped_gradients",
    "clip_to_host",
    "estimate_conditional_mutual_information",
    "estimate_mutual_information",
    "mutual_information",
    "mutual_information_matrix",
]
