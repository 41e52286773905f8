"""Distributions of pairs that know their own mutual information."""

from mine_lightning.data.distributions.base import (
    Bimodal,
    Distribution,
    GaussianPairs,
    Independent,
    Transformed,
    UniformAdditive,
)
from mine_lightning.data.distributions.beyond_normal import (
    beyond_normal_tasks,
)
from mine_lightning.data.distributions.elliptical import (
    DenseNormal,
    MultivariateNormal,
    MultivariateStudent,
    SparseNormal,
)
from mine_lightning.data.distributions.warps import (
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
    "Cube",
    "DenseNormal",
    "Distribution",
    "GaussianPairs",
    "HalfCube",
    "Independent",
    "MultivariateNormal",
    "MultivariateStudent",
    "NormalCDF",
    "NormalToMixture",
    "SparseNormal",
    "Spiral",
    "SwissRoll",
    "Transformed",
    "UniformAdditive",
    "Warp",
    "Wiggly",
    "beyond_normal_tasks",
]
