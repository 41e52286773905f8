from .call import estimate_mutual_information as estimate_mutual_information
from .conditional import ConditionalEstimate as ConditionalEstimate
from .conditional import (
    estimate_conditional_mutual_information as estimate_conditional_mutual_information,
)
from .matrix import MutualInformationMatrix as MutualInformationMatrix
from .matrix import PairwiseEstimates as PairwiseEstimates
from .matrix import mutual_information_matrix as mutual_information_matrix
from .matrix import mutual_information_with as mutual_information_with
from .results import MutualInformationEstimate as MutualInformationEstimate
from .transfer import estimate_transfer_entropy as estimate_transfer_entropy
