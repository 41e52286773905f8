"""Training in ``Trainer.fit``: the LightningModules and the step that they share."""

from mine_lightning.training.estimator import MutualInformationEstimator
from mine_lightning.training.members import MutualInformationEnsemble

__all__ = ["MutualInformationEnsemble", "MutualInformationEstimator"]
