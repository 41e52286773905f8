r"""Objectives: what a critic is trained on, and the estimate in nats that its scores give.

Every estimate here is a function of two pooled numbers: the mean of a term for each row and the
log-mean-exp of the marginal scores. :meth:`Objective.terms` gives the terms,
:meth:`Objective.value` the estimate; pooling them over batches and processes before applying
``value`` once is exact, averaging the estimates of batches is not.
"""

from mine_lightning.objectives.base import Kind, Objective
from mine_lightning.objectives.baselines import Baseline, LearnableBaseline, MovingAverageBaseline
from mine_lightning.objectives.contrastive import AnchoredInfoNCE, InfoNCE, InterpolatedBound
from mine_lightning.objectives.f_information import DivergenceBound, FDivergence
from mine_lightning.objectives.logistic import SMILE, JensenShannonNWJ
from mine_lightning.objectives.upper import CLUB, LeaveOneOut
from mine_lightning.objectives.variational import MINE, NWJ, TUBA, DonskerVaradhan

__all__ = [
    "CLUB",
    "MINE",
    "NWJ",
    "SMILE",
    "TUBA",
    "AnchoredInfoNCE",
    "Baseline",
    "DivergenceBound",
    "DonskerVaradhan",
    "FDivergence",
    "InfoNCE",
    "InterpolatedBound",
    "JensenShannonNWJ",
    "Kind",
    "LearnableBaseline",
    "LeaveOneOut",
    "MovingAverageBaseline",
    "Objective",
]
