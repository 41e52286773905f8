"""One call, one number: the cross-fitted estimate, its interval and what speaks against it."""

from mine_lightning.estimate.call import estimate_mutual_information
from mine_lightning.estimate.conditional import (
    ConditionalEstimate,
    estimate_conditional_mutual_information,
)
from mine_lightning.estimate.matrix import MutualInformationMatrix, mutual_information_matrix
from mine_lightning.estimate.results import MutualInformationEstimate

__all__ = [
    "ConditionalEstimate",
    "MutualInformationEstimate",
    "MutualInformationMatrix",
    "estimate_conditional_mutual_information",
    "estimate_mutual_information",
    "mutual_information_matrix",
]
