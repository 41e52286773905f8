"""Mutual information of any Lightning model while it trains."""

from mine_lightning.monitor.callback import MutualInformationMonitor
from mine_lightning.monitor.learner import Estimate, MutualInformationLearner

__all__ = ["Estimate", "MutualInformationLearner", "MutualInformationMonitor"]
