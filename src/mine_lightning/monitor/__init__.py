"""Mutual information of any Lightning model while it trains."""

from mine_lightning.monitor.callback import MutualInformationMonitor
from mine_lightning.monitor.learner import Estimate, MutualInformationLearner
from mine_lightning.monitor.listing import list_taps

__all__ = ["Estimate", "MutualInformationLearner", "MutualInformationMonitor", "list_taps"]
