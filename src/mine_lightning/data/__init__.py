"""Marginal samplers, distributions that know their mutual information, and DataModules."""

from mine_lightning.data.arrays import TensorDataModule
from mine_lightning.data.disk.streaming import StreamingDataModule
from mine_lightning.data.distributions import (
    Asinh,
    Bimodal,
    Cube,
    DenseNormal,
    Distribution,
    GaussianPairs,
    HalfCube,
    Independent,
    MultivariateNormal,
    MultivariateStudent,
    NormalCDF,
    NormalToMixture,
    SparseNormal,
    Spiral,
    SwissRoll,
    Transformed,
    UniformAdditive,
    Warp,
    Wiggly,
    beyond_normal_tasks,
)
from mine_lightning.data.loading.loaders import DrawLoader, EvaluationLoader, TrainingLoader
from mine_lightning.data.modules import GaussianDataModule, PairDataModule, SyntheticDataModule
from mine_lightning.data.real import DigitsDataModule
from mine_lightning.data.samplers import (
    CyclicShift,
    Derangement,
    IndependentDraw,
    MarginalSampler,
    Partners,
)
from mine_lightning.data.tables import TableDataModule, read_table

__all__ = [
    "Asinh",
    "Bimodal",
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
