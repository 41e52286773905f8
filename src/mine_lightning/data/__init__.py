"""Marginal samplers, distributions that know their mutual information, and DataModules."""

from mine_lightning.data.arrays import TensorDataModule
from mine_lightning.data.beyond_normal import beyond_normal_tasks
from mine_lightning.data.distributions import (
    Bimodal,
    Distribution,
    GaussianPairs,
    Independent,
    Transformed,
    UniformAdditive,
)
from mine_lightning.data.elliptical import (
    DenseNormal,
    MultivariateNormal,
    MultivariateStudent,
    SparseNormal,
)
from mine_lightning.data.folds import CrossFitDataModule
from mine_lightning.data.loaders import DrawLoader, EvaluationLoader, TrainingLoader
from mine_lightning.data.modules import GaussianDataModule, PairDataModule, SyntheticDataModule
from mine_lightning.data.real import DigitsDataModule
from mine_lightning.data.samplers import (
    CyclicShift,
    Derangement,
    IndependentDraw,
    MarginalSampler,
    Partners,
)
from mine_lightning.data.streaming import StreamingDataModule
from mine_lightning.data.tables import TableDataModule, read_table
from mine_lightning.data.warps import (
    Asinh,
    Cube,
    HalfCube,
    NormalCDF,
    NormalToMixture,
    Spiral,
    SwissRoll,
    Warp,
    Wiggly,
)

__all__ = [
    "Asinh",
    "Bimodal",
    "CrossFitDataModule",
    "Cube",
    "CyclicShift",
    "DenseNormal",
    "Derangement",
    "DigitsDataModule",
    "Distribution",
    "DrawLoader",
    "EvaluationLoader",
    "GaussianDataModule",
    "GaussianPairs",
    "HalfCube",
    "Independent",
    "IndependentDraw",
    "MarginalSampler",
    "MultivariateNormal",
    "MultivariateStudent",
    "NormalCDF",
    "NormalToMixture",
    "PairDataModule",
    "Partners",
    "SparseNormal",
    "Spiral",
    "StreamingDataModule",
    "SwissRoll",
    "SyntheticDataModule",
    "TableDataModule",
    "TensorDataModule",
    "TrainingLoader",
    "Transformed",
    "UniformAdditive",
    "Warp",
    "Wiggly",
    "beyond_normal_tasks",
    "read_table",
]
