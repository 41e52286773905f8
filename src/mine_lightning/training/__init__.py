"""Training in ``Trainer.fit``: the LightningModules and the step that they share."""

from mine_lightning.training.ensemble import MutualInformationEnsemble
from mine_lightning.training.estimator import MutualInformationEstimator

__all__ = ["MutualInformationEnsemble", "MutualInformationEstimator"]
