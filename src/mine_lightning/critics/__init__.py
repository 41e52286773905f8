"""Critics: networks that turn pairs (x, z) into scores."""

from mine_lightning.critics.densities import (
    ConditionalCategorical,
    ConditionalGaussian,
)
from mine_lightning.critics.encoders import (
    ConvEncoder,
    EmbeddingEncoder,
    Encoder,
    SequenceEncoder,
)
from mine_lightning.critics.ensemble import (
    CriticEnsemble,
)
from mine_lightning.critics.networks import (
    BilinearCritic,
    ConcatCritic,
    Critic,
    SeparableCritic,
    score_pairs,
)

__all__ = [
    "BilinearCritic",
    "ConcatCritic",
    "ConditionalCategorical",
    "ConditionalGaussian",
    "ConvEncoder",
    "Critic",
    "CriticEnsemble",
    "EmbeddingEncoder",
    "Encoder",
    "SeparableCritic",
    "SequenceEncoder",
    "score_pairs",
]
