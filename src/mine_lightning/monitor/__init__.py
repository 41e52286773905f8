"""Mutual information of any Lightning model while it trains."""

from mine_lightning.monitor.callback import MutualInformationMonitor
from mine_lightning.monitor.learner import Estimate, MutualInformationLearner
from mine_lightning.monitor.listing import list_taps
from mine_lightning.monitor.plane import InformationPlane

__all__ = [
    "Estimate",
    "InformationPlane",
    "MutualInformationLearner",
    "MutualInformationMonitor",
    "list_taps",
]
